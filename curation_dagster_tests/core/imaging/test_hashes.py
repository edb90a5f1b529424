"""Digests and perceptual hashes."""

from __future__ import annotations

import hashlib

import cv2
import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from curation_dagster.core.imaging.hashes import perceptual_hashes, pixel_sha256, stream_sha256
from curation_dagster.core.imaging.measure import measure_bytes
from curation_dagster.core.imaging.scales import make_scales
from curation_dagster.core.imaging.settings import measuring
from curation_dagster_tests.core.imaging.pictures import exif, jpeg, saved, skin, with_chunk, with_segment

LEAST = measuring().hash.min_median_coefficient


def hashes(pixels: np.ndarray):
    return perceptual_hashes(make_scales(pixels).grey_64, LEAST)


def distance(a: bytes, b: bytes) -> int:
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).bit_count()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [(640, 480), (400, 600), (1500, 1100)])
def test_the_short_hash_is_close_to_imagehash_and_in_its_layout(seed: int, size: tuple[int, int]) -> None:
    pixels = skin(*size, seed=seed)
    ours = imagehash.hex_to_hash(hashes(pixels).phash)
    assert ours - imagehash.phash(Image.fromarray(pixels)) <= 8


def test_on_the_same_small_grey_the_layout_is_that_of_imagehash_bit_by_bit() -> None:
    for seed in range(20):
        grey = cv2.resize(
            cv2.cvtColor(skin(seed=seed), cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA
        )
        long = imagehash.phash(Image.fromarray(grey), hash_size=16)
        assert perceptual_hashes(grey, LEAST).phash256 == np.packbits(long.hash).tobytes()


def test_resizing_and_recompressing_moves_few_bits_and_other_pictures_many() -> None:
    first = skin(900, 700, seed=1)
    again = cv2.resize(first, (500, 389), interpolation=cv2.INTER_AREA)
    reference = hashes(first).phash256
    assert distance(reference, hashes(again).phash256) <= 31
    assert distance(reference, hashes(skin(900, 700, seed=2)).phash256) > 40


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_pictures_have_no_meaningful_hash(level: int) -> None:
    flat = np.full((300, 400, 3), level, np.uint8)
    noise = np.clip(flat + np.random.default_rng(0).normal(0, 3, flat.shape), 0, 255).astype(np.uint8)
    assert hashes(flat).hash_is_degenerate
    assert hashes(noise).hash_is_degenerate
    row = measure_bytes(jpeg(flat), measuring())
    assert row["hash_is_degenerate"]


def test_pictures_of_skin_have_one() -> None:
    assert not any(hashes(skin(seed=s)).hash_is_degenerate for s in range(10))


def test_the_stream_digest_survives_metadata_and_the_stripped_file_has_its_own() -> None:
    plain = jpeg(skin(80, 60))
    loaded = with_segment(with_segment(plain, 0xFE, b"Jane Doe"), 0xE1, exif(zeroth={0x010F: b"Maker"}))
    digest = measure_bytes(plain, measuring())["stream_sha256"]
    assert measure_bytes(loaded + b"tail", measuring())["stream_sha256"] == digest
    assert measure_bytes(jpeg(skin(80, 60), 80), measuring())["stream_sha256"] != digest
    assert digest == hashlib.sha256(plain).hexdigest()
    png = saved(skin(80, 60), "PNG")
    assert stream_sha256(with_chunk(png, b"tEXt", b"a\0b"), "PNG") == stream_sha256(png, "PNG")
    assert stream_sha256(b"II*\0", "TIFF") is None


def test_the_pixel_digest_is_the_same_in_every_lossless_format() -> None:
    pixels = skin(333, 257)
    digests = {
        measure_bytes(saved(pixels, kind, **options), measuring())["pixel_sha256"]
        for kind, options in (("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}))
    }
    assert digests == {pixel_sha256(pixels)}


def test_grey_counts_as_rgb_with_equal_channels() -> None:
    grey = cv2.cvtColor(skin(100, 80), cv2.COLOR_RGB2GRAY)
    assert pixel_sha256(grey) == pixel_sha256(np.repeat(grey[..., None], 3, axis=2))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 500),
    place=st.floats(0, 1, exclude_max=True),
    change=st.integers(1, 255),
)
def test_any_single_changed_sample_changes_the_pixel_digest(
    width: int, height: int, place: float, change: int
) -> None:
    pixels = np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    other = pixels.copy()
    flat = other.reshape(-1)
    flat[int(place * flat.size)] ^= np.uint8(change)
    assert pixel_sha256(pixels) != pixel_sha256(other)


def test_turned_flipped_and_shifted_pictures_differ() -> None:
    pixels = skin(512, 512)
    others = [
        np.rot90(pixels),
        pixels[::-1],
        pixels[:, ::-1],
        np.roll(pixels, 1, 0),
        np.roll(pixels, 1, 1),
        pixels.reshape(256, 1024, 3),
    ]
    assert len({pixel_sha256(np.ascontiguousarray(p)) for p in [pixels, *others]}) == 7
