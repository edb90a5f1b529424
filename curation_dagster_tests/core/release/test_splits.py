"""Sides: by group, balanced, by declaration, and for ever."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.release.groups import tied
from curation_dagster.core.release.settings import (
    PACKAGED,
    SplitSettings,
    SplitSettingsError,
    load_split_settings,
)
from curation_dagster.core.release.splits import balance_of, draw
from curation_dagster.schemas import CORPUS, SIDES

SETTINGS = load_split_settings()
TIES = pa.schema(
    [
        ("image_id", pa.string()),
        ("group_id", pa.string()),
        ("linked_to", pa.string()),
        ("uncertain_with", pa.list_(pa.string())),
    ]
)


def image(n: int, **rest: object) -> dict[str, object]:
    rng = random.Random(n)
    return {
        "image_id": f"{n:08d}",
        "archive": rng.choice(["a", "b"]),
        "version": "1",
        "icd11_code": rng.choice(["2C30", "2F20", "2C32"]),
        "sex": rng.choice(["female", "male", None]),
        "fitzpatrick": rng.choice([1, 2, 3, None]),
        "age_years": rng.choice([10.0, 30.0, 50.0, None]),
        "age_low": None,
        "modality": "dermoscopic",
        "confirmation": "expert",
        "patient_key": None,
        "lesion_key": None,
    } | rest


def drawn(
    images: list[dict], ties: list[dict] = (), history: dict | None = None, chosen: SplitSettings = SETTINGS
):  # type: ignore[assignment,no-untyped-def]
    names = [f for f in CORPUS.arrow_schema if f.name in image(0)]
    corpus = pa.Table.from_pylist(images, schema=pa.schema([f.with_nullable(True) for f in names]))
    groups = pa.Table.from_pylist(list(ties), schema=TIES)
    return draw(corpus, tied(corpus, groups), history or {}, chosen)


def sides(result) -> dict[str, str | None]:  # type: ignore[no-untyped-def]
    return {r["image_id"]: r["split"] for r in result.rows.to_pylist()}


def remembered(result, before: dict | None = None) -> dict[str, tuple[str, str]]:  # type: ignore[no-untyped-def]
    return (before or {}) | {f["image_id"]: (f["split"], f["reason"]) for f in result.fresh}


def with_settings(tmp_path: Path, **changes: object) -> SplitSettings:
    import yaml

    said = yaml.safe_load(PACKAGED.read_text()) | changes
    path = tmp_path / "splits.yaml"
    path.write_text(yaml.safe_dump(said))
    return load_split_settings(path)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=60),
    st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=8),
    st.integers(1, 59),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_no_group_is_ever_on_two_sides_and_nobody_changes_sides(keys, uncertain, cut, rng) -> None:  # type: ignore[no-untyped-def]
    images = [
        image(n, patient_key=f"p{p}" if p else None, lesion_key=f"l{le}" if le else None)
        for n, (p, le, _) in enumerate(keys)
    ]
    ties = [
        {"image_id": i["image_id"], "group_id": f"g{keys[n][2]}" if keys[n][2] else None}
        for n, i in enumerate(images)
    ]
    ties += [
        {"image_id": images[a]["image_id"], "uncertain_with": [images[b]["image_id"]]}
        for a, b in uncertain
        if a < len(images) and b < len(images)
    ]
    first = images[:cut]
    known = {i["image_id"] for i in first}
    early = drawn(
        first, [t for t in ties if t["image_id"] in known and set(t.get("uncertain_with") or ()) <= known]
    )
    history = remembered(early)
    shuffled = images[:]
    rng.shuffle(shuffled)
    late = drawn(shuffled, ties, history)
    # the order of rows does not matter
    assert sides(late) == sides(drawn(images, ties, history))
    # whoever had a side has it still, or is withheld because a newcomer ties two sides
    for name, side in sides(late).items():
        assert side in (history.get(name, (side, ""))[0], None)
    # every tie, walked over all images, meets one side
    for members in tied(pa.Table.from_pylist(images), pa.Table.from_pylist(ties, schema=TIES)).values():
        assert len({sides(late)[m] for m in members} - {None}) <= 1
    # drawn again, nothing is new and nothing moves
    again = drawn(images, ties, remembered(late, history))
    assert again.fresh == []
    assert again.rows.equals(late.rows)


def test_a_newcomer_that_ties_two_sides_is_withheld_and_what_was_trained_on_stays() -> None:
    images = [image(n, patient_key=f"p{n}") for n in range(40)]
    history = remembered(drawn(images))
    by_side = {history[i["image_id"]][0]: i for i in images}
    train, test = by_side["train"], by_side["test"]
    newcomer = image(99, patient_key=train["patient_key"])
    tie = [{"image_id": newcomer["image_id"], "uncertain_with": [test["image_id"]]}]
    result = drawn([*images, newcomer], tie, history)
    now = sides(result)
    assert now[newcomer["image_id"]] is None
    assert now[train["image_id"]] == "train"
    assert now[test["image_id"]] is None
    assert [c["sides"] for c in result.conflicts] == [["train", "test"]]
    assert {k: v for k, v in now.items() if v} == {
        k: v[0] for k, v in history.items() if k != test["image_id"]
    }
    # settled by a person, the link is gone: everybody is back where they were
    assert sides(drawn([*images, newcomer], [], history))[test["image_id"]] == "test"


def test_an_image_outside_the_corpus_ties_two_that_are_in_it() -> None:
    images = [image(n) for n in range(30)]
    outside = image(500, patient_key="p")
    images[3]["patient_key"] = "p"
    known = pa.Table.from_pylist([*images, outside])
    groups = pa.Table.from_pylist(
        [
            {"image_id": outside["image_id"], "group_id": "g"},
            {"image_id": images[20]["image_id"], "group_id": "g"},
        ],
        schema=TIES,
    )
    fields = [f.with_nullable(True) for f in CORPUS.arrow_schema if f.name in image(0)]
    corpus = pa.Table.from_pylist(images, schema=pa.schema(fields))
    now = sides(draw(corpus, tied(known, groups), {}, SETTINGS))
    assert now[images[3]["image_id"]] == now[images[20]["image_id"]]
    assert outside["image_id"] not in now


def test_the_sides_are_balanced_by_every_stratum() -> None:
    images = [image(n, patient_key=f"p{n // 3}") for n in range(2000)]
    result = drawn(images)
    counts = Counter(sides(result).values())
    for side in SIDES:
        assert counts[side] / 2000 == pytest.approx(SETTINGS.fractions[side], abs=0.01)
    for row in balance_of(result.rows, SETTINGS):
        if row["images"] >= 300:
            assert abs(row["largest_deviation"]) / row["images"] < 0.03, row


def test_the_seed_decides_and_the_same_seed_decides_the_same(tmp_path: Path) -> None:
    images = [image(n) for n in range(200)]
    other = with_settings(tmp_path, seed="another")
    assert sides(drawn(images)) == sides(drawn(images[::-1]))
    assert sides(drawn(images)) != sides(drawn(images, chosen=other))


def test_a_reservation_takes_whole_groups_and_only_new_ones(tmp_path: Path) -> None:
    rule = {
        "id": "proven",
        "where": {"confirmation": ["histopathology"], "archive": ["a"]},
        "side": "sequestered",
        "share": 1.0,
        "why": "kept apart",
    }
    chosen = with_settings(tmp_path, reservations=[rule])
    images = [
        image(n, archive="a", confirmation="histopathology" if n < 5 else "expert", patient_key=f"p{n % 20}")
        for n in range(100)
    ]
    old = {images[0]["image_id"]: ("train", "drawn by strata")}
    now = sides(drawn(images, history=old, chosen=chosen))
    for n, i in enumerate(images):
        if n % 20 == 0:
            assert now[i["image_id"]] == "train"  # its group had a side before anybody reserved it
        elif n % 20 < 5:
            assert now[i["image_id"]] == "sequestered"
    half = with_settings(tmp_path, reservations=[rule | {"share": 0.5, "where": {"archive": ["a"]}}])
    single = [image(n, archive="a") for n in range(400)]
    reserved = sum(r["reason"] == "reserved by proven" for r in drawn(single, chosen=half).rows.to_pylist())
    assert 150 < reserved < 250


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fractions": {"train": 0.9, "validation": 0.0, "test": 0.0, "sequestered": 0.0}}, "add up to 0.9"),
        ({"fractions": {"train": 1.0}}, "expected each of"),
        ({"strata": ["colour"]}, "no column colour"),
        (
            {"reservations": [{"id": "x", "where": {"colour": ["red"]}, "side": "test", "why": "w"}]},
            "no column colour",
        ),
        ({"unknown": 1}, "unknown"),
        ({"on_conflict": "move"}, "on_conflict"),
    ],
)
def test_settings_that_make_no_sense(tmp_path: Path, changes: dict, expected: str) -> None:
    with pytest.raises(SplitSettingsError, match=expected):
        with_settings(tmp_path, **changes)
