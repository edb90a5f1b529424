"""Which engine works: this machine's processes and threads, or a cluster. Both give the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

from curation_dagster import cluster, compute, spread
from curation_dagster.core.duplicates.candidates import NearPairs
from curation_dagster.core.duplicates.slices import near_pairs
from curation_dagster.core.duplicates.verification import Look, look_here
from curation_dagster.settings import Settings

MapFiles: TypeAlias = Callable[..., Iterator[tuple[int, Any, compute.Failure | None]]]
"""As :func:`curation_dagster.compute.map_files`."""


def files_mapper(settings: Settings) -> MapFiles:
    """Return what maps a function over files, as ``CURATION_ENGINE`` says."""
    if settings.engine == "ray":
        return partial(cluster.map_files, address=settings.ray_address)
    return compute.map_files


def near_search(settings: Settings) -> NearPairs:
    """Return what finds near hashes, as ``CURATION_ENGINE`` says."""
    if settings.engine == "ray":
        return partial(spread.near_pairs_on_cluster, address=settings.ray_address)
    return near_pairs


def pair_look(settings: Settings) -> Look:
    """Return what looks at doubtful pairs, as ``CURATION_ENGINE`` says."""
    if settings.engine == "ray":
        return partial(spread.look_on_cluster, address=settings.ray_address)
    return look_here
