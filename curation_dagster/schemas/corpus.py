"""The ledger, the corpus, and what admits an archive version to it."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, DECISION, IMAGE_ID, RUN, VERSION
from curation_dagster.schemas.harmonization import UNIFIED_COLUMNS
from curation_dagster.schemas.table import ID, TEXT, TEXTS, TIME, Table, column

VERDICTS_TABLE = Table(
    "verdicts",
    "One row per image and criterion, as each stage of each archive version decided it by rule.",
    ("archive", "version", "stage", "image_id", "criterion"),
    DECISION,
    ("archive", "version", "stage"),
)

DECISIONS = Table(
    "decisions",
    "The ledger: one row per image and criterion, people's verdicts included.",
    ("archive", "version", "image_id", "criterion"),
    DECISION,
    ("archive", "version"),
)

CORPUS = Table(
    "corpus",
    "One row per curated image.",
    ("image_id",),
    (
        IMAGE_ID,
        column("file", TEXT, "Path of the published file below the corpus folder.", nullable=False),
        column("sha256", ID, "SHA-256 of the published file.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        column("width", pa.int32(), "Width.", unit="px", nullable=False, ge=1),
        column("height", pa.int32(), "Height.", unit="px", nullable=False, ge=1),
        *UNIFIED_COLUMNS,
        column("duplicate_group", ID, "group_id of the duplicates that this image stands for."),
        column(
            "field_sources",
            TEXTS,
            "Fields that this image's own record lacks and another member of its group states: the field, then the "
            "archive and image_id that it comes from.",
        ),
        ARCHIVE,
        VERSION,
        column("licence", TEXT, "SPDX id or named licence that holds for this image.", nullable=False),
        column("attribution", TEXT, "Text that the licence asks for."),
        column("source_url", TEXT, "Landing page of the archive."),
        column(
            "ingested_at", TIME, "When the image first entered the corpus.", nullable=False, volatile=True
        ),
        column("criteria_version", TEXT, "Version of the criteria that admitted it.", nullable=False),
        column(
            "split",
            TEXT,
            "Null here: sides are drawn from the finished corpus, in the table `splits`; a release joins them.",
        ),
        RUN,
    ),
)

PUBLISHED = Table(
    "published",
    "Every standardized file ever written, with the independent re-scan of its bytes.",
    ("image_id", "source_sha256", "written_by"),
    (
        IMAGE_ID,
        column("source_sha256", ID, "SHA-256 of the source file.", nullable=False),
        column("written_by", ID, "Version of the writing code.", nullable=False),
        column(
            "state",
            TEXT,
            "written; not_clean: the re-scan found something and the file was removed; failed.",
            nullable=False,
            isin=("written", "not_clean", "failed"),
        ),
        column("file", TEXT, "Path below the corpus folder."),
        column("sha256", ID, "SHA-256 of the written file."),
        column("bytes", pa.int64(), "Size of the written file.", unit="byte", ge=0),
        column("width", pa.int32(), "Width.", unit="px", ge=1),
        column("height", pa.int32(), "Height.", unit="px", ge=1),
        column(
            "transformations",
            TEXTS,
            "What was done to the pixels: lossless (nothing: the compressed data are those of the source), oriented, "
            "icc_to_srgb, to_8_bit, to_rgb, alpha_flattened, redacted, re_encoded.",
        ),
        column(
            "rescan_findings",
            TEXTS,
            "Kinds of hidden metadata that the re-scan found in the written bytes, residual_text and residual_face.",
        ),
        column(
            "residual_regions",
            pa.int32(),
            "Text and faces that the detectors are sure of in the written bytes; a file with any is removed.",
            ge=0,
        ),
        column("detail", TEXT, "What went wrong, if anything did."),
    ),
)

ADMISSIONS = Table(
    "admissions",
    "Which archive versions the corpus admits, and why it refuses the others.",
    ("archive", "version"),
    (
        ARCHIVE,
        VERSION,
        column("admitted", pa.bool_(), "True where the corpus takes images from it.", nullable=False),
        column("reasons", TEXTS, "Why not, a sentence each."),
        column("images_in", pa.int64(), "Rows that entered.", nullable=False, ge=0),
        column("images_kept", pa.int64(), "Images in the corpus.", nullable=False, ge=0),
        column("images_excluded", pa.int64(), "Images that fail a criterion.", nullable=False, ge=0),
        column(
            "images_quarantined",
            pa.int64(),
            "Images that wait for a person, or for their archive version's admission.",
            nullable=False,
            ge=0,
        ),
        column("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
        RUN,
    ),
)
