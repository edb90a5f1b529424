import pytest

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.duplicates.bounds import BoundsError, DuplicateBounds, SmallerRadii

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


def test_smaller_radii_hold_beyond_their_number_of_images():
    bounds = DuplicateBounds(
        64, 31, 40, 20, 10, 0.99, (SmallerRadii(1000, 36, 24), SmallerRadii(5000, 24, 24))
    )
    sizes = (0, 1000, 1001, 5000, 5001, 10**9)
    assert [bounds.radii(n) for n in sizes] == [(64, 40)] * 2 + [(36, 24)] * 2 + [(24, 24)] * 2


@pytest.mark.parametrize(
    "beyond",
    [
        (SmallerRadii(1000, 65, 24),),
        (SmallerRadii(1000, 36, 41),),
        (SmallerRadii(0, 36, 24),),
        (SmallerRadii(1000, 36, 24), SmallerRadii(1000, 24, 24)),
        (SmallerRadii(1000, 24, 24), SmallerRadii(2000, 36, 24)),
    ],
)
def test_radii_that_grow_with_the_number_of_images_are_refused(beyond):
    with pytest.raises(BoundsError, match="beyond: expected more images and no larger radii"):
        DuplicateBounds(64, 31, 40, 20, 10, 0.99, beyond)
