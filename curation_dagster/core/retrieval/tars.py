"""Tars, packed or not: repacked once as a zip without compression, which is then read in place like any other.

A packed tar can only be read from its start, two seconds a member in random order. Repacking to a zip rather than
unpacking to files keeps one way of reading for everything, and no member's name ever becomes a path on disk.
"""

from __future__ import annotations

import bz2
import gzip
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.errors import RetrievalError
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.space import require_space
from curation_dagster.core.retrieval.zips import CHUNK, Budget, damaged, hostile

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_KINDS = {
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "named pipe",
}
_DAMAGE = (
    tarfile.TarError,
    zlib.error,
    EOFError,
    struct.error,
    ValueError,
    IndexError,
    KeyError,
    RecursionError,
)
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class ForwardReader:
    """The unpacked bytes of a tar, read once from start to end, with the limits enforced on every read.

    :mod:`tarfile` wants a file that it can seek in. It only ever seeks forward over a member's rest, or one byte
    back, which is all that is offered: going back in a packed file would mean to unpack it again from the start.
    """

    def __init__(self, raw: IO[bytes], packed: int, where: str, limits: ContainerLimits) -> None:
        self._raw = raw
        self._packed = packed
        self._where = where
        self._limits = limits
        self._position = 0
        self._last = b""
        self._pending = b""
        self.block = b""  # what the last read returned

    def tell(self) -> int:
        """Return the position in the unpacked bytes."""
        return self._position

    def seek(self, position: int) -> int:
        """Move forward, or one byte back."""
        if position == self._position - 1 and self._last and not self._pending:
            self._pending = self._last
            self._position -= 1
        elif position < self._position:
            raise hostile(self._where, [], "members one after another", "a header that points backwards")
        while self._position < position and self.read(min(CHUNK, position - self._position)):
            pass
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to ``size`` bytes.

        Raises
        ------
        HostileContainer
            If more than 1 MiB is asked for at once, which only a header of absurd size does, or if the tar unpacks
            to more than the limits allow.
        """
        if size < 0 or size > CHUNK:
            raise hostile(
                self._where, [], f"headers of at most {CHUNK:,} bytes", f"a header of {size:,} bytes"
            )
        self.block = self._pending + self._raw.read(size - len(self._pending)) if size else b""
        if size:
            self._pending = b""
        self._position += len(self.block)
        self._last = self.block[-1:] or self._last
        if self._position > self._limits.max_total_bytes:
            limit = f"at most {self._limits.max_total_bytes:,} bytes unpacked"
            raise hostile(self._where, [], limit, f"{self._position:,} so far")
        if self._limits.is_bomb(self._position, self._packed):
            limit = f"at most {self._limits.max_ratio:g} unpacked bytes per packed byte"
            raise hostile(self._where, [], limit, f"{self._position:,} bytes from {self._packed:,}")
        return self.block


def repack(
    source: Path, kind: str, target: Path, where: str, limits: ContainerLimits, budget: Budget
) -> None:
    """Write the files of a tar to a zip without compression.

    The same tar always gives the same zip, byte by byte.

    Parameters
    ----------
    source : Path
        The tar.
    kind : str
        ``tar``, ``tar+gzip`` or ``tar+bzip2``.
    target : Path
        The zip to write. It is complete, or the caller has got an exception and removes it.
    where : str
        Name of the tar for messages.

    Raises
    ------
    HostileContainer
        With all members that are links or devices, or have an unsafe or doubled name; or at the first limit that is
        exceeded.
    DamagedContainer
        If the tar is cut off or damaged.
    NoSpace
        If the disk has no room for a member.
    """
    problems: list[str] = []
    seen: set[str] = set()
    with (
        _opened(source, kind) as raw,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as packed,
    ):
        reader = ForwardReader(raw, source.stat().st_size, where, limits)
        try:
            tar = tarfile.TarFile(
                fileobj=cast("IO[bytes]", reader), mode="r", encoding="utf-8", errors="surrogateescape"
            )
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or half a million headers stay in memory
                budget.take(where, 1, 0)
                name = names.of_tar_member(member.name)
                found = _problem(member, name, limits)
                name = names.plain(name)
                if found is None and member.type in _FILES:
                    found = "doubled name" if name in seen else None
                    seen.add(name)
                if found is not None:
                    problems.append(f"{names.shown(name)}: {found}")
                elif member.type in _FILES and not problems:
                    require_space(target.parent, member.size, limits.reserve_bytes)
                    _copy(tar, member, packed, name)
            _expect_end(reader, where)
        except RetrievalError:
            raise
        except OSError as error:
            # damage inside gzip and bzip2 comes as an OSError without a number; all others are the disk's
            if error.errno is not None:
                raise
            raise damaged(where, str(error)) from error
        except _DAMAGE as error:
            raise damaged(where, str(error) or type(error).__name__) from error
    if problems:
        raise hostile(where, problems)


def _opened(source: Path, kind: str) -> IO[bytes]:
    if kind == "tar+gzip":
        return cast("IO[bytes]", gzip.open(source, "rb"))
    if kind == "tar+bzip2":
        return cast("IO[bytes]", bz2.open(source, "rb"))
    return source.open("rb")


def _problem(member: tarfile.TarInfo, name: str, limits: ContainerLimits) -> str | None:
    if member.type != tarfile.DIRTYPE and member.type not in _FILES:
        return _KINDS.get(member.type, f"special entry {member.type!r}")
    if member.issparse():
        return "sparse file"
    if member.size < 0:
        return "negative size"
    if member.size > limits.max_member_bytes:
        return f"{member.size:,} bytes, of at most {limits.max_member_bytes:,}"
    if member.type == tarfile.DIRTYPE and name in (".", "./", ""):
        return None  # `tar c .` writes the folder itself
    return names.problem_of(name)


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, packed: zipfile.ZipFile, name: str) -> None:
    info = zipfile.ZipInfo(name, _ZIP_EPOCH)
    info.file_size = member.size
    content = tar.extractfile(member)
    assert content is not None, "only regular files are copied"
    with content, packed.open(info, "w", force_zip64=member.size >= 1 << 31) as written:
        left = member.size
        while left:
            chunk = content.read(min(CHUNK, left))
            if not chunk:
                raise EOFError("unexpected end of data")
            written.write(chunk)
            left -= len(chunk)


def _expect_end(reader: ForwardReader, where: str) -> None:
    """Make sure that the tar ended where it says that it ends: tarfile takes a broken header for the end."""
    if not reader.block or reader.block.strip(b"\0"):
        raise damaged(where, "no end mark after the last readable member")
    while chunk := reader.read(CHUNK):
        if chunk.strip(b"\0"):
            raise damaged(where, "further data after the end mark, which no reader of tars would see")
