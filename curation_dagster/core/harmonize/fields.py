"""One field of the unified schema from the publisher's columns, as its :class:`FieldMapping` says.

Every result is a value or a reason why there is none (``vocabularies/missing_reasons.csv``); the publisher's text is
kept beside it. A column holds few distinct values, so each distinct combination of cells is converted once and the
result is spread over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curation_dagster.core.harmonize import anatomy, parsing
from curation_dagster.core.harmonize.parsing import Age, Parsed
from curation_dagster.core.harmonize.severity import parse_score, scales
from curation_dagster.core.harmonize.vocabulary import closed_fields, folded, spelled, spellings
from curation_dagster.core.registry.mapping import FieldMapping
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.schemas import HARMONIZED

# between the columns of a joined key
_JOINER = "|"


@dataclass(frozen=True)
class Converted:
    """What one record says of one field.

    Parameters
    ----------
    value : object
        The typed value, or None. For a diagnosis the tuple of translated labels; for a site the tuple of codes.
    reason : str or None
        Why ``value`` is None.
    text : str or None
        The publisher's text, several pieces joined by ``"; "``; None where there is none.
    """

    value: Any
    reason: str | None
    text: str | None


@dataclass(frozen=True)
class Field:
    """One field over all rows: three object arrays of shape (rows,), as in :class:`Converted`."""

    values: np.ndarray
    reasons: np.ndarray
    texts: np.ndarray


def convert_field(
    field: str, mapping: FieldMapping | None, table: pa.Table, has_record: np.ndarray | None = None
) -> Field:
    """Return one field of the unified schema for every row.

    Parameters
    ----------
    field : str
        Name of the field in ``columns`` of the descriptor.
    mapping : FieldMapping or None
        How it comes from the columns; None if the archive does not collect it.
    table : pyarrow.Table
        The publisher's columns as text. A column that is absent counts as blank.
    has_record : numpy.ndarray of bool, shape (rows,), optional
        False where an image has no record at all.
    """
    n = table.num_rows
    if mapping is None:
        return _spread([Converted(None, "not_collected", None)], np.zeros(n, np.int64))
    if mapping.constant is not None:
        return _spread([_constant(field, mapping)], np.zeros(n, np.int64))
    columns = [
        table[name].to_pandas() if name in table.column_names else pd.Series([""] * n, dtype="str")
        for name in mapping.source
    ]
    numbers, first = _distinct(columns, n)
    cells = [column.iloc[first].fillna("").astype(object).tolist() for column in columns]
    found = [convert(field, mapping, combination) for combination in zip(*cells, strict=True)]
    if has_record is not None and not has_record.all():
        found.append(Converted(None, "no_record", None))
        numbers = np.where(has_record, numbers, len(found) - 1)
    return _spread(found, numbers)


def modality_of(descriptor: Descriptor, table: pa.Table, has_record: np.ndarray | None = None) -> Field:
    """Return the modality that the descriptor gives to each record: dermoscopic, clinical, other, or None."""
    return convert_field("modality", descriptor.columns.modality, table, has_record)


def _distinct(columns: Sequence[pd.Series], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each row the number of its combination of cells, and for each number the first row that has it."""
    numbers = np.zeros(n, np.int64)
    for column in columns:
        codes, levels = pd.factorize(column, use_na_sentinel=False)
        numbers = numbers * max(len(levels), 1) + codes
        numbers, _ = pd.factorize(numbers)
    _, first = np.unique(numbers, return_index=True)
    return numbers, first


def _spread(found: Sequence[Converted], numbers: np.ndarray) -> Field:
    parts = []
    for name in ("value", "reason", "text"):
        pool = np.empty(len(found), dtype=object)
        for i, item in enumerate(found):
            # one by one, because numpy would make a table of a list of tuples
            pool[i] = getattr(item, name)
        parts.append(pool[numbers])
    return Field(*parts)


def _constant(field: str, mapping: FieldMapping) -> Converted:
    parsed = _checked(field, _typed(field, mapping, mapping.constant))
    return _reduced(field, mapping, [parsed], str(mapping.constant))


# -- one record ------------------------------------------------------------------------------------


def convert(field: str, mapping: FieldMapping, cells: Sequence[str]) -> Converted:
    """Convert the cells of one record, one for each column of ``mapping.source``.

    A blank cell, and a spelling that ``missing`` lists, says nothing. ``combine`` decides between the others:

    ``first``
        The first column that says something.
    ``join``
        One key made of all columns, with ``|`` between them; none if one of them says nothing.
    ``max``
        The largest of all values; of truth values: whether one is true.
    ``all``
        All values. They must agree, except that truth values must all be true, that sites are taken as the region
        that holds them, and that a diagnosis may have several labels.
    ``one_hot``
        The name of the one column that is marked.
    """
    if mapping.combine == "one_hot":
        return _one_hot(field, mapping, cells)
    listed = {folded(m) for m in mapping.missing}
    groups: list[list[str]] = []
    stated: list[str] = []
    marks = _marks(mapping)
    for column, cell in zip(mapping.source, cells, strict=True):
        pieces = [p.strip() for p in (cell.split(mapping.separator) if mapping.separator else [cell])]
        stated += [p for p in pieces if p and folded(p) in listed]
        stood = [p for p in pieces if p and folded(p) not in listed]
        groups.append([marks.get((folded(column), folded(p)), p) for p in stood])
    if mapping.combine == "first":
        chosen = next((g for g in groups if g), [])
    elif mapping.combine == "join":
        chosen = [_JOINER.join("; ".join(g) for g in groups)] if all(groups) else []
    else:
        chosen = [piece for group in groups for piece in group]
    if not chosen:
        return Converted(None, "stated_unknown" if stated else "blank", "; ".join(stated) or None)
    parsed = [_checked(field, _translated(field, mapping, piece)) for piece in chosen]
    return _reduced(field, mapping, parsed, "; ".join(dict.fromkeys(chosen)))


def _marks(mapping: FieldMapping) -> dict[tuple[str, str], str]:
    """Return what ``values`` says of a cell in one column only: (column, cell), folded, to the key that says it."""
    keys = (k for k in mapping.values if "=" in k)
    parts = ((k, *k.partition("=")[::2]) for k in keys)
    columns = {folded(c) for c in mapping.source}
    return {(folded(c), folded(cell)): k for k, c, cell in parts if folded(c) in columns}


def _one_hot(field: str, mapping: FieldMapping, cells: Sequence[str]) -> Converted:
    """Convert marks, one for each column: ``0.0`` or ``1.0``, in any spelling of the two numbers."""
    stated = {n: c.strip() for n, c in zip(mapping.source, cells, strict=True) if c.strip()}
    if not stated:
        return Converted(None, "blank", None)
    marks = {name: parsing.parse_number(text).value for name, text in stated.items()}
    marked = [name for name, mark in marks.items() if mark == 1]
    sound = all(mark in (0, 1) for mark in marks.values()) and len(marks) == len(cells)
    if not sound or len(marked) > 1 or (not marked and mapping.all_zero is None):
        wrong = [f"{n}={t}" for n, t in stated.items() if marks[n] != 0]
        return Converted(None, "not_one_hot", "; ".join(wrong) or "no column is marked")
    chosen = marked[0] if marked else str(mapping.all_zero)
    if folded(chosen) in {folded(m) for m in mapping.missing}:
        return Converted(None, "stated_unknown", chosen)
    return _reduced(field, mapping, [_checked(field, _translated(field, mapping, chosen))], chosen)


def _translated(field: str, mapping: FieldMapping, piece: str) -> Parsed:
    """Translate one piece by ``values``; without them, by the shared spellings of the field."""
    if mapping.parse == "weighted_label" and mapping.min_share is not None:
        parsed = parsing.parse_weighted_label(piece, mapping.min_share)
        if parsed.value is None or not mapping.values:
            return parsed
        piece = parsed.value
    if mapping.values:
        by_spelling = {folded(k): v for k, v in mapping.values.items()}
        if folded(piece) not in by_spelling:
            return Parsed(reason="unmapped_value")
        return _typed(field, mapping, by_spelling[folded(piece)])
    if field in _IDENTIFIERS:
        # a spreadsheet turns the id 881 into 881.0, or back
        whole = folded(piece)
        return Parsed(whole if whole.lstrip("+-").isdigit() else piece)
    if field == "diagnosis" or (
        mapping.parse == "label" and field not in closed_fields() and field != "anatomy"
    ):
        # the label is judged by its own vocabulary, "unknown" included
        return Parsed(piece)
    known = spellings(field)
    if known.get(spelled(piece), "") is None:
        return Parsed(reason="stated_unknown")
    if field == "anatomy":
        site = anatomy.site_of(piece)
        return Parsed(site) if site else Parsed(reason="unmapped_value")
    if field in closed_fields() and field != "fitzpatrick":
        value = known.get(spelled(piece))
        return Parsed(value) if value is not None else Parsed(reason="unmapped_value")
    return _typed(field, mapping, piece)


def _typed(field: str, mapping: FieldMapping, value: Any) -> Parsed:
    """Turn text, or what ``values`` gives for it, into the type of the field."""
    if value is None:
        return Parsed(reason="stated_unknown")
    if field == "age":
        return _age(mapping, value)
    parse = _PARSE_OF.get(field, mapping.parse)
    if field == "lesion_size_mm" and parse not in ("length_mm", "length_cm"):
        parse = "number"
    if field in scales():
        return parse_score(str(value), field)
    if parse == "boolean":
        return Parsed(value) if isinstance(value, bool) else parsing.parse_boolean(str(value))
    if parse == "fitzpatrick":
        return parsing.parse_fitzpatrick(str(value))
    if parse == "year":
        return parsing.parse_year(str(value))
    if parse in ("length_mm", "length_cm"):
        return parsing.parse_length(str(value), parse.removeprefix("length_"))
    if parse == "number":
        return parsing.parse_number(str(value))
    return Parsed(str(value))


def _age(mapping: FieldMapping, value: Any) -> Parsed:
    if isinstance(value, list | tuple) and len(value) == 2:
        return parsing.band(float(value[0]), None if value[1] is None else float(value[1]))
    if mapping.parse == "age_band":
        return parsing.parse_age_band(str(value))
    if mapping.parse == "age_centre_5":
        return parsing.parse_age_centre_5(str(value), mapping.clamp_at)
    return parsing.parse_age_years(str(value), mapping.clamp_at)


_IDENTIFIERS = frozenset({"patient", "lesion", "parent"})

# fields that have one type whatever the descriptor says of the text
_PARSE_OF = {
    "fitzpatrick": "fitzpatrick",
    "severity_value": "number",
    "visit": "number",
    "acquired_year": "year",
    "is_control": "boolean",
}


def _checked(field: str, parsed: Parsed) -> Parsed:
    """Refuse what the unified schema does not permit in the field."""
    value = parsed.value
    if value is None or isinstance(value, Age):
        return parsed
    if field == "anatomy":
        return parsed if value in anatomy.sites() else Parsed(reason="unmapped_value")
    if field not in HARMONIZED.arrow_schema.names:
        return parsed
    column = HARMONIZED.column(field)
    if column.isin is not None and value not in column.isin:
        return Parsed(reason="unmapped_value")
    if isinstance(value, int | float) and not isinstance(value, bool):
        # a lesion without extent is no measurement, though 0 is no negative length
        too_small = value <= 0 if field == "lesion_size_mm" else column.ge is not None and value < column.ge
        if too_small or (column.le is not None and value > column.le):
            return Parsed(reason="out_of_range")
    return parsed


def _reduced(field: str, mapping: FieldMapping, parsed: Sequence[Parsed], text: str) -> Converted:
    """Make one value of the values of a record."""
    for reason in ("unmapped_value", "unparsable"):
        if any(p.reason == reason for p in parsed):
            return Converted(None, reason, text)
    values = list(dict.fromkeys(p.value for p in parsed if p.value is not None))
    if not values:
        return Converted(None, parsed[0].reason, text)
    if field == "diagnosis" and mapping.parse == "weighted_label":
        return Converted(tuple(values), None, "; ".join(values))
    if field == "diagnosis":
        # where the descriptor translates, the cell may be a flag that means nothing without its column
        return Converted(tuple(values), None, "; ".join(values) if mapping.values else text)
    if field == "anatomy":
        if anatomy.common_site(values) is None:
            # the scope of several sites is known even where they have no common name
            return Converted(tuple(values), "several_values", text)
        return Converted(tuple(values), None, text)
    if len(values) == 1:
        return Converted(values[0], None, text)
    if all(isinstance(v, bool) for v in values):
        return Converted(mapping.combine == "max", None, text)
    if mapping.combine == "max" and all(isinstance(v, int | float) for v in values):
        return Converted(max(values), None, text)
    return Converted(None, "several_values", text)
