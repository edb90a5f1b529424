"""Publishers' tables: CSV and TSV in any dialect, JSON, workbooks, drawn tables and lists; cells as verbatim text."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa

from curation_dagster.core.records.barred import barred_rows, is_barred
from curation_dagster.core.records.decoding import after_lines, decode, find_delimiter
from curation_dagster.core.records.tables import MetadataError, TextTable, column_names
from curation_dagster.core.records.workbooks import is_workbook, sheet_rows
from curation_dagster.core.registry.layout import MetadataTable

# exporters put a tab before a cell that a spreadsheet would run as a formula
_GUARD = re.compile(r"^\t(?=[=\-+@])")
_CHUNK = 20_000


def read_table(data: bytes, spec: MetadataTable, name: str) -> TextTable:
    """Read one file of a metadata table.

    Cells are the publisher's text and nothing else, but for the tab that guards a formula (OWASP "CSV injection"),
    which is taken away. Rows and columns without any text are what spreadsheets leave behind: such rows are
    counted and not kept, such columns at the end of a row don't count as surplus.

    Parameters
    ----------
    data : bytes
        Content of the file.
    spec : MetadataTable
        What the descriptor says of the table.
    name : str
        Path of the file, for messages.

    Returns
    -------
    TextTable
        A row with a wrong number of cells is among its rows, and in ``problems``.

    Raises
    ------
    MetadataError
        If the file is no text table, a quote is never closed, or the columns are not those of the descriptor.
    """
    if spec.format == "xlsx" or (spec.format == "auto" and is_workbook(data, name)):
        return _with_header(sheet_rows(data, spec, name), spec, name)
    text, encoding = decode(data, name, spec.encoding)
    notes = [] if encoding in {"utf-8", "utf-8-sig"} else [f"{name} is in {encoding}, not UTF-8."]
    if not text.strip():
        raise MetadataError(f"{name}: expected a table with a header, got an empty file.")
    if spec.format == "lines":
        _check_lines(text, spec, name)
        return _with_header(([line] for line in text.splitlines()), spec, name)
    if spec.format == "bars" or (spec.format == "auto" and is_barred(text)):
        header, rows, legend = barred_rows(text)
        made = _with_header(chain([header], rows), spec, name)
        also = [f"{name} has {legend} lines of text around the table; they are no records."] if legend else []
        return TextTable(made.name, made.data, made.rows, made.problems, (*notes, *made.notes, *also))
    is_json = spec.format == "json" or (spec.format == "auto" and text.lstrip()[0] in "[{")
    table = _read_json(text, spec, name) if is_json else _read_delimited(text, spec, name)
    return TextTable(table.name, table.data, table.rows, table.problems, (*notes, *table.notes))


def _check_lines(text: str, spec: MetadataTable, name: str) -> None:
    lines = [line for line in text.splitlines() if line.strip()]
    alike = sum(spec.line_pattern is None or re.search(spec.line_pattern, line) is not None for line in lines)
    if 2 * alike <= len(lines):
        raise MetadataError(
            f"{name}: this is not the list {spec.name!r} of the descriptor: {alike} of {len(lines)} lines are like "
            f"{spec.line_pattern}. Nothing was read from the file. It is another file under the same name."
        )


# -- CSV and its kin -------------------------------------------------------------------------------


def _read_delimited(text: str, spec: MetadataTable, name: str) -> TextTable:
    delimiter = spec.delimiter or (
        "\t" if spec.format == "tsv" else find_delimiter(text, spec.header_row, _known(spec))
    )
    rows = _csv_rows(after_lines(text, spec.header_row - 1), delimiter, name, spec.header_row)
    return _with_header(rows, spec, name)


def _with_header(rows: Iterator[list[str]], spec: MetadataTable, name: str) -> TextTable:
    """Make a table of rows of which the first has the names of the columns, unless the descriptor gives them."""
    header = list(spec.columns) if spec.columns else next((row for row in rows if row), None)
    if header is None:
        raise MetadataError(
            f"{name}: expected the column names in line {spec.header_row}, got the end of the file."
        )
    names = column_names(header, spec, name)
    named = max((i for i, cell in enumerate(header, start=1) if cell.strip()), default=len(header))
    return _collect(rows, names, named, name)


def _known(spec: MetadataTable) -> set[str]:
    named = {spec.key, spec.join_on} - {None}
    return {str(n) for n in named} | {
        *spec.image_columns,
        *spec.required_columns,
        *(spec.optional_columns or ()),
        *spec.aliases,
    }


def _csv_rows(text: str, delimiter: str, name: str, header_row: int) -> Iterator[list[str]]:
    if len(delimiter) != 1:
        raise MetadataError(f"{name}: the delimiter must be one character, got {delimiter!r}.")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = reader.line_num + header_row - 1
            raise MetadataError(
                f"{name}, near line {line}: {error}. Nothing was read from the file. A quote is probably never "
                'closed, or stands inside a quoted cell without being doubled (""); or the file was cut off: fetch '
                "it again."
            ) from error


def _collect(rows: Iterable[Sequence[str]], names: tuple[str, ...], named: int, name: str) -> TextTable:
    """Gather rows chunk by chunk into columns, so that a large table is never a list of lists as a whole.

    ``named`` columns have a name in the header; those after them, which a spreadsheet adds, may be absent in a row.
    """
    width = len(names)
    numbers: list[int] = []
    problems: dict[int, str] = {}
    surplus: dict[int, Sequence[str]] = {}
    chunks: list[pa.RecordBatch] = []
    pending: list[Sequence[str]] = []
    blank = 0
    for number, row in enumerate(rows, start=1):
        cells = [_GUARD.sub("", c) if c[:1] == "\t" else c for c in row]
        if not any(c.strip() for c in cells):
            blank += 1
            continue
        if len(cells) > width and not any(c.strip() for c in cells[width:]):
            cells = cells[:width]
        if not named <= len(cells) <= width:
            problems[len(numbers)] = f"has {len(cells)} cells, expected {width}"
            if len(cells) > width:
                surplus[len(numbers)] = cells[width:]
        if len(cells) != width:
            cells = [*cells[:width], *[""] * (width - len(cells))]
        numbers.append(number)
        pending.append(cells)
        if len(pending) == _CHUNK:
            chunks.append(_batch(pending, names))
            pending = []
    chunks.append(_batch(pending, names))
    data = pa.Table.from_batches(chunks)
    for offset in range(max((len(s) for s in surplus.values()), default=0)):
        values = [
            s[offset] if offset < len(s) else "" for s in (surplus.get(i, ()) for i in range(len(numbers)))
        ]
        data = data.append_column(f"column_{width + offset + 1}", pa.array(values, pa.string()))
    notes = (f"{name} has {blank} blank rows; they are no records.",) if blank else ()
    return TextTable(name, data, tuple(numbers), problems, notes)


def _batch(rows: list[Sequence[str]], names: tuple[str, ...]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    schema = pa.schema([pa.field(n, pa.string()) for n in names])
    return pa.RecordBatch.from_arrays([pa.array(c, pa.string()) for c in columns], schema=schema)


# -- JSON ------------------------------------------------------------------------------------------


def _read_json(text: str, spec: MetadataTable, name: str) -> TextTable:
    """Read an array of objects, one object a line, or a page ``{"results": [...]}`` of a web interface."""
    problems: dict[int, str] = {}
    try:
        whole = _loads(text)
    except ValueError:
        items: list[Any] = []
        for line in text.splitlines():
            if not line.strip():
                continue
            try:
                items.append(_loads(line))
            except ValueError as error:
                problems[len(items)] = f"is not JSON: {error}"
                items.append({})
        if len(problems) == len(items):
            raise MetadataError(
                f"{name}: expected JSON or JSON lines, got neither. Nothing was read from it."
            ) from None
    else:
        if isinstance(whole, dict) and isinstance(whole.get("results"), list):
            whole = whole["results"]
        items = whole if isinstance(whole, list) else [whole]
    flat: list[dict[str, str]] = []
    for position, item in enumerate(items):
        if isinstance(item, dict):
            flat.append(dict(_flatten(item)))
        else:
            problems.setdefault(position, f"is a {type(item).__name__}, expected an object")
            flat.append({})
    found = list(dict.fromkeys(key for row in flat for key in row))
    names = column_names(found, spec, name)
    arrays = [pa.array([row.get(key, "") for row in flat], pa.string()) for key in found]
    data = pa.Table.from_arrays(arrays, names=list(names))
    return TextTable(name, data, tuple(range(1, len(flat) + 1)), problems)


def _loads(text: str) -> Any:
    # numbers stay as they are written: 3.0 is not 3, and a 64-bit id keeps all its digits
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _flatten(item: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in item.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{path}.")
        elif value is None:
            yield path, ""
        elif isinstance(value, bool):
            yield path, "true" if value else "false"
        elif isinstance(value, str):
            yield path, _GUARD.sub("", value)
        else:
            yield path, json.dumps(value, ensure_ascii=False)
