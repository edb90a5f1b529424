"""One process of this machine at a time: whoever comes second waits until the first has finished or died."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from curation_dagster.settings import Settings


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Hold the lock of a file while the block runs; the kernel gives it back however the process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def releases_lock(settings: Settings) -> Path:
    """Return the lock of whoever adds files to releases or takes them out."""
    return settings.releases / ".lock"
