"""The search for near hashes on a cluster: each slice of the search is a task.

No pair is in two slices (:mod:`curation_dagster.core.duplicates.slices`), so the union of the tasks is what one machine
finds: the same pairs, once each, in whatever order the tasks end and however often one runs again. Each node holds the
hashes once, 32 bytes an image and as much again for the transposed pictures, and its tasks read them where they lie.
"""

from __future__ import annotations

from curation_dagster import cluster
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.slices import Costs, run, slices
from curation_dagster.core.duplicates.variants import Hashes


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
