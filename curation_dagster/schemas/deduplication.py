"""Tables of duplicate groups, within an archive version and over all."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import GROUP, IMAGE_ID, RUN, VERDICT
from curation_dagster.schemas.table import ID, TEXT, Table, column

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

_SEARCH = column(
    "search_version",
    ID,
    "Digest of the code, the bounds and the radii that the search ran with.",
    nullable=False,
)

LINKS = Table(
    "links",
    "Verified links between images with near hashes, over all archives: what the next search takes over.",
    ("image_a", "image_b"),
    (
        column("image_a", ID, "image_id of the one with the smaller id.", nullable=False),
        column("image_b", ID, "image_id of the other.", nullable=False),
        column("kind", TEXT, "What verification found.", nullable=False, isin=("near", "uncertain")),
        column(
            "variant",
            pa.uint8(),
            "Mirrored or rotated variant of the first: 0, as it is, to 7.",
            nullable=False,
            le=7,
        ),
        column(
            "distance",
            pa.int16(),
            "Hamming distance of the hashes, of that variant.",
            unit="bit",
            ge=0,
            le=256,
        ),
        column("evidence", TEXT, "What verified the link, with its figures.", nullable=False),
        _SEARCH,
        RUN,
    ),
)

SEARCHED = Table(
    "searched",
    "Images that were all compared with each other by their hashes; the next search compares them with new ones only.",
    ("image_id",),
    (
        IMAGE_ID,
        column("phash256", pa.binary(), "The hash that was compared.", nullable=False),
        _SEARCH,
        RUN,
    ),
)
