"""JPEG rewritten without loss: the same pixels, and not a byte that no pixel needs."""

from __future__ import annotations

import io
import re
import uuid
from pathlib import Path

import cv2
import numpy as np
import piexif
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.lossless import NotRewritable, rewrite_jpeg
from curation_dagster.core.imaging.publish import (
    Lossless,
    PublishItem,
    lossless_settings,
    publish,
    without_loss,
)
from curation_dagster.core.imaging.rescan import rescan
from curation_dagster.core.imaging.segments import jpeg_structure
from curation_dagster_tests.core.imaging.pictures import (
    display_p3_like,
    exif,
    item_of,
    jpeg,
    saved,
    skin,
    with_segment,
)

SECRET = b"Erika Mustermann 1957-03-12"
PIXELS = skin(157, 117)
GREY = Image.fromarray(PIXELS).convert("L")
ON = Lossless(enabled=True, max_scans=16)


def with_restarts(pixels: np.ndarray, interval: int) -> bytes:
    flags = [cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_RST_INTERVAL, interval]
    return cv2.imencode(".jpg", pixels[..., ::-1], flags)[1].tobytes()


CLEAN = {
    "444": jpeg(PIXELS, subsampling="444"),
    "422": jpeg(PIXELS, subsampling="422"),
    "420": jpeg(PIXELS, subsampling="420"),
    "440": jpeg(PIXELS, subsampling="440"),
    "411": jpeg(PIXELS, subsampling="411"),
    "grey": saved(GREY, "JPEG", quality=90),
    "progressive": saved(Image.fromarray(PIXELS), "JPEG", quality=90, progressive=True),
    "progressive_grey": saved(GREY, "JPEG", quality=90, progressive=True),
    "optimized": saved(Image.fromarray(PIXELS), "JPEG", quality=90, optimize=True),
    "restarts": with_restarts(PIXELS, 3),
    "quality_5": jpeg(PIXELS, quality=5),
    "quality_100": jpeg(PIXELS, quality=100, subsampling="444"),
}


def at_tables(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    for code, body in segments:
        data = with_segment(data, code, body)
    return data


@pytest.mark.parametrize("name", CLEAN)
def test_pixels_are_the_same_and_everything_planted_is_gone(name: str) -> None:
    source = at_tables(
        CLEAN[name],
        (0xE1, exif(zeroth={piexif.ImageIFD.Artist: SECRET})),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
        (0xE2, b"MPF\0" + SECRET),
        (0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + SECRET),
        (0xE0, b"JFXX\0\x10" + SECRET),
        (0xE5, SECRET),
        (0xFE, SECRET),
        (0xDB, b"\x03" + (SECRET * 3)[:64]),  # a quantization table that no component uses
        (0xC4, b"\x13" + bytes([0, 0, 0, 0, 0, 0, 0, 20, *[0] * 8]) + bytes(range(65, 85))),
    )
    source = source[:-2] + b"\xff" * 9 + source[-2:] + SECRET
    picture = decode(source)
    kept = without_loss(source, picture, ON)
    assert kept is not None
    assert rescan(kept) == []
    assert b"Mustermann" not in kept
    assert bytes(range(65, 85)) not in kept
    assert kept.endswith(b"\xff\xd9")
    mode = "GRAY" if "grey" in name else "RGB"
    for data in (source, CLEAN[name]):
        assert np.array_equal(
            simplejpeg.decode_jpeg(kept, mode, strict=True), simplejpeg.decode_jpeg(data, mode, strict=False)
        )
    # another decoder sees the same picture too
    with Image.open(io.BytesIO(kept)) as rewritten, Image.open(io.BytesIO(CLEAN[name])) as original:
        assert np.array_equal(np.asarray(rewritten), np.asarray(original))
    assert rewrite_jpeg(kept, 16) == kept


@pytest.mark.parametrize("name", CLEAN)
def test_the_compressed_pixels_are_those_of_the_source(name: str) -> None:
    kept = rewrite_jpeg(CLEAN[name], 16)

    def scans(data: bytes) -> list[bytes]:
        found = []
        for part in jpeg_structure(data).named(b"\xda"):
            header = int.from_bytes(data[part.start + 2 : part.start + 4], "big")
            found.append(data[part.start + 2 + header : part.end])
        return found

    assert scans(kept) == scans(CLEAN[name])


def test_a_thumbnail_in_the_jfif_header_is_cut() -> None:
    source = CLEAN["420"]
    at = source.index(b"JFIF\0") - 4
    assert at == 2
    size = int.from_bytes(source[4:6], "big")
    thumbnail = (SECRET * 2)[:48]
    fat = b"\xff\xe0" + (16 + 48).to_bytes(2, "big") + source[6 : 2 + size] + b"\x04\x04" + thumbnail
    kept = without_loss(source[:2] + fat + source[4 + size :], decode(source), ON)
    assert kept is not None
    assert SECRET[:20] not in kept


def test_the_names_of_components_and_the_density_are_made_anew() -> None:
    source = bytearray(saved(Image.fromarray(PIXELS), "JPEG", dpi=(1957, 312)))
    frame = next(jpeg_structure(bytes(source)).named(b"\xc0"))
    scan = next(jpeg_structure(bytes(source)).named(b"\xda"))
    for index, name in enumerate(b"EMX"):
        source[frame.body + 6 + 3 * index] = name
        source[scan.body + 1 + 2 * index] = name
    kept = without_loss(bytes(source), decode(bytes(source)), ON)
    assert kept is not None
    assert (1957).to_bytes(2, "big") not in kept[:40]
    frame = next(jpeg_structure(kept).named(b"\xc0"))
    assert [kept[frame.body + 6 + 3 * i] for i in range(3)] == [1, 2, 3]


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("source", "is_kept"),
    [
        (saved(Image.fromarray(PIXELS), "JPEG", icc_profile=srgb()), True),
        (saved(Image.fromarray(PIXELS), "JPEG", icc_profile=display_p3_like()), False),
        (with_segment(CLEAN["420"], 0xE1, exif(zeroth={piexif.ImageIFD.Orientation: 1})), True),
        (with_segment(CLEAN["420"], 0xE1, exif(zeroth={piexif.ImageIFD.Orientation: 6})), False),
        (saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), False),
        (saved(Image.fromarray(PIXELS), "PNG"), False),
        (saved(Image.fromarray(PIXELS), "WEBP", quality=90), False),
        (saved(Image.fromarray(PIXELS), "JPEG", keep_rgb=True), False),
    ],
    ids=["srgb", "p3", "upright", "turned", "cmyk", "png", "webp", "rgb"],
)
def test_only_an_upright_srgb_jpeg_keeps_its_data(source: bytes, is_kept: bool) -> None:
    assert (without_loss(source, decode(source), ON) is not None) == is_kept
    assert without_loss(source, decode(source), Lossless(enabled=False, max_scans=16)) is None


def two_scans_of_the_same(data: bytes) -> bytes:
    scan = next(jpeg_structure(data).named(b"\xda"))
    return data[: scan.end] + data[scan.start :]


def without_restart(data: bytes) -> bytes:
    at = data.rindex(b"\xff\xd1")
    return data[:at] + data[at + 2 :]


def cut_frame(data: bytes) -> bytes:
    frame = next(jpeg_structure(data).named(b"\xc0"))
    changed = bytearray(data)
    changed[frame.body + 1 : frame.body + 3] = (60).to_bytes(2, "big")
    return bytes(changed)


@pytest.mark.parametrize(
    "source",
    [
        two_scans_of_the_same(CLEAN["420"]),
        two_scans_of_the_same(CLEAN["progressive"]),
        CLEAN["420"][:-2] + b"\xff\xd0" + CLEAN["420"][-2:],
        without_restart(CLEAN["restarts"]),
        CLEAN["420"].replace(b"\xff\xda", b"\xff\xcc\0\4ab\xff\xda", 1),
        CLEAN["420"].replace(b"\xff\xda", b"\xff\xbf\0\4ab\xff\xda", 1),
        CLEAN["420"][:-2] + b"\xff\xdc\0\4\0\x10" + CLEAN["420"][-2:],
        CLEAN["420"][:-2],
        b"\xff\xd8\xff\xd9",
        b"",
    ],
)
def test_a_structure_that_could_hide_something_is_refused(source: bytes) -> None:
    with pytest.raises(NotRewritable):
        rewrite_jpeg(source, 16)


@pytest.mark.parametrize(
    "source", [CLEAN["420"][:-2] + SECRET + CLEAN["420"][-2:], cut_frame(CLEAN["420"])], ids=["tail", "cut"]
)
def test_data_that_no_pixel_uses_inside_a_scan_is_damage_and_never_kept(source: bytes) -> None:
    # the structure is sound; only the decoder can tell, and its word is asked before and after
    assert decode(source).state == "damaged"
    assert without_loss(source, decode(CLEAN["420"]), ON) is None


def test_too_many_scans_are_refused() -> None:
    with pytest.raises(NotRewritable, match="more than 3 scans"):
        rewrite_jpeg(CLEAN["progressive"], 3)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(CLEAN)),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=0, max_size=6)), max_size=4),
)
def test_whatever_comes_in_what_goes_out_is_clean(name: str, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(CLEAN[name])
    for place, content in edits:
        at = int(place * len(data))
        data[at : at + len(content)] = content
    try:
        kept = rewrite_jpeg(bytes(data), 16)
    except NotRewritable:
        return
    assert rescan(kept) == []
    assert not re.search(rb"\xff[\xe1-\xef\xfe]", kept[20:].replace(b"\xff\x00", b""))


def test_a_published_file_says_how_it_was_made(tmp_path: Path) -> None:
    assert lossless_settings().enabled
    planted = CLEAN["420"] + SECRET
    for name, data, done in (
        ("a", planted, ["lossless"]),
        ("b", saved(Image.fromarray(PIXELS), "WEBP", quality=90), ["re_encoded"]),
        ("c", saved(GREY, "PNG"), ["to_rgb"]),
    ):
        image_id = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        row = publish(PublishItem(image_id, item_of(tmp_path, data, name), str(tmp_path / "corpus")))
        assert (row["state"], row["transformations"], row["rescan_findings"]) == ("written", done, [])
        assert (row["width"], row["height"]) == (157, 117)
        assert SECRET not in (tmp_path / "corpus" / row["file"]).read_bytes()


def test_real_photographs_keep_their_pixels(real_data: Path) -> None:
    files = sorted((real_data / "isic_cc0").rglob("*.jpg"))
    assert files
    for path in files:
        data = path.read_bytes()
        kept = without_loss(data, decode(data), ON)
        if kept is not None:
            assert rescan(kept) == []
            assert np.array_equal(decode(kept).raster, decode(data).raster)
