from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.samples import KINDS, healthy, lesion, skin
from curation_dagster_tests.samples.metrics import hash_of, laplacian_variance, percentile, reblur

MODALITIES = {"dermoscopic": (600, 450), "clinical": (640, 480)}
PHOTOTYPES = range(1, 7)


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("phototype", PHOTOTYPES)
def test_lesions_are_sharp_and_well_lit_on_every_phototype(modality, phototype):
    for seed, kind in enumerate(KINDS):
        picture = lesion(seed, MODALITIES[modality], phototype, modality, kind)
        where = f"{kind} {modality} phototype {phototype}"
        assert laplacian_variance(picture) >= 20, where
        assert reblur(picture) < 0.42, where
        assert percentile(picture, 95) >= 90, where
        assert percentile(picture, 5) <= 225, where
        assert (picture >= 250).mean() < 0.25, where
        assert (picture.max(axis=2) <= 20).mean() < 0.5, where


@pytest.mark.parametrize("phototype", PHOTOTYPES)
def test_healthy_skin_is_sharp_and_well_lit_on_every_phototype(phototype):
    for seed in range(4):
        picture = healthy(seed, (640, 480), phototype)
        assert laplacian_variance(picture) >= 20
        assert reblur(picture) < 0.42
        assert percentile(picture, 95) >= 90
        assert percentile(picture, 5) <= 225


def test_darker_phototypes_are_darker():
    tones = [
        np.mean([np.median(lesion(seed, (160, 120), p, "dermoscopic", "nevus")) for seed in range(8)])
        for p in PHOTOTYPES
    ]
    assert tones == sorted(tones, reverse=True)


def test_different_seeds_are_far_apart_for_a_perceptual_hash():
    kinds = list(KINDS)
    hashes = [
        hash_of(lesion(seed, (600, 450), 1 + seed // 2 % 6, "dermoscopic", kinds[seed % len(kinds)]))
        for seed in range(36)
    ]
    distances = np.array([a - b for a, b in itertools.combinations(hashes, 2)])
    assert (distances > 64).mean() > 0.999
    assert np.median(distances) > 100


def test_another_photograph_of_a_lesion_is_no_near_duplicate():
    first = lesion(3, (600, 450), 2, "dermoscopic", "nevus")
    again = skin.retake(first, 1)
    assert again.shape == first.shape
    assert hash_of(first) - hash_of(again) > 64
    assert laplacian_variance(again) >= 20
    assert reblur(again) < 0.42


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(60, 200), st.integers(60, 200)),
    phototype=st.integers(1, 6),
    modality=st.sampled_from(sorted(MODALITIES)),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_the_same_arguments_give_the_same_picture_of_the_size_that_was_asked(
    seed, size, phototype, modality, kind
):
    picture = lesion(seed, size, phototype, modality, kind)
    assert picture.dtype == np.uint8
    assert picture.shape == (size[1], size[0], 3)
    assert np.array_equal(picture, lesion(seed, size, phototype, modality, kind))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "freckle"}, "no kind of lesion is called 'freckle'"),
        ({"phototype": 7}, "expected 1 to 6"),
        ({"modality": "x-ray"}, "expected dermoscopic or clinical"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        lesion(0, (100, 100), **arguments)
