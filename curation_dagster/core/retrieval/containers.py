"""Containers: which files are containers, and how a file is read wherever it lies.

Zips are read in place, and everything else ends up as a plain file or as a member of one zip in staging. So there is
one way of reading for all later stages: a row of the table ``files`` becomes a ``FileItem``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from curation_dagster.core.items import FileItem, read_item
from curation_dagster.core.registry.paths import is_litter
from curation_dagster.core.retrieval import sniff
from curation_dagster.core.retrieval.errors import DamagedContainer, StagedFileChanged, UnsupportedContainer
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.names import shown
from curation_dagster.core.retrieval.zips import DAMAGE

PRIVATE = ".staged"
"""Folder inside a staged archive version that is not part of the delivery: inner containers and the inventory."""

SEPARATOR = "!/"
"""Stands in a path between a container and the member."""

Kind = Literal["zip", "tar", "tar+gzip", "tar+bzip2"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive version.

    Parameters
    ----------
    path : str
        Path inside the archive; ``outer.zip!/inner.zip!/a.jpg`` for members.
    container : str or None
        Path of the zip that holds it, below the staged archive version.
    member : str or None
        Name inside that zip.
    bytes : int
        Size of the content in bytes.
    sha256, md5 : str, str or None
        Digests of the content; MD5 only where the publisher states one.
    media_type : str
        By content.
    is_container : bool
        True for zips and tars, whose members are entries as well.
    """

    path: str
    container: str | None
    member: str | None
    bytes: int
    sha256: str
    md5: str | None
    media_type: str
    is_container: bool


def load_limits() -> ContainerLimits:
    """Return the limits declared in ``vocabularies/limits.yaml``."""
    return ContainerLimits.load()


def kind_of(name: str, head: bytes, limits: ContainerLimits) -> Kind | None:
    """Return the kind of container that a file is, by content; None for all other files.

    Parameters
    ----------
    name : str
        Path of the file; tells where content can't, and which zips are documents.
    head : bytes
        First bytes of the file; 1 MiB is enough to recognize a tar inside bzip2.

    Raises
    ------
    UnsupportedContainer
        For 7z, RAR, and tars packed by xz or zstd.
    DamagedContainer
        For files that are called containers but hold something else.
    """
    found, claimed = sniff.media_type(head), sniff.claims_to_be(name)
    if is_litter(name):
        return None
    if found == "application/zip":
        return None if PurePosixPath(name).suffix.lower() in limits.document_suffixes else "zip"
    if found == "application/x-tar":
        return "tar"
    if found in ("application/gzip", "application/x-bzip2"):
        if sniff.holds_tar(head, name):
            return "tar+gzip" if found == "application/gzip" else "tar+bzip2"
        if claimed is None:
            return None
    if found in sniff.UNREAD_CONTAINERS or (claimed == found and claimed is not None):
        raise UnsupportedContainer(
            f"{shown(name)} is a container of a format that is not read.",
            where=shown(name),
            expected="zip, tar, tar.gz or tar.bz2",
            got=sniff.UNREAD_CONTAINERS.get(found, found),
            next="Nothing of the delivery is used. Unpack it in a safe place and deliver the folder instead.",
        )
    if claimed is None:
        return None
    if claimed == "application/x-tar" and found == sniff.UNKNOWN:
        return "tar"  # older than POSIX, without a signature; the reader finds out
    if claimed == "application/x-tar" and found == "text/plain":
        return "tar"  # the same, where name and content of the first member are text
    raise DamagedContainer(
        f"{shown(name)} is not the container that its name says.",
        where=shown(name),
        expected=claimed,
        got=found,
        next="Nothing of the delivery is used. It is probably a publisher's login or error page that was saved under "
        "the file's name, or an empty download; fetch it again.",
    )


def item_of(row: Mapping[str, Any], staging: Path) -> FileItem:
    """Return the file of a row of ``files``, for :func:`curation_dagster.core.items.read_item`.

    Parameters
    ----------
    row : mapping
        With archive, version, path, container, member, sha256 and bytes.
    staging : Path
        The folder of staged archive versions.

    Raises
    ------
    ValueError
        If the row points out of the staging folder, which no row of this pipeline does.
    """
    location = PurePosixPath(f"{row['archive']}@{row['version']}", row["container"] or row["path"])
    if location.is_absolute() or ".." in location.parts:
        raise ValueError(f"the row of {row['archive']}@{row['version']} points out of the staging folder")
    return FileItem(row["sha256"], str(Path(staging).absolute() / location), row["member"], row["bytes"])


def open_bytes(row: Mapping[str, Any], staging: Path) -> bytes:
    """Return the content of the file of a row of ``files``, proven to be what was staged.

    Raises
    ------
    StagedFileChanged
        If the file is gone, can't be read, or holds other bytes.
    """
    item = item_of(row, staging)
    try:
        content = read_item(item)
    except (OSError, KeyError, *DAMAGE) as error:
        raise staged_changed(item.path, row["sha256"], str(error)) from error
    got = hashlib.sha256(content).hexdigest()
    if got != row["sha256"]:
        raise staged_changed(item.path, row["sha256"], got)
    return content


def staged_changed(where: str, expected: str, got: str) -> StagedFileChanged:
    """Return the error of a staged file that is no longer what it was."""
    return StagedFileChanged(
        "A staged file is not what was staged.",
        where=where,
        expected=expected,
        got=got,
        next="Nothing was changed. Somebody altered the file in place, or the disk is failing. Put the publisher's "
        "files into the landing folder, remove the staged folder of this archive version, and materialize `staged` again.",
    )
