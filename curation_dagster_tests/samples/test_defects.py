from __future__ import annotations

import cv2
import numpy as np
import pytest
import simplejpeg

from curation_dagster.samples import defects, encodings, lesion
from curation_dagster_tests.samples.metrics import hash_of, laplacian_variance, percentile, reblur

SHAPES = {"dermoscopic": (600, 450), "clinical": (800, 600)}


@pytest.fixture(scope="module", params=SHAPES)
def picture(request):
    return lesion(17, SHAPES[request.param], 3, request.param, "melanoma")


def test_blur_is_seen_as_blur(picture):
    assert reblur(defects.blurred(picture)) > 0.52
    assert laplacian_variance(defects.blurred(picture)) < 8


def test_motion_is_seen_as_blur(picture):
    assert reblur(defects.motion_blurred(picture)) > 0.52


def test_light_is_off(picture):
    assert percentile(defects.underexposed(picture), 95) < 90
    bright = cv2.cvtColor(defects.overexposed(picture), cv2.COLOR_RGB2GRAY)
    assert (bright >= 250).mean() > 0.25


def test_no_information_is_one_colour(picture):
    assert np.ptp(defects.no_information(picture)) == 0


def test_tiny_has_the_short_side_that_was_asked(picture):
    assert min(defects.tiny(picture).shape[:2]) == 120
    assert min(defects.tiny(picture, 300).shape[:2]) == 300


def test_copies_keep_the_hash_and_mirrors_do_not(picture):
    near = hash_of(picture)
    assert near - hash_of(defects.half_size(picture)) <= 31
    assert near - hash_of(defects.resized(picture, 0.86)) <= 31
    recoded = simplejpeg.decode_jpeg(encodings.jpeg(picture, 70, subsampling=2))
    assert near - hash_of(recoded) <= 31
    assert near - hash_of(defects.mirrored(picture)) > 64
    assert near - hash_of(defects.mirrored(defects.mirrored(picture))) == 0


def test_a_crop_loses_its_rim(picture):
    height, width = picture.shape[:2]
    assert defects.cropped(picture, 0.1).shape == (
        height - 2 * round(height * 0.1),
        width - 2 * round(width * 0.1),
        3,
    )


def test_hair_covers_a_few_percent_in_long_strands(picture):
    changed = (np.abs(defects.with_hair(picture).astype(int) - picture).max(axis=2) > 30).astype(np.uint8)
    assert 0.01 < changed.mean() < 0.30
    _, _, boxes, _ = cv2.connectedComponentsWithStats(changed)
    assert boxes[1:, 2:4].max() > 0.4 * picture.shape[1]


def test_a_ruler_marks_the_lower_edge_only(picture):
    changed = (defects.with_ruler(picture) != picture).any(axis=2)
    assert 0.005 < changed.mean() < 0.1
    assert not changed[: picture.shape[0] * 3 // 4].any()


def test_a_strong_vignette_is_black_in_the_corners_and_clear_in_the_middle(picture):
    dark = defects.with_vignette(picture)
    assert max(dark[0, 0].max(), dark[-1, -1].max()) < 10
    y, x = (n // 2 for n in picture.shape[:2])
    assert np.abs(dark[y, x].astype(int) - picture[y, x]).max() <= 1


def test_a_strict_decoder_refuses_damaged_files(picture):
    sound = encodings.jpeg(picture)
    simplejpeg.decode_jpeg(sound, strict=True)
    for broken in (defects.truncated(sound), defects.zeroed_block(sound), defects.html_page()):
        with pytest.raises(ValueError):  # noqa: PT011 - the wording is the decoder's
            simplejpeg.decode_jpeg(broken, strict=True)


def test_a_bomb_is_a_few_bytes_that_claim_billions_of_pixels():
    data = defects.png_bomb()
    assert len(data) < 200
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big") == 3_600_000_000
