"""Map a function over files in worker processes that may die.

A hostile or broken file can kill its decoder: a segmentation fault, the kernel's out-of-memory killer, an endless
loop. So each worker reports file by file; when it dies or hangs, the file that it was at becomes a failure with
its reason, and a new worker goes on behind it. Nothing is lost and nothing is done twice.

Workers are started as fresh interpreters (``python -m curation_dagster.worker``), not forked: the caller may hold
threads and locks, and need not be importable.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

_START_SECONDS = 120.0
_BATCH = 16  # items sent to a worker at once: enough to keep it busy while the caller writes


class WorkerError(RuntimeError):
    """No worker process can be started: the fault of the installation, not of a file."""


@dataclass(frozen=True)
class Failure:
    """Why a file has no value."""

    kind: Literal["worker_died", "timed_out", "out_of_memory", "error"]
    detail: str


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    todo: deque[int] = field(default_factory=deque)
    since: float = 0.0  # when the item at the front was begun, as far as the caller knows
    ready: bool = False  # the interpreter is up and has said so

    def stop(self) -> None:
        self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def map_files(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int = 1,
    timeout_s: float = 120.0,
    memory_mb: int = 4096,
) -> Iterator[tuple[int, Any, Failure | None]]:
    """Yield ``(index, value, failure)`` for each item once, in the order of completion.

    Parameters
    ----------
    function : callable
        A module-level function of one item; imported by name in the workers.
    items : sequence
        Picklable items.
    workers : int
        Worker processes.
    timeout_s : float
        Seconds that one item may take before its worker is killed.
    memory_mb : int
        Address space of a worker, in MiB; an item that needs more fails with ``out_of_memory``.

    Yields
    ------
    tuple of int, object, Failure or None
        Index into ``items``; the function's value, or None; and why there is none.

    Raises
    ------
    WorkerError
        If a worker ends before it has begun, so that no file can be blamed.
    """
    pending = deque(range(len(items)))
    crew: list[_Worker] = []
    try:
        for _ in range(min(workers, len(items))):
            crew.append(_start(function, memory_mb))
        for worker in crew:
            _feed(worker, pending, items)
        while any(worker.todo for worker in crew):
            busy = {worker.connection: worker for worker in crew if worker.todo}
            for connection in wait(list(busy), timeout=1.0):
                worker = busy[connection]  # type: ignore[index]
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError, pickle.UnpicklingError):
                    if not worker.ready:
                        raise WorkerError(
                            f"no worker can be started for {function.__module__}.{function.__qualname__}: "
                            f"{_post_mortem(worker).detail}. Nothing is said of the files; its own message is above."
                        ) from None
                    yield worker.todo.popleft(), None, _post_mortem(worker)
                    crew[crew.index(worker)] = _replace(worker, function, memory_mb, pending, items)
                    continue
                if answer is None:
                    worker.ready, worker.since = True, time.monotonic()
                    continue
                index, value, failure = answer
                worker.todo.remove(index)
                worker.since = time.monotonic()
                if len(worker.todo) <= _BATCH // 2:
                    _feed(worker, pending, items)
                yield index, value, failure
            now = time.monotonic()
            for worker in list(crew):
                # an interpreter on a busy machine may take long to start, which is no file's fault
                limit = timeout_s if worker.ready else max(timeout_s, _START_SECONDS)
                if worker.todo and now - worker.since > limit and not worker.connection.poll():
                    yield (
                        worker.todo.popleft(),
                        None,
                        Failure("timed_out", f"no answer within {timeout_s:g} seconds"),
                    )
                    crew[crew.index(worker)] = _replace(worker, function, memory_mb, pending, items)
    finally:
        for worker in crew:
            worker.stop()


def _start(function: Callable[[Any], Any], memory_mb: int) -> _Worker:
    ours, theirs = socket.socketpair()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [
            sys.executable,
            "-m",
            "curation_dagster.worker",
            str(theirs.fileno()),
            f"{function.__module__}:{function.__qualname__}",
            str(memory_mb),
        ],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        env={**os.environ, **threads},
    )
    theirs.close()
    return _Worker(process, Connection(ours.detach()))


def _feed(worker: _Worker, pending: deque[int], items: Sequence[Any]) -> None:
    """Top up the worker's list; its front is the item that it is at."""
    if not worker.todo:
        worker.since = time.monotonic()
    batch = [pending.popleft() for _ in range(min(_BATCH - len(worker.todo), len(pending)))]
    if batch:
        worker.todo.extend(batch)
        with contextlib.suppress(OSError):  # a dead worker shows at the next receive
            worker.connection.send([(i, items[i]) for i in batch])


def _replace(
    dead: _Worker, function: Callable[[Any], Any], memory_mb: int, pending: deque[int], items: Sequence[Any]
) -> _Worker:
    dead.stop()
    pending.extendleft(reversed(dead.todo))
    fresh = _start(function, memory_mb)
    _feed(fresh, pending, items)
    return fresh


def _post_mortem(worker: _Worker) -> Failure:
    code = worker.process.wait()
    if code == -signal.SIGKILL:
        return Failure("worker_died", "the process was killed (SIGKILL), most likely for want of memory")
    if code < 0:
        return Failure("worker_died", f"the process died of {signal.Signals(-code).name}")
    return Failure("worker_died", f"the process ended with status {code}")
