"""People's verdicts ask for one rebuild, once nobody has added anything between two looks."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from curation_dagster.definitions import defs
from curation_dagster.gate import groups_made_of, people_said
from curation_dagster.resources import Curation
from curation_dagster.runs import approve_criteria
from curation_dagster.schemas import PER_ARCHIVE, TABLES
from curation_dagster.sensors import new_verdicts_of_people
from curation_dagster.settings import sensor_seconds
from curation_dagster.trail import add_rows
from curation_dagster.workspace import EVERYTHING
from curation_dagster_tests.installation import Installation

COUNTS = {"rows_in": 1, "kept": 1, "excluded": 0, "quarantined": 0}


@pytest.fixture
def judged(installation: Installation) -> Installation:
    """An installation with one complete archive version and groups that were made before anybody said anything."""
    from curation_dagster.core.registry.keys import parse_key

    workspace = installation.workspace
    for stage in PER_ARCHIVE:
        workspace.record_stage(parse_key("pad_ufes_20@1"), stage, COUNTS, "0" * 64, {}, "run")
    made_of = groups_made_of(workspace)
    workspace.record_stage(EVERYTHING, "duplicates", COUNTS, "1" * 64, made_of, "run")
    return installation


def say(installation: Installation, image: str) -> None:
    workspace = installation.workspace
    row = {
        "review_id": f"review-{image}", "archive": "pad_ufes_20", "version": "1", "image_id": image, "criterion": "hair", "outcome": "pass",
        "reviewer": "Anna", "comment": None, "criteria_version": workspace.criteria.version,
        "criteria_digest": workspace.criteria.digest, "reviewed_at": datetime.now(UTC),
    }  # fmt: skip
    add_rows(workspace, "reviews", TABLES["reviews"].conform([row]))


def tick(installation: Installation, cursor: str | None) -> tuple[dg.RunRequest | str | None, str | None]:
    """Let the sensor look once, as the daemon does; return the run that it asks for or why none, and its cursor."""
    with dg.build_sensor_context(
        instance=installation.instance,
        cursor=cursor,
        resources={"curation": Curation(home=None, criteria=None)},
        definitions=defs,
    ) as context:
        found = new_verdicts_of_people.evaluate_tick(context)
    return (found.run_requests[0] if found.run_requests else found.skip_message), found.cursor


def test_a_rebuild_is_asked_for_after_two_equal_looks(judged: Installation) -> None:
    found, cursor = tick(judged, None)
    assert isinstance(found, str)  # nobody said anything
    assert "knows all" in found
    say(judged, "a")
    found, cursor = tick(judged, cursor)
    assert isinstance(found, str)
    assert "waiting until nobody adds anything" in found
    say(judged, "b")  # between the two looks somebody went on
    found, cursor = tick(judged, cursor)
    assert isinstance(found, str)
    found, cursor = tick(judged, cursor)
    assert isinstance(found, dg.RunRequest)
    again, cursor = tick(
        judged, cursor
    )  # until the rebuild is done the same run is asked for, which Dagster starts once
    assert isinstance(again, dg.RunRequest)
    assert again.run_key == found.run_key


def test_a_rebuild_that_took_it_up_ends_the_asking_and_a_new_word_begins_it_anew(
    judged: Installation,
) -> None:
    say(judged, "a")
    _, cursor = tick(judged, None)
    first, cursor = tick(judged, cursor)
    workspace = judged.workspace
    workspace.record_stage(EVERYTHING, "duplicates", COUNTS, "2" * 64, groups_made_of(workspace), "run")
    found, cursor = tick(judged, cursor)
    assert isinstance(found, str)
    assert people_said(workspace)["reviews"] != "None"
    approve_criteria(judged.workspace, "author", "approver", None)
    found, cursor = tick(judged, cursor)
    assert isinstance(found, str)
    second, _ = tick(judged, cursor)
    assert isinstance(second, dg.RunRequest)
    assert isinstance(first, dg.RunRequest)
    assert second.run_key != first.run_key


def test_how_often_sensors_look(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sensor_seconds() == 30
    monkeypatch.setenv("CURATION_SENSOR_SECONDS", "5")
    assert sensor_seconds() == 5
    for wrong in ("4", "x", "-1"):
        monkeypatch.setenv("CURATION_SENSOR_SECONDS", wrong)
        with pytest.raises(ValueError, match="whole number from 5"):
            sensor_seconds()
