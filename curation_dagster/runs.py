"""Runs without the web server: for the console script and the demo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg
import pyarrow as pa
import yaml

from curation_dagster.comparing import approved_last, not_compared
from curation_dagster.core.criteria.loading import CriteriaSet, text_of
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.review.approvals import (
    ApprovalError,
    Decision,
    approve,
    current_approval,
    standing_approvals,
)
from curation_dagster.core.review.audit import Entry
from curation_dagster.schemas import CRITERIA_FILES
from curation_dagster.trail import add_rows, record
from curation_dagster.workspace import Workspace


def curate_keys(instance: dg.DagsterInstance, keys: Iterable[str], level: str = "INFO") -> dict[str, bool]:
    """Run `curate_archive_version` for each key; return which succeeded. A failed archive doesn't stop the next."""
    from curation_dagster.definitions import defs

    job = defs.resolve_job_def("curate_archive_version")
    outcome = {}
    for key in keys:
        instance.add_dynamic_partitions("archive_version", [key])
        outcome[key] = job.execute_in_process(
            partition_key=key, instance=instance, raise_on_error=False, run_config=quiet(level)
        ).success
    return outcome


def rebuild(instance: dg.DagsterInstance, level: str = "INFO") -> bool:
    """Run `rebuild_corpus`; return whether it succeeded."""
    from curation_dagster.definitions import defs

    job = defs.resolve_job_def("rebuild_corpus")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet(level)).success


def release(instance: dg.DagsterInstance, level: str = "INFO") -> bool:
    """Run `make_release`; return whether it succeeded."""
    from curation_dagster.definitions import defs

    job = defs.resolve_job_def("make_release")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config=quiet(level)).success


def quiet(level: str) -> dict[str, object]:
    """Return the run configuration that keeps the console at a level of log; everything is in the event log anyway."""
    return {"loggers": {"console": {"config": {"log_level": level}}}}


def approve_archive_version(
    workspace: Workspace,
    key: str,
    author: str,
    approver: str,
    comment: str | None,
    decision: Decision = "approved",
) -> None:
    """Record the approval of an archive version's staged files, and of its descriptor where nobody approved that yet.

    Raises
    ------
    curation_dagster.core.review.approvals.ApprovalError
        If author and approver are the same person.
    curation_dagster.workspace.StageMissing
        If nothing is staged: an approval is for certain files.
    """
    digest = workspace.stage(parse_key(key), "staged")["fingerprint"]
    if decision == "approved":
        _expect_compared(workspace, key, digest)
    rows = [approve("archive_version", key, digest, author, approver, comment, decision=decision)]
    descriptor = workspace.resolve(key).digest
    known = current_approval(workspace.lake.read("approvals"), "source", key, descriptor)
    if decision == "approved" and known is None:
        rows.append(approve("source", key, descriptor, author, approver, comment))
    add_rows(workspace, "approvals", pa.concat_tables(rows))


def approve_criteria(
    workspace: Workspace, author: str, approver: str, comment: str | None, decision: Decision = "approved"
) -> None:
    """Record the approval of the criteria file in force.

    Raises
    ------
    curation_dagster.core.review.approvals.ApprovalError
        If author and approver are the same person, or the criteria would replace approved ones and were not compared
        with them on all curated archive versions.
    """
    c = workspace.criteria
    missing = not_compared(workspace) if decision == "approved" else []
    if missing:
        raise ApprovalError(
            f"criteria {c.name} {c.version} would replace approved ones, and what they decide otherwise was not counted on "
            f"{', '.join(missing[:10])}{' and more' if len(missing) > 10 else ''}: run `curation-dagster versions "
            "compare`, and read what it prints. Nothing was recorded."
        )
    row = approve("criteria", c.name, c.digest, author, approver, comment, decision=decision)
    add_rows(workspace, "approvals", row)
    if decision == "approved":
        _record_change(workspace, c, row.to_pylist()[0])


def _expect_compared(workspace: Workspace, key: str, digest: str) -> None:
    """Make sure that a version that would replace an approved one was compared with it."""
    archive, version = key.split("@", 1)
    approvals = workspace.lake.read("approvals", where={"subject_kind": "archive_version"})
    others = {r["subject"] for r in standing_approvals(approvals)} - {key}
    if not any(o.split("@", 1)[0] == archive for o in others):
        return
    where = {"archive": archive, "version": version, "fingerprint": digest}
    if workspace.lake.read("version_changes", columns=["value"], where=where).num_rows == 0:
        raise ApprovalError(
            f"{key} would replace an approved version and was not compared with it: materialize review_queue for {key}, "
            "and read against_the_version_before. Nothing was recorded."
        )


def _record_change(workspace: Workspace, criteria: CriteriaSet, approval: dict[str, Any]) -> None:
    """Keep the approved file, and record what it changes against the one approved before, criterion by criterion."""
    known = workspace.lake.read("criteria_files").to_pylist()
    before = approved_last(workspace)
    # asked of the trail, not of the files: a change back to an earlier file is a change, and one whose entry was lost in a
    # crash is entered when the criteria are approved again
    if before == criteria.digest:
        return
    text = text_of(workspace.settings.criteria).decode()
    old = next((r["text"] for r in known if r["digest"] == before), None)
    row = {
        "digest": criteria.digest,
        "name": criteria.name,
        "criteria_version": criteria.version,
        "text": text,
    }
    workspace.lake.upsert("criteria_files", CRITERIA_FILES.conform([row]))
    was, now = (_criteria_in(t) for t in (old, text))
    changed = sorted(i for i in {*was, *now} if was.get(i) != now.get(i)) if old else []
    record(
        workspace,
        [
            Entry(
                who=approval["approver"],
                action="criteria_change",
                subject_kind="criteria",
                subject=criteria.name,
                why=approval["comment"],
                old={"digest": before, "changed": {i: was.get(i) for i in changed}} if before else None,
                new={
                    "digest": criteria.digest,
                    "version": criteria.version,
                    "changed": {i: now.get(i) for i in changed},
                },
                with_whom=approval["author"],
            )
        ],
    )


def _criteria_in(text: str | None) -> dict[str, Any]:
    """Return what a criteria file says, by criterion; what it says of none stands under its own key."""
    said = yaml.safe_load(text) if text else {}
    return {c["id"]: c for c in said.get("criteria", ())} | {k: v for k, v in said.items() if k != "criteria"}
