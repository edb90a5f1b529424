import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.duplicates.grouping import components, group_id, neighbours, steps
from curation_dagster.core.duplicates.labels import in_conflict, labels_of
from curation_dagster.core.duplicates.representatives import Facts, RepresentativeRule, RuleError
from curation_dagster.core.duplicates.verification import LINKS
from curation_dagster_tests.core.duplicates.builders import ORDER, RANK, related


def links(*rows) -> pa.Table:
    full = [(*r, "near", 10)[:4] if len(r) == 2 else r for r in rows]
    return pa.Table.from_pylist(
        [
            {
                "a": min(a, b),
                "b": max(a, b),
                "kind": kind,
                "variant": 0,
                "distance": distance,
                "evidence": "seen",
            }
            for a, b, kind, distance in full
        ],
        schema=LINKS,
    )


def test_a_chain_is_one_group():
    found = links(("a", "b"), ("b", "c"), ("d", "e"))
    assert components(neighbours(found)) == [("a", "b", "c"), ("d", "e")]


def test_a_member_of_a_chain_says_through_whom_it_belongs():
    way = steps("a", neighbours(links(("a", "b"), ("b", "c"), ("c", "d"))))
    assert {m: (s.link.to, s.links_to_go) for m, s in way.items()} == {
        "a": ("b", 0),
        "b": ("a", 1),
        "c": ("b", 2),
        "d": ("c", 3),
    }


def test_the_shortest_way_then_the_strongest_link_counts():
    joined = neighbours(
        links(
            ("a", "b", "near", 30), ("a", "c", "near", 5), ("b", "d", "same_file", 0), ("c", "d", "near", 1)
        )
    )
    way = steps("a", joined)
    assert (way["d"].link.to, way["d"].link.kind) == ("b", "same_file")
    assert way["a"].link.to == "c"


def test_uncertain_links_join_nothing():
    found = links(("a", "b", "uncertain", 50), ("b", "c", "near", 3))
    assert components(neighbours(found)) == [("b", "c")]
    assert set(neighbours(found, uncertain=True)) == {"a", "b"}


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")).filter(lambda p: p[0] < p[1]),
        unique=True,
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_groups_and_ways_do_not_depend_on_the_order_of_links(pairs, seed):
    table = links(*pairs)
    shuffled = table.take(np.random.default_rng(seed).permutation(table.num_rows))
    one, other = neighbours(table), neighbours(shuffled)
    assert components(one) == components(other)
    for members in components(one):
        assert steps(members[0], one) == steps(members[0], other)


def test_the_id_of_a_group_is_that_of_its_members():
    assert group_id(["b", "a"]) == group_id(["a", "b"]) != group_id(["a", "b", "c"])


RULE = RepresentativeRule(ORDER, RANK)


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        (
            Facts("b", eligible=True),
            Facts("a", eligible=False, pixels=9),
            "eligible: may enter against may not enter of a",
        ),
        (
            Facts("b", confirmation="histopathology"),
            Facts("a", confirmation="expert", pixels=9),
            "confirmation: histopathology against expert of a",
        ),
        (Facts("b", confirmation="unverified"), Facts("a"), "confirmation: unverified against unknown of a"),
        (Facts("b", pixels=200), Facts("a", pixels=100, sharpness=9.0), "pixels: 200 against 100 of a"),
        (Facts("b", pixels=1), Facts("a"), "pixels: 1 against unknown of a"),
        (Facts("b", sharpness=12.5), Facts("a", sharpness=3.25), "sharpness: 12.5 against 3.25 of a"),
        (
            Facts("b", sharpness=0.5),
            Facts("a", sharpness=float("nan")),
            "sharpness: 0.5 against unknown of a",
        ),
        (Facts("a"), Facts("b"), "image_id: a comes before the id of b"),
    ],
)
def test_the_reason_is_the_first_rule_that_told_the_two_apart(winner, loser, reason):
    assert RULE.choose([loser, winner]) == (winner, reason)
    assert RULE.choose([winner, loser]) == (winner, reason)


def test_the_reason_names_the_runner_up_and_not_just_any_member():
    members = [Facts("a", pixels=10), Facts("b", pixels=30), Facts("c", pixels=20)]
    assert RULE.choose(members) == (members[1], "pixels: 30 against 20 of c")


def test_an_excluded_image_displaces_none_that_may_enter_whatever_the_order():
    rule = RepresentativeRule(["pixels", "eligible", "image_id"], RANK)
    assert rule.choose([Facts("a", eligible=False, pixels=900), Facts("b", pixels=1)])[0].image_id == "b"


def test_an_order_without_id_still_ends():
    assert RepresentativeRule(["pixels"], RANK).choose([Facts("b"), Facts("a")])[0].image_id == "a"


def test_an_unknown_rule_is_refused():
    with pytest.raises(RuleError, match="unknown rule beauty; expected some of eligible, confirmation"):
        RepresentativeRule(["beauty"], RANK)


def test_wider_and_narrower_diagnoses_do_not_conflict():
    members = [
        Facts("a", archive="x", icd11_code="2C30"),
        Facts("b", archive="y", icd11_code="2C30.0"),
        Facts("c", archive="y"),
    ]
    assert not in_conflict(members, related)
    assert labels_of(members) == ["x:2C30", "y:2C30.0"]


def test_diagnoses_that_exclude_each_other_conflict():
    members = [Facts("a", icd11_code="2C30"), Facts("b", icd11_code="2C30.0"), Facts("c", icd11_code="2F20")]
    assert in_conflict(members, related)
    # each fits the wide one, but not the other
    assert in_conflict(
        [Facts(str(k), icd11_code=c) for k, c in enumerate(("2C30", "2C30.0", "2C30.1"))], related
    )
