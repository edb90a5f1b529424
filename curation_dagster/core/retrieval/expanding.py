"""Expanding: everything in a delivery's zips and tars as entries of one flat inventory.

Zips of the delivery are read where they are. What can't be, is put into a private folder beside the delivery once:
zips inside containers as they are, tars repacked as zips. Both are stored under the SHA-256 of the container, so that
no name out of a container ever becomes a path on disk, and a container that comes twice is stored once. In the end
every file is either a plain file of the delivery or a member of exactly one zip in staging.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from curation_dagster.core.retrieval import sniff
from curation_dagster.core.retrieval.containers import PRIVATE, SEPARATOR, Entry, Kind, kind_of
from curation_dagster.core.retrieval.errors import some
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.names import shown
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.space import require_space
from curation_dagster.core.retrieval.tars import repack
from curation_dagster.core.retrieval.zips import (
    CHUNK,
    DAMAGE,
    Budget,
    Member,
    damaged,
    hostile,
    inspect,
    open_zip,
    read_chunks,
)


@dataclass(frozen=True, slots=True)
class Container:
    """A container that is to be read: what it is called, and where it lies below the staged archive version."""

    path: str
    location: str
    kind: Kind
    sha256: str
    depth: int


def expand(
    root: Path,
    plain: Iterable[Entry],
    limits: ContainerLimits,
    wants_md5: Callable[[str], bool] = lambda path: False,
    progress: Progress | None = None,
) -> list[Entry]:
    """Return the entries of the plain files and of everything in the containers among them, sorted by path.

    Parameters
    ----------
    root : Path
        Folder of the plain files; inner containers are written below its folder :data:`PRIVATE`.
    plain : iterable of Entry
        The plain files.
    wants_md5 : callable
        Whether the MD5 of the member with this path is asked for.

    Raises
    ------
    HostileContainer, DamagedContainer, UnsupportedContainer
        At the first container that is not read, with all of its members that are the reason.
    NoSpace
        If an inner container does not fit on the disk.
    """
    progress = progress or Progress(None)
    budget = Budget(limits)
    entries: list[Entry] = []
    todo: list[Container] = []
    for entry in plain:
        with (root / entry.path).open("rb") as handle:
            kind = kind_of(entry.path, handle.read(CHUNK), limits)
        if kind is not None:
            todo.append(Container(entry.path, entry.path, kind, entry.sha256, 1))
        entries.append(
            Entry(
                entry.path,
                None,
                None,
                entry.bytes,
                entry.sha256,
                entry.md5,
                entry.media_type,
                kind is not None,
            )
        )
    read = 0
    while todo:
        read += 1
        found, inner = _read(root, todo.pop(), limits, budget, wants_md5, progress, read)
        entries += found
        todo += inner
    entries.sort(key=lambda e: e.path)
    return entries


def _read(
    root: Path,
    container: Container,
    limits: ContainerLimits,
    budget: Budget,
    wants_md5: Callable[[str], bool],
    progress: Progress,
    number: int,
) -> tuple[list[Entry], list[Container]]:
    """Return the entries of one container, and the containers among them."""
    where = shown(container.path)
    location = container.location
    if container.kind != "zip":
        location = _repacked(root, container, limits)
    entries, inner, broken = [], [], []
    with open_zip(root / location, where, limits) as opened:
        members = inspect(opened, where, limits)
        budget.take(where, len(members), sum(m.info.file_size for m in members))
        what = f"members of container {number} read"
        for done, member in enumerate(members):
            progress.report(done, len(members), what)
            path = container.path + SEPARATOR + member.name
            try:
                entry, kind = _entry(
                    root, opened, location, member, path, container.depth, limits, wants_md5(path)
                )
            except DAMAGE as error:
                broken.append(f"{shown(member.name)}: {error}")
                continue
            entries.append(entry)
            if kind is not None:
                inner.append(
                    Container(
                        path, f"{PRIVATE}/{entry.sha256}.{kind}", kind, entry.sha256, container.depth + 1
                    )
                )
        progress.report(len(members), len(members), what, last=True)
    if broken:
        raise damaged(
            where, f"{len(broken):,} of {len(members):,} members that can't be read: {some(broken)}"
        )
    return entries, inner


def _entry(
    root: Path,
    opened: zipfile.ZipFile,
    location: str,
    member: Member,
    path: str,
    depth: int,
    limits: ContainerLimits,
    with_md5: bool,
) -> tuple[Entry, Kind | None]:
    """Read a member once: digests and media type of all, and a copy in the private folder of containers."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    size, head, kind = 0, b"", None
    private = root / PRIVATE
    incoming = private / "incoming"
    with contextlib.ExitStack() as stack:
        copy = None
        for number, chunk in enumerate(read_chunks(opened, member)):
            if number == 0:
                head = chunk[: sniff.HEAD]
                kind = kind_of(path, chunk, limits)
                if kind is not None:
                    if depth >= limits.max_depth:
                        limit = f"containers in containers {limits.max_depth} deep"
                        raise hostile(shown(path), [], limit, f"a container at depth {depth + 1}")
                    private.mkdir(mode=0o700, exist_ok=True)
                    require_space(private, member.info.file_size, limits.reserve_bytes)
                    incoming.unlink(missing_ok=True)  # read-only, if a run was killed before it was renamed
                    copy = stack.enter_context(incoming.open("wb"))
            size += len(chunk)
            sha256.update(chunk)
            if with_md5:
                md5.update(chunk)
            if copy is not None:
                copy.write(chunk)
    if size == 0:
        kind = kind_of(path, b"", limits)  # an empty file that is called a container
    digest = sha256.hexdigest()
    if kind is not None:
        incoming.chmod(0o400)
        incoming.replace(private / f"{digest}.{kind}")
    media_type = sniff.media_type(head)
    entry = Entry(
        path,
        location,
        member.info.filename,
        size,
        digest,
        md5.hexdigest() if with_md5 else None,
        media_type,
        kind is not None,
    )
    return entry, kind


def _repacked(root: Path, container: Container, limits: ContainerLimits) -> str:
    """Return where the zip of a tar's members lies below ``root``, after making it if it is not there yet."""
    private = root / PRIVATE
    target = private / f"{container.sha256}.zip"
    source = root / container.location
    if not target.exists():
        private.mkdir(mode=0o700, exist_ok=True)
        incoming = private / "incoming"
        incoming.unlink(missing_ok=True)
        repack(source, container.kind, incoming, shown(container.path), limits, Budget(limits))
        incoming.chmod(0o400)
        incoming.replace(target)
    if source.parent == private:
        source.unlink(missing_ok=True)  # the same inner tar may have come twice
    return f"{PRIVATE}/{target.name}"
