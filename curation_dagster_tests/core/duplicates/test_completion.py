"""A representative takes over what it lacks and nobody contradicts, and says from whom."""

from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.duplicates.completion import AGE, complete

UNITS = (AGE, ("sex",), ("anatomy_code", "anatomy_label"))


def donor(image_id, archive="ham", **values):
    return {"image_id": image_id, "archive": archive, **values}


def test_a_missing_field_is_taken_over_with_its_source():
    values, sources = complete({"sex": None}, [donor("b", sex="female"), donor("a", sex="female")], UNITS)
    assert values == {"sex": "female"}
    assert sources == ["sex: ham a"]


def test_what_is_stated_stays_and_a_unit_stated_in_part_is_left_alone():
    mine = {"sex": "male", "anatomy_code": "XA1", "anatomy_label": None}
    other = donor("a", sex="female", anatomy_code="XA2", anatomy_label="back")
    assert complete(mine, [other], UNITS) == ({}, [])


def test_donors_that_contradict_each_other_give_nothing():
    assert complete({}, [donor("a", sex="female"), donor("b", sex="male")], UNITS) == ({}, [])
    assert complete({}, [donor("a", age_years=34.0), donor("b", age_low=40.0, age_high=49.0)], UNITS) == (
        {},
        [],
    )


def test_of_ages_that_agree_the_narrowest_is_taken():
    bands = [donor("a", age_low=30.0, age_high=39.0), donor("b", age_low=20.0), donor("c", age_years=34.0)]
    assert complete({}, bands, UNITS) == ({"age_years": 34.0}, ["age_years: ham c"])
    values, sources = complete({}, bands[:2], UNITS)
    assert values == {"age_low": 30.0, "age_high": 39.0}
    assert sources == ["age_low: ham a", "age_high: ham a"]


def test_a_diagnosis_a_licence_and_identities_are_never_passed_on():
    for name in ("device", "research"):
        fields = {field for unit in load_criteria(name).representative.completed for field in unit}
        assert "sex" in fields
        assert not {f for f in fields if f.startswith(("icd11", "diagnosis"))}
        assert not fields & {"confirmation", "licence", "patient_key", "lesion_key", "attribution"}


@given(
    st.permutations(
        [donor("a", sex="male", age_years=3.0), donor("b", age_low=2.0), donor("c", "isic", sex="male")]
    )
)
def test_the_order_of_members_does_not_matter(donors):
    assert complete({}, donors, UNITS) == (
        {"age_years": 3.0, "sex": "male"},
        ["age_years: ham a", "sex: ham a"],
    )
