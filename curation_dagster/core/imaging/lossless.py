"""JPEG rewritten segment by segment from an allow-list: the compressed pixels stay, nothing else does.

What is written is made here or has been read as what it claims to be: an empty JFIF header, the quantization and
Huffman tables that a scan uses, one frame header, the scans in a legal order, the end. Everything else of the source
is left behind: application segments, comments, thumbnails, tables that no scan refers to, fill bytes between
segments, component names, the density, and whatever follows the end.

A file in which bytes could hide that this module can't account for is refused, and encoded anew by the caller: a
scan that is overwritten by a later one, restart markers out of order, tables that change in the middle of the
picture, arithmetic coding, more than 8 bits, colours that need an Adobe segment.

What the compressed pixels themselves carry stays, because it is the picture: the values of the coefficients, up to
15 px beyond the right and lower edge that fill the last block, the order of the symbols in a Huffman table, and up
to 7 bits behind each scan and restart interval.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
# JFIF 1.01, no unit, 1:1, no thumbnail
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
_DQT, _DHT, _SOS, _DRI = 0xDB, 0xC4, 0xDA, 0xDD
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive, Huffman
_PROGRESSIVE = 0xC2
_IN_SCAN = re.compile(rb"\xff([^\x00])")
_DENIED = "this JPEG can't be rewritten without loss: "


class NotRewritable(ValueError):
    """The file has something that the allow-list can't account for; the message says what."""

    def __init__(self, reason: str) -> None:
        super().__init__(_DENIED + reason)


@dataclass(frozen=True)
class _Component:
    name: int
    horizontal: int
    vertical: int
    table: int


@dataclass
class _Reader:
    """What has been read so far, and what is to be written."""

    max_scans: int
    process: int = 0
    width: int = 0
    height: int = 0
    components: list[_Component] = field(default_factory=list)
    quantization: dict[int, bytes] = field(default_factory=dict)
    huffman: dict[int, bytes] = field(default_factory=dict)  # class << 4 | id
    written: dict[int, bytes] = field(default_factory=dict)
    interval: int = 0
    written_interval: int = 0
    scans: int = 0
    known: dict[tuple[int, int], int] = field(
        default_factory=dict
    )  # (component, coefficient) -> lowest bit so far
    body: list[bytes] = field(default_factory=list)

    # -- segments

    def tables(self, body: bytes) -> None:
        """Take up quantization tables."""
        if self.scans:
            raise NotRewritable("a quantization table changes between scans")
        at = 0
        while at < len(body):
            wide, number = body[at] >> 4, body[at] & 15
            end = at + 1 + (128 if wide else 64)
            if wide > 1 or number > 3 or end > len(body):
                raise NotRewritable("a quantization table is malformed")
            self.quantization[number] = body[at:end]
            at = end

    def codes(self, body: bytes) -> None:
        """Take up Huffman tables."""
        at = 0
        while at < len(body):
            if at + 17 > len(body):
                raise NotRewritable("a Huffman table is malformed")
            counts = body[at + 1 : at + 17]
            end = at + 17 + sum(counts)
            symbols = body[at + 17 : end]
            space = 0
            for length, count in enumerate(counts, start=1):
                space += count << (16 - length)
            is_dc = body[at] >> 4 == 0
            if (
                body[at] & 0xEF not in (0, 1, 2, 3)
                or end > len(body)
                or space > 1 << 16
                or len(set(symbols)) != len(symbols)
                or (is_dc and any(s > 11 for s in symbols))
            ):
                raise NotRewritable("a Huffman table is malformed")
            self.huffman[body[at]] = body[at:end]
            at = end

    def frame(self, process: int, body: bytes) -> None:
        """Take up the frame header."""
        if self.components:
            raise NotRewritable("it has several frames")
        if len(body) < 6 or body[0] != 8 or body[5] not in (1, 3) or len(body) != 6 + 3 * body[5]:
            raise NotRewritable("its frame is not 8-bit grey or YCbCr")
        self.process = process
        self.height, self.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
        for at in range(6, len(body), 3):
            name, factors, table = body[at : at + 3]
            component = _Component(name, factors >> 4, factors & 15, table)
            if not (1 <= component.horizontal <= 4 and 1 <= component.vertical <= 4) or table > 3:
                raise NotRewritable("its frame header is malformed")
            self.components.append(component)
        names = [c.name for c in self.components]
        if len(set(names)) != len(names) or not self.width or not self.height:
            raise NotRewritable("its frame header is malformed")
        if names == [ord("R"), ord("G"), ord("B")]:
            raise NotRewritable("its colours are stored as RGB")

    def scan(self, header: bytes, data: bytes) -> None:
        """Take up one scan: check that it adds to the picture, and write it with the tables that it uses."""
        self.scans += 1
        if self.scans > self.max_scans:
            raise NotRewritable(f"it has more than {self.max_scans} scans")
        if not self.components or not header or len(header) != 4 + 2 * header[0] or not header[0]:
            raise NotRewritable("a scan header is malformed")
        first, last, bits = header[-3:]
        high, low = bits >> 4, bits & 15
        names = [c.name for c in self.components]
        chosen: list[int] = []
        needed: list[int] = []
        for at in range(1, 1 + 2 * header[0], 2):
            if header[at] not in names or names.index(header[at]) in chosen:
                raise NotRewritable("a scan names a component that the frame lacks, or one twice")
            chosen.append(names.index(header[at]))
            selectors = header[at + 1]
            if self.process != _PROGRESSIVE:
                needed += [selectors >> 4, 0x10 | selectors & 15]
            elif first:
                needed.append(0x10 | selectors & 15)
            elif not high:  # a refinement of the DC coefficient is not Huffman coded
                needed.append(selectors >> 4)
        self._progress(chosen, first, last, high, low)
        self._restarts(chosen, data)
        self._write_tables(needed)
        clean = bytearray([header[0]])
        for index, at in zip(chosen, range(1, 1 + 2 * header[0], 2), strict=True):
            clean += bytes([index + 1, self._selectors(header[at + 1], first, high)])
        clean += bytes([first, last, bits])
        self.body.append(_segment(_SOS, bytes(clean)) + data)

    # -- what a scan must hold to

    def _selectors(self, stated: int, first: int, high: int) -> int:
        """Return the table selectors, those that the scan does not use as zero."""
        if self.process != _PROGRESSIVE:
            return stated
        if first:
            return stated & 0x0F
        return 0 if high else stated & 0xF0

    def _progress(self, chosen: list[int], first: int, last: int, high: int, low: int) -> None:
        """Refuse a scan that overwrites what an earlier one has brought: the earlier one would be a hidden picture."""
        if self.process != _PROGRESSIVE:
            if (first, last, high, low) != (0, 63, 0, 0):
                raise NotRewritable("a scan header of a sequential picture is malformed")
        elif not (first == last == 0 or (1 <= first <= last <= 63 and len(chosen) == 1)):
            raise NotRewritable("a scan header of a progressive picture is malformed")
        elif high and low != high - 1:
            raise NotRewritable("a scan refines more than one bit")
        for component in chosen:
            if first and (component, 0) not in self.known:
                raise NotRewritable("details of a component come before its means")
            for coefficient in range(first, last + 1):
                before = self.known.get((component, coefficient))
                if (before is None) != (high == 0) or (high and before != high):
                    raise NotRewritable("a scan overwrites another one")
                self.known[component, coefficient] = low

    def _restarts(self, chosen: list[int], data: bytes) -> None:
        """Refuse restart markers where none are announced, out of order, or in a wrong number."""
        found = [m.group(1)[0] for m in _IN_SCAN.finditer(data)]
        expected = (self._units(chosen) - 1) // self.interval if self.interval else 0
        if found != [0xD0 + i % 8 for i in range(expected)]:
            raise NotRewritable("restart markers or fill bytes inside a scan are not as announced")

    def _units(self, chosen: list[int]) -> int:
        """Return how many coded units a scan has (ITU-T T.81, A.2)."""
        widest = max(c.horizontal for c in self.components)
        tallest = max(c.vertical for c in self.components)
        if len(chosen) > 1:
            return _ceil(self.width, 8 * widest) * _ceil(self.height, 8 * tallest)
        c = self.components[chosen[0]]
        columns = _ceil(_ceil(self.width * c.horizontal, widest), 8)
        return columns * _ceil(_ceil(self.height * c.vertical, tallest), 8)

    # -- writing

    def _write_tables(self, needed: list[int]) -> None:
        if self.scans == 1:
            self.body.append(self._frame_header())
        for key in sorted(set(needed)):
            table = self.huffman.get(key)
            if table is None:
                raise NotRewritable("a scan uses a Huffman table that is not there")
            if self.written.get(key) != table:
                self.body.append(_segment(_DHT, table))
                self.written[key] = table
        if self.interval != self.written_interval:
            self.body.append(_segment(_DRI, self.interval.to_bytes(2, "big")))
            self.written_interval = self.interval

    def _frame_header(self) -> bytes:
        parts = []
        for number in sorted({c.table for c in self.components}):
            if number not in self.quantization:
                raise NotRewritable("a component uses a quantization table that is not there")
            parts.append(_segment(_DQT, self.quantization[number]))
        header = b"\x08" + self.height.to_bytes(2, "big") + self.width.to_bytes(2, "big")
        header += bytes([len(self.components)])
        for index, c in enumerate(self.components, start=1):
            header += bytes([index, c.horizontal << 4 | c.vertical, c.table])
        return b"".join(parts) + _segment(self.process, header)

    def finished(self) -> bytes:
        """Return the file, if every component is there."""
        if {c for c, k in self.known if k == 0} != set(range(len(self.components))) or not self.components:
            raise NotRewritable("a component has no scan")
        return _SOI + _JFIF + b"".join(self.body) + _EOI


def rewrite_jpeg(data: bytes, max_scans: int) -> bytes:
    """Return the picture of a JPEG with its compressed data as they are and nothing else of the file.

    Parameters
    ----------
    data : bytes
        A JPEG in grey or YCbCr, upright and in sRGB: what is left behind says nothing of orientation or colour.
    max_scans : int
        A file with more scans is refused.

    Raises
    ------
    NotRewritable
        If the file has another structure than the allow-list knows.
    """
    reader = _Reader(max_scans)
    at = 2
    if data[:2] != _SOI:
        raise NotRewritable("it does not begin as a JPEG")
    while True:
        if at + 2 > len(data) or data[at] != 0xFF:
            raise NotRewritable("a marker is missing")
        code = data[at + 1]
        if code == 0xFF:  # a fill byte before a marker is left behind
            at += 1
            continue
        if code == 0xD9:
            return reader.finished()
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or end < at + 4 or code < 0xC0 or 0xD0 <= code <= 0xD8:
            raise NotRewritable("a segment is malformed")
        body = data[at + 4 : end]
        if code == _DQT:
            reader.tables(body)
        elif code == _DHT:
            reader.codes(body)
        elif code in _FRAMES:
            reader.frame(code, body)
        elif code == _DRI:
            if len(body) != 2:
                raise NotRewritable("a restart interval is malformed")
            reader.interval = int.from_bytes(body, "big")
        elif code == _SOS:
            end = _end_of_scan(data, end)
            reader.scan(body, data[at + 4 + len(body) : end])
        elif code == 0xEE and body[:5] == b"Adobe" and len(body) >= 12 and body[11] != 1:
            if not (body[11] == 0 and _is_grey(reader, data, end)):
                raise NotRewritable("an Adobe segment states other colours than YCbCr")
        elif not (0xE0 <= code <= 0xEF or code == 0xFE):
            raise NotRewritable(f"segment 0x{code:02x} is not on the allow-list")
        at = end


def _is_grey(reader: _Reader, data: bytes, at: int) -> bool:
    """Return whether the frame, read already or still to come, has one channel."""
    if reader.components:
        return len(reader.components) == 1
    while at + 10 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _FRAMES:
            return data[at + 9] == 1
        if data[at + 1] == 0xFF:
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _end_of_scan(data: bytes, at: int) -> int:
    """Return the offset of the marker behind a scan: one that is no stuffed zero and no restart marker."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 2 > len(data):
            raise NotRewritable("a scan does not end")
        code = data[at + 1]
        if code == 0x00 or 0xD0 <= code <= 0xD7:
            at += 2
        else:
            return at


def _segment(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + (len(body) + 2).to_bytes(2, "big") + body


def _ceil(value: int, step: int) -> int:
    return -(-value // step)
