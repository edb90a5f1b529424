from __future__ import annotations

import errno
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake

from curation_dagster import lake as lake_module
from curation_dagster.core.review.audit import Entry, broken_links, chained, head_of
from curation_dagster.lake import Lake, LakeError
from curation_dagster.schemas import MEASUREMENTS, QUALITY


def rows_of(archive: str, images: range, verdict: str = "kept", version: str = "1") -> pa.Table:
    return QUALITY.conform(
        [
            {
                "image_id": f"{archive}-{i}",
                "archive": archive,
                "version": version,
                "verdict": verdict,
                "failed": [],
                "review": [],
            }
            for i in images
        ]
    )


def measured(numbers: range) -> pa.Table:
    return MEASUREMENTS.conform(
        [{"sha256": f"{n:064x}", "measured_by": "m", "decode_state": "ok"} for n in numbers]
    )


def test_a_table_that_was_never_written_is_empty_with_its_columns(tmp_path: Path) -> None:
    found = Lake.open(tmp_path).read("corpus")
    assert found.num_rows == 0
    assert "icd11_code" in found.column_names


def test_a_part_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    lake.replace("quality", rows_of("a", range(3)), {"archive": "a", "version": "1"})
    lake.replace("quality", rows_of("b", range(2)), {"archive": "b", "version": "1"})
    lake.replace("quality", rows_of("a", range(5), "excluded"), {"archive": "a", "version": "1"})
    assert lake.read("quality", where={"archive": "b"}).num_rows == 2
    assert lake.read("quality", where={"archive": "a"})["verdict"].to_pylist() == ["excluded"] * 5


def test_last_weeks_table_can_be_read_again(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    first = lake.replace(
        "quality", rows_of("a", range(3)), {"archive": "a", "version": "1"}, {"run_id": "r1"}
    )
    lake.replace("quality", rows_of("a", range(9)), {"archive": "a", "version": "1"})
    assert lake.read("quality", version=first).num_rows == 3
    assert lake.read("quality").num_rows == 9
    assert any(c.get("run_id") == "r1" for c in lake.history("quality"))


@pytest.mark.parametrize(
    "where",
    [
        {"archive": "a", "image_id": ["a-1", "a-2"]},
        "archive = 'a' AND image_id IN ('a-1', 'a-2')",
        (pc.field("archive") == "a") & pc.field("image_id").isin(["a-1", "a-2"]),
    ],
)
def test_filters_in_all_three_forms(tmp_path: Path, where: object) -> None:
    lake = Lake.open(tmp_path)
    for archive in ("a", "b"):
        lake.replace("quality", rows_of(archive, range(4)), {"archive": archive, "version": "1"})
    found = lake.read("quality", columns=["image_id"], where=where)  # type: ignore[arg-type]
    assert sorted(found["image_id"].to_pylist()) == ["a-1", "a-2"]
    assert found.column_names == ["image_id"]


def test_known_keys_are_replaced_and_not_added_again(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    lake.upsert("measurements", measured(range(5)))
    lake.upsert("measurements", measured(range(3, 8)))
    assert sorted(lake.read("measurements")["sha256"].to_pylist()) == [f"{n:064x}" for n in range(8)]


def test_rows_that_were_replaced_are_found_by_any_column(tmp_path: Path) -> None:
    # a merge of delta-rs writes text as string_view, on which Arrow can't compare
    lake = Lake.open(tmp_path)
    lake.upsert("measurements", measured(range(5)))
    lake.upsert("measurements", measured(range(3, 8)))
    digest = f"{4:064x}"
    assert lake.read("measurements", where={"sha256": [digest, "x"], "decode_state": "ok"}).num_rows == 1
    with lake.sql("measurements") as sql:
        query = "SELECT count(*) FROM measurements WHERE sha256 = ? AND decode_state = 'ok'"
        assert sql.execute(query, [digest]).fetchall() == [(1,)]


def _write_often(task: tuple[str, int]) -> None:
    root, number = task
    lake = Lake.open(root)
    for _ in range(3):
        lake.replace(
            "quality",
            rows_of(f"archive_{number}", range(10)),
            {"archive": f"archive_{number}", "version": "1"},
        )
        lake.upsert("measurements", measured(range(number, number + 5)))


def test_archives_that_are_written_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    # an executor, not a Pool: a process that dies breaks the test instead of hanging it
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_write_often, [(str(tmp_path), n) for n in range(4)]))
    lake = Lake.open(tmp_path)
    counts = lake.read("quality").group_by("archive").aggregate([([], "count_all")])
    assert sorted(counts["count_all"].to_pylist()) == [10, 10, 10, 10]
    assert lake.read("measurements").num_rows == 8


def extend_chain(lake: Lake, who: str) -> None:
    """Add two entries to the audit trail, as whoever says something does."""
    said = [Entry(who, "verdict", "image", f"{who}-{i}", new="pass", why="a test") for i in range(2)]
    lake.append_after_last("audit", "seq", lambda last: chained(said, head_of(last)))


def assert_one_chain(lake: Lake, entries: dict[str, int]) -> None:
    """Assert that every writer's entries are there once, in one whole chain, and can be filtered by text."""
    audit = lake.read("audit")
    assert sorted(audit["seq"].to_pylist()) == list(range(1, sum(entries.values()) + 1))
    assert broken_links(audit) == []
    for who, count in entries.items():
        assert lake.read("audit", where={"who": who}).num_rows == count
        assert lake.read("audit", where=pc.field("who") == who).num_rows == count


def _extend_often(task: tuple[str, str]) -> None:
    root, who = task
    for _ in range(4):
        extend_chain(Lake.open(root), who)


def test_rows_that_build_on_the_last_one_form_one_chain(tmp_path: Path) -> None:
    who = ("anna", "bo", "chi")
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_extend_often, [(str(tmp_path), name) for name in who]))
    lake = Lake.open(tmp_path)
    assert_one_chain(lake, dict.fromkeys(who, 8))
    assert len(lake.history("audit")) == 1 + 3 * 4


def test_a_commit_in_between_makes_the_next_one_ask_again(tmp_path: Path) -> None:
    lake, asked = Lake.open(tmp_path), list[int]()
    extend_chain(lake, "anna")
    said = Entry("bo", "verdict", "image", "bo-0")

    def late(last: pa.Table) -> pa.Table:
        asked.append(head_of(last).seq)
        if len(asked) == 1:  # another machine, which this one's lock does not hold
            write_deltalake(lake.path("audit"), chained([said], head_of(last)), mode="append")
        return chained([said], head_of(last))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "_is_shared", property(lambda _: True))
        lake.append_after_last("audit", "seq", late)
    assert asked == [2, 3]
    assert_one_chain(lake, {"anna": 2, "bo": 2})


def test_every_table_opens_in_pandas_and_duckdb(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    lake.replace("quality", rows_of("a", range(3)), {"archive": "a", "version": "1"})
    frame = lake.read("quality").to_pandas()
    assert list(frame["image_id"]) == ["a-0", "a-1", "a-2"]
    dataset = DeltaTable(lake.path("quality")).to_pyarrow_dataset()  # noqa: F841 - DuckDB finds it by its name
    assert duckdb.sql("SELECT count(*) FROM dataset").fetchall() == [(3,)]
    with lake.sql("quality") as sql:
        assert sql.execute("SELECT count(*) FROM quality").fetchall() == [(3,)]


def test_a_full_disk_leaves_the_previous_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.open(tmp_path)
    lake.replace("quality", rows_of("a", range(3)), {"archive": "a", "version": "1"})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lake_module, "write_deltalake", full)
    with pytest.raises(
        LakeError, match=r"(?s)quality could not be written.*No space left.*previous version is as it was"
    ):
        lake.replace("quality", rows_of("a", range(9)), {"archive": "a", "version": "1"})
    monkeypatch.undo()
    assert lake.read("quality").num_rows == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda lake: lake.read("nothing"), "no table is called 'nothing'; there are admissions"),
        (lambda lake: lake.read("quality", columns=["colour"]), "table quality has no column colour; it has image_id"),
        (lambda lake: lake.read("quality", version=3), "has no version 3: it was never written"),
        (lambda lake: lake.replace("quality", rows_of("b", range(1)), {"archive": "a", "version": "1"}), "rows of archive 'b' can't replace the part archive 'a'"),
        (lambda lake: lake.replace("corpus", pa.table({"image_id": ["a"]})), "file: required, but absent"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(tmp_path: Path, call: object, message: str) -> None:
    with pytest.raises((LakeError, ValueError), match=message.replace("(", r"\(")):
        call(Lake.open(tmp_path))  # type: ignore[operator]
