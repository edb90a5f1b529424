"""What became of labels and fields: validation of the diagnoses, and what is missing for which reason."""

from __future__ import annotations

from curation_dagster.core.harmonize.missingness import PRESENT
from curation_dagster.core.release.technical.scope import Scope, said
from curation_dagster.core.report.charts import bars
from curation_dagster.core.report.paper import Block, Figure, Heading, Share, Table

_KNOWN = ("exact", "broader", "narrower", "nonspecific", "not_a_diagnosis")


def labels(scope: Scope) -> list[Block]:
    """How labels were mapped, how diagnoses were confirmed, and what the rules of consistency found."""
    by_relation = scope.rows(
        "SELECT diagnosis_relation, confirmation, count(*) FROM harmonized WHERE {here} GROUP BY ALL "
        "ORDER BY diagnosis_relation NULLS LAST, confirmation NULLS LAST",
        "harmonized",
    )
    kept = scope.rows(
        "SELECT diagnosis_source_label, icd11_code, icd11_title, diagnosis_relation, confirmation, count(*) FROM images "
        "WHERE {here} GROUP BY ALL ORDER BY 6 DESC, 1, 2, 3, 4, 5",
        "images",
    )
    work = scope.rows(
        "SELECT kind, count(*), CAST(sum(images) AS BIGINT) FROM label_worklist WHERE {here} GROUP BY 1 ORDER BY 1",
        "label_worklist",
    )
    clauses = {k.id: k.clause_id for k in scope.view.criteria.criteria if k.clause_id in ("I.2", "E.5")}
    decided = scope.rows(
        "SELECT criterion, CAST(sum(images) FILTER (outcome = 'fail') AS BIGINT), CAST(sum(images) FILTER (outcome = 'review') "
        "AS BIGINT) FROM outcomes WHERE {here} GROUP BY 1 ORDER BY 1",
        outcomes=scope.view.outcomes,
    )
    return [
        Heading("Validation of labels", "labels"),
        said(
            "Of all images that entered, whether they were kept or not: how code and label relate, and who confirmed it."
        ),
        Table(
            "labels_by_relation",
            ["code and label", "confirmation", "images"],
            [[_stated(r[0]), _stated(r[1]), r[2]] for r in by_relation],
        ),
        Heading("Labels of the released images", "labels_released_heading", 3),
        Table(
            "labels_released",
            ["publisher's label", "ICD-11", "title", "relation", "confirmation", "images"],
            kept,
            "No image of it is in the release.",
        ),
        Heading("Labels that wait for a coder", "labels_waiting_heading", 3),
        Table("labels_waiting", ["kind", "labels", "images"], work, "None."),
        Heading("Consistency", "labels_consistency_heading", 3),
        Table(
            "labels_consistency",
            ["clause", "criterion", "fail", "wait for a person"],
            [[clauses[c], c, f or 0, r or 0] for c, f, r in decided if c in clauses],
        ),
    ]


def missing(scope: Scope) -> list[Block]:
    """How many images lack each field of the unified schema, and why."""
    rows = scope.rows(
        "SELECT field, reason, CAST(sum(images) AS BIGINT) FROM missingness WHERE {here} GROUP BY ALL ORDER BY field, reason",
        "missingness",
    )
    totals = scope.rows(
        'SELECT field, CAST(sum(total) AS BIGINT) FROM (SELECT archive, version, field, max("of") AS total FROM missingness '
        "WHERE {here} GROUP BY ALL) GROUP BY 1",
        "missingness",
    )
    of = {r[0]: r[1] for r in totals}
    lacking: dict[str, int] = {}
    for field, reason, images in rows:
        if reason != PRESENT:
            lacking[field] = lacking.get(field, 0) + images
    ordered = sorted(of, key=lambda f: (-lacking.get(f, 0), f))
    drawn = [
        (
            f.replace("_", " "),
            lacking.get(f, 0),
            f"{lacking.get(f, 0):,}  {100 * lacking.get(f, 0) / of[f]:.1f} %",
            "fine",
        )
        for f in ordered
    ]
    reasons = [[f, r.replace("_", " "), n, Share(n, of[f])] for f, r, n in rows if r != PRESENT and n]
    reasons.sort(key=lambda r: (ordered.index(r[0]), -r[2], r[1]))
    blocks: list[Block] = [
        Heading("Missing fields", "missing"),
        said(
            "Of all images that entered and were harmonized. Null where the source says nothing; nothing is imputed."
        ),
    ]
    if drawn:
        note = "Images that lack the field, and their share of all that were harmonized."
        blocks.append(
            Figure(
                bars("Missing fields", drawn, note),
                f"figures/missing-{scope.name}.svg",
                f"Missing fields of {scope.name}: images by field.",
            )
        )
    return [
        *blocks,
        Table(
            "missing_by_field",
            ["field", "images without", "share", "images"],
            [[f, lacking.get(f, 0), Share(lacking.get(f, 0), of[f]), of[f]] for f in ordered],
        ),
        Table(
            "missing_by_reason",
            ["field", "reason", "images", "share"],
            reasons,
            "No field is missing anywhere.",
        ),
    ]


def _stated(value: str | None) -> str:
    return "not stated" if value is None else value.replace("_", " ")
