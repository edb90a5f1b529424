"""The search over all archives, remembered: what was compared once is not compared again.

Two tables hold it. ``searched`` lists the images that were all compared with each other, ``links`` what was found. Both
carry the version of the search, so other code, other bounds or other radii begin from scratch. An image that has left
the view leaves both tables, because images that come later are not compared with it.

The links are written first. Should the run die between the two commits, their images are searched once more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import pyarrow as pa

from curation_dagster.core.duplicates.candidates import searchable
from curation_dagster.core.duplicates.find import find_links
from curation_dagster.core.duplicates.verification import Thumbnails
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.engine import near_search, pair_look
from curation_dagster.version import deciding_code
from curation_dagster.workspace import Workspace

_LINK = {"a": "image_a", "b": "image_b"}


def remembered_links(workspace: Workspace, images: pa.Table, thumbnails: Thumbnails, run_id: str) -> pa.Table:
    """Return the verified links among the images, and remember them for the next search.

    Parameters
    ----------
    images : pyarrow.Table
        As :func:`~curation_dagster.core.duplicates.find.find_groups` takes them.

    Returns
    -------
    pyarrow.Table
        Schema ``LINKS`` of :mod:`~curation_dagster.core.duplicates.verification`: the same as from scratch.
    """
    lake, version = workspace.lake, search_version(workspace, searchable(images).num_rows)
    links = lake.read("links", where={"search_version": version})
    searched = lake.read("searched", columns=["image_id", "phash256"], where={"search_version": version})
    names = [*_LINK.values(), "kind", "variant", "distance", "evidence"]
    before = links.select(names).rename_columns(["a", "b", *names[2:]])
    settings = workspace.settings
    found = find_links(
        images,
        workspace.criteria.duplicate_bounds,
        thumbnails,
        settings.workers,
        before,
        searched,
        near_search(settings),
        pair_look(settings),
    )
    stamp = {"search_version": version, "run_id": run_id}
    _remember(workspace, "links", found.kept.rename_columns(names), found.fresh.rename_columns(names), stamp)
    _remember(workspace, "searched", found.kept_ids, found.fresh_ids, stamp)
    return found.links


def search_version(workspace: Workspace, images: int) -> str:
    """Return the digest of everything that a link depends on but for the two images: code, measures, bounds, radii."""
    bounds = workspace.criteria.duplicate_bounds
    said = [asdict(bounds), bounds.radii(images), deciding_code(), measured_by()]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _remember(
    workspace: Workspace, table: str, kept: pa.Table, fresh: pa.Table, stamp: dict[str, str]
) -> None:
    """Add the fresh rows; where earlier ones are out of date, write the table anew."""
    dataset = workspace.lake.dataset(table)
    stored = dataset.count_rows() if dataset is not None else 0
    note = {"run_id": stamp["run_id"]}
    if stored == kept.num_rows:
        if fresh.num_rows:
            workspace.lake.append(table, _stamped(fresh, stamp), note)
    else:
        workspace.lake.replace(table, _stamped(pa.concat_tables([kept, fresh]), stamp), note=note)


def _stamped(rows: pa.Table, stamp: dict[str, str]) -> pa.Table:
    for name, value in stamp.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows))
    return rows
