"""Every table of the lake, declared once.

A table is a list of columns with type, unit, description, permitted values and, where the protocol asks for
it, the clause. Everything else is derived from this declaration: the Arrow schema that is written, the pandera
schema that the blocking checks validate with, the column schema that the Dagster UI shows, and the reference
in ``docs/tables.md``.

Names and columns are a contract with everybody who reads the lake: extend, don't rename.

Three conventions hold in all tables. Missing is null, never 0, -1 or "unknown". Times are UTC. A column that is
marked ``volatile`` says who or when, not what: two undisturbed runs over the same input differ in those columns
only, and a table's fingerprint leaves them out.
"""

from __future__ import annotations

from curation_dagster.schemas.bookkeeping import CHECK_RESULTS, STAGES_TABLE
from curation_dagster.schemas.columns import ARCHIVE, DECISION, GROUP, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.corpus import ADMISSIONS, CORPUS, DECISIONS, PUBLISHED, VERDICTS_TABLE
from curation_dagster.schemas.deduplication import DUPLICATES, DUPLICATES_WITHIN, LINKS, SEARCHED
from curation_dagster.schemas.deidentification import DEIDENTIFICATION_RECORD, DEIDENTIFIED
from curation_dagster.schemas.harmonization import (
    HARMONIZED,
    LABEL_WORKLIST,
    MISSINGNESS,
    UNIFIED,
    UNIFIED_COLUMNS,
)
from curation_dagster.schemas.intake import ASSESSMENTS, FILES, RECORDS
from curation_dagster.schemas.people import APPROVALS, REVIEW_QUEUE, REVIEWS
from curation_dagster.schemas.quality import MEASUREMENTS, QUALITY
from curation_dagster.schemas.release import (
    AUDIT,
    CRITERIA_FILES,
    RELEASES,
    SIDES,
    SPLIT_HISTORY,
    SPLITS,
    WITHDRAWALS,
    WITHDRAWN,
)
from curation_dagster.schemas.sources import (
    CRITERIA_CHANGES,
    RETRIEVALS,
    SOURCE_PROBES,
    STAGING_EMPTIED,
    URL_FATES,
    VERSION_CHANGES,
)
from curation_dagster.schemas.table import ID, TEXT, TEXTS, TIME, Column, Table, TableError
from curation_dagster.schemas.vocabulary import (
    CONFIRMATIONS,
    DECODE_STATES,
    JOIN_STATES,
    MODALITIES,
    OUTCOMES,
    OVER_ALL,
    PER_ARCHIVE,
    RELATIONS,
    RELEASING,
    STAGES,
    VERDICTS,
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        FILES, RECORDS, MEASUREMENTS, QUALITY, DEIDENTIFIED, DUPLICATES_WITHIN, HARMONIZED, DUPLICATES, LINKS, SEARCHED,
        VERDICTS_TABLE, DECISIONS, CORPUS, PUBLISHED, ADMISSIONS, STAGES_TABLE, CHECK_RESULTS,
        REVIEW_QUEUE, REVIEWS, APPROVALS, DEIDENTIFICATION_RECORD,
        LABEL_WORKLIST, MISSINGNESS, ASSESSMENTS,
        RETRIEVALS, URL_FATES, SOURCE_PROBES, VERSION_CHANGES, CRITERIA_CHANGES, STAGING_EMPTIED,
        SPLITS, SPLIT_HISTORY, RELEASES, WITHDRAWALS, WITHDRAWN, AUDIT, CRITERIA_FILES,
    )
}  # fmt: skip

__all__ = [
    "ADMISSIONS",
    "APPROVALS",
    "ARCHIVE",
    "ASSESSMENTS",
    "AUDIT",
    "CHECK_RESULTS",
    "CONFIRMATIONS",
    "CORPUS",
    "CRITERIA_CHANGES",
    "CRITERIA_FILES",
    "DECISION",
    "DECISIONS",
    "DECODE_STATES",
    "DEIDENTIFICATION_RECORD",
    "DEIDENTIFIED",
    "DUPLICATES",
    "DUPLICATES_WITHIN",
    "FILES",
    "GROUP",
    "HARMONIZED",
    "ID",
    "IMAGE_ID",
    "JOIN_STATES",
    "LABEL_WORKLIST",
    "LINKS",
    "MEASUREMENTS",
    "MISSINGNESS",
    "MODALITIES",
    "OUTCOMES",
    "OVER_ALL",
    "PER_ARCHIVE",
    "PUBLISHED",
    "QUALITY",
    "RECORDS",
    "RELATIONS",
    "RELEASES",
    "RELEASING",
    "RETRIEVALS",
    "REVIEWS",
    "REVIEW_QUEUE",
    "RUN",
    "SEARCHED",
    "SHA256",
    "SIDES",
    "SOURCE_PROBES",
    "SPLITS",
    "SPLIT_HISTORY",
    "STAGES",
    "STAGES_TABLE",
    "STAGING_EMPTIED",
    "TABLES",
    "TEXT",
    "TEXTS",
    "TIME",
    "UNIFIED",
    "UNIFIED_COLUMNS",
    "URL_FATES",
    "VERDICT",
    "VERDICTS",
    "VERDICTS_TABLE",
    "VERSION",
    "VERSION_CHANGES",
    "WITHDRAWALS",
    "WITHDRAWN",
    "Column",
    "Table",
    "TableError",
]
