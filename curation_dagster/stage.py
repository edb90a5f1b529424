"""How a stage ends: criteria applied, verdicts and table written, and last the row that marks it as finished.

The order of the writes is what makes a killed run harmless. Verdicts and table of a half-finished stage are not
current before the stage's row names their fingerprint, and materializing the stage again replaces them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.evaluate import Stamp, evaluate, fold
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.schemas import TABLES, VERDICTS
from curation_dagster.version import code_version
from curation_dagster.workspace import Workspace


@dataclass(frozen=True)
class StageReport:
    """What a stage did: rows that entered, and what became of them."""

    rows_in: int
    kept: int
    excluded: int
    quarantined: int
    fingerprint: str
    reasons: dict[str, tuple[int, int]]  # criterion -> (images that fail, images for review)
    table_version: int
    changed: dict[str, tuple[int, int]] | None = (
        None  # criterion -> (newly fail, no longer fail); None: nothing stood
    )

    @property
    def counts(self) -> dict[str, int]:
        """The four numbers that must add up."""
        return {n: getattr(self, n) for n in ("rows_in", "kept", "excluded", "quarantined")}


def stamp(run_id: str) -> Stamp:
    """Return who decides now: this run, this code."""
    return Stamp(run_id=run_id, code_version=code_version(), decided_at=datetime.now(UTC))


def finish_with_criteria(
    workspace: Workspace,
    key: ArchiveVersionKey,
    stage: str,
    data: pa.Table,
    facts: pa.Table,
    rows_in: int,
    inputs: Mapping[str, str],
    run_id: str,
) -> StageReport:
    """Apply the stage's criteria to ``facts``, and write verdicts, table and stage row.

    Parameters
    ----------
    data : pyarrow.Table
        The stage's table without verdict, failed, review and run_id; a row per image.
    facts : pyarrow.Table
        What the criteria look at; a row per image, with image_id, archive, version and modality.
    rows_in : int
        Rows that entered the stage, counted where they came from.
    """
    verdicts = evaluate(workspace.criteria, stage, facts, stamp(run_id))
    changed = decided_otherwise(workspace, key, stage, verdicts)
    workspace.lake.replace(
        "verdicts",
        verdicts,
        {"archive": key.archive, "version": key.version, "stage": stage},
        {"run_id": run_id},
    )
    report = finish(
        workspace, key, stage, with_verdicts(data, verdicts), rows_in, inputs, run_id, reasons_of(verdicts)
    )
    return replace(report, changed=changed)


def decided_otherwise(
    workspace: Workspace, key: ArchiveVersionKey, stage: str, verdicts: pa.Table
) -> dict[str, tuple[int, int]] | None:
    """Return, by criterion, how many images newly fail and how many no longer do, against the decisions that stand.

    None where none stand yet. A vocabulary, a descriptor or criteria that change are looked at by this before anybody
    records or approves them: until then the corpus does not move.
    """
    if not workspace.part("stages", key, ["stage"], stage=stage).num_rows:
        return None
    columns, fails = ["image_id", "criterion"], pc.field("outcome") == "fail"
    stood = {"archive": key.archive, "version": key.version, "stage": stage, "outcome": "fail"}
    before = workspace.lake.read("verdicts", columns=columns, where=stood)
    with workspace.lake.sql(old=before, new=verdicts.filter(fails).select(columns)) as sql:
        rows = sql.execute(
            "SELECT criterion, count(*) FILTER (old.image_id IS NULL), count(*) FILTER (new.image_id IS NULL) "
            "FROM old FULL JOIN new USING (image_id, criterion) GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return {criterion: (newly, no_longer) for criterion, newly, no_longer in rows if newly or no_longer}


def finish(
    workspace: Workspace,
    key: ArchiveVersionKey,
    stage: str,
    data: pa.Table,
    rows_in: int,
    inputs: Mapping[str, str],
    run_id: str,
    reasons: dict[str, tuple[int, int]] | None = None,
) -> StageReport:
    """Write a table that carries its verdicts, and the stage row."""
    declared = TABLES[stage]
    data = declared.conform(data.append_column("run_id", pa.array([run_id] * data.num_rows, pa.string())))
    part = {c: getattr(key, c) for c in declared.partition_by} or None
    version = workspace.lake.replace(stage, data, part, {"run_id": run_id, "stage": stage, "key": str(key)})
    tally = tally_of(data["verdict"])
    report = StageReport(rows_in, *tally, declared.fingerprint(data), reasons or {}, version)
    workspace.record_stage(key, stage, report.counts, report.fingerprint, inputs, run_id)
    return report


def with_verdicts(data: pa.Table, verdicts: pa.Table) -> pa.Table:
    """Return ``data`` with the columns verdict, failed and review, folded from the verdict rows."""
    folded = fold(verdicts, data["image_id"])
    for name in ("verdict", "failed", "review"):
        data = data.append_column(name, folded[name])
    return data


def tally_of(verdicts: pa.ChunkedArray) -> tuple[int, int, int]:
    """Return how many rows are kept, excluded and quarantined."""
    counted = {v["values"]: v["counts"] for v in pc.value_counts(verdicts).to_pylist()}
    return tuple(counted.get(v, 0) for v in VERDICTS)  # type: ignore[return-value]


def reasons_of(verdicts: pa.Table) -> dict[str, tuple[int, int]]:
    """Return for each criterion how many images fail it and how many wait for a person, most failures first."""
    found: dict[str, list[int]] = {}
    for row in verdicts.group_by(["criterion", "outcome"]).aggregate([([], "count_all")]).to_pylist():
        if row["outcome"] in ("fail", "review"):
            found.setdefault(row["criterion"], [0, 0])[row["outcome"] == "review"] = row["count_all"]
    return {c: (n[0], n[1]) for c, n in sorted(found.items(), key=lambda i: (-i[1][0], -i[1][1], i[0]))}


def not_applicable(
    workspace: Workspace,
    key: ArchiveVersionKey,
    stage: str,
    image_ids: pa.ChunkedArray,
    why: str,
    run_id: str,
) -> pa.Table:
    """Return verdict rows that say of every image that the criteria of a stage don't apply to it, and why."""
    when = datetime.now(UTC)
    criteria = workspace.criteria
    return TABLES["verdicts"].conform(
        [
            {
                "image_id": image_id,
                "archive": key.archive,
                "version": key.version,
                "stage": stage,
                "criterion": c.id,
                "clause": c.clause,
                "outcome": "not_applicable",
                "detail": why,
                "criteria_version": criteria.version,
                "criteria_digest": criteria.digest,
                "code_version": code_version(),
                "decided_by": "rule",
                "decided_at": when,
                "run_id": run_id,
            }
            for c in criteria.of_stage(stage)
            for image_id in image_ids.to_pylist()
        ]
    )
