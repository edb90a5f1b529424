"""Tables of the intake: files as delivered, records as published."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.table import ID, TEXT, TIME, Table, column
from curation_dagster.schemas.vocabulary import JOIN_STATES, MODALITIES

FILES = Table(
    "files",
    "Inventory of every file of a staged archive version, members of containers included.",
    ("archive", "version", "path"),
    (
        ARCHIVE,
        VERSION,
        column(
            "path",
            TEXT,
            "Path inside the archive; `outer.zip!/inner.png` for a member of a container.",
            nullable=False,
        ),
        column(
            "role",
            TEXT,
            "What the descriptor says the file is.",
            nullable=False,
            isin=("image", "metadata", "container", "ignored", "other"),
        ),
        column("container", TEXT, "Path of the container below staging, for members that are read in place."),
        column("member", TEXT, "Name inside the container."),
        column("bytes", pa.int64(), "Size.", unit="byte", nullable=False, ge=0),
        column("sha256", ID, "SHA-256 of the content.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        column(
            "media_type",
            TEXT,
            "By content, not by name; `application/octet-stream` if unknown.",
            nullable=False,
        ),
        column(
            "checksum_state",
            TEXT,
            "Against the publisher's checksum.",
            nullable=False,
            isin=("verified", "mismatch", "unpublished"),
        ),
        column("retrieved_at", TIME, "When the file was staged.", nullable=False, volatile=True),
        column("source_url", TEXT, "Where it was retrieved, as far as the descriptor says."),
    ),
    ("archive", "version"),
)

RECORDS = Table(
    "records",
    "The publisher's metadata joined to files, verbatim. Orphans on both sides are rows.",
    ("archive", "version", "image_id"),
    (
        IMAGE_ID,
        ARCHIVE,
        VERSION,
        column(
            "source_id",
            TEXT,
            "The publisher's identifier of the image. Never leaves the intake tables.",
            nullable=False,
        ),
        column("path", TEXT, "Path in `files`; null for a record without a file."),
        SHA256,
        column("join_state", TEXT, "How record and file met.", nullable=False, isin=JOIN_STATES),
        column(
            "derivation",
            TEXT,
            "`original`, or what the publisher made of another image of the archive, such as `crop`.",
            clause="E.9 Duplicates",
        ),
        column("parent_image_id", ID, "The image that a derived one was made from; null if it is not here."),
        column("record_table", TEXT, "Metadata file of the row; null for a file without a record."),
        column(
            "record_row",
            pa.int64(),
            "Number of the row in the metadata file, 1 for the first below the header.",
            ge=1,
        ),
        column("modality", TEXT, "Modality that the descriptor gives to the record.", isin=MODALITIES),
        column("source_values", TEXT, "The record as a JSON object of column to verbatim text."),
        column("detail", TEXT, "What does not fit, in words."),
        *VERDICT,
        RUN,
    ),
    ("archive", "version"),
)

ASSESSMENTS = Table(
    "assessments",
    "The initial assessment of each archive version: counts, labels, distributions, blanks and issues, as they were found. "
    "No id, no name, no free text.",
    ("archive", "version", "section", "number"),
    (
        ARCHIVE,
        VERSION,
        column(
            "section",
            TEXT,
            "What the row is about.",
            nullable=False,
            isin=("counts", "join_states", "labels", "columns", "distributions", "reasons", "issues"),
            clause="S.3 Assess",
        ),
        column("number", pa.int64(), "Place in the section, from 1.", nullable=False, ge=1),
        column("subject", TEXT, "Field of the record, for distributions and reasons."),
        column("value", TEXT, "What was counted, or the issue in words.", nullable=False),
        column("counted", pa.int64(), "How often; of a column, its blanks. Null for issues.", ge=0),
        column("of", pa.int64(), "Of how many records, for columns.", ge=0),
        column("distinct", pa.int64(), "Different values of a column.", ge=0),
        column("icd11_code", TEXT, "Code of a label."),
        column("relation", TEXT, "How code and label relate; null where no vocabulary knows the label."),
        RUN,
    ),
    ("archive", "version"),
)
