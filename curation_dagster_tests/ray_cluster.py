"""A Ray cluster on loopback: a head without CPUs and two nodes with one CPU each, every one a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# not 127.0.0.1, which Ray takes for "this machine" and replaces by its address in the network
_NODE = {"object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.2"}
_SYSTEM = {
    # a lost node is noticed after seconds, not after half a minute
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 1000,
    "worker_niceness": 0,  # as urgent as the tests that wait for them
}
_MARK = "TEST_CLUSTER_MARK"


@dataclass
class LocalCluster:
    """The cluster, the nodes that work, and the mark in the environment of all its processes."""

    cluster: Any
    mark: str
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where drivers connect."""
        return str(self.cluster.address)

    def grow(self, nodes: int) -> None:
        """Have so many working nodes."""
        while len(self.nodes) < nodes:
            self.nodes.append(_started(self, num_cpus=1))

    def kill_node(self) -> None:
        """Kill a node and what it started with SIGKILL, as when a machine is lost."""
        node = self.nodes.pop()
        raylet = node.all_processes["raylet"][0].process.pid
        _kill([raylet, *descendants(raylet)])
        self.cluster.remove_node(node, allow_graceful=False)

    def processes(self) -> list[int]:
        """Return the processes of the cluster, this one left out."""
        return [pid for pid in _pids() if pid != os.getpid() and f"{_MARK}={self.mark}" in _environment(pid)]


@contextlib.contextmanager
def local_cluster() -> Iterator[LocalCluster]:
    """Start a cluster, and leave no process of it behind."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    made = LocalCluster(cluster, uuid.uuid4().hex)
    try:
        _started(made, num_cpus=0, include_dashboard=False, _system_config=_SYSTEM)
        made.grow(2)
        yield made
    finally:
        cluster.shutdown()
        until = time.monotonic() + 30
        while made.processes() and time.monotonic() < until:
            time.sleep(0.2)
        left = {pid: _command(pid) for pid in made.processes()}
        _kill(left)
        assert not left, f"processes of the cluster did not end: {left}"


@contextlib.contextmanager
def _environment_of_nodes(mark: str) -> Iterator[None]:
    """Set what a node inherits, and only while one starts: later children of this process are not the cluster's."""
    with pytest.MonkeyPatch.context() as patch:
        root = str(Path(__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv(_MARK, mark)
        # as where Ray is installed without its dashboard: a node waits 15 seconds for its agents and then dies, and
        # those with a dashboard need longer to start on a machine with much to do
        absent = ImportError("the tests need no dashboard")
        patch.setattr("ray._private.utils.get_dashboard_dependency_error", lambda: absent)
        yield


def _started(made: LocalCluster, **arguments: Any) -> Any:
    """Add a node. Ray gives it half a minute, which a machine with much to do may need more than once."""
    for patience in (2, 1, 0):
        before = set(made.processes())
        try:
            with _environment_of_nodes(made.mark):
                return made.cluster.add_node(**_NODE, **arguments)
        except Exception as error:
            _kill(set(made.processes()) - before)
            if not patience or "timed out" not in str(error):
                raise
    raise AssertionError


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def descendants(ancestor: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found, open_ = [], [ancestor]
    while open_:
        children = [pid for pid, parent in parents.items() if parent == open_[0]]
        found += children
        open_ = open_[1:] + children
    return found


def _pids() -> list[int]:
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:200]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def _environment(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
