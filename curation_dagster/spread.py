"""The search for near-duplicates on a cluster: each slice of the search is a task, and each part of the doubtful pairs.

No pair is in two slices (:mod:`curation_dagster.core.duplicates.slices`), so the union of the tasks is what one machine
finds: the same pairs, once each, in whatever order the tasks end and however often one runs again. Each node holds the
hashes once, 32 bytes an image and as much again for the transposed pictures, and its tasks read them where they lie.
The thumbnails of doubtful pairs go with their task, when its turn comes: nodes read no table.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster import cluster
from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.slices import Costs, run, slices
from curation_dagster.core.duplicates.variants import Hashes
from curation_dagster.core.duplicates.verification import LINKS, ReadThumbnails, look_here

PAIRS = 1024
"""Rows of candidates in a task: a second or two, and up to 25 MB of thumbnails."""


def near_pairs_on_cluster(
    left: Hashes,
    right: Hashes | None,
    radius: int,
    dihedral_radius: int | None,
    workers: int = 1,
    costs: Costs | None = None,
    *,
    address: str = "auto",
) -> Pairs:
    """Return all pairs within the radius, as :func:`~curation_dagster.core.duplicates.slices.near_pairs` does.

    Parameters
    ----------
    workers : int
        Without meaning here: each slice uses one CPU of the cluster.
    address : str
        See :func:`curation_dagster.cluster.map_files`.

    Raises
    ------
    curation_dagster.cluster.ClusterError
        If the cluster can't be reached or has no machine.
    """
    del workers
    parts = slices(len(left), None if right is None else len(right), radius, dihedral_radius, costs)
    if parts and dihedral_radius is not None:
        _ = left.transposed  # computed once; it travels with the hashes
    tasks = [((0, 1), (part,)) for part in parts]
    return Pairs.joined(list(cluster.map_tasks(run, [left, right], tasks, address=address)))


def look_on_cluster(
    doubtful: pa.Table,
    read: ReadThumbnails,
    bounds: DuplicateBounds,
    workers: int,
    *,
    address: str = "auto",
) -> pa.Table:
    """Return the links among doubtful pairs, as :func:`~curation_dagster.core.duplicates.verification.look_here` does.

    Raises
    ------
    curation_dagster.cluster.ClusterError
        If the cluster can't be reached or has no machine, or a task fails, as for a thumbnail that is missing.
    """
    del workers

    def with_thumbnails(part: pa.Table) -> tuple[pa.Table, pa.Table, DuplicateBounds]:
        ids = set(part["a"].to_pylist()) | set(part["b"].to_pylist())
        return part, read(sorted(ids)), bounds

    tasks: list[tuple[tuple[int, ...], tuple[pa.Table, ...]]] = [((), (p,)) for p in parts_of(doubtful)]
    found = cluster.map_tasks(_look_at, [], tasks, address=address, prepare=with_thumbnails)
    return pa.concat_tables([LINKS.empty_table(), *found])


def parts_of(doubtful: pa.Table, rows: int | None = None) -> Iterator[pa.Table]:
    """Yield the candidates, ordered by a and b, in parts of at least ``rows`` (:data:`PAIRS`); no pair is parted."""
    if doubtful.num_rows == 0:
        return
    rows = rows or PAIRS
    a, b = (doubtful[name].combine_chunks() for name in ("a", "b"))
    other = pc.or_(pc.not_equal(a[1:], a[:-1]), pc.not_equal(b[1:], b[:-1]))
    starts = np.flatnonzero(np.concatenate([[True], other.to_numpy(zero_copy_only=False)]))
    begin = 0
    while begin < doubtful.num_rows:
        at = np.searchsorted(starts, begin + rows)
        end = int(starts[at]) if at < len(starts) else doubtful.num_rows
        # copied: a slice would take the whole table along to its node
        yield doubtful.slice(begin, end - begin).take(pa.array(np.arange(end - begin)))
        begin = end


def _look_at(part: pa.Table, stored: pa.Table, bounds: DuplicateBounds) -> pa.Table:
    """Look at one part on a node."""

    def read(ids: list[str]) -> pa.Table:
        return stored.filter(pc.is_in(stored["image_id"], pa.array(ids, pa.string())))

    return look_here(part, read, bounds, 1)
