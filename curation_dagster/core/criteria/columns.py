"""Which columns the criteria of a stage may look at, with their types."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas import DEIDENTIFIED, DUPLICATES, HARMONIZED, MEASUREMENTS, RECORDS, Table

# what a record, a path or a run says may not decide, and may not reach the ledger
_PRIVATE = frozenset({"source_id", "path", "source_values", "detail", "record_table", "record_row", "run_id"})
_VERDICT = frozenset({"verdict", "failed", "review"})
_OF_RECORD = frozenset({"modality", "join_state"})


def columns_of(stage: str) -> dict[str, pa.DataType]:
    """Return the columns that a criterion of ``stage`` may name, with their Arrow types.

    Quality criteria see records joined with measurements; criteria of de-identification see the findings and the
    measurements; harmonized and duplicates see their own tables. Columns of ``records`` that hold source ids or
    free text are on none of the lists: they decide nothing, and their values never reach the ledger.

    Raises
    ------
    KeyError
        If no criterion can stand at the stage.
    """
    tables: dict[str, tuple[Table, ...]] = {
        "records": (RECORDS,),
        "quality": (RECORDS, MEASUREMENTS),
        "deidentified": (DEIDENTIFIED, MEASUREMENTS),
        "harmonized": (HARMONIZED,),
        "duplicates": (DUPLICATES,),
    }
    found = {c.name: c.type for t in tables[stage] for c in t.columns if c.name not in _PRIVATE | _VERDICT}
    if stage in ("deidentified", "harmonized"):
        found |= {c.name: c.type for c in RECORDS.columns if c.name in _OF_RECORD}
    return found


def kind_of(type_: pa.DataType) -> str:
    """Return what a rule can do with a column of this type: number, text, boolean, list or other."""
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return "number"
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_):
        return "text"
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return "list"
    return "other"
