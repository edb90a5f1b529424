"""The corpus asks again before it takes an archive version: each reason to refuse, and each way to satisfy it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from curation_dagster.core.admission import current_versions, failed_checks, open_samples, stale_stages
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.gate import admission_of
from curation_dagster.schemas import TABLES
from curation_dagster_tests.installation import Installation

KEY = parse_key("isic_archive@synthetic")


def test_an_undisturbed_archive_version_is_admitted(curated: Installation) -> None:
    assert admission_of(curated.workspace, KEY).reasons == ()


def test_a_stage_that_ran_again_makes_those_behind_it_out_of_date(curated: Installation) -> None:
    workspace = curated.workspace
    rows = workspace.part("stages", KEY, stage="records")
    other = rows.set_column(rows.column_names.index("fingerprint"), "fingerprint", pa.array(["0" * 64]))
    workspace.lake.replace(
        "stages",
        TABLES["stages"].conform(other),
        {"archive": KEY.archive, "version": KEY.version, "stage": "records"},
    )
    reasons = admission_of(curated.workspace, KEY).reasons
    assert "quality is out of date: records changed since; materialize quality again" in reasons
    assert any(
        r.startswith("the check rows_in_equal_kept_excluded_and_quarantined of records has not looked")
        for r in reasons
    )


def test_a_failed_blocking_check_refuses(curated: Installation) -> None:
    workspace = curated.workspace
    rows = workspace.part("check_results", KEY, stage="quality").to_pylist()
    for row in rows:
        row["passed"] = row["passed"] and not row["blocking"]
    workspace.lake.replace(
        "check_results",
        TABLES["check_results"].conform(rows),
        {"archive": KEY.archive, "version": KEY.version, "stage": "quality"},
    )
    assert any("of quality failed" in r for r in admission_of(curated.workspace, KEY).reasons)


def test_an_identifier_that_people_found_stops_the_archive_version(curated: Installation) -> None:
    workspace = curated.workspace
    sampled = workspace.part("review_queue", KEY, purpose="sample").to_pylist()[0]
    before = len([r for r in workspace.lake.read("corpus").to_pylist() if r["archive"] == KEY.archive])
    assert before
    workspace.lake.append(
        "reviews",
        TABLES["reviews"].conform(
            [
                {
                    "review_id": str(uuid.uuid4()),
                    "archive": KEY.archive,
                    "version": KEY.version,
                    "image_id": sampled["image_id"],
                    "criterion": sampled["criterion"],
                    "outcome": "fail",
                    "reviewer": "somebody who looked",
                    "comment": "a name tag",
                    "reviewed_at": datetime.now(UTC),
                }
            ]
        ),
    )
    reasons = admission_of(curated.workspace, KEY).reasons
    assert any("sampled images that fail" in r and "handle the cause first" in r for r in reasons)
    assert curated.rebuild()
    assert not [r for r in curated.workspace.lake.read("corpus").to_pylist() if r["archive"] == KEY.archive]
    told = curated.workspace.lake.read(
        "decisions", where={"image_id": sampled["image_id"], "criterion": sampled["criterion"]}
    ).to_pylist()
    assert told[0]["outcome"] == "fail"
    assert "somebody who looked" in told[0]["decided_by"]
    assert "a name tag" in told[0]["detail"]


def test_only_one_version_of_an_archive_is_in_view() -> None:
    def staged(version: str, hour: int) -> dict[str, object]:
        return {"archive": "a", "version": version, "finished_at": datetime(2026, 1, 1, hour, tzinfo=UTC)}

    both = [staged("1", 1), staged("2", 2)]
    assert current_versions(both, []) == {"a": "2"}
    assert current_versions(both, [{"subject": "a@1"}]) == {"a": "1"}
    assert current_versions(both, [{"subject": "a@1"}, {"subject": "a@2"}]) == {"a": "2"}
    assert current_versions(both, [{"subject": "a@1"}, {"subject": "a@2"}], ["a@2"]) == {"a": "1"}


def test_reasons_are_sentences() -> None:
    stages = [{"stage": "staged", "fingerprint": "f", "inputs": '{"descriptor": "old"}'}]
    assert stale_stages(stages, ["staged", "records"], {"descriptor": "new"}) == [
        "staged is out of date: descriptor changed since; materialize staged again",
        "records was never materialized",
    ]
    assert failed_checks(stages, [], {"staged": ["it_holds"]}) == [
        "the check it_holds of staged has not looked at the current table"
    ]
    queue = TABLES["review_queue"].conform(
        [
            {
                "archive": "a",
                "version": "1",
                "image_id": "i",
                "criterion": "c",
                "purpose": "sample",
                "rank": 1,
                "criteria_digest": "d",
            }
        ]
    )
    assert open_samples(queue, TABLES["reviews"].empty(), ["c"]) == [
        "the sample for c waits for people: 1 of 1 images have no verdict"
    ]


def test_tables_of_other_code_or_vocabularies_are_out_of_date(
    curated: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_dagster.gate.deciding_code", lambda: "of the next release")
    reasons = admission_of(curated.workspace, KEY).reasons
    assert "harmonized is out of date: code changed since; materialize harmonized again" in reasons
