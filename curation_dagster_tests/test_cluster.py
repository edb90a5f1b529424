"""The cluster gives the rows of one machine, and loses none with a node.

Real processes: a Ray head, two nodes with a CPU each, and a worker process for every chunk. One test session starts
them once.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation_dagster import cluster, compute
from curation_dagster.cluster import ClusterError
from curation_dagster.engine import files_mapper
from curation_dagster.passes import run_pass
from curation_dagster.settings import Settings
from curation_dagster_tests import poison
from curation_dagster_tests.installation import open_installation
from curation_dagster_tests.ray_cluster import LocalCluster, descendants, local_cluster
from curation_dagster_tests.test_compute import a_pass

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="session")
def running() -> Iterator[LocalCluster]:
    pytest.importorskip("ray", reason="") if False else None
    with local_cluster() as made:
        yield made


@pytest.fixture
def ray_cluster(running: LocalCluster) -> LocalCluster:
    running.grow(2)
    return running


def files_below(folder: Path, names: list[str]) -> list[str]:
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / name).write_bytes(b"x" * number)
    return [str(folder / name) for name in names]


def settled(found: list[tuple[int, Any, compute.Failure | None]]) -> list[tuple[int, Any, Any]]:
    return sorted(found, key=lambda row: row[0])


def test_a_lost_node_and_a_poisoned_file_lose_no_row(tmp_path: Path, ray_cluster: LocalCluster) -> None:
    names = [f"{n}.jpg" for n in range(118)]
    items = files_below(tmp_path / "files", [*names[:40], "poison", *names[40:90], "damaged", *names[90:]])
    here = list(compute.map_files(poison.slow_poisoned, items, workers=2))
    there = []
    for row in cluster.map_files(poison.slow_poisoned, items, address=ray_cluster.address):
        there.append(row)
        if len(there) == 20:
            ray_cluster.kill_node()
    assert len(ray_cluster.nodes) == 1
    assert [index for index, _, _ in settled(there)] == list(range(len(items)))
    assert settled(there) == settled(here)
    failures = {Path(items[i]).name: f for i, _, f in there if f is not None}
    assert {n: f.kind for n, f in failures.items()} == {"poison": "worker_died", "damaged": "error"}
    assert failures["poison"].detail == "the process died of SIGSEGV"
    assert "not to be quoted" not in failures["damaged"].detail


def test_a_file_that_kills_its_host_each_time_is_found_out(tmp_path: Path, ray_cluster: LocalCluster) -> None:
    items = files_below(tmp_path / "files", ["a", "b", "kills", "c", "d", "e", "f", "g", "h"])
    found = settled(list(cluster.map_files(poison.kills_its_host, items, address=ray_cluster.address)))
    assert [(i, v) for i, v, f in found if f is None] == [
        (i, Path(p).name) for i, p in enumerate(items) if not p.endswith("kills")
    ]
    [failure] = [f for _, _, f in found if f is not None]
    assert failure.kind == "worker_died"
    assert "every process that had this file died, 4 times in a row" in failure.detail


def test_a_pass_writes_the_same_rows_and_resumes_on_the_cluster(
    tmp_path: Path, ray_cluster: LocalCluster, curated_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass
