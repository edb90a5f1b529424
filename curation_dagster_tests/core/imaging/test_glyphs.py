"""Runs of ink, parts, rows: against OpenCV's connected components, and on drawn strokes."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.imaging import chains, letters
from curation_dagster.core.imaging.detecting import FEATURES, detecting
from curation_dagster.core.imaging.glyphs import WAYS, Row, rows_of_strokes
from curation_dagster.core.imaging.halved import Halved


def parts_of(mask: np.ndarray, response: np.ndarray) -> np.ndarray:
    runs = np.empty((mask.size, 3), np.int32)
    runs = runs[: chains._runs(mask, mask.view(np.uint64), np.ones(len(mask) // 8, bool), runs)]
    parents, parts = np.empty(len(runs), np.int32), np.empty((len(runs), 7), np.int64)
    chains._joined(runs, parents)
    return parts[: chains._parts(runs, parents, response, parts)]


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    share=st.floats(0, 1),
    cells=st.tuples(st.integers(1, 5), st.integers(1, 5)),
)
def test_parts_are_those_of_opencv(seed: int, share: float, cells: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    shape = (8 * cells[0], 8 * cells[1])
    mask = (rng.random(shape) < share).astype(np.uint8)
    response = rng.integers(0, 256, shape, dtype=np.uint8)
    found = sorted(map(tuple, parts_of(mask, response).tolist()))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    expected = []
    for part in range(1, count):
        x, y, w, h, area = stats[part].tolist()
        values = response[labels == part].astype(int)
        expected.append((x, y, x + w, y + h, area, int(values.sum()), int(values.max())))
    assert found == sorted(expected)


@pytest.mark.parametrize(("ink", "skin", "ways"), [(20, 190, {0, 1}), (250, 120, {2, 3})])
def test_strokes_in_a_row_are_one_row(ink: int, skin: int, ways: set[int]) -> None:
    """Eight bars of 20x4 px each 12 px: found where they are, level, in the ways of dark or of light ink."""
    picture = np.full((240, 320, 3), skin, np.uint8)
    for number in range(8):
        picture[100:120, 100 + 12 * number : 104 + 12 * number] = ink
        picture[108:112, 104 + 12 * number : 108 + 12 * number] = ink  # a bar alone is a tick of a ruler
    declared = detecting()
    gate = dataclasses.replace(declared.gate, least=-math.inf)
    rows = [r for r in rows_of_strokes(Halved(picture), declared.strokes, gate) if r.way in ways]
    assert {r.way for r in rows} == ways
    for row in (r for r in rows if r.height < 40):
        assert np.abs(np.subtract(row.box, (100, 100, 192, 120))).max() <= 4
        assert abs(row.slope) < 0.02
        assert row.height == pytest.approx(
            20, abs=4
        )  # a stroke that ends in the window responds around its end
        assert len(row.features) == len(FEATURES)


def test_a_picture_of_any_size_has_rows_or_none() -> None:
    declared = detecting()
    for size in ((1, 1), (47, 200), (48, 48), (51, 397), (400, 49)):
        assert (
            rows_of_strokes(Halved(np.full((*size, 3), 128, np.uint8)), declared.strokes, declared.gate) == []
        )


def test_memory_that_is_kept_does_not_show() -> None:
    """A picture has the same rows whatever was searched before it."""
    declared = detecting()
    gate = dataclasses.replace(declared.gate, least=-math.inf)
    pictures = [np.full((h, w, 3), 150, np.uint8) for h, w in ((200, 300), (410, 333), (120, 290))]
    for picture in pictures:
        cv2.putText(
            picture, "Erika 1964", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2, cv2.LINE_AA
        )
    first = [rows_of_strokes(Halved(p), declared.strokes, gate) for p in pictures]
    assert all(first)
    assert [rows_of_strokes(Halved(p), declared.strokes, gate) for p in reversed(pictures)] == first[::-1]


@pytest.mark.parametrize("slope", [0.0, 0.18, -0.18])
def test_a_view_shows_the_row_level(slope: float) -> None:
    picture = np.full((300, 400, 3), 200, np.uint8)
    line = np.array([[100, 150 - slope * 100], [300, 150 + slope * 100]])
    cv2.line(picture, *np.round(line).astype(int).tolist(), (10, 10, 10), 8)
    row = Row((100, 120, 300, 180), 24.0, 0.0, slope, 0, (0.0,) * len(FEATURES))
    for view in letters._views(Halved(picture), row, 3):
        dark = np.nonzero(view[..., 0].mean(axis=1) < 120)[0]
        assert view.shape == (letters.HIGH, letters.WIDE, 3)
        assert 9 <= dark.min() <= dark.max() <= 14
    for seen in letters.known(Halved(picture), row, 3):
        assert seen.shape == (512 + len(FEATURES) + len(WAYS),)
        assert np.square(seen[:512]).sum() == pytest.approx(1, abs=1e-3)


def test_halves_are_means_and_leave_odd_edges_out() -> None:
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    half = Halved(picture).at(1)
    assert half.shape == (2, 3, 3)
    exact = picture[:4, :6].reshape(2, 2, 3, 2, 3).mean((1, 3))
    assert np.abs(half - exact).max() <= 0.5
    assert Halved(picture).at(9).shape == (1, 1, 3)
    assert Halved(np.zeros((4, 4), np.uint8)).at(0).shape == (4, 4, 3)
    assert [Halved(np.zeros((100, side, 3), np.uint8)).down_to(256) for side in (100, 511, 512, 2048)] == [
        0,
        0,
        1,
        3,
    ]
