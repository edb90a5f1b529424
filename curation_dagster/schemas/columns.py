"""Columns that several tables share."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.table import ID, TEXT, TEXTS, TIME, column
from curation_dagster.schemas.vocabulary import OUTCOMES, STAGES, VERDICTS

ARCHIVE = column(
    "archive",
    ID,
    "Identifier of the archive, as in its descriptor.",
    nullable=False,
    matches=r"^([a-z0-9_]+|\*)$",
)
VERSION = column("version", TEXT, "Version of the archive, as the publisher names it.", nullable=False)
IMAGE_ID = column(
    "image_id",
    ID,
    "UUIDv5 of archive, source id and content; survives re-runs and new versions.",
    nullable=False,
)
SHA256 = column(
    "sha256", ID, "SHA-256 of the source file; null where a record has no file.", matches=r"^[0-9a-f]{64}$"
)
RUN = column("run_id", ID, "Dagster run that wrote the row.", volatile=True)
VERDICT = (
    column("verdict", TEXT, "What this stage says of the image.", nullable=False, isin=VERDICTS),
    column("failed", TEXTS, "Criteria of this stage that the image fails."),
    column("review", TEXTS, "Criteria of this stage that a person must settle."),
)
DECISION = (
    IMAGE_ID,
    ARCHIVE,
    VERSION,
    column("stage", TEXT, "Stage that applied the criterion.", nullable=False, isin=STAGES),
    column("criterion", ID, "Identifier of the criterion in the criteria file.", nullable=False),
    column("clause", TEXT, "Clause of the protocol that the criterion carries out.", nullable=False),
    column("outcome", TEXT, "Outcome of the criterion for the image.", nullable=False, isin=OUTCOMES),
    column("measured", TEXT, "What was measured, as text; null where nothing was."),
    column("bound", TEXT, "The bound that applied to this image, as text."),
    column("detail", TEXT, "What a reader needs besides: the label, the reason, the person's comment."),
    column("criteria_version", TEXT, "Version of the criteria file.", nullable=False),
    column("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
    column("code_version", ID, "Version of the code that decided.", nullable=False),
    column("decided_by", TEXT, "`rule`, or the person or sample that settled it.", nullable=False),
    column("decided_at", TIME, "When.", nullable=False, volatile=True),
    RUN,
)
GROUP = (
    IMAGE_ID,
    ARCHIVE,
    VERSION,
    SHA256,
    column("group_id", ID, "UUIDv5 of the group's members; null for an image that has no duplicate."),
    column("group_size", pa.int32(), "Members of the group; 1 without duplicates.", nullable=False, ge=1),
    column(
        "is_representative",
        pa.bool_(),
        "True for the one image that stands for the group, and for single images.",
        nullable=False,
    ),
    column("representative_id", ID, "image_id of the representative.", nullable=False),
    column(
        "relation",
        TEXT,
        "How the image relates to the group.",
        nullable=False,
        isin=(
            "single",
            "representative",
            "same_file",
            "same_pixels",
            "derived",
            "near",
            "uncertain",
            "unreadable",
        ),
    ),
    column(
        "distance",
        pa.int32(),
        "Hamming distance of the 256-bit perceptual hashes to the image in `linked_to`.",
        unit="bit",
        ge=0,
        le=256,
    ),
    column("linked_to", ID, "image_id of the member that this image was linked to."),
    column("evidence", TEXT, "What verified the link: hash, keypoints, correlation, with their figures."),
    column(
        "uncertain_with",
        TEXTS,
        "image_ids that may be duplicates of this image, or of a member that it stands for; a person settles.",
    ),
    column("reason", TEXT, "Why the representative was chosen: the first rule that told the members apart."),
    column(
        "label_conflict",
        pa.bool_(),
        "True where members carry diagnoses that exclude each other.",
        nullable=False,
    ),
    column("labels", TEXTS, "The ICD-11 codes in the group, with their archives."),
    column("withdrawn_by", ID, "Withdrawal that the image falls under; null if there is none."),
    column("withdrawn_how", TEXT, "Why it falls under it."),
)
