"""A broken chain is found, and the broken entry is named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from curation_dagster import trail
from curation_dagster.core.review.audit import (
    START,
    AuditError,
    Entry,
    Head,
    broken_links,
    chained,
    hash_of,
    head_of,
)
from curation_dagster.core.review.people import same_person
from curation_dagster.lake import Lake
from curation_dagster.schemas import AUDIT
from curation_dagster.workspace import Workspace

WHEN = datetime(2025, 4, 1, tzinfo=UTC)


def chain(n: int = 5) -> list[dict]:
    entries = [
        Entry("ada", "verdict", "focus", f"image {i}", "sharp", None, {"outcome": "pass", "n": i})
        for i in range(n)
    ]
    return chained(entries, Head(0, START), WHEN).to_pylist()


def edited(rows: list[dict]) -> list[dict]:
    rows[2]["new_value"] = '{"outcome":"fail"}'
    return rows


def rehashed(rows: list[dict]) -> list[dict]:
    edited(rows)
    rows[2]["entry_hash"] = hash_of(rows[2])
    return rows


def removed(rows: list[dict]) -> list[dict]:
    return rows[:2] + rows[3:]


def swapped(rows: list[dict]) -> list[dict]:
    rows[1]["seq"], rows[2]["seq"] = rows[2]["seq"], rows[1]["seq"]
    return rows


def twice(rows: list[dict]) -> list[dict]:
    return [*rows, rows[2]]


def made_anew(rows: list[dict]) -> list[dict]:
    rows[2]["who"] = "eve"
    previous = START
    for row in rows:
        row["previous_hash"] = previous
        row["entry_hash"] = previous = hash_of(row)
    return rows


def cut_off(rows: list[dict]) -> list[dict]:
    return rows[:3]


@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        (edited, "entry 3 (verdict of image 2) was changed"),
        (rehashed, "entry 4 does not follow on entry 3"),
        (removed, "entry 3 is missing"),
        (swapped, "entry 2 (verdict of image 2) was changed"),
        (twice, "entry 3 is there more than once"),
        (made_anew, "entry 5 is not the one that release 1 recorded"),
        (cut_off, "the trail ends at entry 3, but release 1 recorded entry 5"),
    ],
)
def test_what_was_tampered_with_is_named(tamper: Callable[[list[dict]], list[dict]], expected: str) -> None:
    head = head_of(AUDIT.conform(chain()))
    found = broken_links(AUDIT.conform(tamper(chain())), [Head(head.seq, head.entry_hash, "release 1")])
    assert any(expected in f for f in found), found


def test_a_whole_chain_in_any_order_of_rows() -> None:
    rows = chain()
    assert broken_links(AUDIT.conform(rows[::-1]), [Head(3, rows[2]["entry_hash"], "x")]) == []
    assert broken_links(AUDIT.empty()) == []
    assert AUDIT.problems(AUDIT.conform(rows)) == []


def test_an_entry_says_who_and_what() -> None:
    with pytest.raises(AuditError, match="without who; nothing was recorded"):
        chained([Entry(" ", "verdict", "focus", "x")], Head(0, START))


@pytest.mark.parametrize(
    "shared", [False, True], ids=["on one machine", "without a lock, as between machines"]
)
def test_appends_at_the_same_time_make_one_chain(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(Lake, "_is_shared", property(lambda _: shared))
    failures: list[Exception] = []

    def append(person: int) -> None:
        try:
            for n in range(3):
                trail.record(
                    workspace, [Entry(f"p{person}", "criteria_change", "criteria", str(n), new={"n": n})] * 2
                )
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=append, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    audit = workspace.lake.read("audit")
    assert sorted(audit["seq"].to_pylist()) == list(range(1, 25))
    assert broken_links(audit, [trail.current_head(workspace)]) == []
    assert trail.problems(workspace) == []


def test_the_end_that_was_cut_off_is_found_by_the_head_beside_the_tables(workspace: Workspace) -> None:
    trail.record(workspace, [Entry("ada", "criteria_change", "criteria", str(n)) for n in range(3)])
    rows = workspace.lake.read("audit").sort_by("seq")
    workspace.lake.replace("audit", rows.slice(0, 2))
    assert any("its end was cut off" in p for p in trail.problems(workspace))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Byron", "ada  BYRON", True),
        ("Ada Byron", "Byron, Ada", True),
        ("Ada Byron", "A. Byron", True),
        ("Ada Byron", "Ada Augusta Byron", True),
        ("Anna Müller", "Anna Mueller", True),
        ("José Núñez", "Jose Nunez", True),
        ("AdaByron", "Ada Byron", True),
        ("Ada Byron", "Ada Lovelace", False),
        ("A. Byron", "B. Byron", False),
        ("author", "approver", False),
        ("Mary Ann", "Army Nan", False),
    ],
)
def test_another_spelling_is_no_other_person(one: str, other: str, same: bool) -> None:
    assert same_person(one, other) is same
    assert same_person(other, one) is same


def test_rows_without_an_entry_and_entries_without_a_row_are_found(workspace: Workspace) -> None:
    from curation_dagster.core.review.approvals import approve

    trail.add_rows(workspace, "approvals", approve("criteria", "device", "d", "ada", "bo", "read"))
    assert trail.problems(workspace) == []
    workspace.lake.append("approvals", approve("criteria", "device", "d", "ada", "cy"))
    assert any("rows that the audit trail does not know" in p for p in trail.problems(workspace))
    rows = workspace.lake.read("approvals").to_pylist()
    for row in rows:
        row["approver"] = "eve"
    workspace.lake.replace(
        "approvals", pa.Table.from_pylist(rows, schema=workspace.lake.read("approvals").schema)
    )
    assert any("differ from the audit trail" in p for p in trail.problems(workspace))
    workspace.lake.replace("approvals", workspace.lake.read("approvals").slice(0, 0))
    assert any("fewer than the audit trail knows" in p for p in trail.problems(workspace))
