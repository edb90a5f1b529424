"""The re-scan finds what the writer would never write, whoever wrote it."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import piexif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation_dagster.core.imaging.rescan import rescan
from curation_dagster.core.imaging.segments import jpeg_structure
from curation_dagster_tests.core.imaging.pictures import exif, jpeg, saved, skin, with_chunk, with_segment

PIXELS = skin(96, 64)
JPEG = jpeg(PIXELS)
PNG = saved(Image.fromarray(PIXELS), "PNG")
TABLE = b"\x03" + bytes(range(64))
CODES = b"\x13" + bytes([0] * 7 + [4] + [0] * 8) + b"name"


def test_clean_files_are_clean() -> None:
    for data in (JPEG, PNG, saved(Image.fromarray(PIXELS), "JPEG", progressive=True)):
        assert rescan(data) == []


def in_front_of_scan(data: bytes, code: int, body: bytes) -> bytes:
    at = next(jpeg_structure(data).named(b"\xda")).start
    return data[:at] + bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body + data[at:]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (with_segment(JPEG, 0xE1, exif(gps={piexif.GPSIFD.GPSAltitude: (4, 1)})), "exif_gps"),
        (with_segment(JPEG, 0xFE, b"Erika"), "jpeg_comment"),
        (with_segment(JPEG, 0xE2, b"ICC_PROFILE\0\1\1" + b"x" * 200), "icc"),
        (with_segment(JPEG, 0xE2, b"MPF\0II"), "jpeg_mpf"),
        (with_segment(JPEG, 0xEB, b"JP\0\1"), "jpeg_jumbf"),
        (with_segment(JPEG, 0xE0, b"JFXX\0\x10"), "jfif_thumbnail"),
        (with_segment(JPEG, 0xEE, b"Adobe\0\x64\0\0\0\0\1"), "jpeg_app_other"),
        (JPEG + b"\0", "trailing_bytes"),
        (in_front_of_scan(JPEG, 0xDB, TABLE), "unknown_structure"),
        (in_front_of_scan(JPEG, 0xC4, CODES), "unknown_structure"),
        (in_front_of_scan(JPEG, 0xCC, b"ab"), "unknown_structure"),
        (JPEG[:-2] + b"\xff\xd0" + JPEG[-2:], "unknown_structure"),
        (JPEG[:-2] + b"\xff\xff" + JPEG[-2:], "unknown_structure"),
        (with_chunk(PNG, b"tEXt", b"Author\0Erika"), "png_text"),
        (with_chunk(PNG, b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"), "exif"),
        (with_chunk(PNG, b"tIME", b"\x07\xe3\x08\x0e\x0a\x20\x07"), "png_time"),
        (with_chunk(PNG, b"prVt", b"Erika"), "png_other_chunk"),
        (PNG + b"Erika", "trailing_bytes"),
        (b"GIF89a", "unknown_structure"),
    ],
)
def test_what_is_hidden_is_found(data: bytes, kind: str) -> None:
    assert kind in rescan(data)


def test_bytes_behind_the_pixels_inside_the_compressed_stream_are_found() -> None:
    rows = np.zeros((8, 1 + 24), np.uint8).tobytes()

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def png(stream: bytes) -> bytes:
        header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
        return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")

    assert rescan(png(zlib.compress(rows))) == []
    assert "trailing_bytes" in rescan(png(zlib.compress(rows + b"Erika")))
    assert "trailing_bytes" in rescan(png(zlib.compress(rows) + b"Erika"))


@settings(max_examples=200, deadline=None)
@given(
    source=st.sampled_from([JPEG, PNG]), place=st.floats(0, 0.999), content=st.binary(min_size=1, max_size=9)
)
def test_the_rescan_never_raises(source: bytes, place: float, content: bytes) -> None:
    at = int(place * len(source))
    rescan(source[:at] + content + source[at:])
    rescan(source[:at])
