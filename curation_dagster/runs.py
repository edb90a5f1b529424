"""Runs without the web server: for the console script and the demo."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
import pyarrow as pa

from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.review.approvals import ApprovalError, Decision, approve, standing_approvals
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
    """Record the approval of an archive version's staged files.

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
    _append(workspace, approve("archive_version", key, digest, author, approver, comment, decision=decision))


def approve_criteria(
    workspace: Workspace, author: str, approver: str, comment: str | None, decision: Decision = "approved"
) -> None:
    """Record the approval of the criteria file in force."""
    c = workspace.criteria
    _append(workspace, approve("criteria", c.name, c.digest, author, approver, comment, decision=decision))


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


def _append(workspace: Workspace, row: pa.Table) -> None:
    workspace.lake.append("approvals", row)
