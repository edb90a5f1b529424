"""Contact sheets show what is nearest to the bound first, never what may not be shown, and say how many those are."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.report.sheets import TILE, Shown, choose, mosaic, outcomes_of

DIM = load_criteria("device").criterion("dim")
MODALITY = load_criteria("device").criterion("modality")
VALUES = [20.0, 89.0, 60.0, 91.0, 200.0, 120.0]
FACTS = pa.table({"image_id": [f"i{n}" for n in range(6)], "luma_p95": VALUES, "modality": ["clinical"] * 6})
OUTCOME = np.array(["review", "review", "review", "pass", "pass", "pass"], object)
EVERYONE = np.ones(6, bool)


def test_the_nearest_to_the_bound_come_first() -> None:
    chosen = choose(DIM, FACTS, OUTCOME, EVERYONE, 2)
    assert (chosen.beyond, chosen.inside) == ((1, 2), (3, 5))
    assert (chosen.beyond_of, chosen.held_back) == (3, 0)


def test_what_may_not_be_shown_is_counted_only() -> None:
    may = np.array([True, False, True, False, True, True])
    chosen = choose(DIM, FACTS, OUTCOME, may, 5)
    assert (chosen.beyond, chosen.inside) == ((2, 0), (5, 4))
    assert (chosen.beyond_of, chosen.held_back) == (3, 1)


def test_a_criterion_without_a_number_has_nothing_just_inside() -> None:
    chosen = choose(MODALITY, FACTS, np.array(["fail", *["pass"] * 5], object), EVERYONE, 5)
    assert (chosen.beyond, chosen.inside) == ((0,), ())


def test_a_sheet_holds_its_tiles_whole_and_grey() -> None:
    wide = np.full((40, 200), 90, np.uint8)
    thumbnail = cv2.imencode(".jpg", wide)[1].tobytes()
    sheet = cv2.imdecode(
        np.frombuffer(mosaic([Shown("a", "", thumbnail)] * 8), np.uint8), cv2.IMREAD_UNCHANGED
    )
    assert sheet.ndim == 2
    assert sheet.shape == (2 * (TILE + 6) + 6, 6 * (TILE + 6) + 6)
    assert abs(int(sheet[6 + TILE // 2, 6 + TILE - 2]) - 90) < 12  # scaled to the full width
    empty = cv2.imdecode(np.frombuffer(mosaic([Shown("a", "")]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert abs(int(empty[TILE // 4, TILE // 2]) - 232) < 12
    with pytest.raises(ValueError, match="at least one"):
        mosaic([])


def test_outcomes_stand_in_the_order_of_the_images() -> None:
    verdicts = pa.table(
        {"image_id": ["b", "a", "a"], "criterion": ["x", "x", "y"], "outcome": ["fail", "pass", "review"]}
    )
    ids = pa.chunked_array([["a", "b", "c"]])
    assert outcomes_of(verdicts, "x", ids).tolist() == ["pass", "fail", ""]
    assert outcomes_of(verdicts, "z", ids).tolist() == ["", "", ""]
