from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation_dagster.core.criteria.evaluate import evaluate, fold
from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.review.sampling import queue_of
from curation_dagster.schemas import DECISIONS, REVIEWS
from curation_dagster_tests.core.criteria.facts import STAMP, facts, image_id

DEVICE = load_criteria("device")
DAY = datetime(2025, 4, 1, tzinfo=UTC)
# the detectors have not looked, so that the sample alone settles it
UNSEARCHED = {"pixels_searched": None, "decode_state": "unreadable"}
HAIRY = {"hair_strands": 5, "hair_share": 0.2}


def review(
    number: int, criterion: str, outcome: str, reviewer: str = "ada", day: int = 0, comment: str | None = None
) -> dict[str, Any]:
    return {
        "review_id": str(uuid.uuid4()),
        "archive": "pad",
        "version": "1",
        "image_id": image_id(number),
        "criterion": criterion,
        "outcome": outcome,
        "reviewer": reviewer,
        "comment": comment,
        "reviewed_at": DAY + timedelta(days=day),
    }


def settled(
    verdicts: pa.Table, *reviews: dict[str, Any], queue: pa.Table | None = None
) -> dict[tuple[str, str], dict[str, Any]]:
    queue = queue_of(verdicts, DEVICE, "pad", "1") if queue is None else queue
    found = settle(verdicts, REVIEWS.conform(list(reviews)), queue, DEVICE)
    assert found.schema == DECISIONS.arrow_schema
    assert found.num_rows == verdicts.num_rows
    assert found.select(["image_id", "criterion", "measured", "bound"]).equals(
        verdicts.select(["image_id", "criterion", "measured", "bound"])
    )
    return {(r["image_id"], r["criterion"]): r for r in found.to_pylist()}


def quality(*changes: dict[str, Any]) -> pa.Table:
    return evaluate(DEVICE, "quality", facts("quality", *changes), STAMP)


def deidentified(n: int) -> pa.Table:
    return evaluate(DEVICE, "deidentified", facts("deidentified", *[UNSEARCHED] * n), STAMP)


def test_without_people_nothing_changes() -> None:
    verdicts = quality({}, HAIRY)
    found = settle(verdicts, REVIEWS.empty(), queue_of(verdicts, DEVICE, "pad", "1"), DEVICE)
    assert found.equals(verdicts)


def test_a_person_settles_a_single_review() -> None:
    verdicts = quality(HAIRY, HAIRY, HAIRY)
    found = settled(
        verdicts,
        review(0, "hair", "pass", comment="lesion is free"),
        review(1, "hair", "fail", comment="hidden"),
    )
    passed, failed, open_ = (found[image_id(i), "hair"] for i in range(3))
    assert (passed["outcome"], passed["decided_by"]) == ("pass", "ada")
    assert passed["detail"] == "ada on 2025-04-01: lesion is free"
    assert passed["decided_at"] == DAY
    assert (failed["outcome"], failed["detail"]) == ("fail", "ada on 2025-04-01: hidden")
    assert (open_["outcome"], open_["decided_by"]) == ("review", "rule")


def test_the_newest_verdict_of_a_reviewer_counts() -> None:
    verdicts = quality(HAIRY)
    said = [review(0, "hair", "fail", day=1), review(0, "hair", "pass", day=2)]
    for order in (said, said[::-1]):
        assert settled(verdicts, *order)[image_id(0), "hair"]["outcome"] == "pass"


def test_one_fail_among_reviewers_is_enough() -> None:
    row = settled(
        quality(HAIRY), review(0, "hair", "pass"), review(0, "hair", "fail", "bo", comment="hidden")
    )[image_id(0), "hair"]
    assert (row["outcome"], row["decided_by"], row["detail"]) == ("fail", "bo", "bo on 2025-04-01: hidden")
    row = settled(quality(HAIRY), review(0, "hair", "pass", "bo"), review(0, "hair", "pass"))[
        image_id(0), "hair"
    ]
    assert (row["outcome"], row["decided_by"]) == ("pass", "ada, bo")


def test_a_persons_fail_holds_against_a_rules_pass_and_a_rules_fail_stands() -> None:
    verdicts = quality({}, {"reblur_512": 0.9})
    found = settled(verdicts, review(0, "focus", "fail", comment="moved"), review(1, "focus", "pass"))
    assert found[image_id(0), "focus"]["outcome"] == "fail"
    assert (found[image_id(1), "focus"]["outcome"], found[image_id(1), "focus"]["decided_by"]) == (
        "fail",
        "rule",
    )
    # a fail of one criterion says nothing of the others
    assert found[image_id(0), "resolution"]["outcome"] == "pass"


def test_a_pass_alone_does_not_settle_a_sampled_criterion() -> None:
    found = settled(deidentified(400), review(0, "faces_and_text", "pass"))
    assert {r["outcome"] for (_, c), r in found.items() if c == "faces_and_text"} == {"review"}


def people(
    verdicts: pa.Table, outcome: str = "pass", leave_out: int = 0, fail: int = 0
) -> list[dict[str, Any]]:
    queue = queue_of(verdicts, DEVICE, "pad", "1")
    numbers = {image_id(i): i for i in range(1000)}
    drawn = [numbers[i] for i in queue["image_id"].to_pylist()]
    drawn = drawn[: len(drawn) - leave_out]
    return [
        review(n, "faces_and_text", "fail" if k < fail else outcome, day=k % 3) for k, n in enumerate(drawn)
    ]


def test_a_clean_sample_settles_the_archive_version() -> None:
    verdicts = deidentified(400)
    found = settled(verdicts, *people(verdicts))
    rows = [r for (_, c), r in found.items() if c == "faces_and_text"]
    assert len(rows) == 400
    assert {r["outcome"] for r in rows} == {"pass"}
    assert {r["decided_by"] for r in rows} == {"sample of 299 of 400 by ada"}
    assert rows[0]["detail"].endswith(
        "0 of 299 sampled images are bad: at most 1.00% of all are, at 95% confidence"
    )
    assert rows[0]["decided_at"] == DAY + timedelta(days=2)


def test_a_small_archive_version_is_looked_at_completely() -> None:
    verdicts = deidentified(20)
    row = settled(verdicts, *people(verdicts))[image_id(3), "faces_and_text"]
    assert row["decided_by"] == "sample of 20 of 20 by ada"
    assert row["detail"].endswith("every image was looked at, none is bad")


def test_an_unfinished_sample_settles_nothing() -> None:
    verdicts = deidentified(400)
    rows = [
        r for (_, c), r in settled(verdicts, *people(verdicts, leave_out=1)).items() if c == "faces_and_text"
    ]
    assert {r["outcome"] for r in rows} == {"review"}
    assert rows[0]["detail"].endswith("298 of 299 sampled images were looked at")


def test_a_bad_image_in_the_sample_holds_all_others_back() -> None:
    verdicts = deidentified(400)
    said = people(verdicts, fail=2)
    found = settled(verdicts, *said)
    bad = {r["image_id"] for r in said if r["outcome"] == "fail"}
    for (image, criterion), row in found.items():
        if criterion == "faces_and_text":
            assert row["outcome"] == ("fail" if image in bad else "review")
            if image not in bad:
                assert "a sampled image failed (2 of 299): the cause must be handled" in row["detail"]


def test_a_bad_image_outside_the_sample_fails_alone() -> None:
    verdicts = deidentified(400)
    queue = queue_of(verdicts, DEVICE, "pad", "1")
    outside = next(i for i in range(400) if image_id(i) not in set(queue["image_id"].to_pylist()))
    found = settled(verdicts, *people(verdicts), review(outside, "faces_and_text", "fail", "bo"))
    outcomes = [r["outcome"] for (_, c), r in found.items() if c == "faces_and_text"]
    assert outcomes.count("pass") == 399
    assert found[image_id(outside), "faces_and_text"]["outcome"] == "fail"


def test_a_sample_of_other_criteria_or_too_small_settles_nothing() -> None:
    verdicts = deidentified(400)
    queue = queue_of(verdicts, DEVICE, "pad", "1")
    said = people(verdicts)
    column = queue.column_names.index("criteria_digest")
    stale = queue.set_column(column, queue.schema.field(column), pa.array(["0" * 64] * queue.num_rows))
    row = settled(verdicts, *said, queue=stale)[image_id(0), "faces_and_text"]
    assert (row["outcome"], "no sample was drawn" in row["detail"]) == ("review", True)
    row = settled(verdicts, *said[:10], queue=queue.slice(0, 10))[image_id(0), "faces_and_text"]
    assert (row["outcome"], "holds 10 images, but 299 of 400" in row["detail"]) == ("review", True)


def test_excluded_images_are_not_in_the_population() -> None:
    changes = [{"actions": ["file:exif:keep"]} if i % 2 else UNSEARCHED for i in range(40)]
    verdicts = evaluate(DEVICE, "deidentified", facts("deidentified", *changes), STAMP)
    queue = queue_of(verdicts, DEVICE, "pad", "1")
    assert queue.num_rows == 20
    said = [r | {"review_id": str(uuid.uuid4())} for r in people(verdicts)]
    found = settled(verdicts, *said)
    assert found[image_id(0), "faces_and_text"]["decided_by"] == "sample of 20 of 20 by ada"


def test_archive_versions_are_settled_apart() -> None:
    ours = deidentified(5)
    table = facts("deidentified", *[UNSEARCHED] * 5, archive="other")
    ids = pa.array([str(uuid.uuid4()) for _ in range(5)])
    theirs = evaluate(
        DEVICE, "deidentified", table.set_column(table.column_names.index("image_id"), "image_id", ids), STAMP
    )
    both = pa.concat_tables([ours, theirs])
    queue = pa.concat_tables([queue_of(ours, DEVICE, "pad", "1"), queue_of(theirs, DEVICE, "other", "1")])
    found = settled(both, *people(ours), queue=queue)
    outcomes = {(r["archive"], r["outcome"]) for (_, c), r in found.items() if c == "faces_and_text"}
    assert outcomes == {("pad", "pass"), ("other", "review")}


def test_settled_rows_fold_to_verdicts() -> None:
    verdicts = pa.concat_tables([quality(HAIRY, {}, HAIRY), deidentified(3)])
    said = [review(i, "faces_and_text", "pass") for i in range(3)] + [
        review(0, "hair", "pass"),
        review(2, "hair", "fail"),
    ]
    found = settle(verdicts, REVIEWS.conform(said), queue_of(verdicts, DEVICE, "pad", "1"), DEVICE)
    assert fold(found, [image_id(i) for i in range(3)])["verdict"].to_pylist() == ["kept", "kept", "excluded"]
    assert pc.sum(pc.equal(found["decided_by"], "rule")).as_py() == found.num_rows - 5


@pytest.mark.parametrize("name", ["outcome", "decided_by"])
def test_no_verdicts(name: str) -> None:
    found = settle(DECISIONS.empty(), REVIEWS.empty(), queue_of(quality(), DEVICE, "pad", "1"), DEVICE)
    assert found[name].to_pylist() == []


def test_a_sample_of_everyone_holds_back_the_version_and_not_each_image() -> None:
    """What the detectors searched passes in the ledger; a person's `fail` in the sample excludes that image."""
    verdicts = evaluate(DEVICE, "deidentified", facts("deidentified", *[{}] * 400), STAMP)
    queue = queue_of(verdicts, DEVICE, "pad", "1").filter(pc.field("criterion") == "faces_and_text")
    assert queue.num_rows == 299
    assert set(queue["purpose"].to_pylist()) == {"sample"}
    drawn = queue["image_id"].to_pylist()
    number = next(n for n in range(400) if image_id(n) == drawn[0])
    found = settled(verdicts, review(number, "faces_and_text", "fail", comment="a tattoo"), queue=queue)
    outcomes = {i: r["outcome"] for (i, c), r in found.items() if c == "faces_and_text"}
    assert [i for i, o in outcomes.items() if o == "fail"] == [drawn[0]]
    assert set(outcomes.values()) == {"pass", "fail"}
