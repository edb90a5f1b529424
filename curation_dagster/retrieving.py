"""From a source to a delivery that `staged` picks up, for one installation: folders, tables, and what is fetched at all.

A delivery in the landing folder goes before every method. What a source stated of its files when they were fetched is
kept in the table ``retrievals``, because the files outlive the answer that named their checksums.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation_dagster.core.progress import told_by
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import PublishedFile
from curation_dagster.core.registry.retrieval import Drop, Landing, Source, UrlList
from curation_dagster.core.retrieval import landing
from curation_dagster.core.retrieval.containers import load_limits
from curation_dagster.core.retrieval.errors import VersionChanged, some
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.sources.fetching import Retrieved, retrieve
from curation_dagster.core.retrieval.sources.guard import Guard
from curation_dagster.core.retrieval.sources.manifest import expect_complete, read_manifest
from curation_dagster.core.retrieval.sources.session import Session
from curation_dagster.schemas import RETRIEVALS, URL_FATES
from curation_dagster.workspace import Workspace


@dataclass(frozen=True)
class Brought:
    """A delivery that can be staged: the archive version with all that is stated of its files, and where it lies."""

    archive: ArchiveVersion
    landing: Path
    fetched: Path | None

    def clear(self) -> None:
        """Remove what was fetched; staging has taken it over."""
        if self.fetched is not None:
            shutil.rmtree(self.fetched, ignore_errors=True)
            self.fetched.with_name(f".{self.fetched.name}.done").unlink(missing_ok=True)


def bring(workspace: Workspace, archive: ArchiveVersion, log: Callable[[str], None], run_id: str) -> Brought:
    """Make sure that there is a delivery of an archive version, if need be by fetching it.

    Raises
    ------
    curation_dagster.core.retrieval.errors.RetrievalError
        If it can't be fetched, or its manifest does not hold.
    """
    settings = workspace.settings
    source: Source = archive.descriptor.retrieval
    key = str(archive.key)
    staged = (settings.staging / key).exists()
    if isinstance(source, Drop) and (settings.landing / key).is_dir() and not staged:
        _take_manifest(workspace, archive, source, run_id)
    elif _is_fetched(workspace, archive, source, staged):
        with open_session(workspace, log) as session:
            got = retrieve(archive, settings.retrieval, session, settings.landing)
        _record(workspace, archive, source, got, run_id)
        return Brought(as_stated(workspace, archive), settings.retrieval, got.folder)
    return Brought(as_stated(workspace, archive), settings.landing, None)


def _is_fetched(workspace: Workspace, archive: ArchiveVersion, source: Source, staged: bool) -> bool:
    by_hand = isinstance(source, Landing | Drop) or archive.version.synthetic
    settings = workspace.settings
    return not (by_hand or staged or settings.offline or is_delivered(settings.landing, archive))


def is_delivered(folder: Path, archive: ArchiveVersion) -> bool:
    """Return whether somebody has put a delivery into the landing folder; a list of addresses alone is none."""
    source = archive.descriptor.retrieval
    names = {p.name for p in (folder / str(archive.key)).glob("*")}
    return bool(names - ({source.list} if isinstance(source, UrlList) else set()))


def open_session(workspace: Workspace, log: Callable[[str], None]) -> Session:
    """Return a conversation with sources as the installation permits it."""
    settings = workspace.settings
    return Session(guard=Guard(settings.private_sources), log=log, progress=Progress(told_by(log)))


def as_stated(workspace: Workspace, archive: ArchiveVersion) -> ArchiveVersion:
    """Return the archive version with what its source stated when it was fetched; the descriptor goes before it."""
    stated: dict[str, PublishedFile] = {}
    for row in workspace.part("retrievals", archive.key).to_pylist():
        verified = row["verified_by"] is not None
        stated[row["path"]] = PublishedFile(
            sha256=row["sha256"] if verified else None,
            md5=row["md5"] if verified else None,
            bytes=row["bytes"] if verified else None,
            url=row["url"],
        )
    if not stated:
        return archive
    version = archive.version.model_copy(update={"files": {**stated, **archive.version.files}})
    return replace(archive, version=version)


def expect_same_bytes(
    workspace: Workspace, archive: ArchiveVersion, files: pa.Table, newly_staged: bool
) -> None:
    """Make sure that a version that was emptied from staging has come back as it was.

    Raises
    ------
    VersionChanged
        If files differ from those that the table ``files`` knows of this version. What was staged is removed.
    """
    before = workspace.part("files", archive.key, ["path", "sha256"]).to_pylist()
    if not newly_staged or not before:
        return
    then, now = ({(r["path"], r["sha256"]) for r in rows} for rows in (before, files.to_pylist()))
    if then != now:
        shutil.rmtree(workspace.settings.staging / str(archive.key), ignore_errors=True)
        raise VersionChanged(
            f"{archive.key} came back with other bytes than it had: {some(sorted({p for p, _ in then ^ now}))}.",
            where=f"the source of {archive.key}",
            expected=f"the {len(then):,} files that were staged before",
            got=f"{len(now - then):,} that are new or differ, {len(then - now):,} that are missing",
            next="Nothing was staged: a version is immutable. If the publisher released new files, declare a new "
            "version in the archive's descriptor.",
        )


def _take_manifest(workspace: Workspace, archive: ArchiveVersion, source: Drop, run_id: str) -> None:
    folder = workspace.settings.landing / str(archive.key)
    stated = read_manifest(archive, folder, source.manifest)
    expect_complete(
        archive, landing.scan(archive, workspace.settings.landing, load_limits()), source.manifest, stated
    )
    rows = [
        {"path": p, "bytes": s.bytes, "sha256": s.sha256, "md5": None if s.sha256 else s.md5,
         "verified_by": "sha256" if s.sha256 else "md5"}
        for p, s in sorted(stated.items())
    ]  # fmt: skip
    _write(workspace, archive, "drop", rows, run_id)


def _record(
    workspace: Workspace, archive: ArchiveVersion, source: Source, got: Retrieved, run_id: str
) -> None:
    key = archive.key
    method = str(getattr(source, "method", ""))
    rows: list[dict[str, Any]] = [
        {"path": f.path, "url": f.url, "bytes": f.bytes, "sha256": f.sha256, "verified_by": f.verified_by,
         "source_state": f.validator, "resumed_from": f.resumed_from, "tries": f.tries, "fetched_at": f.fetched_at}
        for f in got.files
    ]  # fmt: skip
    _write(workspace, archive, method, rows, run_id)
    if isinstance(source, UrlList):
        fates = [
            {"archive": key.archive, "version": key.version, "row": f.row, "text": f.text, "url": f.url, "fate": f.fate,
             "detail": f.detail, "path": f.path, "sha256": f.sha256, "final_url": f.final_url, "run_id": run_id}
            for f in got.fates
        ]  # fmt: skip
        part = {"archive": key.archive, "version": key.version}
        workspace.lake.replace("url_fates", URL_FATES.conform(fates), part, {"run_id": run_id})


def _write(
    workspace: Workspace, archive: ArchiveVersion, method: str, rows: list[dict[str, Any]], run_id: str
) -> None:
    key = archive.key
    part = {"archive": key.archive, "version": key.version}
    common = {**part, "method": method, "run_id": run_id}
    data = [{"fetched_at": datetime.now(UTC), **r, **common} for r in rows]
    workspace.lake.replace("retrievals", RETRIEVALS.conform(data), part, {"run_id": run_id})
