"""Before anybody approves: what a new version of an archive brings, and what new criteria would decide otherwise."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from tabulate import tabulate

from curation_dagster.core.criteria.evaluate import Stamp, evaluate, fold
from curation_dagster.core.criteria.loading import CriteriaSet, load_criteria
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.report.paper import markdown_text
from curation_dagster.gate import archive_versions, versions_in_view
from curation_dagster.schemas import CRITERIA_CHANGES, MEASUREMENTS, RECORDS, TABLES, VERSION_CHANGES
from curation_dagster.version import code_version
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

_STAGES = ("records", "quality", "deidentified", "harmonized")
_COUNTED = {
    "diagnosis": "coalesce(icd11_code || ' ' || icd11_title, 'label: ' || diagnosis_source_label, 'missing')",
    "sex": "coalesce(sex, 'missing')",
    "age_band": "coalesce(CAST(CAST(floor(coalesce(age_years, age_low) / 10) * 10 AS INTEGER) AS VARCHAR) || ' and more', 'missing')",
    "fitzpatrick": "coalesce(CAST(fitzpatrick AS VARCHAR), 'missing')",
    "verdict": "verdict",
}
_BASE = ("image_id", "archive", "version", "sha256", "modality", "join_state")


# -- versions of archives --------------------------------------------------------------------------


def previous_of(workspace: Workspace, key: ArchiveVersionKey) -> ArchiveVersionKey | None:
    """Return the version that a version is compared with: the one the corpus looks at, or else the one staged before it."""
    view = versions_in_view(workspace).get(key.archive)
    if view not in (None, key.version):
        return ArchiveVersionKey(key.archive, str(view))
    rows = workspace.lake.read("stages", where={"archive": key.archive, "stage": "review_queue"}).to_pylist()
    earlier = [r for r in rows if r["version"] != key.version]
    newest = max(earlier, key=lambda r: (r["finished_at"], r["version"]), default=None)
    return ArchiveVersionKey(key.archive, newest["version"]) if newest else None


def compare_versions(workspace: Workspace, key: ArchiveVersionKey, run_id: str) -> pa.Table:
    """Write and return the rows of ``version_changes`` of an archive version; none where it is the first of its archive."""
    before = previous_of(workspace, key)
    part = {"archive": key.archive, "version": key.version}
    rows: list[dict[str, Any]] = []
    if before is not None:
        fingerprint = workspace.stage(key, "staged")["fingerprint"]
        common = {**part, "compared_with": before.version, "fingerprint": fingerprint, "run_id": run_id}
        rows = [{**common, **row} for row in _changes(workspace, before, key)]
    table = VERSION_CHANGES.conform(rows)
    workspace.lake.replace("version_changes", table, part, {"run_id": run_id})
    return table


def _changes(
    workspace: Workspace, before: ArchiveVersionKey, after: ArchiveVersionKey
) -> list[dict[str, Any]]:
    tables = {}
    for name, key in (("old", before), ("new", after)):
        tables[f"{name}_records"] = workspace.part("records", key, ["image_id", "source_id", "sha256"])
        tables[name] = workspace.part("harmonized", key)
    rows = []
    with workspace.lake.sql(**tables) as sql:
        # an image is what its publisher calls by one id: other bytes make it a changed image, not another one
        for view, name in (("o", "old"), ("n", "new")):
            sql.execute(
                f"CREATE TEMP TABLE {view} AS SELECT source_id, list_sort(list(coalesce(r.sha256, ''))) AS files, "
                "list_sort(list(DISTINCT coalesce(h.icd11_code, h.diagnosis_source_label, ''))) AS labels "
                f"FROM {name}_records r JOIN {name} h USING (image_id) GROUP BY 1"
            )
        fates = sql.execute(
            "SELECT count(*) FILTER (o.source_id IS NULL), count(*) FILTER (n.source_id IS NULL), "
            "count(*) FILTER (o.source_id IS NOT NULL AND n.source_id IS NOT NULL AND o.files <> n.files), "
            "count(*) FILTER (o.source_id IS NOT NULL AND n.source_id IS NOT NULL AND o.labels <> n.labels), "
            "count(*) FILTER (o.source_id IS NOT NULL AND o.files = n.files AND o.labels = n.labels), "
            "count(o.source_id), count(n.source_id) FROM o FULL JOIN n USING (source_id)"
        ).fetchall()[0]
        added, removed, changed, relabelled, same, total_before, total_after = fates
        rows += [
            {"subject": "images", "value": "all", "before": total_before, "after": total_after},
            {"subject": "images", "value": "added", "before": 0, "after": added},
            {"subject": "images", "value": "removed", "before": removed, "after": 0},
            {"subject": "images", "value": "changed", "before": changed, "after": changed},
            {"subject": "images", "value": "relabelled", "before": relabelled, "after": relabelled},
            {"subject": "images", "value": "as before", "before": same, "after": same},
        ]
        for subject, expression in _COUNTED.items():
            for value, n_before, n_after in sql.execute(
                f"SELECT value, count(*) FILTER (which = 'o'), count(*) FILTER (which = 'n') FROM ("
                f"SELECT {expression} AS value, 'o' AS which FROM old UNION ALL SELECT {expression}, 'n' FROM new) "
                "GROUP BY 1 ORDER BY 1"
            ).fetchall():
                rows.append({"subject": subject, "value": value, "before": n_before, "after": n_after})
    return rows


def version_report(changes: pa.Table) -> str:
    """Return the comparison of a version as Markdown, for whoever approves it."""
    rows = changes.to_pylist()
    if not rows:
        return "The first version of its archive; there is nothing to compare it with."
    first = rows[0]
    parts = [f"{first['archive']}@{first['version']} against version {first['compared_with']}"]
    for subject in dict.fromkeys(r["subject"] for r in rows):
        listed = [
            (markdown_text(r["value"]), r["before"], r["after"], r["after"] - r["before"])
            for r in rows
            if r["subject"] == subject
        ]
        headers = [subject.replace("_", " "), "before", "after", "difference"]
        parts.append(tabulate(listed, headers=headers, tablefmt="github"))
    parts.append("The corpus takes this version when somebody approves it: `curation-dagster approve`.")
    return "\n\n".join(parts)


# -- criteria --------------------------------------------------------------------------------------


def compare_criteria(workspace: Workspace, old: CriteriaSet, new: CriteriaSet) -> pa.Table:
    """Decide every image by rule under both criteria, and write and return how the decisions differ, by count.

    Nothing of it is a decision: the tables of the stages stay as they are. Criteria of groups of duplicates are left
    out, because they are not decided image by image.
    """
    when = datetime.now(UTC)
    stamp = Stamp("comparison", code_version(), when)
    rows: list[dict[str, Any]] = []
    for archive, version in sorted(archive_versions(workspace)):
        key = ArchiveVersionKey(archive, version)
        judged = {}
        for name, criteria in (("old", old), ("new", new)):
            parts = [
                evaluate(criteria, stage, facts_of(workspace, key, stage, criteria), stamp)
                for stage in _STAGES
                if criteria.of_stage(stage)
            ]
            judged[name] = pa.concat_tables([p.select(["image_id", "criterion", "outcome"]) for p in parts])
        images = workspace.part("records", key, ["image_id"])
        for name in ("old", "new"):
            folded = fold(judged[name], images["image_id"])
            outcome = ["fail" if v == "excluded" else "pass" for v in folded["verdict"].to_pylist()]
            whole = {"image_id": folded["image_id"], "criterion": ["*"] * len(outcome), "outcome": outcome}
            judged[name] = pa.concat_tables([judged[name], pa.table(whole, schema=judged[name].schema)])
        with workspace.lake.sql(**judged) as sql:
            found = sql.execute(
                "SELECT criterion, count(*), count(*) FILTER (old.outcome = 'fail'), count(*) FILTER (new.outcome = 'fail'), "
                "count(*) FILTER (new.outcome = 'fail' AND old.outcome IS DISTINCT FROM 'fail'), "
                "count(*) FILTER (old.outcome = 'fail' AND new.outcome IS DISTINCT FROM 'fail') "
                "FROM old FULL JOIN new USING (image_id, criterion) GROUP BY 1 ORDER BY 1"
            ).fetchall()
        names = (
            "criterion",
            "images",
            "failing_before",
            "failing_after",
            "newly_failing",
            "no_longer_failing",
        )
        common = {"criteria": new.name, "old_digest": old.digest, "new_digest": new.digest, "archive": archive,
                  "version": version, "compared_at": when}  # fmt: skip
        rows += [{**common, **dict(zip(names, row, strict=True))} for row in found]
    table = CRITERIA_CHANGES.conform(rows)
    workspace.lake.upsert("criteria_changes", table)
    return table


def approved_criteria(workspace: Workspace) -> CriteriaSet | None:
    """Return the criteria of this name that were approved last, as they were then; None where none ever were."""
    name = workspace.criteria.name
    digest = approved_last(workspace)
    if digest is None:
        return None
    (text,) = workspace.lake.read("criteria_files", columns=["text"], where={"digest": digest})[
        "text"
    ].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return load_criteria(path)


def approved_last(workspace: Workspace) -> str | None:
    """Return the digest of the criteria of this name that the audit trail says were approved last; None where none were."""
    where = {"action": "criteria_change", "subject": workspace.criteria.name}
    last = max(workspace.lake.read("audit", where=where).to_pylist(), key=lambda r: r["seq"], default=None)
    return json.loads(last["new_value"])["digest"] if last else None


def not_compared(workspace: Workspace) -> list[str]:
    """Return the archive versions whose decisions under the criteria in force nobody has held against the approved ones.

    None where the criteria in force are the approved ones, or the first.
    """
    old, new = approved_criteria(workspace), workspace.criteria
    if old is None or old.digest == new.digest:
        return []
    where = {"criteria": new.name, "old_digest": old.digest, "new_digest": new.digest}
    done = workspace.lake.read("criteria_changes", columns=["archive", "version"], where=where).to_pylist()
    compared = {(r["archive"], r["version"]) for r in done}
    return [f"{a}@{v}" for a, v in sorted(archive_versions(workspace)) if (a, v) not in compared]


def facts_of(workspace: Workspace, key: ArchiveVersionKey, stage: str, criteria: CriteriaSet) -> pa.Table:
    """Return the columns that a stage's criteria read, one row per image, from the tables as they are."""
    reads = {n for c in criteria.of_stage(stage) for n in c.reads}
    measured = [n for n in MEASUREMENTS.arrow_schema.names if n in reads and n not in _BASE]
    own = [n for n in TABLES[stage].arrow_schema.names if n in reads and n not in (*_BASE, *measured)]
    record = [n for n in RECORDS.arrow_schema.names if n in reads and n not in (*_BASE, *measured, *own)]
    if stage == "harmonized":  # its own words go before the record's
        own = [n for n in TABLES[stage].arrow_schema.names if n in reads]
        measured = [n for n in measured if n not in own]
    images = measured_images(workspace, key, measured, of_record=record)
    columns = [n for n in images.column_names if n not in own]
    with workspace.lake.sql(
        images=images, own=workspace.part(stage, key, ["image_id", *(n for n in own if n != "image_id")])
    ) as sql:
        chosen = [f"images.{n}" for n in columns] + [
            f"own.{n}" for n in own if n not in columns and n != "image_id"
        ]
        return sql.sql(
            f"SELECT {', '.join(chosen)} FROM images LEFT JOIN own USING (image_id) ORDER BY images.image_id"
        ).to_arrow_table()


def criteria_report(changes: pa.Table) -> str:
    """Return the comparison of two criteria as Markdown, summed over archive versions; whole images first."""
    sums: dict[str, list[int]] = {}
    for row in changes.to_pylist():
        counts = sums.setdefault(row["criterion"], [0] * 5)
        for n, name in enumerate(
            ("images", "failing_before", "failing_after", "newly_failing", "no_longer_failing")
        ):
            counts[n] += row[name]
    rows: Sequence[Any] = [
        ("all criteria" if c == "*" else c, *n) for c, n in sorted(sums.items()) if c == "*" or n[3] or n[4]
    ]
    headers = ["criterion", "images", "fail before", "fail after", "newly failing", "no longer failing"]
    text = tabulate(rows, headers=headers, tablefmt="github")
    unchanged = sum(1 for c, n in sums.items() if c != "*" and not (n[3] or n[4]))
    return f"{text}\n\n{unchanged} criteria decide every image as before."
