"""What changed: declared files and their versions, stages and code, versions of the archive, criteria, audit trail."""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from curation_dagster.core.release.technical.scope import Rows, Scope, joined, quoted, said
from curation_dagster.core.report.paper import Block, Heading, Table

_VERSIONS = "vocabularies/versions.yaml"
_SHORT = 16


def history(scope: Scope) -> list[Block]:
    """Everything that was changed, by whom, when and why, as far as it concerns the scope."""
    blocks: list[Block] = [
        Heading("Change history", "history"),
        *_declared(scope),
        *_stages(scope),
        *_changes(scope),
    ]
    return blocks + (_trail(scope) if scope.is_corpus else _own_trail(scope))


def _declared(scope: Scope) -> list[Block]:
    """The declared files: the version on record, and whether the release holds just that."""
    recorded: dict[str, list[dict[str, Any]]] = yaml.safe_load(scope.view.declared(_VERSIONS))["files"]
    mine = (
        sorted(recorded)
        if scope.is_corpus
        else [
            n for n in sorted(recorded) if n == f"archives/{scope.archive}.yaml" or n.startswith("criteria/")
        ]
    )
    rows: Rows = []
    for name in mine:
        held = scope.view.inputs.get(name)
        digest = None if held is None else hashlib.sha256(held).hexdigest()
        for entry in recorded[name]:
            rows.append(
                [
                    name, entry["version"], str(entry["recorded"]), entry["author"], entry["change"],
                    entry["sha256"][:_SHORT], digest == entry["sha256"] if digest else None,
                ]
            )  # fmt: skip
    return [
        Heading("Declared files", "declared", 3),
        Table(
            "declared_files",
            ["file", "version", "recorded", "by", "change", "SHA-256", "in this release"],
            rows,
            "None is on record.",
        ),
    ]


def _stages(scope: Scope) -> list[Block]:
    rows = scope.rows(
        "SELECT archive || '@' || version, stage, rows_in, kept, excluded, quarantined, code_version, left(fingerprint, 16), "
        "run_id, finished_at FROM stages WHERE {here} AND stage <> 'release' ORDER BY archive, version, finished_at, stage",
        "stages",
    )
    return [
        Heading("Stages as they were last made", "stages_heading", 3),
        Table(
            "stages",
            [
                "archive version",
                "asset",
                "rows in",
                "kept",
                "excluded",
                "quarantined",
                "code",
                "fingerprint",
                "run",
                "when",
            ],
            [["all" if r[0] == "*@*" else r[0], *r[1:]] for r in rows],
        ),
    ]


def _changes(scope: Scope) -> list[Block]:
    versions = scope.rows(
        'SELECT archive || \'@\' || version, compared_with, subject, value, "before", "after" FROM version_changes WHERE {here} '
        "ORDER BY ALL",
        "version_changes",
    )
    criteria = scope.rows(
        "SELECT criteria, left(old_digest, 16), left(new_digest, 16), archive || '@' || version, criterion, images, "
        "failing_before, failing_after, newly_failing, no_longer_failing, compared_at FROM criteria_changes WHERE {here} "
        "ORDER BY ALL",
        "criteria_changes",
    )
    return [
        Heading("New versions of archives, compared", "version_changes_heading", 3),
        Table(
            "version_changes",
            ["archive version", "compared with", "what", "value", "before", "after"],
            versions,
            "None was compared.",
        ),
        Heading("Changes of criteria, compared", "criteria_changes_heading", 3),
        Table(
            "criteria_changes",
            [
                "criteria", "old", "new", "archive version", "criterion", "images", "failing before", "failing after",
                "newly failing", "no longer failing", "compared",
            ],
            criteria,
            "None was compared.",
        ),
    ]  # fmt: skip


def _own_trail(scope: Scope) -> list[Block]:
    rows = scope.rows(
        'SELECT seq, "at", who, with_whom, action, subject_kind, subject, why, left(entry_hash, 16) FROM audit '
        f"WHERE action <> 'verdict' AND (subject IN ({quoted(scope.name)}, {quoted(scope.archive)})) ORDER BY seq",
        "audit",
    )
    return [Heading("Audit trail", "audit_heading", 3), _entries(rows)]


def _trail(scope: Scope) -> list[Block]:
    view = scope.view
    counts = scope.rows(
        'SELECT action, count(*), min("at"), max("at") FROM audit GROUP BY 1 ORDER BY 1', "audit"
    )
    rows = scope.rows(
        'SELECT seq, "at", who, with_whom, action, subject_kind, subject, why, left(entry_hash, 16) FROM audit '
        "WHERE action <> 'verdict' ORDER BY seq",
        "audit",
    )
    releases = scope.rows(
        "SELECT release, images, withheld, author, approver, left(seal, 16), issued_at FROM releases ORDER BY 1",
        "releases",
    )
    withdrawn = scope.rows(
        "SELECT kind, subject, why, who, affected_releases, removed_files, withdrawn_at FROM withdrawals ORDER BY withdrawn_at, subject",
        "withdrawals",
    )
    return [
        Heading("Audit trail", "audit_heading", 3),
        said(
            "The trail ends at entry {seq}, {hash}. Verdicts are counted here and stand in tables/audit.parquet, one by one.",
            seq=view.audit_head.get("seq", 0),
            hash=str(view.audit_head.get("entry_hash", "")),
        ),
        Table(
            "audit_by_action",
            ["action", "entries", "first", "last"],
            [[r[0].replace("_", " "), *r[1:]] for r in counts],
        ),
        _entries(rows),
        Heading("Releases before this one", "releases_heading", 3),
        Table(
            "releases",
            ["release", "images", "withheld", "put forward by", "approved by", "seal", "issued"],
            releases,
            "None.",
        ),
        Heading("Withdrawals", "withdrawals_heading", 3),
        Table(
            "withdrawals",
            ["kind", "subject", "why", "by", "releases that hold it", "files removed", "when"],
            [[*r[:4], joined([str(n) for n in r[4] or []]), *r[5:]] for r in withdrawn],
            "None.",
        ),
    ]


def _entries(rows: Rows) -> Table:
    headers = ["entry", "when", "who", "with", "action", "kind", "subject", "why", "hash"]
    return Table(
        "audit_entries", headers, [[*r[:4], r[4].replace("_", " "), *r[5:]] for r in rows], "No entry."
    )
