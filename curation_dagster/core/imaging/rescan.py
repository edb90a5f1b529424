"""The independent re-scan of written files: a strict allow-list, by two readers that share no code with the writer.

The first reader is the small parser below: a JPEG may hold the segments that its pixels need and an empty JFIF
header, a PNG its header, pixels and end, and neither a byte more. The second reader is what the rest of the world
uses: piexif and Pillow must find nothing either. The module imports nothing from this package, so that an error of
``segments.py`` or ``hidden.py`` can't hide itself here.
"""

from __future__ import annotations

import io
import re
import warnings
import zlib
from pathlib import Path

import piexif
from PIL import Image

_UNKNOWN = "unknown_structure"
_MARKER_IN_SCAN = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# what Pillow states of a JPEG or PNG that holds nothing but pixels
_PLAIN_INFO = {"jfif", "jfif_version", "jfif_unit", "jfif_density", "dpi", "progressive", "progression"}


def rescan_file(path: str | Path) -> list[str]:
    """Return the kinds of hidden metadata in a file on disk; see :func:`rescan`.

    Raises
    ------
    OSError
        If the file can't be read.
    """
    return rescan(Path(path).read_bytes())


def rescan(data: bytes) -> list[str]:
    """Return the kinds of hidden metadata in the bytes of a published file, sorted; empty if it is clean.

    Kinds are those of ``vocabularies/hidden_metadata.csv``. Anything that is no JPEG or PNG, or whose structure can't
    be followed to its last byte, is ``unknown_structure``: what can't be read is not clean.
    """
    if data.startswith(b"\xff\xd8"):
        kinds = _scan_jpeg(data) | _as_piexif_sees_it(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        kinds = _scan_png(data)
    else:
        return [_UNKNOWN]
    return sorted(kinds | _as_pillow_sees_it(data))


def _scan_jpeg(data: bytes) -> set[str]:
    kinds: set[str] = set()
    at, scans, frames = 2, 0, 0
    has_interval = False
    idle: set[tuple[int, int]] = set()  # tables that no frame or scan has named yet, by marker and number
    while True:
        if at + 2 > len(data) or data[at] != 0xFF:
            return kinds | {_UNKNOWN}
        code = data[at + 1]
        if code == 0xD9:
            if at + 2 < len(data):
                kinds.add("trailing_bytes")
            return kinds if scans and frames == 1 and not idle else kinds | {_UNKNOWN}
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        body, following = data[at + 4 : at + 2 + length], at + 2 + length
        if length < 2 or following > len(data) or code in (0x00, 0x01, 0xFF) or 0xD0 <= code <= 0xD8:
            return kinds | {_UNKNOWN}
        if code in (0xC0, 0xC1, 0xC2):
            frames += 1
            if len(body) < 6 or len(body) != 6 + 3 * body[5]:
                kinds.add(_UNKNOWN)
            idle -= {(0xDB, number) for number in body[8::3]}
        elif code == 0xDA:
            scans += 1
            if not body or len(body) != 4 + 2 * body[0]:
                kinds.add(_UNKNOWN)
            idle -= {(0xC4, s >> 4) for s in body[2:-3:2]} | {(0xC4, 0x10 | s & 15) for s in body[2:-3:2]}
            stop = _MARKER_IN_SCAN.search(data, following)
            if stop is None:
                return kinds | {_UNKNOWN}
            if stop.end() - stop.start() > 2:
                kinds.add(_UNKNOWN)  # fill bytes, which our writer leaves out
            restarts = _RESTART.findall(data, following, stop.start())
            if restarts != [b"\xff" + bytes([0xD0 + i % 8]) for i in range(len(restarts) * has_interval)]:
                kinds.add(_UNKNOWN)
            following = stop.end() - 2
        elif code == 0xDB:
            if not _is_quantization(body):
                kinds.add(_UNKNOWN)
            elif len(body) in (65, 129):
                idle.add((0xDB, body[0] & 15))
        elif code == 0xC4:
            if not _is_huffman(body):
                kinds.add(_UNKNOWN)
            elif (0xC4, body[0]) in idle:
                kinds.add(_UNKNOWN)  # a table that is replaced before anything has used it
            else:
                idle.add((0xC4, body[0]))
        elif code == 0xDD:
            has_interval = body != b"\0\0"
            if len(body) != 2:
                kinds.add(_UNKNOWN)
        else:
            found = _kind_of_segment(code, body)
            if found is not None:
                kinds.add(found)
        at = following


def _is_quantization(body: bytes) -> bool:
    at = 0
    while at < len(body):
        at += 1 + (128 if body[at] >> 4 else 64)
    return at == len(body) and at > 0


def _is_huffman(body: bytes) -> bool:
    at = 0
    while at + 17 <= len(body):
        at += 17 + sum(body[at + 1 : at + 17])
    return at == len(body) and at > 0


def _kind_of_segment(code: int, body: bytes) -> str | None:
    """Return what a segment that is not about pixels hides; None for an empty JFIF header."""
    if code == 0xE0 and body[:5] == b"JFIF\0" and len(body) == 14 and body[12:14] == b"\0\0":
        return None
    if code == 0xE0 and body[:4] in (b"JFIF", b"JFXX"):
        return "jfif_thumbnail"
    if code == 0xE1:
        return (
            "exif" if body[:4] == b"Exif" else "xmp" if b"ns.adobe.com/x" in body[:40] else "jpeg_app_other"
        )
    if code == 0xE2:
        return {b"ICC_": "icc", b"MPF\0": "jpeg_mpf"}.get(body[:4], "jpeg_app_other")
    if code == 0xEB and body[:2] == b"JP":
        return "jpeg_jumbf"
    if code == 0xED and body[:9] == b"Photoshop":
        return "iptc" if b"8BIM\x04\x04" in body else "photoshop"
    if code == 0xFE:
        return "jpeg_comment"
    return "jpeg_app_other" if 0xE0 <= code <= 0xEF else _UNKNOWN


def _scan_png(data: bytes) -> set[str]:
    kinds: set[str] = set()
    at, names, pixels = 8, [], []
    while True:
        if at + 12 > len(data):
            return kinds | {_UNKNOWN}
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body, end = data[at + 8 : at + 8 + length], at + 12 + length
        if end > len(data) or zlib.crc32(name + body) != int.from_bytes(data[end - 4 : end], "big"):
            return kinds | {_UNKNOWN}
        names.append(name)
        if name == b"IDAT":
            pixels.append(body)
        elif name not in (b"IHDR", b"PLTE", b"IEND"):
            kinds.add(_kind_of_chunk(name, body))
        at = end
        if name == b"IEND":
            break
    if at < len(data):
        kinds.add("trailing_bytes")
    if names[0] != b"IHDR" or names.count(b"IHDR") != 1 or data[8:12] != b"\0\0\0\x0d":
        return kinds | {_UNKNOWN}
    return kinds | _scan_pixels(data[16:29], b"".join(pixels))


def _scan_pixels(header: bytes, stream: bytes) -> set[str]:
    """Return what hides behind the pixels inside the compressed stream itself."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, color, interlace = header[8], header[9], header[12]
    if color not in _CHANNELS or interlace:
        return {_UNKNOWN}
    expected = height * (1 + (width * depth * _CHANNELS[color] + 7) // 8)
    inflate = zlib.decompressobj()
    size = 0
    try:
        piece = inflate.decompress(stream, 1 << 20)
        while piece:
            size += len(piece)
            if size > expected:
                return {"trailing_bytes"}
            piece = inflate.decompress(inflate.unconsumed_tail, 1 << 20)
    except zlib.error:
        return {_UNKNOWN}
    if inflate.unused_data:
        return {"trailing_bytes"}
    return set() if size == expected and inflate.eof else {_UNKNOWN}


def _kind_of_chunk(name: bytes, body: bytes) -> str:
    if name in (b"tEXt", b"zTXt", b"iTXt"):
        return "xmp" if body.startswith(b"XML:com.adobe.xmp") else "png_text"
    return {b"eXIf": "exif", b"tIME": "png_time", b"iCCP": "icc"}.get(name, "png_other_chunk")


def _as_piexif_sees_it(data: bytes) -> set[str]:
    try:
        found = piexif.load(data)
    except (
        Exception
    ):  # piexif raises struct.error, ValueError and others; its reader must at least get through
        return {_UNKNOWN}
    kinds = {"exif"} if any(found[part] for part in ("0th", "Exif", "GPS", "Interop", "1st")) else set()
    if found["GPS"]:
        kinds.add("exif_gps")
    if found["thumbnail"]:
        kinds.add("exif_thumbnail")
    return kinds


def _as_pillow_sees_it(data: bytes) -> set[str]:
    """Return what Pillow reports of the file's header, without decoding pixels."""
    kinds: set[str] = set()
    try:
        # only the header is read, so its warnings about large or odd files are no news here
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image,
        ):
            if len(image.getexif()):
                kinds.add("exif")
            if getattr(image, "n_frames", 1) != 1:
                kinds.add("jpeg_mpf" if data.startswith(b"\xff\xd8") else "png_other_chunk")
            names = {
                "exif": "exif",
                "xmp": "xmp",
                "icc_profile": "icc",
                "photoshop": "photoshop",
                "comment": "jpeg_comment",
            }
            for key in {str(k) for k in image.info} - _PLAIN_INFO:
                kinds.add(names.get(key, "jpeg_app_other" if data.startswith(b"\xff\xd8") else "png_text"))
    except Exception:  # whatever Pillow can't open, nobody can vouch for
        kinds.add(_UNKNOWN)
    return kinds
