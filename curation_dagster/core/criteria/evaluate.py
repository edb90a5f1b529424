"""Criteria applied to a table: one verdict row per image and criterion, and the fold to one verdict per image.

Everything works on whole columns. What is the same in all rows of a criterion is made once and shared by all of
them, so 100,000 images under 25 criteria take about a second and the memory of what differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import CriteriaSet, Criterion
from curation_dagster.core.criteria.rules import describe, judge
from curation_dagster.schemas import OUTCOMES, VERDICTS, VERDICTS_TABLE

BY_RULE = "rule"
"""What ``decided_by`` says of a row that no person settled."""

_TEXT = pa.string()
_CODE = {name: code for code, name in enumerate(OUTCOMES)}
_KEPT, _EXCLUDED, _QUARANTINED = range(len(VERDICTS))


class EvaluationError(ValueError):
    """Criteria can't be applied to a table; the message names the columns or images that don't fit."""


@dataclass(frozen=True)
class Stamp:
    """Who decides: the run, the version of the code, and the time (UTC)."""

    run_id: str
    code_version: str
    decided_at: datetime


def evaluate(criteria: CriteriaSet, stage: str, table: pa.Table, stamp: Stamp) -> pa.Table:
    """Apply a stage's criteria to a table of facts.

    Parameters
    ----------
    table : pyarrow.Table
        A row per image, with image_id, archive, version and every column that the stage's criteria read.

    Returns
    -------
    pyarrow.Table
        A row per image and criterion in the form of ``verdicts``: criterion by criterion in the order of the file,
        and inside each the images in the order of ``table``. The rows of an image depend on that image only.

    Raises
    ------
    EvaluationError
        If ``table`` lacks columns.
    """
    chosen = criteria.of_stage(stage)
    needed = list(dict.fromkeys(("image_id", "archive", "version", *(n for c in chosen for n in c.reads))))
    absent = [n for n in needed if n not in table.column_names]
    if absent:
        readers = [c.id for c in chosen if set(c.reads) & set(absent)]
        raise EvaluationError(
            f"stage {stage}: the table has no column {', '.join(absent)}, which criteria {criteria.name} "
            f"{criteria.version} read ({', '.join(readers) or 'all'}). Nothing was decided."
        )
    columns = {n: _single(table[n]) for n in needed}
    rows = table.num_rows
    shared = {n: columns[n].cast(_TEXT) for n in ("image_id", "archive", "version")} | {
        "stage": _same(stage, rows),
        "criteria_version": _same(criteria.version, rows),
        "criteria_digest": _same(criteria.digest, rows),
        "code_version": _same(stamp.code_version, rows),
        "decided_by": _same(BY_RULE, rows),
        "decided_at": pa.repeat(pa.scalar(stamp.decided_at, pa.timestamp("us", tz="UTC")), rows),
        "run_id": _same(stamp.run_id, rows),
    }
    texts = {n: _text(n, columns[n]) for n in dict.fromkeys(n for c in chosen for n in _shown(c))}
    schema = VERDICTS_TABLE.arrow_schema
    tables = []
    for criterion in chosen:
        cells = shared | _decide(criterion, columns, texts, rows)
        tables.append(pa.Table.from_arrays([cells[n] for n in schema.names], schema=schema))
    return pa.concat_tables(tables) if tables else VERDICTS_TABLE.empty()


def fold(verdicts: pa.Table, image_ids: pa.Array | pa.ChunkedArray | Sequence[str]) -> pa.Table:
    """Return one verdict per image: any fail excludes it, else any review quarantines it, else it is kept.

    Parameters
    ----------
    verdicts : pyarrow.Table
        Rows with image_id, criterion and outcome, in any order.
    image_ids : array of str
        Every image, each once; one without a row in ``verdicts`` is kept.

    Returns
    -------
    pyarrow.Table
        Columns image_id, verdict, failed and review (criterion ids, sorted; empty if none), in the order of
        ``image_ids``.

    Raises
    ------
    EvaluationError
        If an image is named twice, or ``verdicts`` speaks of an image that is not among ``image_ids``.
    """
    if not isinstance(image_ids, pa.Array | pa.ChunkedArray):
        image_ids = pa.array(image_ids, _TEXT)
    ids = _single(image_ids).cast(_TEXT)
    if pc.count_distinct(ids).as_py() != len(ids):
        raise EvaluationError("fold: an image_id is named twice, so its verdict would count twice")
    lists = {}
    for outcome in ("fail", "review"):
        rows = verdicts.filter(pc.equal(verdicts["outcome"], outcome))
        place = pc.index_in(_single(rows["image_id"]).cast(_TEXT), value_set=ids)
        if place.null_count:
            stray = _single(rows["image_id"]).filter(pc.is_null(place))[0].as_py()
            raise EvaluationError(
                f"fold: {place.null_count} verdict rows speak of images that are not in the table, such as {stray}"
            )
        lists[outcome] = _grouped(
            place.to_numpy(zero_copy_only=False), _single(rows["criterion"]).cast(_TEXT), len(ids)
        )
    failed, review = (_lengths(lists[o]) > 0 for o in ("fail", "review"))
    code = np.where(failed, _EXCLUDED, np.where(review, _QUARANTINED, _KEPT))
    return pa.table(
        {
            "image_id": ids,
            "verdict": pa.array(VERDICTS, _TEXT).take(pa.array(code)),
            "failed": lists["fail"],
            "review": lists["review"],
        }
    )


# -- one criterion -----------------------------------------------------------------------------------


def _decide(
    criterion: Criterion, columns: dict[str, pa.Array], texts: dict[str, pa.Array], rows: int
) -> dict[str, pa.Array]:
    said = judge(criterion, columns, rows)
    unknown = pc.is_null(said.holds).to_numpy(zero_copy_only=False)
    holds = pc.fill_null(said.holds, False).to_numpy(zero_copy_only=False)
    applies = said.applies.to_numpy(zero_copy_only=False)
    broken = _CODE["fail"] if criterion.on_fail == "exclude" else _CODE["review"]
    code = np.where(holds, _CODE["pass"], broken)
    code = np.where(unknown, _CODE[criterion.on_missing], code)
    code = np.where(applies, code, _CODE["not_applicable"]).astype(np.int8)
    return {
        "criterion": _same(criterion.id, rows),
        "clause": _same(criterion.clause, rows),
        "outcome": pa.array(OUTCOMES, _TEXT).take(pa.array(code)),
        "measured": _joined([texts[n] for n in criterion.judged_columns()], rows),
        "bound": _bounds(criterion, columns, rows),
        "detail": _detail(criterion, columns, texts, code, unknown & applies, rows),
    }


def _bounds(criterion: Criterion, columns: dict[str, pa.Array], rows: int) -> pa.Array:
    if not criterion.by_modality:
        return _same(describe(criterion, None), rows)
    modality = columns["modality"]
    known = sorted(v for v in pc.unique(modality).to_pylist() if v is not None)
    wordings = pa.array([describe(criterion, m) for m in (*known, None)], _TEXT)
    return wordings.take(
        pc.fill_null(pc.index_in(modality, value_set=pa.array(known, modality.type)), len(known))
    )


def _detail(
    criterion: Criterion,
    columns: dict[str, pa.Array],
    texts: dict[str, pa.Array],
    code: np.ndarray,
    unknown: np.ndarray,
    rows: int,
) -> pa.Array:
    parts = []
    if unknown.any():
        where = pa.array(unknown)
        for name in criterion.judged_columns():
            absent = pc.and_(where, pc.is_null(columns[name]))
            parts.append(pc.if_else(absent, pa.scalar(f"{name} is missing"), pa.scalar(None, _TEXT)))
    if criterion.notes:
        notes = pa.array([criterion.notes.get(o) for o in OUTCOMES], _TEXT)  # type: ignore[call-overload]
        parts.append(notes.take(pa.array(code)))
    if criterion.detail_columns:
        tell = pa.array((code == _CODE["fail"]) | (code == _CODE["review"]))
        parts += [pc.if_else(tell, texts[n], pa.scalar(None, _TEXT)) for n in criterion.detail_columns]
    return _joined(parts, rows)


# -- columns -----------------------------------------------------------------------------------------


def _shown(criterion: Criterion) -> tuple[str, ...]:
    return (*criterion.judged_columns(), *criterion.detail_columns)


def _single(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without dictionary encoding, and with NaN as what it is: missing."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def _text(name: str, column: pa.Array) -> pa.Array:
    """Return ``name value`` for each row, null where the value is."""
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        joined = pc.binary_join(column, ", ")
        value = pc.if_else(pc.equal(pc.list_value_length(column), 0), pa.scalar("none"), joined)
    else:
        value = column.cast(_TEXT)
    return pc.binary_join_element_wise(pa.scalar(name), value.cast(_TEXT), " ")


def _joined(parts: list[pa.Array], rows: int) -> pa.Array:
    """Return the parts of each row joined, without those that are null; null where all are."""
    text = pa.nulls(rows, _TEXT)
    for part in parts:
        # not null_handling="skip": Arrow 26 drops the rows in which everything is null
        both = pc.binary_join_element_wise(text, part, "; ")
        text = pc.coalesce(both, text, part)
    return text


def _same(value: str, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, _TEXT), rows)


def _grouped(place: np.ndarray, values: pa.Array, rows: int) -> pa.ListArray:
    """Return for each of ``rows`` rows the sorted values whose ``place`` is that row."""
    names = sorted(pc.unique(values).to_pylist())
    rank = pc.index_in(values, value_set=pa.array(names, _TEXT)).to_numpy(zero_copy_only=False)
    order = np.lexsort((rank, place))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=rows))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values.take(pa.array(order)))


def _lengths(lists: pa.ListArray) -> np.ndarray:
    return pc.list_value_length(lists).to_numpy(zero_copy_only=False)
