"""What decided, and what came of it: criteria with bounds and rationale, exclusions by clause, structural checks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.criteria.rules import describe
from curation_dagster.core.release.technical.scope import Rows, Scope, joined, said, verbatim
from curation_dagster.core.report.paper import Block, Heading, Table

_MODALITIES = ("dermoscopic", "clinical")
_OUTCOMES = ("pass", "fail", "review", "not_applicable")


def criteria(scope: Scope) -> list[Block]:
    """Every criterion: statement, rule with its bounds, what follows where it does not hold, why the bound is as it is."""
    c = scope.view.criteria
    rows = [
        [
            k.clause_id, k.id, k.statement, rule_of(k), "excluded" if k.on_fail == "exclude" else "a person decides",
            k.on_missing.replace("_", " "), k.rationale, k.since,
        ]
        for k in c.criteria
    ]  # fmt: skip
    headers = [
        "clause",
        "criterion",
        "statement",
        "rule and bounds",
        "otherwise",
        "if missing",
        "rationale",
        "since",
    ]
    return [
        Heading("Criteria", "criteria"),
        said(
            "{name}, version {version}, SHA-256 {digest}. {number} criteria. Intended use: {use}",
            name=c.name,
            version=c.version,
            digest=c.digest,
            number=len(c.criteria),
            use=c.intended_use.strip(),
        ),
        Table("criteria", headers, rows),
    ]


def rule_of(criterion: Criterion) -> str:
    """Return the rule of a criterion in words, with its bounds, by modality where they differ."""
    if not criterion.by_modality:
        return describe(criterion, None)
    return (
        "; ".join(f"{m}: {describe(criterion, m)}" for m in _MODALITIES)
        + f"; otherwise: {describe(criterion, None)}"
    )


def exclusions(scope: Scope) -> list[Block]:
    """What each criterion decided, by clause: outcomes, images that it excludes first, and those that it excludes alone."""
    view = scope.view
    decided: dict[str, Counter[str]] = {}
    for name, outcome, n in scope.rows(
        "SELECT criterion, outcome, CAST(sum(images) AS BIGINT) FROM outcomes WHERE {here} GROUP BY ALL",
        outcomes=view.outcomes,
    ):
        decided.setdefault(name, Counter())[outcome] += n
    alone = Counter(
        r[0]
        for r in scope.rows(
            "SELECT any_value(criterion) FROM held WHERE {here} AND outcome = 'fail' GROUP BY archive, version, image_id "
            "HAVING count(*) = 1",
            held=view.unpassed,
        )
    )
    found = scope.rows(
        "SELECT reason, count(*) FROM fates WHERE {here} AND box = 'excluded' GROUP BY 1", fates=view.fates
    )
    first = Counter({r[0]: r[1] for r in found})
    rows: Rows = []
    for k in view.criteria.criteria:
        counts = decided.get(k.id, Counter())
        rows.append([k.clause, k.id, *(counts[o] for o in _OUTCOMES), first[k.id], alone[k.id]])
    totals = scope.rows(
        "SELECT box, count(*) FROM fates WHERE {here} GROUP BY 1 ORDER BY 1", fates=view.fates
    )
    return [
        Heading("Exclusions by clause", "exclusions"),
        said(
            "An image may fail several criteria and counts under each; `first` counts it once, under the first that it meets; "
            "`alone` counts those that nothing else excludes."
        ),
        Table(
            "exclusions",
            ["clause", "criterion", "pass", "fail", "wait for a person", "not applicable", "first", "alone"],
            rows,
        ),
        Table("boxes", ["where images ended", "images"], [[b.replace("_", " "), n] for b, n in totals]),
    ]


def checks(scope: Scope) -> list[Block]:
    """The last outcome of every check of the tables and of the criteria."""
    rows = scope.rows(
        "SELECT archive || '@' || version, stage, count(*), count(*) FILTER (passed), count(*) FILTER (NOT passed), "
        "count(*) FILTER (blocking), count(*) FILTER (blocking AND NOT passed), max(evaluated_at) FROM check_results "
        "WHERE {here} GROUP BY ALL ORDER BY ALL",
        "check_results",
    )
    failed = scope.rows(
        "SELECT archive || '@' || version, stage, check_name, blocking, evaluated_at FROM check_results WHERE {here} AND "
        "NOT passed ORDER BY ALL",
        "check_results",
    )
    return [
        Heading("Checks", "checks"),
        Table(
            "checks_by_stage",
            [
                "archive version",
                "asset",
                "checks",
                "passed",
                "failed",
                "blocking",
                "blocking and failed",
                "last",
            ],
            [[_all(r[0]), *r[1:]] for r in rows],
        ),
        Heading("Checks that found something", "checks_failed_heading", 3),
        Table(
            "checks_failed",
            ["archive version", "asset", "check", "blocking", "when"],
            [[_all(r[0]), *r[1:]] for r in failed],
            "None.",
        ),
    ]


def protocol(scope: Scope) -> list[Block]:
    """The clauses of the protocol, and what carries each out."""
    declared: dict[str, Any] = yaml.safe_load(scope.view.declared("criteria/protocol.yaml"))
    ids: dict[str, list[str]] = {}
    for k in scope.view.criteria.criteria:
        ids.setdefault(k.clause_id, []).append(k.id)
    rows = [
        [
            c["id"],
            c["title"],
            c["text"],
            joined([*ids.get(c["id"], []), *(p["how"] for p in c.get("carried_out_by", []))]),
        ]
        for c in declared["clauses"]
    ]
    waived = [[c, why] for c, why in sorted(scope.view.criteria.waives.items())]
    blocks: list[Block] = [
        Heading("Clauses of the protocol", "protocol"),
        Table("clauses", ["clause", "title", "what it asks", "carried out by"], rows),
    ]
    if waived:
        blocks.append(Table("waived", ["clause", "why these criteria have none"], waived))
    sampling = scope.view.criteria.sampling
    return [
        *blocks,
        said(
            "A sample that people look at holds {required} images of a large archive version: a clean one leaves at most "
            "{rate} of all, at {confidence} confidence.",
            required=sampling.required(),
            rate=sampling.max_residual_rate,
            confidence=sampling.confidence,
        ),
        verbatim(sampling.rationale),
    ]


def _all(key: str) -> str:
    return "all" if key == "*@*" else key
