"""Withdrawals as the groups over all archives see them: which images of the tables fall under one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.review.withdrawals import Found, named, recognized, spread
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

PICTURE = ["pixel_sha256", "phash256", "hash_is_degenerate"]
_KEYS = ["image_id", "archive", "version", "patient_key", "lesion_key"]


def directly_withdrawn(workspace: Workspace, keys: Sequence[ArchiveVersionKey]) -> Found:
    """Return the images of some archive versions that a withdrawal names, or that show what a withdrawn image shows."""
    withdrawals = workspace.lake.read("withdrawals").sort_by("withdrawn_at").to_pylist()
    if not withdrawals:
        return {}
    found = named(people_of(workspace, keys), withdrawals)
    pictures = pa.concat_tables([measured_images(workspace, k, PICTURE) for k in keys])
    # a source that was withdrawn takes back its own files, not what others hold in their own right
    own = [w["withdrawal_id"] for w in withdrawals if w["kind"] != "source"]
    gone = workspace.lake.read("withdrawn", where={"withdrawal_id": own})
    radius = workspace.criteria.duplicate_bounds.accept_radius
    return recognized(pictures, gone, radius) | found


def with_withdrawals(workspace: Workspace, groups: pa.Table, direct: Found) -> pa.Table:
    """Return the groups with ``withdrawn_by`` and ``withdrawn_how`` filled in."""
    everything = direct
    if direct:
        keys = sorted(
            {(r["archive"], r["version"]) for r in groups.select(["archive", "version"]).to_pylist()}
        )
        images = people_of(workspace, [ArchiveVersionKey(*k) for k in keys])
        kinds = {
            w["withdrawal_id"]: w["kind"]
            for w in workspace.lake.read("withdrawals", columns=["withdrawal_id", "kind"]).to_pylist()
        }
        everything = spread(direct, images, groups, kinds)
    told = [everything.get(i, (None, None)) for i in groups["image_id"].to_pylist()]
    for n, name in enumerate(("withdrawn_by", "withdrawn_how")):
        column = pa.array([t[n] for t in told], pa.string())
        groups = groups.set_column(groups.column_names.index(name), groups.schema.field(name), column)
    return groups


def people_of(workspace: Workspace, keys: Sequence[ArchiveVersionKey]) -> pa.Table:
    """Return whom each image of some archive versions shows: image_id, archive, version, patient_key, lesion_key."""
    parts = [workspace.part("harmonized", k, _KEYS) for k in keys]
    return (
        pa.concat_tables(parts) if parts else workspace.lake.read("harmonized", columns=_KEYS, where="false")
    )
