from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.harmonize.fields import Converted, convert, convert_field
from curation_dagster.core.harmonize.parsing import Age
from curation_dagster.core.harmonize.vocabulary import missing_reasons
from curation_dagster.core.registry.mapping import FieldMapping


def one(field: str, cell: str, **mapping: Any) -> Any:
    """Return the value, or the reason why there is none."""
    found = many(field, [cell], **mapping)
    return found.value if found.reason is None else found.reason


def many(field: str, cells: list[str], **mapping: Any) -> Converted:
    columns = [f"c{i}" for i in range(len(cells))]
    return convert(field, FieldMapping.model_validate({"from": columns, **mapping}), cells)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("55", Age(55, 55, 55)),
        ("55.0", Age(55, 55, 55)),
        ("0", Age(0, 0, 0)),
        ("0,5", Age(0.5, 0.5, 0.5)),
        ("89", Age(89, 89, 89)),
        ("89.5", Age(89, 89, 89)),
        ("90", Age(None, 90, None, "withheld")),
        ("94", Age(None, 90, None, "withheld")),
        ("90+", Age(None, 90, None, "withheld")),
        ("-1", "stated_unknown"),
        ("-3", "out_of_range"),
        ("150", "out_of_range"),
        ("adult", "unparsable"),
        ("", "blank"),
        ("  ", "blank"),
        ("unknown", "stated_unknown"),
        ("NaN", "stated_unknown"),
    ],
)
def test_exact_ages(text: str, expected: Any) -> None:
    assert one("age", text, parse="age_years") == expected


@pytest.mark.parametrize(
    ("text", "clamp", "expected"),
    [
        ("45.0", 85, Age(45, 42.5, 47.5)),
        ("0", 85, Age(0, 0, 2.5)),
        ("80", 85, Age(80, 77.5, 82.5)),
        ("85", 85, Age(None, 82.5, None, "withheld")),
        ("90", 85, Age(None, 82.5, None, "withheld")),
        ("85", None, Age(85, 82.5, 87.5)),
        ("90", None, Age(None, 87.5, None, "withheld")),
        ("100", None, Age(None, 90, None, "withheld")),
        ("47", 85, "out_of_range"),
    ],
)
def test_centres_of_five_years(text: str, clamp: float | None, expected: Any) -> None:
    assert one("age", text, parse="age_centre_5", clamp_at=clamp) == expected


@pytest.mark.parametrize(
    ("text", "low", "high", "reason"),
    [
        ("30-39", 30, 39, "band_only"),
        ("30 to 39 years", 30, 39, "band_only"),
        ("AGE_18_TO_29", 18, 29, "band_only"),
        ("AGE_80_OR_ABOVE", 80, None, "band_only"),
        ("80+", 80, None, "band_only"),
        (">= 70", 70, None, "band_only"),
        ("<18", 0, 18, "band_only"),
        ("85-94", 85, None, "withheld"),
        ("95-99", 90, None, "withheld"),
    ],
)
def test_age_bands(text: str, low: float, high: float | None, reason: str) -> None:
    assert one("age", text, parse="age_band") == Age(None, low, high, reason)


def test_age_bands_may_be_translated() -> None:
    assert one("age", "Child", parse="age_band", values={"child": "0-17"}) == Age(None, 0, 17, "band_only")
    assert one("age", "Old", parse="age_band", values={"old": [80, None]}) == Age(None, 80, None, "band_only")
    assert one("age", "AGE_UNKNOWN", parse="age_band") == "stated_unknown"
    assert one("age", "39-30", parse="age_band") == "out_of_range"


@given(st.floats(0, 120), st.sampled_from(["age_years", "age_centre_5"]))
def test_no_age_over_89_leaves_a_trace(age: float, parse: str) -> None:
    found = one("age", str(age), parse=parse)
    if isinstance(found, Age):
        assert found.years is None or found.years <= 89
        assert found.low <= 90
        assert found.high is None or found.high <= 90


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((str(n), n) for n in range(1, 7)),
        *((f"{n}.0", n) for n in range(1, 7)),
        *(zip(("I", "II", "III", "IV", "V", "VI"), range(1, 7), strict=True)),
        *((f"FST{n}", n) for n in range(1, 7)),
        ("type iv", 4),
        ("Skin type III", 3),
        ("i pale white skin, blue/green eyes, blond/red hair", 1),
        ("vi dark brown or black skin", 6),
        ("dark brown or black skin", 6),
        ("12", "unmapped_value"),
        ("iv light brown skin", 4),
        ("fitzpatrick type 2", 2),
        ("phototype V", 5),
        ("I-II", "unmapped_value"),
        ("I to II", "unmapped_value"),
        ("i or ii skin", "unmapped_value"),
        ("3 of 10", "unmapped_value"),
        ("0", "unmapped_value"),
        ("7", "unmapped_value"),
        ("VII", "unmapped_value"),
        ("2.5", "unmapped_value"),
        ("Monk 4", "unmapped_value"),
        ("-1", "stated_unknown"),
        ("NONE_IDENTIFIED", "stated_unknown"),
        ("", "blank"),
    ],
)
def test_phototypes(text: str, expected: Any) -> None:
    assert one("fitzpatrick", text, parse="fitzpatrick") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("female", "female"), ("FEMALE", "female"), (" f ", "female"), ("F", "female"),
        ("male", "male"), ("MALE", "male"), ("m", "male"),
        ("unknown", "stated_unknown"), ("OTHER_OR_UNSPECIFIED", "stated_unknown"), ("", "blank"),
        ("x", "unmapped_value"),
    ],
)  # fmt: skip
def test_sexes_in_all_spellings(text: str, expected: str) -> None:
    assert one("sex", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.0", 6.0), ("6", 6.0), ("3,5", 3.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), (".5", 0.5),
        ("0", "out_of_range"), ("0.0", "out_of_range"), ("-1", "out_of_range"),
        ("1,234", "unparsable"), ("5 mm", "unparsable"), ("big", "unparsable"), ("1e999", "out_of_range"),
    ],
)  # fmt: skip
def test_sizes(text: str, expected: Any) -> None:
    assert one("lesion_size_mm", text, parse="number") == expected


@pytest.mark.parametrize("text", ["TRUE", "true", "True", "1", "1.0", "yes", "Y"])
def test_true_in_all_spellings(text: str) -> None:
    assert one("is_control", text, parse="boolean") is True


@pytest.mark.parametrize("text", ["FALSE", "false", "0", "0.0", "no"])
def test_false_in_all_spellings(text: str) -> None:
    assert one("is_control", text, parse="boolean") is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2016", 2016), ("2011-01-01", 2011), ("31.12.2016", 2016), ("16", "unparsable"), ("1850", "out_of_range"),
     ("2011 or 2012", "unparsable")],
)  # fmt: skip
def test_of_a_date_only_the_year_is_kept(text: str, expected: Any) -> None:
    assert one("acquired_year", text, parse="year") == expected


def test_values_compare_without_case_blanks_and_the_zero_of_a_spreadsheet() -> None:
    values = {"True": "histopathology", "1.0": "consensus"}
    assert one("confirmation", " TRUE ", values=values) == "histopathology"
    assert one("confirmation", "1", values=values) == "consensus"
    assert one("confirmation", "2", values=values) == "unmapped_value"


def test_a_value_that_the_schema_does_not_know_is_unmapped() -> None:
    assert one("sex", "w", values={"w": "woman"}) == "unmapped_value"
    assert one("anatomy", "x", values={"x": "attic"}) == "unmapped_value"


def test_missing_lists_further_spellings_of_unknown() -> None:
    found = many("lesion_size_mm", ["0.0"], parse="number", missing=["0"])
    assert (found.value, found.reason, found.text) == (None, "stated_unknown", "0.0")


def test_the_first_column_that_says_something_counts() -> None:
    found = many("diagnosis", ["", "n/k", "Nevus", "Benign"], missing=["n/k"], parse="label")
    assert found == Converted(("Nevus",), None, "Nevus")


def test_a_joined_key_needs_all_its_parts() -> None:
    assert many("lesion", ["P1", "7.0"], combine="join").value == "P1|7.0"
    assert many("lesion", ["P1", ""], combine="join").reason == "blank"
    assert (
        many("lesion", ["P1", "7"], combine="join").value != many("lesion", ["P", "17"], combine="join").value
    )


def test_the_largest_of_several() -> None:
    assert many("lesion_size_mm", ["6.0", "", "11"], combine="max", parse="number").value == 11.0
    assert many("lesion_size_mm", ["6.0", "0"], combine="max", parse="number").value == 6.0
    assert many("lesion_size_mm", ["6.0", "?x"], combine="max", parse="number").reason == "unparsable"
    assert many("is_control", ["no", "yes"], combine="max", parse="boolean").value is True


def test_all_values_must_agree() -> None:
    assert many("sex", ["f", "female"], combine="all").value == "female"
    assert many("sex", ["f", "m"], combine="all").reason == "several_values"
    assert many("is_control", ["no", "yes"], combine="all", parse="boolean").value is False
    assert many("diagnosis", ["Scabies", "impetigo"], combine="all", parse="label").value == (
        "Scabies",
        "impetigo",
    )


def test_a_cell_with_several_sites_is_the_region_that_holds_them() -> None:
    assert many("anatomy", ["back; chest"], separator=";").value == ("back", "chest")
    assert many("anatomy", ["hand; foot"], separator=";") == Converted(
        ("hand", "foot"), "several_values", "hand; foot"
    )


def test_free_text_never_enters_a_closed_field() -> None:
    assert one("device", "the phone of Dr. Who") == "unmapped_value"
    assert one("presentation", "seen on Monday") == "unmapped_value"


def test_a_column_that_is_absent_counts_as_blank_and_a_field_without_mapping_is_not_collected() -> None:
    table = pa.table({"sex": ["f", None, ""]})
    has_record = np.array([True, False, True])
    found = convert_field("sex", FieldMapping.model_validate({"from": "sex"}), table, has_record)
    assert found.values.tolist() == ["female", None, None]
    assert found.reasons.tolist() == [None, "no_record", "blank"]
    absent = convert_field("sex", FieldMapping.model_validate({"from": "gender"}), table)
    assert absent.reasons.tolist() == ["blank"] * 3
    assert convert_field("sex", None, table).reasons.tolist() == ["not_collected"] * 3


cells = st.one_of(
    st.text(max_size=8), st.sampled_from(["", "1", "1.0", "f", "IV", "back", "unknown", "45", "-1"])
)
FIELDS = {
    "sex": {}, "age": {"parse": "age_years"}, "fitzpatrick": {"parse": "fitzpatrick"}, "anatomy": {"separator": ";"},
    "lesion_size_mm": {"parse": "number", "combine": "max"}, "confirmation": {}, "device": {}, "diagnosis": {"parse": "label"},
    "acquired_year": {"parse": "year"}, "is_control": {"parse": "boolean"}, "patient": {}, "lesion": {"combine": "join"},
}  # fmt: skip


@given(st.sampled_from(sorted(FIELDS)), st.lists(cells, min_size=1, max_size=3))
def test_every_text_gives_a_value_or_a_known_reason(field: str, texts: list[str]) -> None:
    found = many(field, texts, **FIELDS[field])
    assert (found.value is None) <= (found.reason in missing_reasons())


@given(st.sampled_from(sorted(FIELDS)), st.lists(st.tuples(cells, cells), max_size=12))
def test_a_table_converts_as_its_rows_do(field: str, texts: list[tuple[str, str]]) -> None:
    mapping = FieldMapping.model_validate({"from": ["a", "b"], **FIELDS[field]})
    table = pa.table(
        {"a": pa.array([t[0] for t in texts], pa.string()), "b": pa.array([t[1] for t in texts], pa.string())}
    )
    found = convert_field(field, mapping, table)
    rows = [Converted(*parts) for parts in zip(found.values, found.reasons, found.texts, strict=True)]
    assert rows == [convert(field, mapping, row) for row in texts]
