"""Labels in columns of marks: exactly one of them, or a named reason why there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation_dagster.core.harmonize.fields import Converted, convert
from curation_dagster.core.harmonize.vocabulary import missing_reasons
from curation_dagster.core.registry.mapping import FieldMapping

LABELS = ["MEL", "NV", "BCC", "UNK"]


def marked(cells: list[str], **mapping: Any) -> Converted:
    return convert(
        "diagnosis", FieldMapping.model_validate({"from": LABELS, "combine": "one_hot", **mapping}), cells
    )


@pytest.mark.parametrize("one", ["1.0", "1", " 1.00 "])
@pytest.mark.parametrize("zero", ["0.0", "0"])
def test_the_marked_column_is_the_label(one: str, zero: str) -> None:
    assert marked([zero, one, zero, zero]) == Converted(("NV",), None, "NV")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["1.0", "1.0", "0.0", "0.0"], "MEL=1.0; NV=1.0"),
        (["0.0", "0.0", "0.0", "0.0"], "no column is marked"),
        (["0.5", "0.5", "0.0", "0.0"], "MEL=0.5; NV=0.5"),
        (["0.0", "2.0", "0.0", "0.0"], "NV=2.0"),
        (["-1", "1", "1", "0"], "MEL=-1; NV=1; BCC=1"),
        (["x", "1.0", "0.0", "0.0"], "MEL=x; NV=1.0"),
        (["1.0", "", "0.0", "0.0"], "MEL=1.0"),
    ],
)
def test_all_else_is_not_one_hot_and_says_what_stands_there(cells: list[str], text: str) -> None:
    assert marked(cells) == Converted(None, "not_one_hot", text)


def test_a_row_of_blanks_is_blank() -> None:
    assert marked(["", " ", "", ""]) == Converted(None, "blank", None)


def test_a_column_may_stand_for_unknown_and_a_row_of_zeros_for_a_label() -> None:
    assert marked(["0", "0", "0", "1"], missing=["unk"]) == Converted(None, "stated_unknown", "UNK")
    assert marked(["0", "0", "0", "0"], all_zero="nevus") == Converted(("nevus",), None, "nevus")
    assert marked(["1", "1", "0", "0"], all_zero="nevus").reason == "not_one_hot"


def test_columns_are_translated_like_cells() -> None:
    assert marked(["1", "0", "0", "0"], values={"mel": "melanoma"}) == Converted(
        ("melanoma",), None, "melanoma"
    )
    assert marked(["0", "1", "0", "0"], values={"mel": "melanoma"}).reason == "unmapped_value"


@given(st.lists(st.sampled_from(["0.0", "1.0", "0", "1", "", "0.7"]), min_size=4, max_size=4))
def test_a_value_comes_from_exactly_one_mark_among_zeros(cells: list[str]) -> None:
    found = marked(cells)
    sound = all(c and float(c) in (0, 1) for c in cells) and sum(float(c) for c in cells if c) == 1
    assert (found.value is not None) is sound
    assert (found.reason is None) is sound
    assert found.reason in {None, *missing_reasons()}


def test_what_means_nothing_without_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="combine: one_hot only"):
        FieldMapping.model_validate({"from": LABELS, "all_zero": "nevus"})
    with pytest.raises(ValidationError, match="cells of one_hot are marks"):
        marked([], separator=";")
