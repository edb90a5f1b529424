"""What was made of what, and what the checks said: the tables that the gate reads."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, RUN, VERSION
from curation_dagster.schemas.table import ID, TEXT, TIME, Table, column
from curation_dagster.schemas.vocabulary import STAGES

STAGES_TABLE = Table(
    "stages",
    "One row per archive version and stage: what went in, what came out, from which inputs. Written last, so "
    "that it marks a finished stage.",
    ("archive", "version", "stage"),
    (
        ARCHIVE,
        VERSION,
        column("stage", TEXT, "Stage.", nullable=False, isin=STAGES),
        column("rows_in", pa.int64(), "Rows that entered the stage.", nullable=False, ge=0),
        column("kept", pa.int64(), "Rows that go on.", nullable=False, ge=0),
        column("excluded", pa.int64(), "Rows that fail a criterion here.", nullable=False, ge=0),
        column("quarantined", pa.int64(), "Rows that a person must settle.", nullable=False, ge=0),
        column("fingerprint", ID, "SHA-256 of the stage's table, without volatile columns.", nullable=False),
        column(
            "inputs", TEXT, "JSON object: each input to its fingerprint when the stage ran.", nullable=False
        ),
        column("code_version", ID, "Version of the code.", nullable=False),
        column("finished_at", TIME, "When.", nullable=False, volatile=True),
        RUN,
    ),
    ("archive", "version", "stage"),
)

CHECK_RESULTS = Table(
    "check_results",
    "Last outcome of every asset check per archive version, with the fingerprint of the table it looked at.",
    ("archive", "version", "stage", "check_name"),
    (
        ARCHIVE,
        VERSION,
        column("stage", TEXT, "Asset that was checked.", nullable=False, isin=STAGES),
        column("check_name", TEXT, "The check, a sentence.", nullable=False),
        column("passed", pa.bool_(), "Outcome.", nullable=False),
        column(
            "blocking",
            pa.bool_(),
            "True where the corpus refuses an archive version that fails it.",
            nullable=False,
        ),
        column("fingerprint", ID, "Fingerprint of the checked table.", nullable=False),
        column("detail", TEXT, "What it found."),
        column("evaluated_at", TIME, "When.", nullable=False, volatile=True),
        RUN,
    ),
    ("archive", "version", "stage"),
)
