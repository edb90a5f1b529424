"""Functions that tests map over files; of their own module, because every worker process imports it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from curation_dagster.compute import Failure


def slow_poisoned(path: str) -> tuple[str, int]:
    """Return name and size of a file after a while; one file kills its process, one raises."""
    name = Path(path).name
    time.sleep(0.05)
    if name == "poison":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "damaged":
        raise ValueError("not to be quoted: " + path)
    return name, Path(path).stat().st_size


def kills_its_host(path: str) -> str:
    """Kill the process that started this worker, where the file says so."""
    name = Path(path).name
    if name == "kills":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(5.0)
    return name


def sleep_without_end(path: str) -> None:
    """Write down the own process id, and sleep."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600.0)


def row_of_number(number: str) -> dict[str, Any]:
    """Return a row of measurements; one number kills its process each time."""
    if number == "7":
        os.kill(os.getpid(), signal.SIGSEGV)
    return {"sha256": f"{int(number):064x}", "measured_by": "m1", "decode_state": "ok"}


def failed_row(number: str, failure: Failure) -> dict[str, Any]:
    """Return the row of a number that failed."""
    return {
        "sha256": f"{int(number):064x}",
        "measured_by": "m1",
        "decode_state": "worker_died",
        "decode_detail": failure.detail,
    }
