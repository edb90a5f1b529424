"""The landing folder: where people and tools drop deliveries, ``<landing>/<archive>@<version>/``.

What lies there is not trusted. Nothing is followed, opened or interpreted here; a delivery is a list of plain files
with plain names, or it is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.containers import PRIVATE
from curation_dagster.core.retrieval.errors import (
    DeliveryMissing,
    DeliveryUnfinished,
    StagingFailed,
    UnsafeDelivery,
    some,
)
from curation_dagster.core.retrieval.limits import ContainerLimits

if TYPE_CHECKING:
    from curation_dagster.core.registry.loading import ArchiveVersion

_KINDS = (
    (stat.S_ISLNK, "symbolic link"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
)


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One plain file of a delivery.

    Parameters
    ----------
    path : str
        POSIX path below the delivery's folder.
    absolute : Path
        Where it lies.
    bytes : int
        Size in bytes.
    modified_ns : int
        Time of the last change in nanoseconds.
    device : int
        Number of the file system that it lies on.
    """

    path: str
    absolute: Path
    bytes: int
    modified_ns: int
    device: int


@dataclass(frozen=True)
class Delivery:
    """The files that were delivered for one archive version, sorted by path."""

    folder: Path
    files: tuple[DeliveredFile, ...]

    @property
    def bytes(self) -> int:
        """Size of all files in bytes."""
        return sum(f.bytes for f in self.files)

    @property
    def signature(self) -> str:
        """Digest of names, sizes and times, read without opening a file: a cheap sign that something changed."""
        digest = hashlib.sha256()
        for f in self.files:
            digest.update(f"{f.path}\0{f.bytes}\0{f.modified_ns}\n".encode())
        return digest.hexdigest()


def deliveries(landing: Path) -> tuple[str, ...]:
    """Return the names of all folders in the landing folder that are called ``<archive>@<version>``, sorted.

    Whether a descriptor knows them is for the caller to find out. Empty folders are left out.
    """
    if not landing.is_dir():
        return ()
    with os.scandir(landing) as entries:
        found = [e.name for e in entries if "@" in e.name and e.is_dir(follow_symlinks=False)]
    return tuple(sorted(name for name in found if any((landing / name).iterdir())))


def scan(archive_version: ArchiveVersion, landing: Path, limits: ContainerLimits) -> Delivery:
    """Return the delivery of an archive version.

    Raises
    ------
    DeliveryMissing
        If there is no such folder, or no file in it.
    UnsafeDelivery
        With the names of all links, devices, pipes and sockets, and of all files whose name is not plain text.
    DeliveryUnfinished
        With the names of all files that a download tool has not finished.
    StagingFailed
        If the folder can't be read.
    """
    folder = landing / str(archive_version.key)
    if folder.is_symlink():
        raise _unsafe(folder, [f"{folder.name}: symbolic link"])
    if not folder.is_dir():
        raise _missing(archive_version, folder)
    problems: list[str] = []
    unfinished: list[str] = []
    files: list[DeliveredFile] = []
    try:
        for entry, path in _walk(folder):
            found = names.problem_of(path)
            state = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(state.st_mode):
                found = next((kind for is_kind, kind in _KINDS if is_kind(state.st_mode)), "not a plain file")
            elif path.split("/")[0] == PRIVATE:
                found = "a name that staging keeps for itself"
            if found is not None:
                problems.append(f"{names.shown(path)}: {found}")
            elif any(limits.is_unfinished(part) for part in path.split("/")):
                unfinished.append(names.shown(path))
            else:
                files.append(
                    DeliveredFile(path, Path(entry.path), state.st_size, state.st_mtime_ns, state.st_dev)
                )
    except OSError as error:
        raise StagingFailed(
            f"The delivery of {archive_version.key} can't be read.",
            where=str(folder),
            got=str(error),
            next="Nothing was staged. Let the pipeline's user read all files and folders of the delivery.",
        ) from error
    if problems:
        raise _unsafe(folder, problems)
    if unfinished:
        raise unfinished_delivery(folder, unfinished)
    if not files:
        raise _missing(archive_version, folder)
    return Delivery(folder, tuple(sorted(files, key=lambda f: f.path)))


def unfinished_delivery(folder: Path, files: list[str]) -> DeliveryUnfinished:
    """Return the error of a delivery that is still being written."""
    return DeliveryUnfinished(
        f"The delivery is unfinished: {some(files)}.",
        where=str(folder),
        expected="files that nobody writes any more",
        got=f"{len(files):,} unfinished",
        next="Nothing was staged. Wait for the download to end, or fetch the files again if it was broken off and "
        "remove what it left behind.",
    )


def _walk(folder: Path) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yield everything below a folder that is not a folder itself, with its POSIX path; links are not followed."""
    todo = [(str(folder), "")]
    while todo:
        current, prefix = todo.pop()
        with os.scandir(current) as entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    todo.append((entry.path, path + "/"))
                else:
                    yield entry, path


def _unsafe(folder: Path, problems: list[str]) -> UnsafeDelivery:
    return UnsafeDelivery(
        f"The delivery is refused: {some(problems)}.",
        where=str(folder),
        expected="plain files in plain folders, with names in UTF-8 without control characters and backslashes",
        got=f"{len(problems):,} that are not",
        next="Nothing was staged. Replace links by the files themselves, rename or remove the rest, then materialize "
        "`staged` again.",
    )


def _missing(archive_version: ArchiveVersion, folder: Path) -> DeliveryMissing:
    retrieval = archive_version.descriptor.retrieval
    # what the descriptor declares; what a source stated of its files is for those who may read their names
    declared = archive_version.descriptor.versions.get(archive_version.key.version, archive_version.version)
    urls = sorted({*retrieval.urls, *(f.url for f in declared.files.values() if f.url)})
    files = sorted(declared.files)
    return DeliveryMissing(
        f"There is no delivery of {archive_version.key}.",
        where=str(folder),
        expected=f"a folder with the publisher's files{': ' + some(files) if files else ''}",
        got="an empty folder" if folder.is_dir() else "no such folder",
        next=f"{retrieval.instructions.strip()}"
        + (f" From: {', '.join(urls)}." if urls else "")
        + f" Put the files into {folder}, then materialize `staged` for {archive_version.key} again.",
    )
