from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from curation_dagster.compute import Failure, WorkerError, map_files
from curation_dagster.lake import Lake
from curation_dagster.passes import CHUNK_ROWS, Pass, run_pass


def doubled(number: int) -> int:
    return number * 2


def poisoned(number: int) -> int:
    if number == 7:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 20:
        time.sleep(60)
    if number == 30:
        bytearray(10**11)
    if number == 31:
        raise ValueError("not this one")
    if number == 39:
        os._exit(3)
    return number


def measure_number(number: int) -> dict[str, Any]:
    with (Path(os.environ["COUNTING_FOLDER"]) / f"{number}-{os.getpid()}").open("w"):
        pass
    return {"sha256": f"{number:064x}", "measured_by": "m1", "decode_state": "ok"}


def dies_once(number: int) -> dict[str, Any]:
    mark = Path(os.environ["COUNTING_FOLDER"]) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    return measure_number(number)


def failed_row(number: int, failure: Failure) -> dict[str, Any]:
    return {
        "sha256": f"{number:064x}",
        "measured_by": "m1",
        "decode_state": "worker_died",
        "decode_detail": failure.detail,
    }


def a_pass(function: Any = measure_number, version: str = "m1") -> Pass:
    return Pass("measurements", function, "sha256", lambda n: f"{n:064x}", failed_row, version)


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "counting"
    folder.mkdir()
    monkeypatch.setenv("COUNTING_FOLDER", str(folder))
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_comes_back_once(workers: int) -> None:
    found = list(map_files(doubled, list(range(100)), workers=workers))
    assert sorted(i for i, _, _ in found) == list(range(100))
    assert all(value == 2 * i and failure is None for i, value, failure in found)


def test_no_items_start_no_worker() -> None:
    assert list(map_files(doubled, [], workers=2)) == []


def test_poisoned_files_are_failures_and_all_others_come_back() -> None:
    found = {i: (v, f) for i, v, f in map_files(poisoned, list(range(60)), workers=2, timeout_s=2.0)}
    failures = {i: f for i, (_, f) in found.items() if f is not None}
    assert sorted(found) == list(range(60))
    assert {i: f.kind for i, f in failures.items()} == {
        7: "worker_died",
        20: "timed_out",
        30: "out_of_memory",
        31: "error",
        39: "worker_died",
    }
    assert failures[7].detail == "the process died of SIGSEGV"
    assert failures[31].detail.startswith("ValueError (in test_compute.py, line ")
    assert all(v == i for i, (v, f) in found.items() if f is None)


def test_workers_that_cant_start_blame_no_file() -> None:
    def local(number: int) -> int:
        return number

    with pytest.raises(
        WorkerError, match=r"no worker can be started for .*local.*status 1\. Nothing is said of the files"
    ):
        list(map_files(local, [1, 2, 3], workers=2))


def test_a_pass_resumes_behind_the_chunks_of_a_killed_run(tmp_path: Path, counting: Path) -> None:
    lake, folder = Lake.open(tmp_path / "lake"), tmp_path / "work"
    items = list(range(3 * CHUNK_ROWS))

    class Killed(Exception):
        pass

    def log(text: str) -> None:
        if len(list(folder.rglob("*.parquet"))) >= 2:
            raise Killed

    # the last file is reported, and none before it: two chunks and more are on disk by then, nothing is in the table
    with pytest.raises(Killed):
        run_pass(a_pass(), items, lake, folder, 2, log, report_s=3600)
    assert lake.read("measurements").num_rows == 0
    done_before = {p.name.split("-")[0] for p in counting.iterdir()}
    for path in counting.iterdir():
        path.unlink()
    lines: list[str] = []
    report = run_pass(a_pass(), items, lake, folder, 2, lines.append)
    assert report.resumed >= 2 * CHUNK_ROWS
    assert len(list(counting.iterdir())) == len(items) - report.resumed
    assert len(done_before) == len(items)
    assert sorted(lake.read("measurements")["sha256"].to_pylist()) == [f"{n:064x}" for n in items]
    assert "were done by an earlier run" in lines[0]
    assert not folder.exists()


def test_chunks_of_other_code_are_not_taken_up(tmp_path: Path, counting: Path) -> None:
    lake, folder = Lake.open(tmp_path / "lake"), tmp_path / "work"
    old = folder / "m0"
    old.mkdir(parents=True)
    (old / "chunk.parquet").write_bytes(b"of another version of the code")
    report = run_pass(a_pass(), [1, 2, 3], lake, folder, 1, lambda _: None)
    assert (report.resumed, report.done) == (0, 3)


def test_a_file_that_fails_gets_a_second_try_and_then_a_row(tmp_path: Path, counting: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    report = run_pass(a_pass(dies_once), list(range(10)), lake, tmp_path / "work", 2, lambda _: None)
    states = dict(
        zip(*(lake.read("measurements")[c].to_pylist() for c in ("sha256", "decode_state")), strict=True)
    )
    assert states[f"{3:064x}"] == "ok"
    assert states[f"{5:064x}"] == "worker_died"
    assert (len(states), report.failures) == (10, 1)
