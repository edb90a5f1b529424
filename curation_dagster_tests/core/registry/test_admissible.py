"""The count of admissible images: each image once, nothing guessed, and what is lacking."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.cli import main
from curation_dagster.core.registry.admissible import Overlaps, admissible, as_markdown, overlaps
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.core.registry.models import Descriptor
from curation_dagster_tests.core.records.builders import archive_version

REGISTRY = load_registry()
FOUND = admissible(REGISTRY.descriptors.values())
LINES = {line.archive: line for line in FOUND.lines}


def made(
    id: str, stated: int | None, licence: str = "CC-BY-4.0", modality: str = "clinical", **terms: Any
) -> Descriptor:
    base = archive_version().descriptor.model_dump(mode="json", by_alias=True)
    base["id"] = id
    base["technical_file"]["sample_size"]["images"] = stated
    base["licence"] |= {"default": licence, **terms}
    base["columns"] = {"modality": {"constant": modality}}
    return Descriptor.model_validate(base)


def sharing(*pairs: tuple[str, str, int], target: int = 1000) -> Overlaps:
    return Overlaps.model_validate(
        {
            "version": "1", "target": {"images": target, "source": "made up"},
            "overlaps": [{"archives": [a, b], "images": n, "exact": True, "source": "made up"} for a, b, n in pairs],
        }
    )  # fmt: skip


def test_the_parts_of_every_archive_add_up_to_what_its_publisher_states() -> None:
    assert sorted(LINES) == sorted(REGISTRY.descriptors)
    for line in FOUND.lines:
        assert line.admitted + line.refused + line.unclear + line.unknown == (line.stated or 0), line


def test_the_packaged_archives_have_the_counts_that_their_sources_state() -> None:
    admitted = {line.archive: (line.admitted, line.new) for line in FOUND.lines if line.admitted}
    assert admitted == {
        "isic_2024_permissive": (217_477, 217_477), "scin": (10_407, 10_407), "isic_2017": (2_750, 2_750),
        "isic_2018_task12": (2_594, 0), "pad_ufes_20": (2_298, 2_298), "isic_2016": (1_279, 0),
    }  # fmt: skip
    assert (FOUND.total, FOUND.of_photographs) == (232_932, 15_455)
    assert FOUND.passes_by_licence
    assert not FOUND.passes_with_photographs
    assert FOUND.steps[-1].total > FOUND.target >= FOUND.steps[-2].total


def test_what_a_nested_archive_repeats_counts_once() -> None:
    inner, outer = made("inner", 40), made("outer", 100)
    assert admissible([inner, outer], sharing()).total == 140
    assert admissible([inner, outer], sharing(("inner", "outer", 40))).total == 100
    # an overlap with what the gate refuses takes nothing away
    refused = made("outer", 100, "CC-BY-NC-4.0")
    assert admissible([inner, refused], sharing(("inner", "outer", 40))).total == 40


def test_licences_by_record_count_as_far_as_their_shares_are_known() -> None:
    by_record = {"column": "licence", "values": {"a": "CC0-1.0", "b": "CC-BY-NC-4.0"}}
    known = admissible(
        [made("x", 10, **by_record, images={"CC0-1.0": 4, "CC-BY-NC-4.0": 5})], sharing()
    ).lines[0]
    assert (known.admitted, known.refused, known.unknown) == (4, 5, 1)
    unknown = admissible([made("x", 10, **by_record)], sharing())
    assert (unknown.total, unknown.lines[0].unknown, unknown.per_record) == (0, 10, ("x",))
    assert admissible([made("x", None)], sharing()).not_stated == ("x",)


def test_what_it_would_take_is_told_in_the_fewest_steps() -> None:
    archives = [
        made("own", 300),
        made("big", 500, "CC-BY-NC-4.0"),
        made("half", 450, "unclear"),
        made("tiles", 9000, modality="other"),
    ]
    found = admissible(archives, sharing(("big", "half", 200), target=1000))
    assert [(s.archive, s.adds, s.total) for s in found.steps] == [("big", 500, 800), ("half", 250, 1050)]
    assert (found.total, found.of_photographs) == (9300, 300)
    assert "1. `big`: 500 more, 800 in all" in as_markdown(found)
    # not even all archives together are enough
    assert admissible(archives, sharing(target=10**6)).steps[-1].total == 1250


@given(
    st.lists(
        st.tuples(st.integers(1, 500), st.sampled_from(["CC0-1.0", "CC-BY-NC-4.0", "unclear"])), max_size=5
    ),
    st.integers(0, 300),
)
def test_no_count_depends_on_the_order_or_exceeds_the_sum(
    archives: list[tuple[int, str]], shared: int
) -> None:
    descriptors = [made(f"a{n}", images, id) for n, (images, id) in enumerate(archives)]
    pairs = [(f"a{n}", f"a{n + 1}", shared) for n in range(len(archives) - 1)] if shared else []
    found = admissible(descriptors, sharing(*pairs))
    assert admissible(descriptors[::-1], sharing(*pairs)) == found
    sums = [line.admitted for line in found.lines]
    assert max(sums, default=0) <= found.total <= sum(sums)


def test_every_overlap_is_of_archives_that_are_there_and_fits_into_both() -> None:
    for item in overlaps().overlaps:
        for archive in item.archives:
            stated = REGISTRY.descriptors[archive].technical_file.sample_size.images
            assert stated is None or item.images <= stated, item


def test_the_count_can_be_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CURATION_HOME", str(tmp_path))
    printed = CliRunner().invoke(main, ["archives", "admissible"])
    assert printed.exit_code == 0, printed.output
    assert f"**{FOUND.total:,}** distinct images" in printed.output
