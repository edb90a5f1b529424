from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.criteria.evaluate import EvaluationError, evaluate, fold
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.schemas import VERDICTS_TABLE
from curation_dagster_tests.core.criteria.facts import STAMP, facts, image_id

DEVICE = load_criteria("device")
level = st.one_of(st.none(), st.floats(0, 255, width=32), st.just(float("nan")))
share = st.one_of(st.none(), st.floats(0, 1, width=32))
change = st.fixed_dictionaries(
    {},
    optional={
        "decode_state": st.sampled_from(["ok", "damaged", None]),
        "modality": st.sampled_from(["clinical", "dermoscopic", "other", None]),
        "short_side": st.integers(100, 700),
        "long_side": st.integers(200, 900),
        "reblur_512": share,
        "reblur_256": share,
        "laplacian_variance_512": level,
        "luma_p95": level,
        "hair_strands": st.integers(0, 9),
        "hair_share": share,
        "jpeg_quality": st.one_of(st.none(), st.integers(1, 100)),
    },
)


def rows(table: pa.Table) -> set[str]:
    return {repr(sorted(r.items())) for r in table.to_pylist()}


@settings(max_examples=40, deadline=None)
@given(st.lists(change, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_verdict_depends_on_its_own_row_alone(changes: list[dict], rng: random.Random) -> None:
    table = facts("quality", *changes)
    everything = evaluate(DEVICE, "quality", table, STAMP)
    picked = rng.sample(range(table.num_rows), rng.randint(1, table.num_rows))
    part = table.take(picked)
    chosen = everything.filter(pc.is_in(everything["image_id"], value_set=part["image_id"].combine_chunks()))
    assert rows(evaluate(DEVICE, "quality", part, STAMP)) == rows(chosen)


@settings(max_examples=40, deadline=None)
@given(st.lists(change, max_size=12), st.randoms(use_true_random=False))
def test_fold_is_what_its_sentence_says(changes: list[dict], rng: random.Random) -> None:
    table = facts("quality", *changes)
    verdicts = evaluate(DEVICE, "quality", table, STAMP)
    order = list(range(verdicts.num_rows))
    rng.shuffle(order)
    ids = [*table["image_id"].to_pylist(), image_id(10_000)]
    rng.shuffle(ids)
    folded = fold(verdicts.take(pa.array(order, pa.int64())), ids).to_pylist()
    assert [f["image_id"] for f in folded] == ids
    said = verdicts.to_pylist()
    for f in folded:
        failed = sorted(
            v["criterion"] for v in said if v["image_id"] == f["image_id"] and v["outcome"] == "fail"
        )
        review = sorted(
            v["criterion"] for v in said if v["image_id"] == f["image_id"] and v["outcome"] == "review"
        )
        assert (f["failed"], f["review"]) == (failed, review)
        assert f["verdict"] == ("excluded" if failed else "quarantined" if review else "kept")


def test_form_of_the_table() -> None:
    found = evaluate(
        DEVICE, "quality", facts("quality", {}, {"short_side": 150, "modality": "clinical"}), STAMP
    )
    assert found.schema == VERDICTS_TABLE.arrow_schema
    assert not VERDICTS_TABLE.problems(found)
    row = next(r for r in found.to_pylist() if r["criterion"] == "resolution" and r["outcome"] == "fail")
    assert row["measured"] == "short_side 150"
    assert row["bound"].endswith("short_side >= 400")
    assert row["clause"] == "E.4 Resolution"
    assert row["decided_by"] == "rule"
    assert row["criteria_digest"] == DEVICE.digest


def test_detail_tells_the_label_and_what_is_missing() -> None:
    found = evaluate(
        DEVICE, "harmonized",
        facts("harmonized", {"diagnosis_source_label": "rash", "diagnosis_relation": "nonspecific"}, {"permits_commercial": None}),
        STAMP,
    ).to_pylist()  # fmt: skip
    details = {(r["image_id"], r["criterion"]): r["detail"] for r in found}
    assert details[image_id(0), "diagnosis_specific"] == "diagnosis_source_label rash"
    assert details[image_id(1), "licence_commercial"] == "permits_commercial is missing; licence CC-BY-4.0"
    assert details[image_id(0), "licence_commercial"] is None


def test_lists_and_notes_are_told() -> None:
    found = evaluate(
        DEVICE, "deidentified", facts("deidentified", {}, {"found_in_file": []}), STAMP
    ).to_pylist()
    burned = [r for r in found if r["criterion"] == "burned_in_annotation"]
    assert [r["measured"] for r in burned] == ["found_in_file exif, exif_gps", "found_in_file none"]
    assert "left behind" in burned[0]["detail"]


def test_no_rows_and_no_criteria() -> None:
    assert evaluate(DEVICE, "quality", facts("quality"), STAMP).num_rows == 0
    assert (
        evaluate(DEVICE, "duplicates_within", facts("duplicates", {}), STAMP).schema
        == VERDICTS_TABLE.arrow_schema
    )
    empty = fold(VERDICTS_TABLE.empty(), [])
    assert empty.num_rows == 0
    assert fold(VERDICTS_TABLE.empty(), ["a"]).to_pylist() == [
        {"image_id": "a", "verdict": "kept", "failed": [], "review": []}
    ]


def test_chunks_and_dictionaries_change_nothing() -> None:
    table = facts("quality", {}, {"modality": "clinical", "short_side": 399}, {"modality": None})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    encoded = chunked.set_column(
        chunked.column_names.index("modality"), "modality", chunked["modality"].dictionary_encode()
    )
    assert evaluate(DEVICE, "quality", encoded, STAMP).equals(evaluate(DEVICE, "quality", table, STAMP))


def test_a_missing_column_is_an_error_that_names_it() -> None:
    with pytest.raises(
        EvaluationError,
        match=r"stage quality: the table has no column reblur_512.*focus.*Nothing was decided",
    ):
        evaluate(DEVICE, "quality", facts("quality", {}).drop_columns(["reblur_512"]), STAMP)


def test_fold_refuses_strangers_and_doubles() -> None:
    verdicts = evaluate(DEVICE, "quality", facts("quality", {"short_side": 10}), STAMP)
    with pytest.raises(EvaluationError, match="not in the table"):
        fold(verdicts, ["other"])
    with pytest.raises(EvaluationError, match="named twice"):
        fold(verdicts, [image_id(0), image_id(0)])
