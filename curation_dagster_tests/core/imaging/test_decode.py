"""Decoding: every format, every damage, every orientation, and nothing that is too large."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.measure import upright
from curation_dagster.core.imaging.picture import Picture
from curation_dagster.core.imaging.segments import jpeg_structure
from curation_dagster.core.imaging.settings import Limits, measuring
from curation_dagster_tests.core.imaging.pictures import (
    display_p3_like,
    every_format,
    exif,
    heic,
    jpeg,
    png16,
    saved,
    skin,
    with_chunk,
    with_segment,
)

PIXELS = skin(160, 120)
FILES = every_format(PIXELS)


def rgb(picture: Picture) -> np.ndarray:
    pixels = upright(picture)
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


@pytest.mark.parametrize("name", FILES)
def test_each_format_gives_its_pixels(name: str) -> None:
    data, tolerance = FILES[name]
    picture = decode(data)
    assert (picture.state, picture.detail) == ("ok", None)
    assert (picture.width, picture.height, picture.frames) == (160, 120, 1)
    expected = np.asarray(Image.fromarray(PIXELS).convert("L").convert("RGB")) if "grey" in name else PIXELS
    assert np.abs(rgb(picture).astype(int) - expected).mean() <= tolerance


@pytest.mark.parametrize(
    ("name", "mode", "bits", "has_alpha", "is_lossless"),
    [
        ("jpeg", "RGB", 8, False, False),
        ("jpeg_grey", "L", 8, False, False),
        ("jpeg_cmyk", "CMYK", 8, False, False),
        ("png_palette", "P", 8, False, True),
        ("png_alpha", "RGBA", 8, True, True),
        ("png_16", "RGB", 16, False, True),
        ("png_16_grey", "I;16", 16, False, True),
        ("tiff_lzw", "RGB", 8, False, True),
        ("tiff_jpeg", "RGB", 8, False, False),
        ("webp", "RGB", 8, False, False),
        ("webp_lossless", "RGB", 8, False, True),
        ("gif", "P", 8, False, True),
        ("heic", "RGB", 8, False, False),
        ("dicom_jpeg", "YBR_FULL_422", 8, False, False),
    ],
)
def test_what_is_stored_is_told(name: str, mode: str, bits: int, has_alpha: bool, is_lossless: bool) -> None:
    picture = decode(FILES[name][0])
    assert (picture.color_mode, picture.bit_depth, picture.has_alpha, picture.is_lossless) == (
        mode,
        bits,
        has_alpha,
        is_lossless,
    )


def test_one_bit_bitmaps_are_black_and_white() -> None:
    pixels = rgb(decode(saved(Image.fromarray(PIXELS).convert("1"), "BMP")))
    assert set(np.unique(pixels)) <= {0, 255}


def test_transparency_is_flattened_on_white() -> None:
    data = np.zeros((20, 20, 4), np.uint8)
    data[:10, :, 3] = 255
    for kind in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True} if kind == "WEBP" else {}
        pixels = rgb(decode(saved(data, kind, **options)))
        assert pixels[0, 0].tolist() == [0, 0, 0]
        assert pixels[19, 0].tolist() == [255, 255, 255]
    palette = Image.fromarray(PIXELS).quantize(16)
    picture = decode(saved(palette, "PNG", transparency=0))
    assert picture.has_alpha


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize("quality", [50, 75, 90, 97, 100])
def test_jpeg_quality_and_subsampling_are_read(subsampling: str, quality: int) -> None:
    picture = decode(jpeg(PIXELS, quality, subsampling))
    assert (picture.jpeg_quality, picture.jpeg_subsampling) == (quality, subsampling)


def test_ycck_is_read_as_cmyk() -> None:
    # Adobe's transform 2 on the same channels: what libjpeg decodes must differ from transform 0, and be a picture
    data = bytearray(saved(Image.fromarray(PIXELS).convert("CMYK"), "JPEG", quality=95))
    at = data.find(b"Adobe") + 11
    assert data[at] in (0, 2)
    data[at] = 2
    picture = decode(bytes(data))
    assert (picture.state, picture.mode) == ("ok", "CMYK")


# -- damage


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.8, 0.99])
def test_truncation_at_any_point_is_found(name: str, share: float) -> None:
    data = FILES[name][0]
    picture = decode(data[: int(len(data) * share)])
    assert picture.state in ("damaged", "unreadable", "unsupported")
    assert picture.detail


@pytest.mark.parametrize("lost", [1, 2, 3, 64])
def test_a_jpeg_without_its_end_is_damaged(lost: int) -> None:
    picture = decode(FILES["jpeg"][0][:-lost])
    assert picture.state == "damaged"
    assert picture.raster is not None


def test_a_png_without_its_end_is_damaged_although_pillow_reads_it() -> None:
    picture = decode(FILES["png"][0][:-12])
    assert (picture.state, picture.detail) == ("damaged", "the end chunk is missing")
    assert np.array_equal(rgb(picture), PIXELS)


def test_a_flipped_bit_in_a_png_is_damage() -> None:
    data = bytearray(FILES["png"][0])
    data[len(data) // 2] ^= 1
    assert decode(bytes(data)).state in ("damaged", "unreadable")


def _harms(data: bytes, rng: np.random.Generator) -> list[bytes]:
    scan = max((p for p in jpeg_structure(data).named(b"\xda")), key=lambda p: p.size)
    found = []
    for size, filling in ((4096, b"\0"), (16, None), (4096, b"")):
        size = min(size, scan.size // 3)
        at = int(rng.integers(scan.body + 20, scan.end - size))
        new = rng.bytes(size) if filling is None else filling * size
        found.append(data[:at] + new + data[at + size :])
    return found


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_inside_a_jpeg_is_found_wherever_the_strict_decoder_finds_it(progressive: bool) -> None:
    rng = np.random.default_rng(7)
    data = saved(skin(640, 480), "JPEG", quality=92, progressive=progressive)
    states = []
    for _ in range(15):
        for harmed in _harms(data, rng):
            try:
                simplejpeg.decode_jpeg(harmed, "RGB", strict=True)
                is_found = False
            except ValueError:
                is_found = True
            picture = decode(harmed)
            states.append(picture.state)
            assert (picture.state != "ok") >= is_found
            if picture.state == "damaged":
                assert picture.raster is not None
                assert picture.detail
    # zeroed and missing blocks are nearly always found, 16 random bytes in two of three cases
    assert states.count("ok") <= 15, states


def test_bytes_after_the_end_are_no_damage() -> None:
    for name in ("jpeg", "png"):
        assert decode(FILES[name][0] + b"trailing \xff\xd9 bytes").state == "ok"


def test_fill_bytes_and_restart_markers_are_no_damage() -> None:
    data = saved(PIXELS, "JPEG", quality=90, restart_marker_blocks=2)
    at = data.find(b"\xff\xda")
    assert decode(data[:at] + b"\xff\xff" + data[at:]).state == "ok"


# -- what is never decoded


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return with_chunk(
        b"\x89PNG\r\n\x1a\n"
        + b"\0\0\0\x0dIHDR"
        + body
        + struct.pack(">I", zlib.crc32(b"IHDR" + body))
        + b"\0\0\0\0IEND\xaeB`\x82",
        b"IDAT",
        zlib.compress(b"\0" * 100_000),
    )


def bombs() -> dict[str, bytes]:
    small = jpeg(PIXELS)
    at = small.find(b"\xff\xc0") + 5
    gif = bytearray(saved(PIXELS, "GIF"))
    gif[6:10] = b"\xff\xff\xff\xff"
    bmp = bytearray(saved(PIXELS, "BMP"))
    bmp[18:26] = struct.pack("<ii", 60000, 60000)
    webp = bytearray(saved(PIXELS, "WEBP", lossless=True))
    webp[21:25] = struct.pack("<I", 0x3FFF | 0x3FFF << 14)
    tiff = bytearray(saved(PIXELS, "TIFF"))
    for tag in (b"\x00\x01", b"\x01\x01"):
        entry = (
            tiff.find(tag + b"\x04\0\x01\0\0\0")
            if tag + b"\x04\0\x01\0\0\0" in tiff
            else tiff.find(tag + b"\x03\0\x01\0\0\0")
        )
        tiff[entry + 2 : entry + 12] = b"\x04\0\x01\0\0\0" + struct.pack("<I", 60000)
    return {
        "jpeg": small[:at] + struct.pack(">HH", 60000, 60000) + small[at + 4 :],
        "png": png_header(60000, 60000),
        "gif": bytes(gif),
        "bmp": bytes(bmp),
        "webp": bytes(webp),
        "tiff": bytes(tiff),
    }


@pytest.mark.parametrize("name", bombs())
def test_a_decompression_bomb_is_never_decoded(name: str) -> None:
    data = bombs()[name]
    tracemalloc.start()
    picture = decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.state == "too_large"
    assert "pixels are decoded" in (picture.detail or "")
    assert picture.raster is None
    assert peak < 30_000_000


def test_the_size_of_what_is_too_large_is_kept() -> None:
    picture = decode(png_header(60000, 50000))
    assert picture.oriented_size == (60000, 50000)


def test_a_text_chunk_that_inflates_without_bound_is_not_inflated() -> None:
    bomb = b"k\0\0" + zlib.compress(b"\0" * 200_000_000)
    tracemalloc.start()
    picture = decode(with_chunk(FILES["png"][0], b"zTXt", bomb))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert picture.state == "ok"
    assert peak < 20_000_000


def test_too_many_scans_are_not_decoded() -> None:
    limits = Limits(max_bytes=10**9, max_pixels=10**9, max_jpeg_scans=3)
    picture = decode(saved(PIXELS, "JPEG", progressive=True), limits)
    assert picture.state == "too_large"
    assert "scans" in (picture.detail or "")


def test_files_of_too_many_bytes_are_not_decoded() -> None:
    limits = Limits(max_bytes=100, max_pixels=10**9, max_jpeg_scans=3)
    assert decode(FILES["jpeg"][0], limits).state == "too_large"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_unsupported_and_counted(kind: str) -> None:
    image = Image.fromarray(PIXELS)
    data = saved(image, kind, save_all=True, append_images=[image.rotate(90), image.rotate(180)])
    picture = decode(data)
    assert (picture.state, picture.frames) == ("unsupported", 3)
    assert "3 frames" in (picture.detail or "")


def test_samples_of_32_bits_are_unsupported() -> None:
    data = saved(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF")
    assert decode(data).state == "unsupported"


def test_arithmetic_and_lossless_jpeg_are_unsupported() -> None:
    for code in (0xC3, 0xC9):
        data = FILES["jpeg"][0].replace(b"\xff\xc0", bytes([0xFF, code]), 1)
        assert decode(data).state == "unsupported"


# -- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    image = Image.fromarray(PIXELS)
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}.get(kind, {})
    data = saved(image, kind, exif=tags, **options)
    picture = decode(data)
    assert picture.stated_orientation == orientation
    with Image.open(io.BytesIO(data)) as again:
        expected = np.asarray(ImageOps.exif_transpose(again).convert("RGB"))
    found = rgb(picture)
    assert found.shape == expected.shape
    assert picture.oriented_size == (found.shape[1], found.shape[0])
    assert np.abs(found.astype(int) - expected).max() <= (4 if kind == "JPEG" else 0)


def test_heic_is_not_turned_twice() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    picture = decode(heic(PIXELS, exif=tags.tobytes()))
    assert (picture.orientation, picture.stated_orientation) == (1, 6)
    assert picture.oriented_size == (120, 160)


@pytest.mark.parametrize("harm", ["cut", "cycle", "count", "offset", "type", "nonsense"])
def test_a_mangled_exif_never_crashes_and_hides_no_picture(harm: str) -> None:
    block = bytearray(exif(zeroth={0x0112: 6, 0x010F: b"Maker" * 9}, exif={0x9003: b"2020:01:01 00:00:00"}))
    if harm == "cut":
        block = block[:20]
    elif harm == "cycle":
        block[10:14] = struct.pack(">I", 8)
        block[-4:] = struct.pack(">I", 8)
    elif harm == "count":
        block[14:16] = b"\xff\xff"
    elif harm == "offset":
        block[10:14] = b"\xff\xff\xff\xf0"
    elif harm == "type":
        block[18:20] = b"\x00\x63"
    else:
        block[6:] = bytes(range(200, 256)) * 3
    picture = decode(with_segment(FILES["jpeg"][0], 0xE1, bytes(block)))
    assert picture.state == "ok"
    assert 1 <= picture.orientation <= 8


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_an_orientation_outside_the_standard_is_none(value: int) -> None:
    block = exif(zeroth={0x0112: value})
    assert decode(with_segment(FILES["jpeg"][0], 0xE1, block)).orientation == 1


def test_profiles_are_collected_from_every_format() -> None:
    profile = display_p3_like()
    image = Image.fromarray(PIXELS)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        assert decode(saved(image, kind, icc_profile=profile)).icc == profile
    assert decode(heic(PIXELS, icc_profile=profile)).icc is not None


def test_limits_are_declared() -> None:
    assert measuring().limits.max_pixels >= 100_000_000
    assert decode(png16(PIXELS)).bit_depth == 16
