"""Progress of long work, told now and then rather than at every step."""

from __future__ import annotations

import time
from collections.abc import Callable

_SECONDS_BETWEEN = 0.5


class Progress:
    """Calls ``callback(done, total, what)`` at most twice a second, and always at the end of a part.

    ``what`` says what is counted. It never holds a file name: progress goes to logs, and names may identify people.
    """

    def __init__(self, callback: Callable[[int, int, str], None] | None) -> None:
        self._callback = callback
        self._next = 0.0

    def report(self, done: int, total: int, what: str, last: bool = False) -> None:
        """Tell how much is done, if it is time to."""
        if self._callback is None:
            return
        now = time.monotonic()
        if last or now >= self._next:
            self._next = now + _SECONDS_BETWEEN
            self._callback(done, total, what)
