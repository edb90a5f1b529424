"""Runs a measurement in a process of its own, so that its peak of memory is its own."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any


def apart(measure: Callable[..., None], *arguments: int) -> Any:
    """Return what a function sends from a process of its own, whose peak of memory is its own."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(*arguments, there))
    process.start()
    there.close()
    found = here.recv()
    process.join()
    return found


def peak_mib() -> float:
    """Return the peak of memory of this process, in MiB; what ``getrusage`` says begins with that of its parent."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024
