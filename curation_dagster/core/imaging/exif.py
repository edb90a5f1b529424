"""Tags of a TIFF structure (EXIF blocks and TIFF files) by number, read tolerantly.

Cameras, editors and web crops write EXIF with wrong counts, offsets outside the block and cycles. This reader
follows what it can, never raises, and says whether it reached the end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_POINTERS = {0x8769: "exif", 0x8825: "gps", 0xA005: "interop", 0x014A: "sub"}
_MAX_DIRECTORIES = 64
_MAX_ENTRIES = 4096

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Tag:
    """One entry: its directory (``0``, ``1``, ``exif``, ``gps``, ``interop``, ``sub``), number and bytes.

    ``is_blank`` is true where the value holds nothing but blanks and zeros. ``is_readable`` is false where the
    type is unknown or the value lies outside the block.
    """

    directory: str
    number: int
    type: int
    size: int
    is_blank: bool
    is_readable: bool
    number_value: int | None


@dataclass(frozen=True)
class Tags:
    """All entries that could be reached, and whether the structure is sound."""

    entries: tuple[Tag, ...]
    is_sound: bool
    directories: int

    def numbers(self, *directories: str) -> set[int]:
        """Return the tag numbers in these directories whose value is not blank."""
        return {t.number for t in self.entries if t.directory in directories and not t.is_blank}

    @property
    def orientation(self) -> int:
        """EXIF orientation of the first directory, 1 if absent or nonsense."""
        for tag in self.entries:
            if tag.directory == "0" and tag.number == ORIENTATION:
                value = tag.number_value
                return value if value is not None and 1 <= value <= 8 else 1
        return 1


def read_tags(block: bytes) -> Tags:
    """Return the tags of ``block``, which starts with the byte order mark ``II`` or ``MM``."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(block[:2]))
    if order is None or len(block) < 8:
        return Tags((), False, 0)
    is_big = struct.unpack_from(order + "H", block, 2)[0] == 43
    if is_big and len(block) < 16:
        return Tags((), False, 0)
    first = (
        struct.unpack_from(order + "Q", block, 8)[0]
        if is_big
        else struct.unpack_from(order + "I", block, 4)[0]
    )
    entries: list[Tag] = []
    pending = [("0", first)]
    seen: set[int] = set()
    is_sound = True
    pages = 0
    while pending:
        name, offset = pending.pop(0)
        if offset in seen or len(seen) >= _MAX_DIRECTORIES:
            is_sound = False
            continue
        seen.add(offset)
        pages += name.isdigit()
        following, is_complete = _directory(block, order, is_big, name, offset, entries, pending)
        is_sound &= is_complete
        if following and name.isdigit():
            pending.append((str(int(name) + 1), following))
    return Tags(tuple(entries), is_sound, pages)


def _directory(
    block: bytes,
    order: str,
    is_big: bool,
    name: str,
    offset: int,
    entries: list[Tag],
    pending: list[tuple[str, int]],
) -> tuple[int, bool]:
    """Append the entries of the directory at ``offset``; return the next directory and whether all was readable."""
    head, step, inline = ("Q", 20, 8) if is_big else ("H", 12, 4)
    width = struct.calcsize("<" + head)
    if offset < 8 or offset + width > len(block):
        return 0, False
    count = struct.unpack_from(order + head, block, offset)[0]
    is_complete = count <= _MAX_ENTRIES
    start = offset + width
    for i in range(min(count, _MAX_ENTRIES)):
        at = start + i * step
        if at + step > len(block):
            return 0, False
        number, kind = struct.unpack_from(order + "HH", block, at)
        values = struct.unpack_from(order + ("Q" if is_big else "I"), block, at + 4)[0]
        size = _SIZES.get(kind, 0) * values
        place = at + step - inline
        if size > inline:
            place = struct.unpack_from(order + ("Q" if is_big else "I"), block, place)[0]
        is_readable = kind in _SIZES and place + size <= len(block)
        is_complete &= is_readable
        raw = block[place : place + size] if is_readable else b""
        number_value = None
        if is_readable and values >= 1 and kind in (3, 4, 13):
            number_value = struct.unpack_from(order + ("H" if kind == 3 else "I"), raw)[0]
        is_blank = is_readable and not raw.strip(b"\0 ")
        entries.append(
            Tag(name, number, kind, size if is_readable else 0, is_blank, is_readable, number_value)
        )
        if number in _POINTERS and number_value is not None:
            targets = [number_value]
            if kind != 3 and values > 1:
                targets = list(struct.unpack_from(f"{order}{min(values, _MAX_DIRECTORIES)}I", raw))
            pending.extend((_POINTERS[number], t) for t in targets)
    after = start + count * step
    if after + inline > len(block):
        return 0, is_complete  # the link to the next directory is often cut; nothing is lost by it
    return struct.unpack_from(order + ("Q" if is_big else "I"), block, after)[0], is_complete
