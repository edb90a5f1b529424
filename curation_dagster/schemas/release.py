"""Splits, releases, withdrawals, and the audit trail over all that people decide."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, VERSION
from curation_dagster.schemas.table import ID, TEXT, TIME, Table, column

SIDES = ("train", "validation", "test", "sequestered")
"""The sides of a split, from the most exposed to the least: what was trained on can't be un-trained."""

_DIGEST = r"^[0-9a-f]{64}$"

SPLITS = Table(
    "splits",
    "The side of each image of the corpus, with the group that it moves with. No group is on two sides.",
    ("image_id",),
    (
        IMAGE_ID,
        ARCHIVE,
        VERSION,
        column("split", TEXT, "The side; null where the image is withheld from releases.", isin=SIDES),
        column(
            "state",
            TEXT,
            "assigned; withheld: its group would be on two sides, so no release takes it.",
            nullable=False,
            isin=("assigned", "withheld"),
        ),
        column("reason", TEXT, "Why this side, in words.", nullable=False),
        column(
            "component",
            ID,
            "Smallest image_id of all images that are tied to this one by patient, lesion or duplicate.",
            nullable=False,
        ),
        column("component_size", pa.int64(), "Images so tied, those outside the corpus included.", ge=1),
        column("stratum", TEXT, "Values that the sides are balanced by, ` | ` between them.", nullable=False),
        column("settings_digest", ID, "SHA-256 of splits.yaml.", nullable=False, matches=_DIGEST),
        RUN,
    ),
)

SPLIT_HISTORY = Table(
    "split_history",
    "The side that each image was given first. Rows are only ever added, so no image ever changes sides.",
    ("image_id",),
    (
        IMAGE_ID,
        column("split", TEXT, "The side.", nullable=False, isin=SIDES),
        column("reason", TEXT, "Why this side, in words.", nullable=False),
        column("component", ID, "The group when the side was given.", nullable=False),
        column("settings_digest", ID, "SHA-256 of splits.yaml then.", nullable=False, matches=_DIGEST),
        column("assigned_at", TIME, "When.", nullable=False, volatile=True),
        RUN,
    ),
)

RELEASES = Table(
    "releases",
    "Every release that was sealed. Rows are only ever added.",
    ("release",),
    (
        column("release", pa.int64(), "Number, from 1.", nullable=False, ge=1),
        column("state_digest", ID, "SHA-256 of what was approved: tables, criteria, splits.", nullable=False),
        column("seal", ID, "SHA-256 of SEAL.json of the bundle.", nullable=False, matches=_DIGEST),
        column("checksums", ID, "SHA-256 of SHA256SUMS of the bundle.", nullable=False, matches=_DIGEST),
        column("images", pa.int64(), "Images in the bundle.", nullable=False, ge=0),
        column(
            "withheld", pa.int64(), "Images of the corpus that the bundle leaves out.", nullable=False, ge=0
        ),
        column("author", TEXT, "Who put the release forward.", nullable=False),
        column("approver", TEXT, "Who approved it; another person.", nullable=False),
        column("audit_seq", pa.int64(), "Number of the last entry of the audit trail in it.", nullable=False),
        column("audit_head", ID, "Hash of that entry.", nullable=False, matches=_DIGEST),
        column("table_versions", TEXT, "JSON object: each table to its version.", nullable=False),
        column("folder", TEXT, "Folder of the bundle below the releases folder.", nullable=False),
        column("issued_at", TIME, "The time that all documents of the release carry.", nullable=False),
        RUN,
    ),
)

WITHDRAWALS = Table(
    "withdrawals",
    "What was withdrawn: an image, a patient, a lesion or a source. Rows are only ever added.",
    ("withdrawal_id",),
    (
        column("withdrawal_id", ID, "UUID of the withdrawal.", nullable=False),
        column(
            "kind", TEXT, "What is withdrawn.", nullable=False, isin=("image", "patient", "lesion", "source")
        ),
        column(
            "subject",
            TEXT,
            "image_id, patient_key, lesion_key, archive, or archive@version.",
            nullable=False,
        ),
        column("why", TEXT, "In the words of who withdrew it.", nullable=False),
        column("who", TEXT, "Who withdrew it.", nullable=False),
        column("affected_releases", pa.list_(pa.int64()), "Sealed releases that hold images of it."),
        column(
            "removed_files",
            pa.int64(),
            "Published files that were there and had to go when it was said.",
            nullable=False,
            ge=0,
        ),
        column("withdrawn_at", TIME, "When.", nullable=False, volatile=True),
    ),
)

WITHDRAWN = Table(
    "withdrawn",
    "How withdrawn pictures are known again when they come back under another name, version or archive.",
    ("withdrawal_id", "image_id"),
    (
        column("withdrawal_id", ID, "The withdrawal.", nullable=False),
        IMAGE_ID,
        ARCHIVE,
        column("sha256", ID, "SHA-256 of the source file.", matches=_DIGEST),
        column("pixel_sha256", ID, "SHA-256 of the decoded pixels."),
        column("phash256", pa.binary(), "Perceptual hash, 256 bit; null where it is degenerate."),
        column("patient_key", ID, "Keyed hash of the patient."),
        column("how", TEXT, "Why this image belongs to the withdrawal.", nullable=False),
    ),
)

AUDIT = Table(
    "audit",
    "The audit trail: who did what, when and why, with the old and the new value. Each entry carries the hash of the "
    "one before it, so an entry that was changed, removed or moved breaks the chain.",
    ("seq",),
    (
        column("seq", pa.int64(), "Number, from 1 without gaps.", nullable=False, ge=1),
        column("at", TIME, "When.", nullable=False),
        column("who", TEXT, "The person, or `rule` for what the pipeline found by itself.", nullable=False),
        column(
            "with_whom",
            TEXT,
            "The author of what was approved; in an entry that was made later, the person whom the row names.",
        ),
        column(
            "action",
            TEXT,
            "What was done.",
            nullable=False,
            isin=("verdict", "approval", "criteria_change", "release", "withdrawal"),
        ),
        column("subject_kind", TEXT, "Kind of what it was done to.", nullable=False),
        column("subject", TEXT, "What it was done to.", nullable=False),
        column("why", TEXT, "In the person's words."),
        column("old_value", TEXT, "Before, as JSON; null where there was nothing."),
        column("new_value", TEXT, "After, as JSON."),
        column("previous_hash", ID, "entry_hash of the entry before; 64 zeros in the first.", nullable=False),
        column("entry_hash", ID, "SHA-256 of all other columns in canonical JSON.", nullable=False),
    ),
)

CRITERIA_FILES = Table(
    "criteria_files",
    "Every criteria file that was ever approved, whole, by its digest.",
    ("digest",),
    (
        column("digest", ID, "SHA-256 of the file.", nullable=False, matches=_DIGEST),
        column("name", TEXT, "Name of the criteria.", nullable=False),
        column("criteria_version", TEXT, "Version of the criteria.", nullable=False),
        column("text", TEXT, "The file.", nullable=False),
    ),
)

__all__ = [
    "AUDIT",
    "CRITERIA_FILES",
    "RELEASES",
    "SIDES",
    "SPLITS",
    "SPLIT_HISTORY",
    "WITHDRAWALS",
    "WITHDRAWN",
]
