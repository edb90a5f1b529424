"""Tables of the de-identification: findings, and the record that the protocol asks for."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.table import TEXT, TEXTS, Table, column

DEIDENTIFIED = Table(
    "deidentified",
    "What was found that may identify a person, by kind and never by value, and what is done about it.",
    ("archive", "version", "image_id"),
    (
        IMAGE_ID,
        ARCHIVE,
        VERSION,
        SHA256,
        column("found_in_file", TEXTS, "Kinds of hidden metadata in the file."),
        column("found_in_name", TEXTS, "Kinds of identifiers in file and folder names."),
        column("found_in_record", TEXTS, "Kinds of identifiers in the record, as `column:kind`."),
        column(
            "found_in_pixels", TEXTS, "Kinds of identifiers in the picture; null while no detector has run."
        ),
        column("actions", TEXTS, "What is done about each, as `carrier:kind:action`."),
        column(
            "profile_codes",
            TEXTS,
            "Of a DICOM file: the option codes of PS3.15, E.3, that hold of what is published of it; no DICOM file is.",
        ),
        *VERDICT,
        RUN,
    ),
    ("archive", "version"),
)

DEIDENTIFICATION_RECORD = Table(
    "deidentification_record",
    "The verification record of each archive version: what was scanned, found, done and looked at, by which versions.",
    ("archive", "version", "aspect", "carrier", "kind"),
    (
        ARCHIVE,
        VERSION,
        column(
            "aspect",
            TEXT,
            "What the row is about.",
            nullable=False,
            isin=("scanned", "found", "done", "sampled", "judged", "written", "version"),
        ),
        column(
            "carrier", TEXT, "Where: file, name, record, pixels, sample, published, code.", nullable=False
        ),
        column(
            "kind", TEXT, "Of what: a kind, a state, an action, a criterion; never a value.", nullable=False
        ),
        column("images", pa.int64(), "How many images, or distinct files.", nullable=False, ge=0),
        column("detail", TEXT, "What a reader needs besides, or the version."),
        RUN,
    ),
    ("archive", "version"),
)
