"""Images that an archive says were made of others: they join readable images only, and whatever came first."""

from __future__ import annotations

import pyarrow as pa
import pytest

from curation_dagster.core.duplicates.find import find_groups, find_links, groups_of, thumbnails_in
from curation_dagster.core.duplicates.representatives import RepresentativeRule
from curation_dagster_tests.core.duplicates.builders import BOUNDS, ORDER, RANK, related
from curation_dagster_tests.core.duplicates.pictures import image_row, images_table, jpeg, lesion, scaled

RULE = RepresentativeRule(ORDER, RANK)
PARENTS = {
    "crop": "whole",
    "broken crop": "whole",
    "copy of the broken crop": "whole",
    "crop of the broken": "broken",
    "orphan": "not here",
    "itself": "itself",
}


@pytest.fixture(scope="module")
def images() -> pa.Table:
    """A picture, its copy, and crops of a quarter of it, which no hash ties to it; some of them don't decode."""
    whole, other = lesion(21, 900, 700), lesion(22, 900, 700)
    corner, middle = whole[:350, :450], other[175:525, 225:675]
    cut = jpeg(whole[350:, 450:])[:1500]
    return images_table(
        [
            image_row("whole", jpeg(whole)),
            image_row("half size", jpeg(scaled(whole, 0.5))),
            image_row("crop", jpeg(corner)),
            image_row("broken crop", cut),
            image_row("copy of the broken crop", cut),
            image_row("broken", jpeg(other)[:1500]),
            image_row("crop of the broken", jpeg(middle)),
            image_row("orphan", jpeg(lesion(23))),
            image_row("itself", jpeg(lesion(24))),
        ]
    )


@pytest.fixture(scope="module")
def facts() -> pa.Table:
    return pa.table({"image_id": list(PARENTS), "parent_image_id": list(PARENTS.values())})


def test_no_hash_ties_the_crop_to_its_parent(images: pa.Table) -> None:
    found = find_links(images, BOUNDS, thumbnails_in(images)).links.to_pylist()
    assert {(r["a"], r["b"]) for r in found} == {("half size", "whole")}


def test_a_declared_crop_joins_the_group_of_its_parent(images: pa.Table, facts: pa.Table) -> None:
    rows = {r["image_id"]: r for r in find_groups(images, facts, BOUNDS, ORDER, RANK, related).to_pylist()}
    group = rows["whole"]["group_id"]
    assert {k for k, r in rows.items() if r["group_id"] is not None} == {"whole", "half size", "crop"}
    assert {r["group_id"] for r in rows.values()} == {group, None}
    assert rows["whole"]["is_representative"]
    assert (rows["crop"]["relation"], rows["crop"]["linked_to"]) == ("derived", "whole")
    assert rows["crop"]["evidence"] == "declared by the archive"
    assert (rows["crop"]["is_representative"], rows["crop"]["distance"]) == (False, None)


def test_what_does_not_decode_never_joins_whatever_the_archive_declares(
    images: pa.Table, facts: pa.Table
) -> None:
    rows = {r["image_id"]: r for r in find_groups(images, facts, BOUNDS, ORDER, RANK, related).to_pylist()}
    for broken in ("broken", "broken crop", "copy of the broken crop"):
        assert (rows[broken]["relation"], rows[broken]["group_id"]) == ("unreadable", None)
        assert rows[broken]["linked_to"] is None
    for alone in ("crop of the broken", "orphan", "itself"):
        assert (rows[alone]["relation"], rows[alone]["group_id"]) == ("single", None)


@pytest.mark.parametrize("first", ["whole", "crop", "half size"])
def test_whichever_comes_first_the_groups_are_those_from_scratch(
    images: pa.Table, facts: pa.Table, first: str
) -> None:
    expected = find_groups(images, facts, BOUNDS, ORDER, RANK, related)
    ids = images["image_id"].to_pylist()
    order = [first, *(i for i in ids if i != first)]
    known: tuple[pa.Table | None, pa.Table | None] = (None, None)
    for count in (1, 4, len(order)):
        part = images.take([ids.index(i) for i in order[:count]])
        state = find_links(part, BOUNDS, thumbnails_in(part), 1, *known)
        known = (
            pa.concat_tables([state.fresh, state.kept]),
            pa.concat_tables([state.fresh_ids, state.kept_ids]),
        )
        # what an archive declares is asked of it each time, and remembered nowhere
        assert "derived" not in known[0]["kind"].to_pylist()
        groups = groups_of(part, facts, state.links, RULE, related)
        scratch = find_groups(part, facts, BOUNDS, ORDER, RANK, related)
        assert groups.equals(scratch)
    assert groups.sort_by("image_id").equals(expected.sort_by("image_id"))


def test_a_pair_that_is_declared_and_near_as_well_is_one_group_by_the_declaration(images: pa.Table) -> None:
    two = images.slice(0, 2)
    facts = pa.table({"image_id": ["half size"], "parent_image_id": ["whole"]})
    rows = {r["image_id"]: r for r in find_groups(two, facts, BOUNDS, ORDER, RANK, related).to_pylist()}
    assert rows["half size"]["relation"] == "derived"
    assert rows["half size"]["group_size"] == rows["whole"]["group_size"] == 2
