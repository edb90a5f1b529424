"""What waits for whom, on real tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from curation_dagster import trail
from curation_dagster.lake import Lake
from curation_dagster.review_app.desk import Desk, Progress, Refused
from curation_dagster.settings import Settings
from curation_dagster.trail import HalfRecordedError
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def desk(waiting: Installation, clock: list[float]) -> Iterator[Desk]:
    opened = Desk(lambda: Workspace(Settings.load(waiting.home)), lambda: clock[0])
    yield opened
    opened.close()


def longest(desk: Desk) -> Progress:
    return max(desk.progress("Anna"), key=lambda p: p.images)


@pytest.fixture
def judge(desk: Desk) -> Callable[..., None]:
    def judged(
        queue: Progress, image_id: str, reviewer: str, outcome: str = "pass", comment: str | None = None
    ) -> None:
        desk.judge(queue.key, queue.criterion.id, image_id, reviewer, outcome, comment, desk.workspace.criteria.digest)  # fmt: skip

    return judged


def drawn(desk: Desk, queue: Progress, reviewer: str, most: int = 3) -> list[str]:
    return [i.image_id for i in desk.next_items(queue.key, queue.criterion.id, reviewer, most)]


def test_two_people_in_one_queue_see_different_images(desk: Desk, clock: list[float]) -> None:
    queue = longest(desk)
    hers, his = drawn(desk, queue, "Anna"), drawn(desk, queue, "Bo")
    assert len(hers) == len(his) == 3
    assert not set(hers) & set(his)
    clock[0] += 121  # she went to lunch
    assert drawn(desk, queue, "Bo")[:3] != []
    assert set(hers) <= set(drawn(desk, queue, "Bo", 6))


def test_a_verdict_is_in_the_table_when_it_was_taken(desk: Desk, judge: Callable[..., None]) -> None:
    queue = longest(desk)
    first, second = drawn(desk, queue, "Anna", 2)
    judge(queue, first, "Anna")
    judge(queue, second, "Anna", "fail", "  a face\nin the mirror ")
    rows = {r["image_id"]: r for r in desk.workspace.lake.read("reviews").to_pylist()}
    assert rows[first]["outcome"] == "pass"
    assert (rows[second]["outcome"], rows[second]["comment"]) == ("fail", "a face in the mirror")
    assert rows[first]["criteria_version"] == desk.workspace.criteria.version
    now = desk.progress_of(queue.key, queue.criterion.id, "Anna")
    assert (now.settled, now.failed, now.mine, now.waiting) == (2, 1, 2, queue.images - 2)


def test_what_was_taken_back_waits_again(desk: Desk, judge: Callable[..., None]) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    judge(queue, image, "Anna")
    judge(queue, image, "Anna", "withdrawn")
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 0
    assert drawn(desk, queue, "Anna", 1) == [image]
    with pytest.raises(Refused, match="no verdict of yours"):
        judge(queue, image, "Anna", "withdrawn")
    assert desk.workspace.lake.read("reviews").num_rows == 2  # rows are only ever added


def test_two_readers_are_blind_to_each_other_and_a_third_decides(
    desk: Desk, judge: Callable[..., None]
) -> None:
    queue = next(p for p in desk.progress("Anna") if p.criterion.id == "diagnosis_unambiguous")
    assert queue.criterion.reviewers == 2
    (image,) = drawn(desk, queue, "Anna", 1)
    judge(queue, image, "Anna")
    assert image in drawn(desk, queue, "Bo", 50)
    facts = next(i for i in desk.queue(queue.key, queue.criterion.id).items if i.image_id == image).facts
    assert "Anna" not in str(facts)
    judge(queue, image, "Bo", "fail", "not the same")
    assert desk.progress_of(queue.key, queue.criterion.id, "Bo").disputed == 1
    assert image not in drawn(desk, queue, "Anna", 50)
    assert image in drawn(desk, queue, "Chi", 50)
    judge(queue, image, "Chi")
    done = desk.progress_of(queue.key, queue.criterion.id, "Chi")
    assert (done.disputed, done.settled, done.failed) == (0, 1, 0)
    pairs = {(a.first, a.second): a.agreed for _, a in desk.agreements()}
    assert pairs == {("Anna", "Bo"): 0, ("Anna", "Chi"): 1, ("Bo", "Chi"): 0}


@pytest.mark.parametrize(
    ("outcome", "comment", "message"),
    [("fail", None, "needs a reason"), ("fail", " ", "needs a reason"), ("fail", "x" * 501, "longer than")],
)
def test_a_fail_says_why(
    desk: Desk, judge: Callable[..., None], outcome: str, comment: str, message: str
) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    with pytest.raises(Refused, match=message):
        judge(queue, image, "Anna", outcome, comment)
    assert desk.workspace.lake.read("reviews").num_rows == 0


def test_what_others_settled_is_not_judged_again(desk: Desk, judge: Callable[..., None]) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    judge(queue, image, "Anna")
    with pytest.raises(Refused, match="Others have settled"):
        judge(queue, image, "Bo")
    with pytest.raises(Refused, match="criteria were changed"):
        desk.judge(queue.key, queue.criterion.id, image, "Bo", "pass", None, "0" * 64)
    with pytest.raises(Refused, match="not in the queue"):
        judge(queue, "00000000-0000-0000-0000-000000000000", "Bo")


def test_verdicts_from_a_worksheet_appear_without_a_restart(waiting: Installation, desk: Desk) -> None:
    queue = longest(desk)
    other = Desk(lambda: Workspace(Settings.load(waiting.home)))
    (image,) = drawn(other, queue, "Bo", 1)
    digest = other.workspace.criteria.digest
    other.judge(queue.key, queue.criterion.id, image, "Bo", "pass", None, digest)
    other.close()
    desk.refresh()
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 1


def test_nothing_is_lost_when_many_judge_at_once(desk: Desk, judge: Callable[..., None]) -> None:
    queue = longest(desk)

    def work(reviewer: str) -> int:
        done = 0
        while items := drawn(desk, queue, reviewer, 2):
            for image in items:
                judge(queue, image, reviewer)
                done += 1
        return done

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(work, [f"reviewer {n}" for n in range(6)]))
    rows = desk.workspace.lake.read("reviews").to_pylist()
    assert sum(counts) == len(rows) == queue.images
    assert len({r["image_id"] for r in rows}) == queue.images


def full_disk(*_: object, **__: object) -> int:
    raise OSError("No space left on device")


def test_a_verdict_that_can_t_be_written_is_none(
    desk: Desk, judge: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    with monkeypatch.context() as patch:
        patch.setattr("curation_dagster.lake.Lake.append", full_disk)
        with pytest.raises(OSError, match="No space left"):
            judge(queue, image, "Anna")
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 0
    judge(queue, image, "Anna")
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 1


def test_a_verdict_whose_entry_in_the_trail_failed_counts_and_is_not_asked_for_again(
    desk: Desk, judge: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    with monkeypatch.context() as patch:
        patch.setattr("curation_dagster.lake.Lake.append_after_last", full_disk)
        with pytest.raises(HalfRecordedError):
            judge(queue, image, "Anna")
    for _ in range(2):  # what the page says does not change once the table is read again
        assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 1
        assert image not in drawn(desk, queue, "Bo", 50)
        desk.refresh()
    assert any("reviews holds 1 rows" in p for p in trail.problems(desk.workspace))
    trail.mend(desk.workspace, "Chi Mensah", "the disk was full")
    assert not any("reviews holds 1 rows" in p for p in trail.problems(desk.workspace))


def test_a_verdict_that_was_written_while_the_table_was_read_is_not_forgotten(
    desk: Desk, judge: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = longest(desk)
    first, second = drawn(desk, queue, "Anna", 2)
    judge(queue, first, "Anna")
    read, between = Lake.read, [True]

    def reads(lake: Lake, table: str, **how: object) -> object:
        rows = read(lake, table, **how)  # type: ignore[arg-type]
        if table == "reviews" and not how and between:
            between.clear()
            judge(queue, second, "Anna")
        return rows

    monkeypatch.setattr(Lake, "read", reads)
    desk.refresh()
    assert not between
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 2
    with pytest.raises(Refused, match="Others have settled"):
        judge(queue, second, "Bo")


def test_characters_that_don_t_show_are_no_part_of_a_reason(desk: Desk, judge: Callable[..., None]) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    with pytest.raises(Refused, match="needs a reason"):
        judge(queue, image, "Anna", "fail", "\u200b\x00")
    # half a character, as a page may send it, would fail the whole commit, and the others' verdicts in it
    judge(queue, image, "Anna", "fail", "a \u202eface\ud800 \x1b[31m")
    (row,) = desk.workspace.lake.read("reviews").to_pylist()
    assert row["comment"] == "a face [31m"


def test_a_verdict_that_a_stopping_server_does_not_take_is_none(
    desk: Desk, judge: Callable[..., None]
) -> None:
    queue = longest(desk)
    (image,) = drawn(desk, queue, "Anna", 1)
    desk.close()
    with pytest.raises(RuntimeError, match="not taken"):
        judge(queue, image, "Anna")
    assert desk.progress_of(queue.key, queue.criterion.id, "Anna").settled == 0


def test_duplicate_pairs_lie_side_by_side(desk: Desk) -> None:
    pairs = [p for p in desk.progress("Anna") if p.criterion.id == "duplicate_certain"]
    assert pairs
    for pair in pairs:
        for item in desk.queue(pair.key, pair.criterion.id).items:
            assert item.file is not None
            assert item.others
            assert all(file is not None for _, file in item.others)
