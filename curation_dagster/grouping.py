"""Groups of duplicates over some archive versions: what is read for them, and who may stand for a group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.evaluate import fold
from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.duplicates.find import GROUPS, find_links, groups_of
from curation_dagster.core.duplicates.representatives import RepresentativeRule
from curation_dagster.core.harmonize.icd11 import related
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.engine import near_search, pair_look
from curation_dagster.linking import remembered_links
from curation_dagster.thumbnails import stored_thumbnails
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

_DIAGNOSIS = ["image_id", "confirmation", "icd11_code", "icd11_candidates", "parent_image_id"]
_HASHES = [
    "decode_state",
    "stream_sha256",
    "pixel_sha256",
    "phash256",
    "hash_is_degenerate",
    "width",
    "height",
    "sharpest_tile_512",
]


def group_images(
    workspace: Workspace,
    keys: Sequence[ArchiveVersionKey],
    admitted: Mapping[ArchiveVersionKey, bool] | None,
    run_id: str | None = None,
    without: Collection[str] = (),
) -> pa.Table:
    """Return how each image of the archive versions relates to the others.

    Parameters
    ----------
    admitted : mapping or None
        Whether the corpus takes each archive version. Where it is given, an image may stand for its group only if its
        archive version is admitted and nothing is open or failed about it, people's verdicts included. Without it, as
        inside one archive version before anybody has looked, it may if no rule excludes it.
    run_id : str or None
        Where it is given, the search takes over what earlier ones found and is remembered itself.
    without : collection of str
        image_ids that may stand for no group, because they were withdrawn.

    Returns
    -------
    pyarrow.Table
        Columns of ``duplicates`` without the verdict, sorted by image_id.
    """
    if not keys:
        return GROUPS.empty_table()
    images = pa.concat_tables([measured_images(workspace, key, _HASHES) for key in keys])
    images = images.sort_by("image_id")
    sha_of = dict(zip(images["image_id"].to_pylist(), images["sha256"].to_pylist(), strict=True))
    read_thumbnails = stored_thumbnails(workspace.lake, sha_of, workspace.settings.work)
    criteria, workers = workspace.criteria, workspace.settings.workers
    if run_id is None:
        links = find_links(
            images,
            criteria.duplicate_bounds,
            read_thumbnails,
            workers,
            pairs_within=near_search(workspace.settings),
            look=pair_look(workspace.settings),
        ).links
    else:
        links = remembered_links(workspace, images, read_thumbnails, run_id)
    rule = RepresentativeRule(criteria.representative.order, criteria.confirmation_rank)
    return groups_of(images, _facts(workspace, keys, admitted, images, without), links, rule, related)


def _facts(
    workspace: Workspace,
    keys: Sequence[ArchiveVersionKey],
    admitted: Mapping[ArchiveVersionKey, bool] | None,
    images: pa.Table,
    without: Collection[str],
) -> pa.Table:
    """Return what the choice of a representative looks at, a row per image."""
    harmonized = pa.concat_tables([workspace.part("harmonized", k, _DIAGNOSIS) for k in keys])
    eligible = pa.concat_tables([_eligible(workspace, k, admitted) for k in keys])
    eligible = eligible.filter(
        pc.invert(pc.is_in(eligible["image_id"], value_set=pa.array(list(without), pa.string())))
    )
    with workspace.lake.sql(images=images, harmonized=harmonized, eligible=eligible) as sql:
        return sql.sql(
            "SELECT image_id, e.image_id IS NOT NULL AS eligible, confirmation, icd11_code, icd11_candidates, parent_image_id, "
            "archive, "
            "CAST(width AS BIGINT) * height AS pixels, CAST(sharpest_tile_512 AS DOUBLE) AS sharpness "
            "FROM images LEFT JOIN harmonized USING (image_id) LEFT JOIN eligible e USING (image_id) ORDER BY image_id"
        ).to_arrow_table()


def _eligible(
    workspace: Workspace, key: ArchiveVersionKey, admitted: Mapping[ArchiveVersionKey, bool] | None
) -> pa.Table:
    """Return the image ids of one archive version that may stand for a group."""
    if admitted is not None and not admitted[key]:
        return pa.table({"image_id": pa.array([], pa.string())})
    verdicts = workspace.part("verdicts", key)
    verdicts = verdicts.filter(pc.field("stage") != "duplicates")
    if admitted is None:
        folded = fold(verdicts, pc.unique(verdicts["image_id"]))
        return folded.filter(pc.field("verdict") != "excluded").select(["image_id"])
    settled = settle(
        verdicts, workspace.reviews_of(key), workspace.part("review_queue", key), workspace.criteria
    )
    folded = fold(settled, pc.unique(settled["image_id"]))
    return folded.filter(pc.field("verdict") == "kept").select(["image_id"])
