"""The inventory of a source never stops a file, whatever is broken in it, and tells kinds only."""

from __future__ import annotations

import struct

import piexif
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_dagster.core.imaging.exif import read_tags
from curation_dagster.core.imaging.formats import sniff
from curation_dagster.core.imaging.hidden import inventory, known_kinds
from curation_dagster.core.imaging.measure import measure_bytes
from curation_dagster.core.imaging.settings import measuring
from curation_dagster_tests.core.imaging.pictures import every_format, exif, jpeg, skin, with_segment

PIXELS = skin(64, 48)
FILES = {name: data for name, (data, _) in every_format(PIXELS).items()}
EXIF = exif(
    zeroth={piexif.ImageIFD.Artist: b"Erika", piexif.ImageIFD.DateTime: b"2019:08:14 10:32:07"},
    exif={piexif.ExifIFD.UserComment: b"ASCII\0\0\0Erika", piexif.ExifIFD.MakerNote: b"x" * 60},
    gps={piexif.GPSIFD.GPSLatitude: ((48, 0), (52, 0), (3168, 0))},
)


def kinds(data: bytes) -> set[str]:
    found = inventory(data, sniff(data).format)
    assert set(found.kinds) <= set(known_kinds())
    assert found.bytes >= 0
    return set(found.kinds)


def ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    body = b"".join(struct.pack("<HHII", *e) for e in entries)
    return struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def block(*parts: bytes) -> bytes:
    return b"II*\0\x08\0\0\0" + b"".join(parts)


@pytest.mark.parametrize(
    "tiff",
    [
        block(ifd((0x8769, 4, 1, 8))),  # a directory that points at itself
        block(ifd((0x010F, 2, 4, 0), following=8)),  # a chain that ends where it began
        block(ifd((0x8825, 4, 1, 0xFFFFFFF0))),  # outside the block
        block(ifd((0x010F, 2, 0xFFFFFFFF, 8))),  # a length beyond any file
        block(ifd((0x010F, 99, 1, 8))),  # a type that there is none of
        block(struct.pack("<H", 65535)),  # more entries than there are bytes
        block(ifd(*[(0x014A, 4, 1, 8)] * 200)),
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*",
        b"",
    ],
    ids=["self", "chain", "outside", "length", "type", "count", "many", "first", "short", "empty"],
)
def test_broken_directories_are_told_and_stop_nothing(tiff: bytes) -> None:
    assert not read_tags(tiff).is_sound
    data = with_segment(jpeg(PIXELS), 0xE1, b"Exif\0\0" + tiff)
    assert {"exif", "exif_unreadable"} <= kinds(data)
    assert measure_bytes(data, measuring())["decode_state"] == "ok"


def test_zero_denominators_are_places_all_the_same() -> None:
    data = with_segment(jpeg(PIXELS), 0xE1, EXIF)
    assert {"exif_gps", "exif_owner", "exif_datetime", "exif_user_comment", "exif_maker_note"} <= kinds(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    edits=st.lists(st.tuples(st.integers(6, len(EXIF) - 1), st.integers(0, 255)), min_size=1, max_size=12),
    cut=st.integers(0, len(EXIF)),
)
def test_a_damaged_exif_block_never_raises_and_never_hides_itself(
    edits: list[tuple[int, int]], cut: int
) -> None:
    damaged = bytearray(EXIF)
    for at, value in edits:
        damaged[at] = value
    assert "exif" in kinds(with_segment(jpeg(PIXELS), 0xE1, bytes(damaged)))
    kinds(with_segment(jpeg(PIXELS), 0xE1, bytes(damaged[:cut])))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), max_size=5),
    keep=st.floats(0.01, 1),
)
def test_no_damage_of_any_format_stops_the_inventory(
    name: str, edits: list[tuple[float, bytes]], keep: float
) -> None:
    data = bytearray(FILES[name])
    for place, content in edits:
        at = int(place * len(data))
        data[at : at + len(content)] = content
    kept = bytes(data[: int(len(data) * keep)])
    found = inventory(kept, sniff(FILES[name]).format)
    assert set(found.kinds) <= set(known_kinds())
