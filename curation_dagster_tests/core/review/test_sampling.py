from __future__ import annotations

import uuid

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.criteria.evaluate import evaluate
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.review.sampling import draw_sample, hash_order, queue_of, sample_size
from curation_dagster.schemas import REVIEW_QUEUE
from curation_dagster_tests.core.criteria.facts import STAMP, facts, image_id

DEVICE = load_criteria("device")
ids = st.sets(st.integers(0, 10_000), min_size=1, max_size=60).map(lambda s: [image_id(i) for i in s])


def test_size() -> None:
    assert [sample_size(n, DEVICE.sampling) for n in (0, 1, 298, 299, 300, 100_000)] == [
        0,
        1,
        298,
        299,
        299,
        299,
    ]
    assert DEVICE.sampling.residual_rate(299) <= 0.01 < DEVICE.sampling.residual_rate(298)


@given(ids, st.integers(1, 30))
def test_the_draw_does_not_depend_on_order_and_is_stable(images: list[str], size: int) -> None:
    drawn = draw_sample(images, "pad", "1", "c", size)
    assert drawn.equals(draw_sample(images[::-1], "pad", "1", "c", size))
    assert drawn["rank"].to_pylist() == list(range(1, min(size, len(images)) + 1))
    # a new image takes the place of at most one
    more = draw_sample([*images, str(uuid.uuid5(uuid.NAMESPACE_DNS, "new"))], "pad", "1", "c", size)
    assert len(set(drawn["image_id"].to_pylist()) - set(more["image_id"].to_pylist())) <= 1


def test_criteria_draw_independently() -> None:
    images = [image_id(i) for i in range(200)]
    assert set(hash_order(images, "a")[:50]) != set(hash_order(images, "b")[:50])


def test_queue() -> None:
    quality = evaluate(
        DEVICE,
        "quality",
        facts("quality", *[{"hair_strands": 5, "hair_share": 0.2}] * 3, {"short_side": 10}),
        STAMP,
    )
    private = evaluate(DEVICE, "deidentified", facts("deidentified", *[{}] * 4), STAMP)
    queue = queue_of(pa.concat_tables([quality, private]), DEVICE, "pad", "1", run_id="r")
    assert queue.schema == REVIEW_QUEUE.arrow_schema
    assert not REVIEW_QUEUE.problems(queue)
    found = {(r["criterion"], r["purpose"], r["image_id"]) for r in queue.to_pylist()}
    # the fourth image is too small: nobody need look at it
    assert found == {("hair", "each", image_id(i)) for i in range(3)} | {
        ("faces_and_text", "sample", image_id(i)) for i in range(3)
    }
    assert set(queue["criteria_digest"].to_pylist()) == {DEVICE.digest}


def test_the_sample_does_not_depend_on_global_stages() -> None:
    private = evaluate(DEVICE, "deidentified", facts("deidentified", *[{}] * 4), STAMP)
    groups = evaluate(
        DEVICE,
        "duplicates",
        facts("duplicates", {"is_representative": False}, {"relation": "uncertain"}, {}, {}),
        STAMP,
    )
    alone = queue_of(private, DEVICE, "pad", "1")
    both = queue_of(pa.concat_tables([private, groups]), DEVICE, "pad", "1").to_pylist()
    assert [r for r in both if r["purpose"] == "sample"] == alone.to_pylist()
    assert [(r["criterion"], r["image_id"]) for r in both if r["purpose"] == "each"] == [
        ("duplicate_certain", image_id(1))
    ]


def test_four_columns_are_enough() -> None:
    private = evaluate(DEVICE, "deidentified", facts("deidentified", {}), STAMP)
    assert (
        queue_of(private.select(["image_id", "criterion", "outcome", "stage"]), DEVICE, "pad", "1").num_rows
        == 1
    )
    assert queue_of(private.slice(0, 0), DEVICE, "pad", "1").schema == REVIEW_QUEUE.arrow_schema
