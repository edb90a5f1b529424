"""Withdrawal: an image, a patient, a lesion or a source goes, from the corpus and from every file that was published.

What stays is the record: the withdrawal itself, by which withdrawn pictures are known again, the ledger, the audit trail,
and the rows of sealed releases, which are named so that whoever received one can be told. Nobody is asked to approve a
withdrawal: it only ever takes away.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster import trail
from curation_dagster.archive_pages import sheets_with
from curation_dagster.core.alone import alone
from curation_dagster.core.harmonize.keys import lesion_key, patient_key
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.release.bundle import image_of
from curation_dagster.core.review.withdrawals import named, spread
from curation_dagster.core.visible import hidden_in
from curation_dagster.schemas import WITHDRAWALS, WITHDRAWN
from curation_dagster.views import measured_images
from curation_dagster.withdrawn import PICTURE, people_of
from curation_dagster.workspace import Workspace


class WithdrawalError(ValueError):
    """A withdrawal can't be recorded; the message says why, and nothing was recorded or removed."""


@dataclass(frozen=True)
class Withdrawal:
    """What a withdrawal took away.

    Parameters
    ----------
    images : int
        Images that fall under it, in all versions of all archives.
    in_corpus : int
        Those that are in the corpus now; the rebuild that must follow takes them out.
    releases : tuple of int
        Sealed releases that hold any of them.
    removed : tuple of Path
        Published files that were removed, of the corpus, of its earlier versions and of releases.
    """

    id: str
    images: int
    in_corpus: int
    releases: tuple[int, ...]
    removed: tuple[Path, ...]


def withdraw(workspace: Workspace, kind: str, subject: str, why: str, who: str) -> Withdrawal:
    """Record a withdrawal and remove the published files that fall under it.

    Parameters
    ----------
    kind : {"image", "patient", "lesion", "source"}
        What is withdrawn.
    subject : str
        An image_id; a patient_key or lesion_key, or ``<archive>:<the publisher's id>``; an archive, or an archive version.

    Raises
    ------
    WithdrawalError
        If nothing is known by that name, who or why is blank, or who holds characters that don't show.
    curation_dagster.trail.ClockError
        If the clock was set back. Nothing is recorded or removed.
    curation_dagster.trail.HalfRecordedError
        If the withdrawal was recorded and its files were removed, but the audit trail could not be written.
    """
    # a release that is being sealed links files: it is whole and listed before anything of it is removed
    with alone(workspace.settings.releases_lock):
        return _withdraw(workspace, kind, subject, why, who)


def _withdraw(workspace: Workspace, kind: str, subject: str, why: str, who: str) -> Withdrawal:
    blank = [n for n, v in (("--why", why), ("--who", who)) if not v.strip()]
    if blank:
        raise WithdrawalError(f"{' and '.join(blank)} must not be blank; nothing was withdrawn")
    if hidden_in(who.strip()):
        raise WithdrawalError(
            f"--who holds characters that don't show ({', '.join(hidden_in(who))}); nothing was withdrawn"
        )
    key = _key_of(workspace, kind, subject)
    keys = _every_version(workspace)
    images = people_of(workspace, keys)
    row: dict[str, Any] = {"withdrawal_id": str(uuid.uuid4()), "kind": kind, "subject": key}
    direct = named(images, [row])
    if not direct:
        raise WithdrawalError(f"no image is known of the {kind} {subject}; nothing was withdrawn")
    within = workspace.lake.read("duplicates_within", columns=["image_id", "group_id"])
    groups = pa.concat_tables([workspace.lake.read("duplicates", columns=["image_id", "group_id"]), within])
    found = spread(
        direct, images.select(["image_id", "patient_key", "lesion_key"]), groups, {row["withdrawal_id"]: kind}
    )
    ids = set(found)
    releases = _releases_with(workspace, ids)
    corpus = workspace.lake.read("corpus", columns=["image_id"])["image_id"].to_pylist()
    files = _published_files(workspace, ids)
    row |= {
        "why": why.strip(), "who": who.strip(), "affected_releases": sorted(releases), "removed_files": len(files),
        "withdrawn_at": datetime.now(UTC),
    }  # fmt: skip
    trail.expect_clock(workspace, "withdrawals", row["withdrawn_at"])
    # recorded first: if a file can't be removed, the record says that it must go, and the same command goes on
    workspace.lake.upsert("withdrawn", _pictures(workspace, keys, row["withdrawal_id"], images, found))
    try:
        trail.add_rows(workspace, "withdrawals", WITHDRAWALS.conform([row]))
    except trail.HalfRecordedError:
        _remove(files)  # the withdrawal holds
        raise
    _remove(files)
    return Withdrawal(
        row["withdrawal_id"], len(ids), sum(i in ids for i in corpus), tuple(sorted(releases)), tuple(files)
    )


def _remove(files: list[Path]) -> None:
    for path in files:
        path.unlink(missing_ok=True)


def remaining_files(workspace: Workspace) -> list[Path]:
    """Return published files of withdrawn images that are still there, as after a removal that was interrupted."""
    gone = set(workspace.lake.read("withdrawn", columns=["image_id"])["image_id"].to_pylist())
    return _published_files(workspace, gone) if gone else []


def _key_of(workspace: Workspace, kind: str, subject: str) -> str:
    if kind in ("patient", "lesion") and ":" in subject:
        archive, source = subject.split(":", 1)
        make = patient_key if kind == "patient" else lesion_key
        return make(workspace.settings.secret(), archive, source) or subject
    return subject


def _every_version(workspace: Workspace) -> list[ArchiveVersionKey]:
    rows = workspace.lake.read(
        "stages", columns=["archive", "version"], where={"stage": "harmonized"}
    ).to_pylist()
    return sorted(ArchiveVersionKey(r["archive"], r["version"]) for r in rows)


def _releases_with(workspace: Workspace, ids: set[str]) -> dict[int, Path]:
    found = {}
    for row in workspace.lake.read("releases", columns=["release", "folder"]).to_pylist():
        folder = workspace.settings.releases / row["folder"]
        sums = folder / "SHA256SUMS"
        held = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
        if any(image_of(line.split("  ", 1)[1]) in ids for line in held):
            found[row["release"]] = folder
    return found


def _published_files(workspace: Workspace, ids: set[str]) -> list[Path]:
    """Return every published file of the images, whatever code wrote it, and every contact sheet that shows one."""
    found = []
    for root in (workspace.settings.corpus, workspace.settings.releases):
        if root.is_dir():
            for path in root.rglob("images/*/*"):
                name = path.relative_to(root).as_posix()
                if image_of(name) in ids and path.is_file():
                    found.append(path)
    return sorted(found) + sheets_with(workspace, ids)


def _pictures(
    workspace: Workspace,
    keys: list[ArchiveVersionKey],
    withdrawal: str,
    images: pa.Table,
    found: dict[str, Any],
) -> pa.Table:
    """Return the rows of ``withdrawn``: by what each picture is known again."""
    wanted = pa.array(sorted(found), pa.string())
    parts = [measured_images(workspace, k, PICTURE) for k in keys]
    measured = {}
    for part in parts:
        for r in part.filter(pc.is_in(part["image_id"], value_set=wanted)).to_pylist():
            measured[r["image_id"]] = r
    rows = {}
    for r in images.filter(pc.is_in(images["image_id"], value_set=wanted)).to_pylist():
        seen = measured.get(r["image_id"], {})
        rows[r["image_id"]] = {
            "withdrawal_id": withdrawal,
            "image_id": r["image_id"],
            "archive": r["archive"],
            "sha256": seen.get("sha256"),
            "pixel_sha256": seen.get("pixel_sha256"),
            "phash256": None if seen.get("hash_is_degenerate") else seen.get("phash256"),
            "patient_key": r["patient_key"],
            "how": found[r["image_id"]][1],
        }
    return WITHDRAWN.conform(list(rows.values()))
