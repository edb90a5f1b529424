"""The structure of JPEG, PNG, WebP, GIF and ISO files: where each part starts and ends, without decoding it."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS, DQT, DHT, DRI, DAC, DNL, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xCC, 0xDC, 0xFE
APP0, APP1, APP2, APP11, APP13, APP14, APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE, 0xEF
SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
# what ends the data of a scan: a marker that is no stuffed zero, restart or fill byte
_STOP = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# chunks that decide which pixels are shown
PNG_PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


@dataclass(frozen=True)
class Part:
    """A JPEG segment, a chunk or a box.

    ``start:end`` covers all its bytes, ``body:end`` what follows its header (a PNG chunk's check sum, and the entropy
    coded data after a JPEG's start of scan, lie inside ``end``).
    """

    name: bytes
    start: int
    body: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of the whole part."""
        return self.end - self.start


@dataclass(frozen=True)
class Structure:
    """The parts of a file in order.

    Parameters
    ----------
    parts : tuple of Part
        As far as they could be followed.
    end : int
        Offset behind the last byte of the image.
    problem : str or None
        Why the file can't be followed to its end; None if it is complete.
    """

    parts: tuple[Part, ...]
    end: int
    problem: str | None = None

    def named(self, *names: bytes) -> Iterator[Part]:
        """Yield the parts of these names."""
        return (p for p in self.parts if p.name in names)


def marker(code: int) -> bytes:
    """Return the name of the JPEG segments with this marker code."""
    return bytes([code])


def jpeg_structure(data: bytes) -> Structure:
    """Return the segments of a JPEG file, each scan as one part from its marker to the end of its data."""
    parts: list[Part] = []
    position = 2
    while True:
        if position + 2 > len(data):
            return Structure(tuple(parts), len(data), "the end marker is missing")
        if data[position] != 0xFF:
            return Structure(tuple(parts), position, f"no marker at byte {position}")
        code = data[position + 1]
        if code == 0xFF:  # fill byte
            position += 1
            continue
        if code == EOI:
            return Structure(tuple(parts), position + 2)
        if 0xD0 <= code <= 0xD7 or code == 0x01:
            position += 2
            continue
        if code in (0x00, SOI):
            return Structure(tuple(parts), position, f"unexpected marker 0x{code:02x} at byte {position}")
        body = position + 4
        length = int.from_bytes(data[position + 2 : body], "big")
        end = position + 2 + length
        if length < 2 or end > len(data):
            return Structure(tuple(parts), len(data), f"segment 0x{code:02x} at byte {position} is cut off")
        if code == SOS:
            stop = _STOP.search(data, end)
            end = stop.start() if stop else len(data)
        parts.append(Part(marker(code), position, body, end))
        position = end


def png_structure(data: bytes) -> Structure:
    """Return the chunks of a PNG file; the first wrong check sum of any chunk is the problem."""
    parts: list[Part] = []
    position, problem = len(PNG_SIGNATURE), None
    while position < len(data):
        body = position + 8
        length = int.from_bytes(data[position : position + 4], "big")
        end = body + length + 4
        name = data[position + 4 : body]
        if end > len(data):
            return Structure(tuple(parts), len(data), problem or f"the file ends inside chunk {_shown(name)}")
        parts.append(Part(name, position, body, end))
        stated = int.from_bytes(data[end - 4 : end], "big")
        if problem is None and zlib.crc32(memoryview(data)[position + 4 : end - 4]) != stated:
            problem = f"the check sum of chunk {_shown(name)} is wrong"
        position = end
        if name == b"IEND":
            return Structure(tuple(parts), position, problem)
    return Structure(tuple(parts), len(data), problem or "the end chunk is missing")


def _shown(name: bytes) -> str:
    return name.decode("ascii") if name.isalpha() and name.isascii() else name.hex()


def webp_structure(data: bytes) -> Structure:
    """Return the chunks of a WebP file."""
    stated = int.from_bytes(data[4:8], "little") + 8
    stated += stated % 2
    parts: list[Part] = []
    position = 12
    while position + 8 <= min(stated, len(data)):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        end = position + 8 + length + length % 2
        if end > len(data) + length % 2:
            return Structure(tuple(parts), len(data), "the file ends inside a chunk")
        parts.append(Part(data[position : position + 4], position, position + 8, min(end, len(data))))
        position = end
    if stated > len(data) + 1:
        return Structure(
            tuple(parts), len(data), f"the header states {stated} bytes, but there are {len(data)}"
        )
    return Structure(tuple(parts), min(stated, len(data)))


def gif_structure(data: bytes) -> Structure:
    """Return the blocks of a GIF file: ``image``, ``control``, ``comment``, ``application``, ``text``, ``other``."""
    names = {0xF9: b"control", 0xFE: b"comment", 0xFF: b"application", 0x01: b"text"}
    parts: list[Part] = []
    position = 13 + (3 << ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0)
    cut = "the file ends inside a block"
    while position < len(data):
        start, kind = position, data[position]
        if kind == 0x3B:
            return Structure(tuple(parts), position + 1)
        if kind == 0x2C:
            if position + 10 > len(data):
                return Structure(tuple(parts), len(data), cut)
            flags = data[position + 9]
            position += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
            name = b"image"
        elif kind == 0x21:
            name = names.get(data[position + 1] if position + 1 < len(data) else 0, b"other")
            position += 2
        else:
            return Structure(tuple(parts), position, f"unknown block 0x{kind:02x} at byte {position}")
        body = position
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
        if position > len(data):
            return Structure(tuple(parts), len(data), cut)
        parts.append(Part(name, start, body, position))
    return Structure(tuple(parts), len(data), "the trailer is missing")


def iso_boxes(data: bytes, start: int = 0, end: int | None = None) -> Structure:
    """Return the boxes of an ISO base media file (HEIF) between two offsets, one level deep."""
    limit = len(data) if end is None else end
    parts: list[Part] = []
    position = start
    while position + 8 <= limit:
        size, name = struct.unpack_from(">I4s", data, position)
        body = position + 8
        if size == 1 and position + 16 <= limit:
            size = int.from_bytes(data[body : body + 8], "big")
            body += 8
        elif size == 0:
            size = limit - position
        if size < body - position or not name.isascii():
            return Structure(tuple(parts), position)  # whatever follows is no box: trailing bytes
        if position + size > limit:
            return Structure(tuple(parts), limit, "the file ends inside a box")
        parts.append(Part(name, position, body, position + size))
        position += size
    return Structure(tuple(parts), position)
