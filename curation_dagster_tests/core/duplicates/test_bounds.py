import pytest

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.duplicates.bounds import BoundsError, DuplicateBounds

GOOD = {
    "candidate_radius": 64,
    "accept_radius": 31,
    "dihedral_radius": 40,
    "keypoint_accept": 20,
    "keypoint_review": 10,
    "correlation_accept": 0.99,
}


def test_reads_the_section_and_leaves_other_keys_alone():
    assert DuplicateBounds.from_mapping(GOOD | {"rationale": "measured"}) == DuplicateBounds(**GOOD)


@pytest.mark.parametrize("name", ["device", "research"])
def test_the_criteria_files_hold_bounds(name):
    assert isinstance(load_criteria(name).duplicates.bounds(), DuplicateBounds)


def test_names_what_is_missing():
    with pytest.raises(BoundsError, match="lacks accept_radius, keypoint_accept"):
        DuplicateBounds.from_mapping(
            {k: v for k, v in GOOD.items() if k not in ("accept_radius", "keypoint_accept")}
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"candidate_radius": 300}, "candidate_radius: expected an integer from 0 to 256, got 300"),
        ({"dihedral_radius": 1.5}, "dihedral_radius: expected an integer"),
        ({"keypoint_review": 0}, "keypoint_review: expected an integer from 1, got 0"),
        ({"keypoint_accept": True}, "keypoint_accept: expected an integer from 1, got True"),
        ({"correlation_accept": 1.2}, "correlation_accept: expected a number above 0 and up to 1"),
        ({"accept_radius": 65}, "accept_radius: expected at most candidate_radius 64, got 65"),
        ({"keypoint_review": 21}, "keypoint_review: expected at most keypoint_accept 20, got 21"),
    ],
)
def test_refuses_what_contradicts_itself(wrong, message):
    with pytest.raises(BoundsError, match=message):
        DuplicateBounds(**GOOD | wrong)


def test_reports_all_problems_at_once():
    with pytest.raises(BoundsError, match=r"accept_radius.*keypoint_accept"):
        DuplicateBounds(**GOOD | {"accept_radius": -1, "keypoint_accept": -1})
