"""Tables of duplicate groups, within an archive version and over all."""

from __future__ import annotations

from curation_dagster.schemas.columns import GROUP, RUN, VERDICT
from curation_dagster.schemas.table import Table

DUPLICATES_WITHIN = Table(
    "duplicates_within",
    "Groups of duplicates and near-duplicates inside one archive version.",
    ("archive", "version", "image_id"),
    (*GROUP, *VERDICT, RUN),
    ("archive", "version"),
)

DUPLICATES = Table(
    "duplicates",
    "Groups across archives, over the current version of each archive.",
    ("image_id",),
    (*GROUP, *VERDICT, RUN),
)
