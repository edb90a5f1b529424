"""The same work on a Ray cluster: files in chunks, and any other list of independent tasks.

A chunk of files is a task. Inside it the files go through a worker process of their own, as on one machine
(:func:`curation_dagster.compute.map_files`), so a file that kills its decoder kills neither the task nor the node. Ray
repeats the tasks of a node that is lost; a chunk whose hosts die again and again is halved until the file that does
it stands alone and becomes a failure with its reason. What a task returns is taken once, so each file has one row.

The nodes read staged files and write published ones by the same paths as the caller, so ``CURATION_HOME`` lies on a file
system that all of them mount (docs/scaling.md). They need the same code, and a task refuses to run with any other.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curation_dagster.compute import Failure, WorkerError
from curation_dagster.compute import map_files as map_files_here
from curation_dagster.version import code_version

_CHUNK_ITEMS = 512  # some seconds of pixels, against a second or two to start a worker process
_CHUNKS_PER_CPU = 4  # so that the last chunks are shared by all
_RETRIES = 3  # of Ray's own, before a chunk is halved
_PATIENCE_SECONDS = 600.0  # without any CPU in the cluster: long enough for an autoscaler to bring a machine


class ClusterError(RuntimeError):
    """The cluster can't be reached, has no machine, or runs other code; it says nothing of the files."""


@dataclass(frozen=True)
class _Chunk:
    """Positions of the items of one task."""

    indices: tuple[int, ...]

    def halves(self) -> tuple[_Chunk, ...]:
        middle = len(self.indices) // 2
        return _Chunk(self.indices[:middle]), _Chunk(self.indices[middle:])


def map_files(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int = 1,
    timeout_s: float = 120.0,
    memory_mb: int = 4096,
    address: str = "auto",
    patience_s: float = _PATIENCE_SECONDS,
) -> Iterator[tuple[int, Any, Failure | None]]:
    """Yield ``(index, value, failure)`` for each item once, as :func:`curation_dagster.compute.map_files` does.

    Parameters
    ----------
    function : callable
        A module-level function of one item; imported by name on the nodes.
    workers : int
        Without meaning here: the CPUs of the cluster are used, one task on each.
    timeout_s, memory_mb : float, int
        For one item, in its worker process on the node.
    address : str
        ``host:6379``, ``ray://host:10001``, or ``auto`` for the cluster that this machine belongs to.
    patience_s : float
        Seconds to wait for a machine while the cluster has none.

    Raises
    ------
    ClusterError
        If the cluster can't be reached, has had no CPU for ``patience_s``, or runs other code.
    curation_dagster.compute.WorkerError
        If a node can't start a worker process.
    """
    del workers
    if not items:
        return
    with connected(address) as ray:
        run = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run_chunk)
        cpus = max(1.0, ray.cluster_resources().get("CPU", 0.0))
        size = max(1, min(_CHUNK_ITEMS, int(len(items) / (_CHUNKS_PER_CPU * cpus))))
        pending = deque(
            _Chunk(tuple(range(start, min(start + size, len(items))))) for start in range(0, len(items), size)
        )

        def submit(chunk: _Chunk) -> Any:
            return run.remote(
                function, [(i, items[i]) for i in chunk.indices], timeout_s, memory_mb, code_version()
            )

        for chunk, answer, error in _gather(ray, submit, pending, address, patience_s):
            if error is None:
                yield from answer
            elif len(chunk.indices) > 1:
                pending.extendleft(chunk.halves())
            else:
                reason = f"every process that had this file died, {_RETRIES + 1} times in a row: {error}"
                yield chunk.indices[0], None, Failure("worker_died", reason)


def map_tasks(
    function: Callable[..., Any],
    parts: Sequence[Any],
    tasks: Sequence[tuple[tuple[int, ...], tuple[Any, ...]]],
    address: str = "auto",
    patience_s: float = _PATIENCE_SECONDS,
    prepare: Callable[..., tuple[Any, ...]] | None = None,
) -> Iterator[Any]:
    """Yield ``function(*parts, *arguments)`` for each task, in the order of completion.

    Parameters
    ----------
    function : callable
        A module-level function without side effects: the tasks of a lost node run again.
    parts : sequence
        Large values that several tasks read. Each is sent to a node at most once.
    tasks : sequence
        For each task the positions of the parts that it reads, and its further arguments.
    prepare : callable or None
        Makes of those arguments the ones that are sent, when the task's turn comes: what is large is in memory only for
        the tasks that are under way.

    Raises
    ------
    ClusterError
        As in :func:`map_files`, or if the processes of one task died ``_RETRIES + 1`` times.
    Exception
        What the function raised.
    """
    if not tasks:
        return
    with connected(address) as ray:
        run = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run_task)
        held = [ray.put(value) for value in parts]

        def submit(task: tuple[tuple[int, ...], tuple[Any, ...]]) -> Any:
            positions, arguments = task
            if prepare is not None:
                arguments = prepare(*arguments)
            return run.remote(function, code_version(), *(held[p] for p in positions), *arguments)

        for _, answer, error in _gather(ray, submit, deque(tasks), address, patience_s):
            if error is not None:
                raise ClusterError(
                    f"the processes of one task of {function.__qualname__} died {_RETRIES + 1} times in a row ({error}), "
                    "most likely for want of memory. Nothing was written; give the nodes more, then run the asset again."
                )
            yield answer


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give the ``ray`` module, connected to the cluster; whoever is connected already stays so.

    Raises
    ------
    ClusterError
        If Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise ClusterError(
            "CURATION_ENGINE is ray, but Ray is not installed: pip install 'curation-dagster[cluster]'"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    try:
        _knock(address)
        # what workers print may name files, so none of it comes into the log of the run
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, configure_logging=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address} ({type(error).__name__}). Nothing was done; start one (`ray start --head`), "
            "set CURATION_RAY_ADDRESS, or set CURATION_ENGINE=local."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Refuse an address where nobody listens, at once; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10.0).close()


def _gather(
    ray: Any, submit: Callable[[Any], Any], pending: deque[Any], address: str, patience_s: float
) -> Iterator[tuple[Any, Any, str | None]]:
    """Yield each task with its answer, or with the kind of death that its processes died.

    Twice as many tasks as there are CPUs are in flight: each node has its next one, and an autoscaler sees the demand.
    """
    running: dict[Any, Any] = {}
    without_cpu = 0.0
    cpus, asked = 1, 0.0
    try:
        while pending or running:
            now = time.monotonic()
            if now - asked > 1.0:
                cpus, asked = int(_cpus(ray)), now
                without_cpu = 0.0 if cpus else without_cpu or now
            if without_cpu and now - without_cpu > patience_s:
                raise ClusterError(
                    f"the cluster at {address} has had no CPU for {patience_s:g} seconds; {len(pending) + len(running)} "
                    "tasks are open. What is finished stays; start nodes, then run the asset again."
                )
            while pending and len(running) < 2 * max(1, cpus):
                task = pending.popleft()
                running[submit(task)] = task
            ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            for reference in ready:
                task = running.pop(reference)
                try:
                    answer = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise _cause(error) from error
                except ray.exceptions.RayError as error:
                    yield task, None, type(error).__name__
                else:
                    yield task, answer, None
    finally:
        for reference in running:
            with contextlib.suppress(Exception):  # a cluster that is gone has nothing to cancel
                ray.cancel(reference, force=True)


def _cpus(ray: Any) -> float:
    """Return the CPUs of the nodes that are alive."""
    return sum(node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])


def _cause(error: Any) -> Exception:
    """Return what the task raised; an unknown error keeps its kind and not its text, which may quote the source."""
    cause = error.cause
    if isinstance(cause, WorkerError | ClusterError | ValueError):
        return cause
    return ClusterError(
        f"a task failed with {type(cause).__name__}; its own message is in the log of the node"
    )


def _run_chunk(
    function: Callable[[Any], Any],
    chunk: list[tuple[int, Any]],
    timeout_s: float,
    memory_mb: int,
    expected_code: str,
) -> list[tuple[int, Any, Failure | None]]:
    """Do one chunk on a node, file by file in a worker process that may die."""
    _same_code(expected_code)
    done = map_files_here(
        function, [item for _, item in chunk], workers=1, timeout_s=timeout_s, memory_mb=memory_mb
    )
    return [(chunk[position][0], value, failure) for position, value, failure in done]


def _run_task(function: Callable[..., Any], expected_code: str, *values: Any) -> Any:
    _same_code(expected_code)
    return function(*values)


def _same_code(expected: str) -> None:
    """Refuse to work with other code than the caller's: rows are stamped with the version of the code that made them."""
    if code_version() != expected:
        raise ClusterError(
            f"a node runs curation-dagster {code_version()}, expected {expected}. Nothing was done there; install the same "
            "version on all nodes, then run the asset again. What is finished stays."
        )
