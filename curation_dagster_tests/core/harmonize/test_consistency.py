from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.consistency import (
    ages_backwards,
    agree,
    behaviour_of,
    distinct_values,
    flag_agrees,
    lesion_diagnoses,
    meaning,
    order_of,
)

MEL, IN_SITU, NEVUS, ATYPICAL, CONGENITAL = (
    frozenset({c}) for c in ("2C30", "2E63.0", "2F20", "2F20.1", "2F20.2")
)
POOLED = meaning("2C30", ["2C30", "2E63.0"])
AKIEC = meaning(None, ["EK90.0", "2E64.0", "2E64.00"])


def test_a_lesion_has_two_diagnoses_only_if_they_exclude_each_other() -> None:
    lesions = ["a", "a", "b", "b", "c", "c", "d", "d", "e", None]
    said = [NEVUS, ATYPICAL, ATYPICAL, CONGENITAL, POOLED, IN_SITU, MEL, IN_SITU, frozenset(), MEL]
    found = lesion_diagnoses(lesions, said)
    assert list(found) == [1, 1, 2, 2, 1, 1, 2, 2, 0, None]
    # a wider code beside two narrower ones does not hide that the two exclude each other
    assert list(lesion_diagnoses(["a"] * 3, [NEVUS, ATYPICAL, CONGENITAL])) == [2, 2, 2]


def test_a_pooled_label_agrees_with_what_it_pools() -> None:
    # akiec of HAM10000 is AK or SCC in ISIC 2019: a difference of taxonomy
    assert agree(AKIEC, frozenset({"EK90.0"}))
    assert agree(AKIEC, meaning("2C31", ["2C31", "2E64.0"]))
    assert not agree(AKIEC, MEL)


def test_a_person_has_one_sex_and_one_phototype() -> None:
    people = ["p", "p", "q", "q", "r", None]
    assert list(distinct_values(people, ["f", "m", "f", None, None, "f"])) == [2, 2, 1, 1, None, None]


def test_ages_run_forward() -> None:
    people = ["p", "p", "q", "q", "r", "r", "s", None]
    low = [50.0, 40.0, 42.5, 42.5, 30.0, 60.0, 1.0, 1.0]
    high = [50.0, 40.0, 47.5, None, 30.0, 60.0, 1.0, 1.0]
    visit = [1, 2, 1, 2, 1, 2, 1, 1]
    assert list(ages_backwards(people, low, high, visit)) == [10.0, 10.0, 0, 0, 0, 0, None, None]
    assert list(ages_backwards(people, low, high, [None] * 8)) == [None] * 8
    # the same visit orders nothing
    assert list(ages_backwards(["p", "p"], [50, 40], [50, 40], [1, 1])) == [0.0, 0.0]
    assert order_of([None, None], [2001, 2002]) == [2001, 2002]


def test_a_flag_fits_its_diagnosis() -> None:
    flags = ["benign", "malignant", "malignant", "benign", "benign", None, "malignant"]
    said = [MEL, MEL, IN_SITU, frozenset({"EK90.0"}), AKIEC, MEL, frozenset()]
    assert list(flag_agrees(flags, said)) == [False, True, True, True, True, None, None]


def test_every_code_has_a_behaviour() -> None:
    assert {behaviour_of(c) for c in icd11.codes()} == {"benign", "malignant", "either"}
    expected = {
        "2C32": "malignant",
        "2B01": "malignant",
        "2F21.0": "benign",
        "2F72.2": "either",
        "EB00": "benign",
    }
    assert {c: behaviour_of(c) for c in expected} == expected


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from([MEL, NEVUS, ATYPICAL, frozenset()]))
    )
)
def test_the_order_of_rows_does_not_matter(rows: list[tuple[str | None, frozenset[str]]]) -> None:
    def counted(items: list[tuple[str | None, frozenset[str]]]) -> dict[str | None, int | None]:
        found = lesion_diagnoses([k for k, _ in items], [m for _, m in items])
        return {k: n for (k, _), n in zip(items, found, strict=True)}

    assert counted(rows) == counted(rows[::-1])
