"""The lock that says that a run's process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from curation_dagster.launching import _locked


def is_free(path: Path) -> bool:
    with path.open("r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_two_processes_of_a_run_that_begin_at_once_share_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", lambda _: False)  # neither sees the other's file when it looks
        patch.setattr(os, "getpid", lambda: 1)
        worker = _locked(path)
        patch.setattr(os, "getpid", lambda: 2)
        step = _locked(path)
    step.close()
    assert not is_free(path)  # the worker lives on
    worker.close()
    assert is_free(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_hard_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", none)
    path = tmp_path / "run"
    held = _locked(path)
    assert not is_free(path)
    held.close()
    assert list(tmp_path.iterdir()) == [path]
