"""What people decide and its entry in the trail are two writes: whatever happens between them is named, and can be mended."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from curation_dagster import trail, withdrawing
from curation_dagster.cli import main
from curation_dagster.comparing import approved_last
from curation_dagster.core.alone import alone
from curation_dagster.core.review.approvals import ApprovalError, approve
from curation_dagster.core.review.audit import AuditError
from curation_dagster.releasing import ReleaseRefused, approve_release, make_release, state_problems
from curation_dagster.runs import approve_criteria
from curation_dagster.withdrawing import remaining_files, withdraw
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation


class Killed(BaseException):
    """The process ends here."""


def dies(*_: object, **__: object) -> None:
    raise Killed


def fails(*_: object, **__: object) -> None:
    raise OSError("No space left on device")


def told(*arguments: str, fails: bool = False) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert (result.exit_code != 0) is fails, result.output
    return result.output


@pytest.fixture
def half(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An installation in which a process was killed between an approval and its entry."""
    monkeypatch.setenv("CURATION_HOME", str(workspace.settings.home))
    trail.add_rows(workspace, "approvals", approve("criteria", "device", "c" * 64, "Ada Byron", "Bo Lind"))
    with monkeypatch.context() as patch:
        patch.setattr(trail, "record", dies)
        with pytest.raises(Killed):
            trail.add_rows(
                workspace, "approvals", approve("criteria", "device", "d" * 64, "Ada Byron", "Bo Lind")
            )
    return workspace


def test_a_row_whose_entry_was_lost_is_named_and_entered_by_whoever_vouches_for_it(half: Workspace) -> None:
    (problem,) = trail.problems(half)
    assert "approvals holds 1 rows that the audit trail does not know" in problem
    assert "audit mend" in told("audit", "verify", fails=True)
    shown = told("audit", "mend")
    assert "approvals: approval of Bo Lind (approved) on criteria device" in shown
    assert trail.problems(half) == [problem]  # to be shown changes nothing
    for incomplete in (["--who", "Chi Mensah"], ["--why", "power cut"], ["--who", " ", "--why", "power cut"]):
        assert "must not be blank" in told("audit", "mend", *incomplete, fails=True)
    told("audit", "mend", "--who", "Chi Mensah", "--why", "power cut; Bo confirmed it")
    assert trail.problems(half) == []
    last = max(half.lake.read("audit").to_pylist(), key=lambda r: r["seq"])
    assert (last["who"], last["with_whom"], last["action"]) == ("Chi Mensah", "Bo Lind", "approval")
    assert last["why"].startswith("entered later")
    assert last["why"].endswith("power cut; Bo confirmed it")
    assert "knows every row" in told("audit", "mend")
    assert "nothing was entered" in told("audit", "mend", "--who", "Chi Mensah", "--why", "once more")
    assert half.lake.read("audit").num_rows == 2


def test_what_was_tampered_with_is_not_mended(half: Workspace) -> None:
    rows = half.lake.read("approvals").to_pylist()
    known = next(r for r in rows if r["digest"] == "c" * 64)
    known["approver"] = "Eve"
    schema = half.lake.read("approvals").schema
    half.lake.replace("approvals", type(half.lake.read("approvals")).from_pylist(rows, schema=schema))
    trail.mend(half, "Chi Mensah", "power cut")
    (problem,) = trail.problems(half)
    assert "rows that differ from the audit trail" in problem


def test_an_entry_that_can_t_be_written_is_told_and_what_can_be_no_entry_becomes_no_row(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = approve("criteria", "device", "d" * 64, "Ada Byron", "Bo Lind")
    with monkeypatch.context() as patch:
        patch.setattr("curation_dagster.lake.Lake.append_after_last", fails)
        with pytest.raises(trail.HalfRecordedError, match=r"1 rows are in the table approvals.*audit mend"):
            trail.add_rows(workspace, "approvals", row)
    # only the head beside the tables: row and entry are there, so the decision was recorded
    trail.mend(workspace, "Chi Mensah", "disk full")
    with monkeypatch.context() as patch:
        patch.setattr(trail, "_note_head", fails)
        trail.add_rows(
            workspace, "approvals", approve("criteria", "device", "e" * 64, "Ada Byron", "Bo Lind")
        )
    assert trail.problems(workspace) == []
    nameless = row.set_column(
        row.column_names.index("approver"), row.schema.field("approver"), [[" "]]
    ).set_column(0, row.schema.field(0), [["another"]])
    with pytest.raises(AuditError, match="without who"):
        trail.add_rows(workspace, "approvals", nameless)
    assert workspace.lake.read("approvals").num_rows == 2


def test_who_looks_while_another_process_writes_waits_for_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, between = trail.record, threading.Event()

    def slowly(*arguments: object) -> object:
        between.set()
        time.sleep(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trail, "record", slowly)
    row = approve("criteria", "device", "d" * 64, "Ada Byron", "Bo Lind")
    writer = threading.Thread(target=trail.add_rows, args=(workspace, "approvals", row))
    writer.start()
    assert between.wait(30)
    assert workspace.lake.read("approvals").num_rows == 1
    assert trail.problems(workspace) == []
    assert trail.mend(workspace, "Chi Mensah", "too early") == []
    writer.join()


def test_a_release_that_was_listed_without_an_entry_is_found(
    curated: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = curated.workspace
    assert trail.problems(workspace) == []
    approve_release(workspace, "author", "approver", "2")
    left = workspace.settings.releases / ".2-killed"  # of a run that was killed while it wrote
    left.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(trail, "record", dies)
        with pytest.raises(Killed):
            make_release(workspace, "test")
    assert not left.exists()
    assert [r["release"] for r in workspace.lake.read("releases").to_pylist()] == [2, 1]
    assert any("releases holds 1 rows" in p for p in state_problems(workspace))
    with pytest.raises(ReleaseRefused, match="releases holds 1 rows"):
        approve_release(workspace, "author", "approver", "3")
    assert "release of approver on release 2" in told("audit", "mend")
    trail.mend(workspace, "Chi Mensah", "power cut")
    assert state_problems(workspace) == []
    approve_release(workspace, "author", "approver", "3")
    assert make_release(workspace, "test").number == 3


def test_a_change_of_criteria_whose_entry_was_lost_blocks_until_they_are_approved_again(
    curated: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import resources

    first = curated.workspace.criteria.digest
    text = resources.files("curation_dagster").joinpath("criteria/device.yaml").read_text()
    changed = tmp_path / "device.yaml"
    changed.write_text(text.replace("{dermoscopic: 200, clinical: 400", "{dermoscopic: 300, clinical: 400"))
    monkeypatch.setenv("CURATION_CRITERIA", str(changed))
    told("versions", "compare")
    with monkeypatch.context() as patch:
        patch.setattr("curation_dagster.runs.record", dies)
        with pytest.raises(Killed):
            approve_criteria(curated.workspace, "ada", "bo", "sharper")
    assert any(
        "does not say what the criteria in force changed" in p for p in state_problems(curated.workspace)
    )
    approve_criteria(curated.workspace, "ada", "bo", "sharper")
    assert approved_last(curated.workspace) == curated.workspace.criteria.digest != first
    # and back to the file before, which is a change like any other
    monkeypatch.delenv("CURATION_CRITERIA")
    told("versions", "compare")
    approve_criteria(curated.workspace, "ada", "bo", "too sharp")
    entry = max(curated.workspace.lake.read("audit").to_pylist(), key=lambda r: r["seq"])
    assert (entry["action"], entry["why"]) == ("criteria_change", "too sharp")
    assert approved_last(curated.workspace) == first
    entries = curated.workspace.lake.read("audit").num_rows
    approve_criteria(curated.workspace, "ada", "bo", "the same once more")
    assert curated.workspace.lake.read("audit").num_rows == entries + 1  # the approval, and no change


def test_a_descriptor_that_changed_after_the_approval_is_not_sealed(curated: Installation) -> None:
    workspace = curated.workspace
    approve_release(workspace, "author", "approver", "2")
    overlay = workspace.settings.archives[0] / "pad_ufes_20.yaml"
    before = overlay.read_text()
    overlay.write_text(before + "\ntechnical_file:\n  publisher: Somebody Else\n")
    assert (
        curated.workspace.resolve("pad_ufes_20@synthetic").descriptor.technical_file.publisher
        == "Somebody Else"
    )
    with pytest.raises(
        ReleaseRefused, match=r"pad_ufes_20@synthetic is in the corpus, but would not be now: "
    ):
        make_release(curated.workspace, "test")
    overlay.write_text(before)
    assert make_release(curated.workspace, "test").number == 2


def test_the_approval_of_a_release_can_be_taken_back_until_it_is_made(curated: Installation) -> None:
    people = ("--author", "Ada Byron", "--approver", "Bo Lind")
    assert "nobody approved release 2" in told("approve", "release", *people, "--withdraw", fails=True)
    told("approve", "release", *people)
    assert "withdrawn by Bo Lind" in told("approve", "release", *people, "--withdraw", "--comment", "not yet")
    with pytest.raises(ReleaseRefused, match="nobody approved release 2"):
        make_release(curated.workspace, "test")
    with pytest.raises(ApprovalError, match="same person"):
        approve_release(curated.workspace, "Bo Lind", "B. Lind", None)
    told("approve", "release", *people)
    assert make_release(curated.workspace, "test").number == 2
    assert "A sealed release stays" in told("approve", "release", *people, "--withdraw", fails=True)


def test_a_withdrawal_that_was_killed_is_finished_by_the_same_command(
    curated: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = curated.workspace
    image = sorted(workspace.lake.read("corpus")["image_id"].to_pylist())[0]
    for name in ("add_rows", "_remove"):  # before the record, and after it
        with monkeypatch.context() as patch:
            patch.setattr(trail if name == "add_rows" else withdrawing, name, dies)
            with pytest.raises(Killed):
                withdraw(workspace, "image", image, "consent", "Data Protection")
        left = remaining_files(workspace)
        assert left
        assert any("say the withdrawal again" in p for p in state_problems(workspace))
    done = withdraw(workspace, "image", image, "consent", "Data Protection")
    assert set(left) <= set(done.removed)
    assert remaining_files(workspace) == []
    # what was said twice is recorded twice; each row says what was there when it was said
    rows = workspace.lake.read("withdrawals").to_pylist()
    assert [(r["subject"], r["removed_files"]) for r in rows] == [(image, len(done.removed))] * 2
    assert trail.problems(workspace) == []


def test_a_withdrawal_leaves_nothing_behind_where_the_clock_was_set_back_and_removes_where_the_trail_is_away(
    curated: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return datetime.now(tz) - timedelta(hours=2)

    workspace = curated.workspace
    first, second, third = sorted(workspace.lake.read("corpus")["image_id"].to_pylist())[:3]
    withdraw(workspace, "image", first, "consent", "Data Protection")
    known = workspace.lake.read("withdrawn").num_rows
    with monkeypatch.context() as patch:
        patch.setattr(withdrawing, "datetime", Earlier)
        with pytest.raises(trail.ClockError):
            withdraw(workspace, "image", second, "consent", "Data Protection")
    assert workspace.lake.read("withdrawn").num_rows == known
    assert remaining_files(workspace) == []
    with monkeypatch.context() as patch:
        patch.setattr("curation_dagster.lake.Lake.append_after_last", fails)
        with pytest.raises(trail.HalfRecordedError):
            withdraw(workspace, "image", third, "consent", "Data Protection")
    assert remaining_files(workspace) == []
    assert not [p for p in workspace.settings.corpus.rglob("images/*/*") if third in p.name]


def test_a_withdrawal_waits_for_a_release_that_is_being_sealed(curated: Installation) -> None:
    workspace = curated.workspace
    image = sorted(workspace.lake.read("corpus")["image_id"].to_pylist())[0]
    done: list[datetime] = []

    def run() -> None:
        withdraw(workspace, "image", image, "consent", "Data Protection")
        done.append(datetime.now(UTC))

    with alone(workspace.settings.releases / ".lock"):
        waiting = threading.Thread(target=run)
        waiting.start()
        waiting.join(2)
        assert waiting.is_alive()
        assert workspace.lake.read("withdrawals").num_rows == 0
    waiting.join(60)
    assert done
    assert remaining_files(workspace) == []
