"""Zips, read in place: the table of contents is inspected as a whole before any member is read.

A zip tells names, sizes, packing and places of all members at its end. What that table says decides whether the zip
is used at all; while members are read, the same limits and the members' check sums prove that it did not lie.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.errors import (
    DamagedContainer,
    HostileContainer,
    UnsupportedContainer,
    some,
)
from curation_dagster.core.retrieval.limits import ContainerLimits

CHUNK = 1 << 20

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # traditional, strong, encrypted table of contents
_LOCAL_HEADER = 30
_ENTRY = 46  # bytes of an entry of the table of contents, without name, extra field and comment
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LINKS_AND_DEVICES = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
    stat.S_IFIFO: "named pipe",
    stat.S_IFSOCK: "socket",
}
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, UnicodeDecodeError, NotImplementedError)
"""What :mod:`zipfile` raises for zips that are cut off or changed."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a zip: its entry in the table of contents, and its name as it stands in the inventory."""

    info: zipfile.ZipInfo
    name: str


class Budget:
    """What a delivery may still unpack, counted over all its containers."""

    def __init__(self, limits: ContainerLimits) -> None:
        self.limits = limits
        self.members = 0
        self.bytes = 0

    def take(self, where: str, members: int, size: int) -> None:
        """Count members and unpacked bytes of a container.

        Raises
        ------
        HostileContainer
            If the delivery holds more than the limits allow.
        """
        self.members += members
        self.bytes += size
        if self.members > self.limits.max_members:
            raise hostile(
                where, [], f"at most {self.limits.max_members:,} members", f"{self.members:,} so far"
            )
        if self.bytes > self.limits.max_total_bytes:
            limit = f"at most {self.limits.max_total_bytes:,} bytes unpacked"
            raise hostile(where, [], limit, f"{self.bytes:,} so far")


def hostile(where: str, members: list[str], expected: str = "", got: str = "") -> HostileContainer:
    """Return the error of a container that is refused."""
    error = HostileContainer(
        f"{where} is refused: " + (some(members) if members else "it exceeds the declared limits") + ".",
        where=where,
        expected=expected or "plain files with relative names and honest sizes",
        got=got or f"{len(members):,} members that are not",
        next="Nothing of the delivery is used, and what was staged before is as it was. If the publisher's file is "
        "really like this, unpack it in a safe place, check it, and deliver the folder instead; limits stand in "
        "vocabularies/limits.yaml.",
    )
    error.members = tuple(members)
    return error


def damaged(where: str, got: str) -> DamagedContainer:
    """Return the error of a container that can't be read."""
    return DamagedContainer(
        f"{where} is damaged or incomplete.",
        where=where,
        expected="a whole container whose members match their check sums",
        got=got,
        next="Nothing of the delivery is used, and what was staged before is as it was. It was probably cut off during "
        "download, or is one part of a split archive; fetch it again.",
    )


def open_zip(path: Path, where: str, limits: ContainerLimits) -> zipfile.ZipFile:
    """Open a zip whose table of contents is of bearable size.

    Parameters
    ----------
    path : Path
        The file.
    where : str
        Its name for messages.

    Raises
    ------
    HostileContainer
        If the table of contents is larger than the limits, or holds another number of members than it says.
    DamagedContainer
        If it is not a zip, or cut off.
    """
    _measure_directory(path, where, limits)
    try:
        return zipfile.ZipFile(path)
    except DAMAGE as error:
        raise damaged(where, str(error)) from error


def inspect(opened: zipfile.ZipFile, where: str, limits: ContainerLimits) -> list[Member]:
    """Return the files of a zip in the order of their places, after checking all entries of its table of contents.

    Raises
    ------
    HostileContainer
        With all members that have an unsafe or doubled name, are links or devices, are encrypted, overlap, are
        larger than allowed, or unpack to more than they can honestly hold.
    UnsupportedContainer
        If members are packed by other methods than store and deflate.
    """
    problems: list[str] = []
    methods: set[str] = set()
    members: list[Member] = []
    seen: set[str] = set()
    entries = sorted(opened.filelist, key=lambda i: i.header_offset)
    ends = [*(i.header_offset for i in entries), opened.start_dir][1:]
    for info, after in zip(entries, ends, strict=True):
        meant = names.of_zip_member(info)
        if info.orig_filename in ("./", ".") and not info.file_size:
            continue  # the folder that was packed
        found = (
            names.problem_of(meant) or names.problem_of(info.orig_filename) or _problem(info, after, limits)
        )
        name = names.plain(meant)
        if found is None and not info.is_dir():
            if name in seen:
                found = "doubled name"
            seen.add(name)
        if found is not None:
            problems.append(f"{names.shown(info.orig_filename)}: {found}")
        elif info.compress_type not in _READ:
            methods.add(f"method {info.compress_type}")
        elif not info.is_dir():
            members.append(Member(info, name))
    if problems:
        raise hostile(where, problems)
    if methods:
        raise UnsupportedContainer(
            f"Members of {where} are packed by a method that is not read.",
            where=where,
            expected="store (method 0) or deflate (method 8)",
            got=", ".join(sorted(methods)),
            next="Unpack it and deliver the folder, or pack it again with `zip`.",
        )
    unpacked, packed = sum(m.info.file_size for m in members), sum(m.info.compress_size for m in members)
    if limits.is_bomb(unpacked, packed):
        expected = f"at most {limits.max_ratio:g} unpacked bytes per packed byte"
        raise hostile(where, [], expected, f"{unpacked:,} bytes in {packed:,}")
    return members


def read_chunks(opened: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """Yield the content of a member in chunks of at most 1 MiB, the first one empty only if the member is.

    Raises
    ------
    zipfile.BadZipFile, zlib.error, EOFError
        If the content is cut off, does not match its check sum, or has another size than the zip says.
    """
    size = 0
    with opened.open(member.info) as content:
        while chunk := content.read(CHUNK):
            size += len(chunk)
            yield chunk
    if size != member.info.file_size:
        raise zipfile.BadZipFile(f"{size} bytes instead of {member.info.file_size}")


def _problem(info: zipfile.ZipInfo, after: int, limits: ContainerLimits) -> str | None:
    kind = _LINKS_AND_DEVICES.get(stat.S_IFMT(info.external_attr >> 16))
    if kind is not None:
        return kind
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.is_dir() and info.file_size:
        return "folder with content"
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
    end = info.header_offset + _LOCAL_HEADER + len(info.orig_filename.encode(encoding)) + info.compress_size
    if info.header_offset < 0 or end > after:
        return "overlaps the next entry"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return "sizes that contradict each other"
    if info.file_size > limits.max_member_bytes:
        return f"{info.file_size:,} bytes unpacked, of at most {limits.max_member_bytes:,}"
    if limits.is_bomb(info.file_size, info.compress_size):
        return f"unpacks {info.compress_size:,} bytes to {info.file_size:,}"
    return None


def _measure_directory(path: Path, where: str, limits: ContainerLimits) -> None:
    """Count the entries of the table of contents without keeping them (APPNOTE 6.3.10, sections 4.3.12 to 4.3.16).

    zipfile reads the table as a whole and makes an object of each entry, so that its size is checked before.
    """
    with path.open("rb") as handle:
        length = handle.seek(0, 2)
        start = max(0, length - (1 << 16) - 22)
        handle.seek(start)
        tail = handle.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) < at + 22:
            raise damaged(where, "no table of contents at the end")
        declared, size = struct.unpack_from("<HL", tail, at + 10)
        end, modulus = start + at, 1 << 16  # old tools count in 16 bits and let them overflow
        if end >= 76:
            handle.seek(end - 76)
            record = handle.read(76)
            if record[:4] == b"PK\x06\x06" and record[56:60] == b"PK\x06\x07":
                declared, size = struct.unpack_from("<QQ", record, 32)
                end, modulus = end - 76, 1 << 64
        if size > end:
            raise damaged(where, "a table of contents that starts before the file")
        if size > limits.max_directory_bytes:
            expected = f"a table of contents of at most {limits.max_directory_bytes:,} bytes"
            raise hostile(where, [], expected, f"{size:,} bytes")
        handle.seek(end - size)
        count = 0
        while size > 0:
            header = handle.read(_ENTRY)
            if len(header) < _ENTRY or header[:4] != b"PK\x01\x02":
                raise damaged(where, f"a broken table of contents after {count:,} entries")
            rest = sum(struct.unpack_from("<3H", header, 28))
            handle.seek(rest, 1)
            size -= _ENTRY + rest
            count += 1
            if count > limits.max_members:
                raise hostile(where, [], f"at most {limits.max_members:,} members", "more")
    if count % modulus != declared:
        raise hostile(where, [], f"{declared:,} members, as the zip says", f"{count:,} members")
