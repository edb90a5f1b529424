"""Runs whose process died are told from those that work on.

Dagster's default launcher can't ask: a run whose process was killed stays "started" for ever, and since one archive version
has one run at a time, every later run of it waits for that one. So each run holds the lock of a file in the instance's
storage for as long as its process lives; the kernel gives it back however the process ends. The monitoring daemon looks
whether the lock is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import IO, Any

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

_FOLDER = "alive"
_SECONDS_TO_LOCK = 300.0  # a run takes its lock before its first step
_KEPT_SECONDS = 30 * 24 * 3600.0
_held: dict[str, IO[str]] = {}


def show_alive(instance: dg.DagsterInstance, run_id: str) -> None:
    """Hold, until this process ends or begins another run, the lock that says that the run's process lives.

    The lock is not given back when the run's work ends: what the run's end is has to be written first, and where it can't
    be, because the database is away, the run has to be found without a process.
    """
    path = _lock_file(instance, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_away(path.parent)
    for earlier in [r for r in _held if r != run_id]:
        _held.pop(earlier).close()
    if run_id not in _held:
        _held[run_id] = _locked(path)


def _locked(path: Path) -> IO[str]:
    """Return the open file, with a lock that the processes of a run share: there may be one for each step."""
    if not path.exists():
        # locked before it has its name: a file that anybody sees without a lock is that of a lost run
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        held = beside.open("a")
        fcntl.flock(held, fcntl.LOCK_SH)
        try:
            # not by a rename, which would put the file of another process of the run, and its lock, out of sight
            os.link(beside, path)
            return held
        except FileExistsError:
            held.close()
        except OSError:  # a file system without hard links
            beside.replace(path)
            return held
        finally:
            beside.unlink(missing_ok=True)
    held = path.open("a")
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def _clear_away(folder: Path) -> None:
    """Remove the files that runs left whose process died days ago."""
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
                path.unlink()


def _lock_file(instance: dg.DagsterInstance, run_id: str) -> Path:
    return Path(instance.storage_directory()) / _FOLDER / run_id


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, which can also say whether the process of a run is still there."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: the monitoring daemon asks, and marks runs without a process as failed."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of a started run lives. One that has just started has no lock yet."""
        path = _lock_file(self._instance, run.run_id)
        try:
            with path.open("r+") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        except FileNotFoundError:
            record = self._instance.get_run_record_by_id(run.run_id)
            if record is None or time.time() - (record.start_time or time.time()) < _SECONDS_TO_LOCK:
                return CheckRunHealthResult(WorkerStatus.RUNNING)
        # the file stays: should the mark that follows fail, the next look finds it again
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            "The process of this run is gone: it was killed, or its machine or container was. Nothing is lost; what was "
            "done is kept, and a further run goes on from there.",
        )

    def get_run_worker_debug_info(
        self, run: dg.DagsterRun, include_container_logs: bool | None = True
    ) -> Any:
        """Return nothing: a process that is gone says no more."""
        return None
