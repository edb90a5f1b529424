"""Sharpness, light and artifacts: what they must tell apart, on all skin."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.imaging.artifacts import hair, ruler, vignette
from curation_dagster.core.imaging.light import color, exposure
from curation_dagster.core.imaging.scales import make_scales
from curation_dagster.core.imaging.settings import measuring, parse_measuring
from curation_dagster.core.imaging.sharpness import Sharpness, reblur, second_differences, sharpness
from curation_dagster_tests.core.imaging.pictures import PHOTOTYPES, skin

SETTINGS = measuring()
TONES = pytest.mark.parametrize("phototype", PHOTOTYPES)


def focus(pixels: np.ndarray) -> Sharpness:
    scales = make_scales(pixels)
    return sharpness(scales.grey_512, scales.grey_256, SETTINGS.sharpness)


def is_flagged(found: Sharpness) -> bool:
    """The rule that the measures are made for: at least 512 px on the long side."""
    assert found.laplacian_variance_512 is not None
    assert found.reblur_512 is not None
    return found.laplacian_variance_512 < 8 or found.reblur_512 > 0.52


def smooth_skin(tone: tuple[int, int, int]) -> np.ndarray:
    """Sharp skin with fine texture only: no lesion, no edges."""
    rng = np.random.default_rng(5)
    relief = cv2.GaussianBlur(rng.normal(0, 1, (1200, 1600)).astype(np.float32), (0, 0), 1.0)
    return np.clip(np.array(tone, np.float32) * (1 + 0.12 * relief[..., None]), 0, 255).astype(np.uint8)


@TONES
def test_sharp_smooth_skin_is_less_blurred_than_a_defocused_lesion(phototype: int) -> None:
    sharp = focus(smooth_skin(PHOTOTYPES[phototype]))
    blurred = focus(cv2.GaussianBlur(skin(1600, 1200, PHOTOTYPES[phototype]), (0, 0), 8))
    assert sharp.reblur_512 < 0.45 < blurred.reblur_512
    assert is_flagged(blurred)


@TONES
def test_defocus_and_motion_are_flagged_and_the_original_is_not(phototype: int) -> None:
    original = skin(1024, 768, PHOTOTYPES[phototype])
    motion = cv2.filter2D(original, -1, np.eye(25, dtype=np.float32) / 25)
    assert focus(original).reblur_512 < 0.45
    assert is_flagged(focus(cv2.GaussianBlur(original, (0, 0), 6)))
    assert focus(motion).reblur_512 > focus(original).reblur_512 + 0.1


def test_motion_along_one_axis_shows_as_anisotropy() -> None:
    original = skin(1024, 768)
    along_x = cv2.filter2D(original, -1, np.ones((1, 31), np.float32) / 31)
    assert focus(along_x).blur_anisotropy > 1.5 > focus(original).blur_anisotropy


def test_blur_is_measured_alike_at_any_resolution() -> None:
    picture = skin(2048, 1536)
    small = cv2.resize(picture, (1024, 768), interpolation=cv2.INTER_AREA)
    assert focus(picture).reblur_512 == pytest.approx(focus(small).reblur_512, abs=0.03)


def test_a_frame_of_one_pixel_does_not_make_a_blurred_picture_sharp() -> None:
    blurred = cv2.GaussianBlur(skin(1022, 767), (0, 0), 8)
    framed = blurred.copy()
    cv2.rectangle(framed, (0, 0), (1021, 766), (255, 255, 255), 1)
    assert is_flagged(focus(framed))
    assert focus(framed).laplacian_variance_512 == pytest.approx(
        focus(blurred).laplacian_variance_512, rel=0.05
    )


def test_the_sharpest_tile_sees_a_sharp_lesion_on_soft_skin() -> None:
    soft = cv2.GaussianBlur(skin(1024, 768), (0, 0), 6)
    picture = soft.copy()
    picture[300:560, 400:740] = skin(1024, 768, seed=3)[300:560, 400:740]
    assert focus(picture).sharpest_tile_512 > 10 * focus(soft).sharpest_tile_512


def test_noise_is_measured() -> None:
    flat = np.full((400, 500), 120, np.uint8)
    noisy = np.clip(flat + np.random.default_rng(1).normal(0, 6, flat.shape), 0, 255).astype(np.uint8)
    found = sharpness(noisy, noisy, SETTINGS.sharpness)
    assert found.noise_sigma == pytest.approx(6, rel=0.05)
    assert sharpness(flat, flat, SETTINGS.sharpness).noise_sigma == 0


def test_the_laplacian_is_that_of_opencv() -> None:
    grey = cv2.cvtColor(skin(90, 70), cv2.COLOR_RGB2GRAY)
    assert np.array_equal(second_differences(grey)[0], cv2.Laplacian(grey, cv2.CV_16S)[1:-1, 1:-1])


def test_a_sample_of_lines_is_enough() -> None:
    grey = make_scales(skin(1024, 768)).grey_512
    whole = cv2.Laplacian(grey, cv2.CV_64F)[8:-8, 8:-8].var()
    assert sharpness(grey, grey, SETTINGS.sharpness).laplacian_variance_512 == pytest.approx(whole, rel=0.1)


def test_a_flat_picture_has_nothing_sharp() -> None:
    assert reblur(np.full((50, 50), 7, np.uint8)) == (1.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(width=st.integers(1, 90), height=st.integers(1, 90), seed=st.integers(0, 5))
def test_measures_stay_in_their_ranges_for_any_size(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = focus(pixels)
    if found.reblur_512 is not None:
        assert 0 <= found.reblur_512 <= 1
        assert found.blur_anisotropy >= 1
        assert found.laplacian_variance_512 >= 0
    scales = make_scales(pixels)
    assert scales.grey_64.shape == (64, 64)
    assert 0 <= vignette(scales.grey_64, SETTINGS.vignette) <= 1
    assert 0 <= ruler(scales.grey_256, SETTINGS.ruler) <= 1
    share, strands = hair(scales.grey_256, SETTINGS.hair)
    assert 0 <= share <= 1
    assert strands >= 0


@pytest.mark.parametrize(
    "size",
    [(100, 80), (512, 384), (513, 400), (1024, 768), (1023, 1025), (4000, 60), (60, 4000), (1, 1), (5000, 1)],
)
def test_scales_are_never_larger_than_declared_and_never_upscaled(size: tuple[int, int]) -> None:
    scales = make_scales(np.zeros((size[1], size[0], 3), np.uint8))
    assert max(scales.grey_512.shape) == min(512, max(size))
    assert max(scales.grey_256.shape) == min(256, max(size))
    assert max(scales.colors.shape[:2]) <= 128


def test_luma_in_bands_is_luma() -> None:
    pixels = skin(1600, 1100)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    halved = cv2.resize(grey, (800, 550), interpolation=cv2.INTER_AREA)
    assert np.array_equal(
        make_scales(pixels).grey_512, cv2.resize(halved, (512, 352), interpolation=cv2.INTER_LINEAR)
    )


# -- light


@TONES
def test_well_exposed_skin_of_every_phototype_is_neither_dark_nor_bright(phototype: int) -> None:
    pixels = skin(800, 600, PHOTOTYPES[phototype])
    cv2.rectangle(
        pixels, (0, 0), (140, 599), tuple(min(255, int(v * 2.2)) for v in PHOTOTYPES[phototype]), -1
    )
    found = exposure(make_scales(pixels).grey_512, SETTINGS.light)
    assert found.dark_share < 0.5
    assert found.bright_share < 0.25
    assert found.luma_p05 < 225


@TONES
def test_underexposure_is_seen_on_every_phototype(phototype: int) -> None:
    pixels = (skin(800, 600, PHOTOTYPES[phototype]) * 0.15).astype(np.uint8)
    found = exposure(make_scales(pixels).grey_512, SETTINGS.light)
    assert found.luma_p95 < 90


def test_exposure_is_that_of_the_histogram() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    found = exposure(ramp, SETTINGS.light)
    assert (found.luma_p50, found.luma_p95) == (127, 243)
    assert found.dark_share == pytest.approx(21 / 256)
    assert found.bright_share == pytest.approx(6 / 256)
    assert found.luma_entropy == pytest.approx(8)
    assert found.luma_std == pytest.approx(ramp.std())


def test_ink_is_seen_and_a_blue_cast_is_not_ink() -> None:
    pixels = skin(600, 450)
    assert color(make_scales(pixels).colors, SETTINGS.skin, SETTINGS.ink).ink_share == 0
    inked = pixels.copy()
    cv2.circle(inked, (120, 100), 40, (90, 60, 170), 8)
    assert color(make_scales(inked).colors, SETTINGS.skin, SETTINGS.ink).ink_share > 0.004
    cast = np.clip(pixels.astype(float) * (0.7, 0.95, 1.6), 0, 255).astype(np.uint8)
    assert color(make_scales(cast).colors, SETTINGS.skin, SETTINGS.ink).ink_share < 0.01


def test_skin_is_in_the_skin_range() -> None:
    assert color(make_scales(skin(tone=PHOTOTYPES[4])).colors, SETTINGS.skin, SETTINGS.ink).skin_share > 0.5


# -- artifacts


@pytest.mark.parametrize("thickness", [3, 5, 8])
def test_hairs_are_counted_and_texture_is_not(thickness: int) -> None:
    pixels = skin(1024, 768, seed=4)
    assert hair(make_scales(pixels).grey_256, SETTINGS.hair)[1] == 0
    hairy = pixels.copy()
    for i in range(7):
        cv2.ellipse(
            hairy, (90 + 140 * i, 400), (250, 280), 0, 160 + i, 215, (40, 30, 25), thickness, cv2.LINE_AA
        )
    share, strands = hair(make_scales(hairy).grey_256, SETTINGS.hair)
    assert strands >= 4
    assert share > 0.005


def test_a_dark_surround_is_a_vignette_even_where_it_is_most_of_the_picture() -> None:
    yy, xx = np.mgrid[:768, :1024]
    for radius, share in ((500, 0.05), (330, 0.4)):
        pixels = skin(1024, 768)
        pixels[(xx - 512) ** 2 + (yy - 384) ** 2 > radius**2] = 4
        assert vignette(make_scales(pixels).grey_64, SETTINGS.vignette) > share


@TONES
def test_skin_without_a_surround_has_no_vignette(phototype: int) -> None:
    assert vignette(make_scales(skin(1024, 768, PHOTOTYPES[phototype])).grey_64, SETTINGS.vignette) == 0


def test_a_ruler_is_periodic_and_skin_is_not() -> None:
    pixels = skin(1024, 768)
    without = ruler(make_scales(pixels).grey_256, SETTINGS.ruler)
    for i, x in enumerate(range(20, 1010, 40)):
        cv2.line(pixels, (x, 0), (x, 90 if i % 5 == 0 else 55), (20, 20, 20), 5)
    assert ruler(make_scales(pixels).grey_256, SETTINGS.ruler) > 0.4 > without


# -- declared numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [("[]", "list"), ("version: 1", "sections"), ("{version: 1, limits: {}}", "sections")],
)
def test_a_broken_declaration_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_measuring(text)
