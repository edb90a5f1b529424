"""Progress of long work as a line of log now and then: how much is done, how fast, and how long the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS_BETWEEN = 15.0


def told_by(
    log: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    name: str = "staged",
    seconds: float = SECONDS_BETWEEN,
) -> Callable[[int, int, str], None]:
    """Return a callback ``(done, total, what)`` that logs a line now and then, and always at the end.

    ``what`` says what is counted, and each has a rate of its own. It never holds a file name: progress goes to logs, and
    names may identify people.

    Parameters
    ----------
    log : callable
        Takes each line, such as ``measurements: 1,200 of 5,000 files, 96.4 a second, about 39 s left``.
    clock : callable
        Seconds that only ever grow.
    name : str
        The stage.
    seconds : float
        The least time between two lines about the same.
    """
    started: dict[str, tuple[float, int]] = {}
    said: dict[str, float] = {}

    def tell(done: int, total: int, what: str) -> None:
        now = clock()
        began, at = started.setdefault(what, (now, done))
        if now - said.get(what, float("-inf")) < seconds and done < total:
            return
        said[what] = now
        rate = (done - at) / (now - began) if now > began else 0.0
        log(f"{name}: {done:,} of {total:,} {what}{_speed(rate, what)}{_left(total - done, rate)}")

    return tell


def _speed(rate: float, what: str) -> str:
    if not rate:
        return ""
    return f", {rate / 1e6:.1f} MB/s" if "bytes" in what else f", {rate:,.1f} a second"


def _left(remaining: int, rate: float) -> str:
    if remaining <= 0 or not rate:
        return ""
    seconds = remaining / rate
    return f", about {seconds / 60:.0f} min left" if seconds >= 120 else f", about {seconds:.0f} s left"
