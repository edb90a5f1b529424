"""The cluster gives the rows of one machine, and loses none with a node.

Real processes: a Ray head, two nodes with a CPU each, and a worker process for every chunk. One test session starts
them once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation_dagster import cluster, compute, spread
from curation_dagster.cluster import ClusterError
from curation_dagster.core.duplicates.find import find_groups
from curation_dagster.core.duplicates.slices import Costs, near_pairs, slices
from curation_dagster.core.duplicates.variants import Hashes
from curation_dagster.engine import files_mapper, near_search, pair_look
from curation_dagster.lake import Lake
from curation_dagster.passes import CHUNK_ROWS, Pass, run_pass
from curation_dagster.schemas import TABLES
from curation_dagster.settings import Settings
from curation_dagster.spread import near_pairs_on_cluster
from curation_dagster.workspace import Workspace
from curation_dagster_tests import poison
from curation_dagster_tests.conftest import ONE_ARCHIVE
from curation_dagster_tests.core.duplicates.builders import BOUNDS, ORDER, RANK, clustered_bits, related
from curation_dagster_tests.core.duplicates.pictures import (
    TRANSFORMATIONS,
    image_row,
    images_table,
    jpeg,
    lesion,
)
from curation_dagster_tests.installation import open_installation
from curation_dagster_tests.ray_cluster import LocalCluster, descendants, local_cluster
from curation_dagster_tests.test_pipeline import fingerprints

pytestmark = pytest.mark.xdist_group("cluster")  # one cluster is enough for two cores


@pytest.fixture(scope="module")
def running() -> Iterator[LocalCluster]:
    with local_cluster() as made:
        yield made


@pytest.fixture
def ray_cluster(running: LocalCluster) -> LocalCluster:
    running.grow(2)
    return running


@pytest.fixture
def by_ray(ray_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    """The environment that chooses the cluster."""
    monkeypatch.setenv("CURATION_ENGINE", "ray")
    monkeypatch.setenv("CURATION_RAY_ADDRESS", ray_cluster.address)
    return ray_cluster


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


def test_a_killed_pass_on_the_cluster_is_taken_up_by_either_engine(
    tmp_path: Path, by_ray: LocalCluster
) -> None:
    items = [str(n) for n in range(2 * CHUNK_ROWS + 20)]
    work = Pass(
        "measurements", poison.row_of_number, "sha256", lambda n: f"{int(n):064x}", poison.failed_row, "m1"
    )
    over = files_mapper(Settings.load())
    lake, folder = Lake.open(tmp_path / "lake"), tmp_path / "work"

    class Killed(Exception):
        pass

    def log(text: str) -> None:
        if f"{len(items)} of {len(items)} files" in text:
            raise Killed

    # killed at the report of the last file: two chunks are on disk by then, nothing is in the table
    with pytest.raises(Killed):
        run_pass(work, items, lake, folder, 2, log, over=over)
    assert lake.read("measurements").num_rows == 0
    report = run_pass(work, items, lake, folder, 2, lambda _: None, over=over)
    assert report.resumed >= 2 * CHUNK_ROWS
    assert report.resumed + report.done == len(items)
    here = Lake.open(tmp_path / "here")
    run_pass(work, items, here, tmp_path / "work_here", 2, lambda _: None)
    rows = [each.read("measurements").sort_by("sha256") for each in (lake, here)]
    assert rows[0].num_rows == len(items)
    assert rows[0].equals(rows[1])
    assert report.failures == 1


def test_an_archive_curated_on_the_cluster_has_the_tables_of_one_machine(
    one_archive: Path, same_delivery: Path, by_ray: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From delivery to corpus; measured, published and searched on the nodes, and nothing of it here."""
    mapped: dict[str, int] = {}
    files, tasks = cluster.map_files, cluster.map_tasks

    def noted_files(function: Any, items: Any, **rest: Any) -> Any:
        mapped[function.__name__] = mapped.get(function.__name__, 0) + len(items)
        return files(function, items, **rest)

    def noted_tasks(function: Any, parts: Any, todo: Any, **rest: Any) -> Any:
        mapped[function.__name__] = mapped.get(function.__name__, 0) + len(todo)
        return tasks(function, parts, todo, **rest)

    monkeypatch.setattr(cluster, "_CHUNKS_PER_CPU", 1)  # each starts an interpreter, for a dozen files
    monkeypatch.setattr(cluster, "map_files", noted_files)
    monkeypatch.setattr(cluster, "map_tasks", noted_tasks)
    monkeypatch.setattr(compute, "map_files", lambda *_, **__: pytest.fail("the process pool was used"))
    here = Workspace(Settings.load(one_archive))
    made = open_installation(same_delivery, monkeypatch)
    made.all_the_way(ONE_ARCHIVE)
    there = made.workspace
    assert there.settings.engine == "ray"
    assert mapped["measure"] == here.lake.read("measurements").num_rows > 20
    assert mapped["publish"] >= here.lake.read("corpus").num_rows > 5
    assert mapped["run"] > 0  # slices of the search
    assert mapped["_look_at"] > 0  # doubtful pairs, such as mirrored copies

    assert fingerprints(there) == fingerprints(here)
    for name in ("measurements", "quality", "duplicates_within", "duplicates", "decisions", "corpus"):
        one, other = (TABLES[name].fingerprint(w.lake.read(name)) for w in (here, there))
        assert one == other, name
    assert there.lake.read("duplicates", where="group_id IS NOT NULL").num_rows > 2
    remembered = ["image_a", "image_b", "kind", "variant", "distance", "evidence"]
    one, other = (w.lake.read("links", columns=remembered) for w in (here, there))
    order = [(n, "ascending") for n in remembered[:2]]
    assert one.num_rows > 0
    assert one.sort_by(order).equals(other.sort_by(order))


def test_a_node_with_other_code_does_nothing(
    tmp_path: Path, ray_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = files_below(tmp_path / "files", ["a", "b"])
    monkeypatch.setattr(cluster, "code_version", lambda: "0.0.9+other")
    with pytest.raises(ClusterError, match=r"a node runs curation-dagster .*, expected 0\.0\.9\+other"):
        list(cluster.map_files(poison.slow_poisoned, items, address=ray_cluster.address))


def test_workers_that_cant_start_on_the_nodes_blame_no_file(ray_cluster: LocalCluster) -> None:
    def local(path: str) -> str:
        return path

    with pytest.raises(compute.WorkerError, match="Nothing is said of the files"):
        list(cluster.map_files(local, ["a", "b"], address=ray_cluster.address))


def test_a_cluster_without_machines_is_given_up(tmp_path: Path, running: LocalCluster) -> None:
    while running.nodes:
        running.kill_node()
    items = files_below(tmp_path / "files", ["a", "b"])
    with pytest.raises(ClusterError, match=r"has had no CPU for 1 seconds; 2 tasks are open"):
        list(cluster.map_files(poison.slow_poisoned, items, address=running.address, patience_s=1.0))


@pytest.mark.parametrize("address", ["127.0.0.3:1", "ray://127.0.0.3:1"])
def test_no_cluster_is_an_error_and_not_a_local_run(address: str) -> None:
    with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address} "):
        list(cluster.map_files(len, ["a"], address=address))


def test_a_worker_process_ends_with_its_caller(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    code = (
        "import sys; from curation_dagster.compute import map_files; from curation_dagster_tests import poison\n"
        "list(map_files(poison.sleep_without_end, [sys.argv[1]]))"
    )
    caller = subprocess.Popen([sys.executable, "-c", code, str(path)])
    until = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    worker = int(path.read_text())
    assert worker in descendants(caller.pid)
    os.kill(caller.pid, signal.SIGKILL)
    caller.wait()
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < until, "the worker process outlived its caller"
        time.sleep(0.05)


def test_the_environment_chooses_the_engine() -> None:
    assert files_mapper(Settings.load(environment={})) is compute.map_files
    chosen = Settings.load(environment={"CURATION_ENGINE": "ray", "RAY_ADDRESS": "head:6379"})
    assert (chosen.engine, chosen.ray_address) == ("ray", "head:6379")
    named = Settings.load(
        environment={"RAY_ADDRESS": "head:6379", "CURATION_RAY_ADDRESS": "ray://other:10001"}
    )
    assert (named.engine, named.ray_address) == ("local", "ray://other:10001")
    with pytest.raises(ValueError, match="CURATION_ENGINE is 'spark'; expected local or ray"):
        Settings.load(environment={"CURATION_ENGINE": "spark"})


BY_BANDS = Costs(scan_pair=1e6, scan_pair_variants=1e6)
"""Costs by which the search is always cut into bands."""


@pytest.mark.parametrize("known", [0, 400])
@pytest.mark.parametrize("costs", [Costs(), BY_BANDS], ids=["rows", "bands"])
def test_near_hashes_found_slice_by_slice_on_the_cluster_are_those_of_one_machine(
    ray_cluster: LocalCluster, known: int, costs: Costs
) -> None:
    packed = np.packbits(clustered_bits(11, 2600), axis=1)
    left = Hashes.of_bytes(packed[known:])
    right = Hashes.of_bytes(packed[:known]) if known else None
    assert len(slices(len(left), len(right) if right else None, 40, 40, costs)) > 1
    here = near_pairs(left, right, 40, 40)
    there = near_pairs_on_cluster(left, right, 40, 40, costs=costs, address=ray_cluster.address)
    assert len(here) > 50
    for column in ("left", "right", "variant", "distance"):
        assert np.array_equal(getattr(here, column), getattr(there, column)), column
        assert getattr(here, column).dtype == getattr(there, column).dtype


def test_groups_of_the_cluster_are_those_of_one_machine(
    by_ray: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates are found there, and doubtful pairs looked at there: mirrored ones always are."""
    rows = []
    for seed in range(4):
        picture = lesion(seed)
        rows.append(image_row(f"{seed}/original", jpeg(picture)))
        rows += [
            image_row(f"{seed}/{n}", TRANSFORMATIONS[n](picture))
            for n in ("crop 5 %", "mirror upside down", "rotate 90", "half size", "re-encode q35")
        ]
    images = images_table(rows)
    rest = (None, BOUNDS, ORDER, RANK, related)
    here = find_groups(images, *rest)
    over = partial(near_search(Settings.load()), costs=BY_BANDS)
    assert over.func is near_pairs_on_cluster
    monkeypatch.setattr(spread, "PAIRS", 6)
    parts: list[int] = []
    look = pair_look(Settings.load())
    assert look.func is spread.look_on_cluster

    def noted(doubtful: Any, *rest: Any) -> Any:
        parts.append(len(list(spread.parts_of(doubtful))))
        return look(doubtful, *rest)

    assert find_groups(images, *rest, pairs_within=over, look=noted).equals(here)
    assert parts[0] > 1
    assert {r["relation"] for r in here.to_pylist()} == {"representative", "near"}
    assert len(set(here["group_id"].to_pylist()) - {None}) == 4


def test_parts_of_candidates_never_part_a_pair() -> None:
    pairs = [(f"a{k // 7}", f"b{k // 3}") for k in range(100)]
    table = pa.table({"a": [a for a, _ in pairs], "b": [b for _, b in pairs], "variant": list(range(100))})
    for rows in (1, 4, 33, 500):
        parts = list(spread.parts_of(table, rows))
        assert pa.concat_tables(parts).equals(table)
        assert all(part.num_rows >= rows for part in parts[:-1])
        seen = [set(zip(p["a"].to_pylist(), p["b"].to_pylist(), strict=True)) for p in parts]
        assert sum(map(len, seen)) == len(set(pairs))
    assert list(spread.parts_of(table.slice(0, 0))) == []


def test_no_pairs_start_no_task(ray_cluster: LocalCluster) -> None:
    nothing = Hashes.of_bytes(np.empty((0, 32), np.uint8))
    assert len(near_pairs_on_cluster(nothing, None, 64, 40, address="nowhere:1")) == 0
