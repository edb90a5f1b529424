"""The search for near hashes on a cluster: the hashes in blocks, every two blocks a task.

Every pair of hashes lies in one block or in two, and each such choice is one task, so the union of the tasks is what one
machine finds: the same pairs, once each. A task reads its two blocks only, so no node needs room for all hashes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from curation_dagster import cluster
from curation_dagster.core.duplicates.candidates import near_pairs
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.variants import Hashes

BLOCK_ROWS = 1_000_000  # 32 MB of hashes; a minute or so of one core for two of them


def near_pairs_on_cluster(
    left: Hashes,
    right: Hashes | None,
    radius: int,
    dihedral_radius: int | None,
    workers: int = 1,
    *,
    address: str = "auto",
    block_rows: int = BLOCK_ROWS,
) -> Pairs:
    """Return all pairs within the radius, as ``near_pairs`` of :mod:`curation_dagster.core.duplicates.candidates` does.

    Parameters
    ----------
    workers : int
        Without meaning here: each task uses one CPU of the cluster.
    address : str
        See :func:`curation_dagster.cluster.map_files`.
    block_rows : int
        Hashes of a block; has no influence on the result.

    Raises
    ------
    curation_dagster.cluster.ClusterError
        If the cluster can't be reached or has no machine.
    """
    del workers
    sides = [left] if right is None else [left, right]
    blocks: list[Hashes] = []
    starts: list[list[tuple[int, int]]] = []  # of each side: number of the block, first row
    for side in sides:
        of_side = []
        for start in range(0, len(side), block_rows):
            of_side.append((len(blocks), start))
            blocks.append(Hashes(np.ascontiguousarray(side.words[:, start : start + block_rows])))
        starts.append(of_side)
    tasks: list[tuple[tuple[int, ...], tuple[object, ...]]] = []
    for (i, row), (j, column) in _choices(starts, within=right is None):
        alone = right is None and i == j
        rest = (row, column, alone, radius, dihedral_radius)
        tasks.append(((i, i) if alone else (i, j), rest))
    return Pairs.joined(cluster.map_tasks(pairs_of_blocks, blocks, tasks, address=address))


def pairs_of_blocks(
    left: Hashes,
    right: Hashes,
    row: int,
    column: int,
    alone: bool,
    radius: int,
    dihedral_radius: int | None,
) -> Pairs:
    """Return the pairs of two blocks, or of one among itself, by their positions in the whole.

    Parameters
    ----------
    row, column : int
        Position of each block's first hash.
    alone : bool
        Whether both are the same block.
    """
    found = near_pairs(left, None if alone else right, radius, dihedral_radius, 1)
    return Pairs(found.left + row, found.right + column, found.variant, found.distance)


def _choices(
    starts: list[list[tuple[int, int]]], within: bool
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for number, one in enumerate(starts[0]):
        for other in starts[0][number:] if within else starts[1]:
            yield one, other
