"""Releases of one installation: what may be sealed, and how the tables of now become a bundle for ever.

A release is put forward by one person and approved by another. The approval names the digest of the tables' state, so a
table that changed since has to be approved again. Everything is asked of the tables; see :mod:`curation_dagster.gate`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation_dagster import trail
from curation_dagster.checks.catalogue import blocking_checks
from curation_dagster.comparing import approved_last
from curation_dagster.core.admission import failed_checks
from curation_dagster.core.alone import alone
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.release import bundle
from curation_dagster.core.release.documents import written_documents
from curation_dagster.core.release.reconcile import contradictions
from curation_dagster.core.release.view import ReleaseView, as_json, stamped
from curation_dagster.core.review.approvals import (
    ApprovalError,
    approve,
    current_approval,
    standing_approvals,
)
from curation_dagster.core.review.audit import Head
from curation_dagster.dividing import split_settings
from curation_dagster.gate import admission_of, ledger_problems
from curation_dagster.release_inputs import InputMissing, descriptors_of, inputs_of
from curation_dagster.schemas import OVER_ALL, RELEASES, TABLES
from curation_dagster.version import code_version
from curation_dagster.withdrawing import remaining_files
from curation_dagster.workspace import EVERYTHING, Workspace


class ReleaseRefused(RuntimeError):
    """A release can't be made; the message gives every reason."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("no release was made:\n" + "\n".join(f"  {p}" for p in problems))


@dataclass(frozen=True)
class Made:
    """A release that was sealed."""

    number: int
    folder: Path
    seal: str
    images: int
    withheld: int


def next_number(workspace: Workspace) -> int:
    """Return the number of the next release, from 1."""
    return 1 + max(workspace.lake.read("releases", columns=["release"])["release"].to_pylist(), default=0)


def state_digest(workspace: Workspace) -> str:
    """Return the digest of what a release would be made of now: ledger, corpus, splits, criteria and settings."""
    stages = {r["stage"]: r["fingerprint"] for r in workspace.part("stages", EVERYTHING).to_pylist()}
    said = {s: stages.get(s, "not there") for s in OVER_ALL}
    said |= {"criteria": workspace.criteria.digest, "settings": split_settings(workspace).digest}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def approve_release(workspace: Workspace, author: str, approver: str, comment: str | None) -> int:
    """Record the approval of the next release from the tables as they are; return its number.

    Raises
    ------
    curation_dagster.core.review.approvals.ApprovalError
        If author and approver are the same person.
    ReleaseRefused
        If the tables can't be released as they are.
    """
    problems = state_problems(workspace)
    if problems:
        raise ReleaseRefused(problems)
    number = next_number(workspace)
    row = approve("release", str(number), state_digest(workspace), author, approver, comment)
    trail.add_rows(workspace, "approvals", row)
    return number


def withdraw_release_approval(workspace: Workspace, author: str, approver: str, comment: str | None) -> int:
    """Take back every approval of the next release, before it is made; return its number.

    Raises
    ------
    curation_dagster.core.review.approvals.ApprovalError
        If author and approver are the same person, or nobody has approved a release that is not sealed yet.
    """
    # under the lock of releases: what is being sealed now can't be taken back any more
    with alone(workspace.settings.releases_lock):
        number = next_number(workspace)
        standing = [
            a["digest"]
            for a in standing_approvals(workspace.lake.read("approvals"))
            if (a["subject_kind"], a["subject"]) == ("release", str(number))
        ]
        if not standing:
            raise ApprovalError(
                f"nobody approved release {number}. A sealed release stays; `curation-dagster withdraw` takes back what is "
                "in it. Nothing was recorded."
            )
        rows = [approve("release", str(number), d, author, approver, comment, "withdrawn") for d in standing]
        trail.add_rows(workspace, "approvals", pa.concat_tables(rows))
        return number


def state_problems(workspace: Workspace) -> list[str]:
    """Return why the tables can't be released as they are, a sentence each: out of date, unchecked, not in the trail."""
    rows = {r["stage"]: r for r in workspace.part("stages", EVERYTHING).to_pylist()}
    absent = [f"{s} was never materialized" for s in OVER_ALL if s not in rows]
    if absent:
        return absent
    found = ledger_problems(workspace)
    made_of = {
        "corpus": {"decisions": rows["decisions"]["fingerprint"], "criteria": workspace.criteria.digest},
        "splits": {"corpus": rows["corpus"]["fingerprint"], "settings": split_settings(workspace).digest},
    }
    for stage, now in made_of.items():
        said = json.loads(rows[stage]["inputs"])
        found += [
            f"{stage} is out of date: {n} changed since; materialize {stage} again"
            for n in sorted(now)
            if said.get(n) != now[n]
        ]
    results = workspace.part("check_results", EVERYTHING).to_pylist()
    found += failed_checks(list(rows.values()), results, blocking_checks(("corpus", "splits")))
    # the bundle holds the descriptors as they are now: one that changed since the corpus was built is not what was approved
    admitted = workspace.lake.read("admissions", columns=["archive", "version"], where={"admitted": True})
    for row in sorted(admitted.to_pylist(), key=lambda r: (r["archive"], r["version"])):
        key = ArchiveVersionKey(row["archive"], row["version"])
        found += [
            f"{key} is in the corpus, but would not be now: {r}" for r in admission_of(workspace, key).reasons
        ]
    left = remaining_files(workspace)
    if left:
        found.append(
            f"{len(left)} files of withdrawn images are still there, such as {left[0]}: say the withdrawal again, it removes "
            "what is left"
        )
    if approved_last(workspace) != workspace.criteria.digest:
        found.append(
            "the audit trail does not say what the criteria in force changed: approve them (again), which enters it"
        )
    return found + trail.problems(workspace)


def make_release(workspace: Workspace, run_id: str, log: Callable[[str], None] = lambda _: None) -> Made:
    """Seal the next release, and record it.

    The bundle is written into a temporary folder beside the others and renamed when it is whole; a release that is there
    is never written to. What a killed run had begun is removed; a folder that was renamed, but whose release was never
    recorded, is moved aside.

    Raises
    ------
    ReleaseRefused
        With every reason: tables that are out of date, unchecked or contradict each other, a missing approval, a licence
        without text, an image whose bytes are not those of the corpus.
    """
    with alone(workspace.settings.releases_lock):
        problems = state_problems(workspace)
        number, state = next_number(workspace), state_digest(workspace)
        approval = current_approval(workspace.lake.read("approvals"), "release", str(number), state)
        if approval is None and not problems:
            problems.append(
                f"nobody approved release {number} of the tables as they are: `curation-dagster approve release`"
            )
        if problems or approval is None:
            raise ReleaseRefused(problems)
        head = trail.current_head(workspace)
        view = view_of(workspace, number, approval, head)
        releases = workspace.settings.releases
        for left in releases.glob(".[0-9]*-*"):  # of runs that were killed: nobody else is here
            shutil.rmtree(left, ignore_errors=True)
        target = releases / str(number)
        if target.exists():
            target.rename(releases / f".abandoned-{number}-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        temporary = Path(tempfile.mkdtemp(prefix=f".{number}-", dir=releases))
        try:
            log(f"release {number}: {view.images.num_rows} images")
            inputs = inputs_of(workspace, view)
            problems = write_bundle(view, inputs, workspace, temporary, state)
            if problems:
                raise ReleaseRefused(problems)
            seal, checksums = bundle.seal(view, temporary, environment())
            temporary.chmod(0o755)
            temporary.rename(target)
        except InputMissing as error:
            raise ReleaseRefused(list(error.problems)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        images = view.images.num_rows
        row = {
            "release": number, "state_digest": state, "seal": seal, "checksums": checksums, "images": images,
            "withheld": view.read("splits", ["split"])["split"].null_count, "author": approval["author"],
            "approver": approval["approver"], "audit_seq": head.seq, "audit_head": head.entry_hash,
            "table_versions": json.dumps(dict(sorted(view.versions.items()))), "folder": str(number),
            "issued_at": view.issued_at, "run_id": run_id,
        }  # fmt: skip
        trail.add_rows(
            workspace, "releases", RELEASES.conform([row]), approval["comment"], {"run_id": run_id}
        )
        return Made(number, target, seal, images, int(row["withheld"]))


def view_of(workspace: Workspace, number: int, approval: Mapping[str, Any], head: Head) -> ReleaseView:
    """Return the view of a release that is put forward now, from the newest version of each table."""
    view = ReleaseView(
        number=number,
        issued_at=datetime.now(UTC).replace(microsecond=0),
        lake=workspace.lake,
        versions={t: workspace.lake.version(t) for t in sorted(TABLES)},
        criteria=workspace.criteria,
        splits=split_settings(workspace),
        descriptors={},
        approval={k: stamped(v) if isinstance(v, datetime) else v for k, v in approval.items()},
        code_version=code_version(),
        audit_head={"seq": head.seq, "entry_hash": head.entry_hash},
    )
    return replace(view, descriptors=descriptors_of(workspace, view))


def write_bundle(
    view: ReleaseView, inputs: Mapping[str, bytes], workspace: Workspace, target: Path, state: str
) -> list[str]:
    """Write everything but the seal into a folder; return what is wrong with the numbers or the images."""
    problems = contradictions(view)
    problems += bundle.write_images(view, workspace.settings.corpus, target, workspace.settings.workers)
    if problems:
        return problems
    bundle.write_data(view, target)
    bundle.write_files(inputs, target)
    known = {f"{bundle.folder_of(r['split'])}/{r['file']}": r["sha256"] for r in view.images.to_pylist()}
    view = replace(view, files=bundle.facts_of(target, known), inputs=inputs)
    bundle.write_files(written_documents(view), target)
    bundle.write_files({bundle.MANIFEST: as_json(manifest_of(view, inputs, state))}, target)
    return []


def manifest_of(view: ReleaseView, inputs: Mapping[str, bytes], state: str) -> dict[str, Any]:
    """Return what a release is made of: enough to make it again from the same tables."""
    sides: dict[str, int] = {}
    for side in view.images["split"].to_pylist():
        sides[side] = sides.get(side, 0) + 1
    return {
        "release": view.number,
        "issued_at": stamped(view.issued_at),
        "state_digest": state,
        "images": view.images.num_rows,
        "withheld": view.read("splits", ["split"])["split"].null_count,
        "sides": sides,
        "code_version": view.code_version,
        "criteria": {n: getattr(view.criteria, n) for n in ("name", "version", "digest")},
        "splits": {"version": view.splits.version, "digest": view.splits.digest, "seed": view.splits.seed},
        "approval": dict(view.approval),
        "audit_head": dict(view.audit_head),
        "tables": {t: {"version": v} for t, v in view.versions.items()},
        "inputs": {p: hashlib.sha256(c).hexdigest() for p, c in sorted(inputs.items())},
    }


def environment() -> dict[str, Any]:
    """Return what the release was made with: interpreter, machine, and the version of every package."""
    packages = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return {
        "python": sys.version.split()[0],
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "machine": platform.machine(),
        "packages": dict(sorted(packages.items())),
    }
