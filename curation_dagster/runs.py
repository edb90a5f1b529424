"""Runs without the web server: for the console script and the demo."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
import pyarrow as pa

from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.review.approvals import Decision, approve
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
    _append(workspace, approve("archive_version", key, digest, author, approver, comment, decision=decision))


def approve_criteria(
    workspace: Workspace, author: str, approver: str, comment: str | None, decision: Decision = "approved"
) -> None:
    """Record the approval of the criteria file in force."""
    c = workspace.criteria
    _append(workspace, approve("criteria", c.name, c.digest, author, approver, comment, decision=decision))


def _append(workspace: Workspace, row: pa.Table) -> None:
    workspace.lake.append("approvals", row)
