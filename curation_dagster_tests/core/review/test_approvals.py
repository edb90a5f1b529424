from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from curation_dagster.core.review.approvals import (
    ApprovalError,
    approve,
    current_approval,
    standing_approvals,
)
from curation_dagster.schemas import APPROVALS

DAY = datetime(2025, 4, 1, tzinfo=UTC)


def decided(decision: str = "approved", day: int = 0, digest: str = "d1", subject: str = "pad@1") -> pa.Table:
    return approve(
        "archive_version",
        subject,
        digest,
        "ada",
        "bo",
        "read",
        decision=decision,
        approved_at=DAY + timedelta(days=day),
    )


def test_a_row() -> None:
    row = decided()
    assert row.schema == APPROVALS.arrow_schema
    assert not APPROVALS.problems(row)
    assert current_approval(row, "archive_version", "pad@1", "d1") == row.to_pylist()[0]


@pytest.mark.parametrize("approver", ["ada", "Ada", " ADA ", "ａｄａ"])
def test_nobody_approves_their_own_work(approver: str) -> None:
    with pytest.raises(
        ApprovalError, match=r"same person .*another person must approve\. Nothing was recorded"
    ):
        approve("criteria", "device", "d", "ada", approver)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"author": " "}, "author is blank"),
        ({"approver": ""}, "approver is blank"),
        ({"digest": ""}, "digest is blank"),
        ({"kind": "split"}, "kind: expected"),
        ({"decision": "maybe"}, "decision: expected"),
    ],
)
def test_what_is_required(changes: dict, expected: str) -> None:
    arguments = {
        "kind": "criteria",
        "subject": "device",
        "digest": "d",
        "author": "ada",
        "approver": "bo",
    } | changes
    with pytest.raises(ApprovalError, match=expected):
        approve(**arguments)


def test_an_approval_is_for_certain_bytes() -> None:
    rows = decided()
    assert current_approval(rows, "archive_version", "pad@1", "d2") is None
    assert current_approval(rows, "archive_version", "pad@2", "d1") is None
    assert current_approval(rows, "criteria", "pad@1", "d1") is None
    assert current_approval(APPROVALS.empty(), "criteria", "pad@1", "d1") is None


def test_the_newest_decision_wins_in_any_order() -> None:
    rows = [decided(), decided("withdrawn", day=1), decided(day=2)]
    for n, approved in ((1, True), (2, False), (3, True)):
        for order in (rows[:n], rows[:n][::-1]):
            table = pa.concat_tables(order)
            assert (current_approval(table, "archive_version", "pad@1", "d1") is not None) is approved
            assert bool(standing_approvals(table)) is approved


def test_a_withdrawal_wins_over_an_approval_of_the_same_moment() -> None:
    table = pa.concat_tables([decided("withdrawn"), decided()])
    assert current_approval(table, "archive_version", "pad@1", "d1") is None
    assert standing_approvals(table) == []


def test_standing_approvals_are_oldest_first() -> None:
    table = pa.concat_tables(
        [decided(day=3, subject="b@1"), decided(day=1, subject="a@1"), decided(day=2, subject="c@1")]
    )
    assert [r["subject"] for r in standing_approvals(table)] == ["a@1", "c@1", "b@1"]
