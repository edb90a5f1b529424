"""Tables as CSV for people: an allow-list of columns, and no cell that a spreadsheet would run.

A spreadsheet takes a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break for a formula, and a
formula can fetch an address or start a program. Such a cell gets an apostrophe in front, which spreadsheets show as
text (OWASP, CSV Injection). Numbers stay numbers.
"""

from __future__ import annotations

import csv
import os
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation_dagster.schemas import CORPUS

_RUNS = re.compile(r"^[\s\x00\ufeff]*[=+\-@|%\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
# columns of the corpus that say when or by which run: of use inside, and no business of whoever gets the file
_INTERNAL = frozenset({"run_id"})
PUBLISHED_COLUMNS = tuple(c.name for c in CORPUS.columns if c.name not in _INTERNAL)
OLDEST_AGE = 89


def neutral(cell: Any) -> str:
    """Return the text of a cell such that no spreadsheet runs it; null is blank.

    >>> neutral('=HYPERLINK("http://example.org")')
    '\\'=HYPERLINK("http://example.org")'
    >>> neutral("-1.5"), neutral(None), neutral(True), neutral("melanoma")
    ('-1.5', '', 'true', 'melanoma')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    text = ("; ".join(map(str, cell)) if isinstance(cell, list) else str(cell)).replace("\x00", "")
    if _RUNS.match(text) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def as_typed(cell: str) -> str:
    """Return what a person typed into a cell that :func:`neutral` may have marked."""
    return cell[1:] if cell.startswith("'") and _RUNS.match(cell[1:]) else cell


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: str | os.PathLike[str]) -> int:
    """Write the named columns of ``rows``, every cell neutralized; return how many rows.

    The file appears under its name when it is whole. Columns that a row lacks are blank; columns that are not named
    are left out.
    """
    destination = Path(path)
    temporary = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.tmp")
    count = 0
    try:
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(columns)
            for row in rows:
                writer.writerow([neutral(row.get(c)) for c in columns])
                count += 1
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def corpus_rows(corpus: pa.Table) -> Iterable[dict[str, Any]]:
    """Yield the rows of the corpus as they may leave: times as years, ages over 89 as the band from 90."""
    for batch in corpus.select([c for c in PUBLISHED_COLUMNS if c in corpus.column_names]).to_batches():
        for row in batch.to_pylist():
            yield {name: _leaving(name, value) for name, value in row.items()}


def _leaving(column: str, value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.year
    if value is not None and column in ("age_years", "age_low", "age_high"):
        if value > OLDEST_AGE:
            return OLDEST_AGE + 1 if column == "age_low" else None
        return int(value) if float(value).is_integer() else value
    return value
