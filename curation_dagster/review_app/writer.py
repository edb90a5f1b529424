"""Verdicts on their way into the table ``reviews``: answered only once they are in it, several in one commit.

A commit costs about as much for one row as for a hundred, so verdicts that arrive while one is being written go into
the next together.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

_MOST_AT_ONCE = 500
_SECONDS_TO_STOP = 30


class VerdictWriter:
    """One thread that appends rows; ``submit`` gives a future that is done when the row is committed.

    Parameters
    ----------
    append : callable
        Takes a list of rows and commits all of them or raises.
    """

    def __init__(self, append: Callable[[list[dict[str, Any]]], None]) -> None:
        self._append = append
        self._waiting: queue.SimpleQueue[tuple[dict[str, Any], Future[None]] | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="verdicts", daemon=True)
        self._thread.start()

    def submit(self, row: dict[str, Any]) -> Future[None]:
        """Hand over a row."""
        if self._closed:
            raise RuntimeError("the server is stopping; the verdict was not taken")
        done: Future[None] = Future()
        self._waiting.put((row, done))
        return done

    def close(self) -> None:
        """Write what waits, then stop."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join(_SECONDS_TO_STOP)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            first = self._waiting.get()
            batch = [first] if first else []
            stopping = first is None
            while len(batch) < _MOST_AT_ONCE:
                try:
                    further = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if further is None:
                    stopping = True
                else:
                    batch.append(further)
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[tuple[dict[str, Any], Future[None]]]) -> None:
        try:
            self._append([row for row, _ in batch])
        except BaseException as error:  # each who waits is told; the thread lives on
            for _, done in batch:
                done.set_exception(error)
        else:
            for _, done in batch:
                done.set_result(None)
