"""What people are asked, what they said, and what they approved."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, VERSION
from curation_dagster.schemas.table import ID, TEXT, TIME, Table, column

REVIEW_QUEUE = Table(
    "review_queue",
    "Images that people look at: the sample of each archive version, and single images that no rule settles.",
    ("archive", "version", "image_id", "criterion"),
    (
        ARCHIVE,
        VERSION,
        IMAGE_ID,
        column("criterion", ID, "What is to be judged.", nullable=False),
        column(
            "purpose",
            TEXT,
            "sample: stands for the archive version; each: settles this image only.",
            nullable=False,
            isin=("sample", "each"),
        ),
        column("rank", pa.int64(), "Order in which people see it.", nullable=False, ge=1),
        column("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
        RUN,
    ),
    ("archive", "version"),
)

REVIEWS = Table(
    "reviews",
    "Verdicts of people. Rows are only ever added; the newest of a reviewer counts.",
    ("review_id",),
    (
        column("review_id", ID, "UUID of the verdict.", nullable=False, volatile=True),
        ARCHIVE,
        VERSION,
        IMAGE_ID,
        column("criterion", ID, "What was judged.", nullable=False),
        column(
            "outcome",
            TEXT,
            "pass: nothing wrong; fail: exclude the image; withdrawn: the reviewer took the verdict back.",
            nullable=False,
            isin=("pass", "fail", "withdrawn"),
        ),
        column("reviewer", TEXT, "Who.", nullable=False),
        column("comment", TEXT, "In the reviewer's words."),
        column("criteria_version", TEXT, "Version of the criteria file that the reviewer judged by."),
        column("criteria_digest", ID, "SHA-256 of that criteria file."),
        column("reviewed_at", TIME, "When.", nullable=False, volatile=True),
    ),
)

APPROVALS = Table(
    "approvals",
    "Change control: who put a source, its files, a criteria file or a release forward, and who approved it. Rows are only added.",
    ("approval_id",),
    (
        column("approval_id", ID, "UUID of the approval.", nullable=False, volatile=True),
        column(
            "subject_kind",
            TEXT,
            "What is approved: the files of an archive version, the descriptor of a source, a criteria file, a release.",
            nullable=False,
            isin=("archive_version", "source", "criteria", "release"),
        ),
        column(
            "subject",
            TEXT,
            "The partition key, the name of the criteria, or the number of the release.",
            nullable=False,
        ),
        column(
            "digest",
            ID,
            "Fingerprint of the files, digest of the descriptor, SHA-256 of the criteria file, or digest of the state "
            "of the tables, that the approval is for.",
            nullable=False,
        ),
        column("decision", TEXT, "approved, or withdrawn.", nullable=False, isin=("approved", "withdrawn")),
        column("author", TEXT, "Who put it forward.", nullable=False),
        column("approver", TEXT, "Who decided; another person than the author.", nullable=False),
        column("comment", TEXT, "Why."),
        column("approved_at", TIME, "When.", nullable=False, volatile=True),
    ),
)
