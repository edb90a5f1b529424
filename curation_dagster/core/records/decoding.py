"""Bytes of a text table to text, and the delimiter between its cells: both found out by content."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection

import charset_normalizer

from curation_dagster.core.records.tables import MetadataError

_BOMS = (
    # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = ["cp1252", "latin_1"]
_DELIMITERS = (",", ";", "\t", "|")
_BINARY = (
    (b"PK\x03\x04", "a workbook or another zip container"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x1f\x8b", "a gzip file"),
    (b"%PDF", "a PDF"),
)
_SAMPLE_ROWS = 50


def decode(data: bytes, name: str, encoding: str | None = None) -> tuple[str, str]:
    """Return the text of a file, and the encoding that it was read in.

    Tried in this order: ``encoding`` if the descriptor gives one; a byte order mark; UTF-16 by its NUL bytes;
    UTF-8; then cp1252 or latin-1, whichever charset-normalizer finds. Other encodings can't be told apart safely
    on a few accented letters, so they must be declared.

    Raises
    ------
    MetadataError
        If the content is no text, or none of the encodings fits.
    """
    for magic, kind in _BINARY:
        if data.startswith(magic):
            raise MetadataError(
                f"{name}: expected a table as text (CSV, TSV or JSON), got {kind}. Nothing was read from it. "
                "Export the sheet as CSV in UTF-8 and put that file beside it."
            )
    found = encoding or _encoding(data)
    if found is None:
        raise MetadataError(
            f"{name}: the text is neither UTF-8, UTF-16, cp1252 nor latin-1. Nothing was read from it. "
            "State its `encoding` in the descriptor."
        )
    try:
        text = data.decode(found)
    except (UnicodeDecodeError, LookupError) as error:
        raise MetadataError(
            f"{name}: expected text in {found}, but {error}. Nothing was read from it. "
            "State the right `encoding` in the descriptor, or fetch the file again if it is damaged."
        ) from error
    text = text.removeprefix("\ufeff")
    if "\x00" in text:
        raise MetadataError(
            f"{name}: expected a table as text, got NUL characters: the file is binary or damaged. "
            "Nothing was read from it."
        )
    return text, found


def _encoding(data: bytes) -> str | None:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding
    head = data[:4096]
    if len(head) >= 4 and head.count(0) > len(head) // 4:
        # text in Latin script has its NUL bytes on one side only
        return "utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        best = charset_normalizer.from_bytes(data, cp_isolation=_LEGACY, enable_fallback=False).best()
        return None if best is None else best.encoding
    return "utf-8"


def find_delimiter(text: str, header_row: int, expected: Collection[str]) -> str:
    """Return the delimiter of a text table: comma, semicolon, tab or bar.

    The one whose header holds the most of the expected names wins; then the one with which the most rows have as
    many cells as the header; then the one with the most columns. A table of one column counts as comma-separated.

    Parameters
    ----------
    text : str
        Content of the file, or its beginning.
    header_row : int
        Number of the line that holds the column names, from 1.
    expected : collection of str
        Column names of the descriptor, in any case.
    """
    wanted = {e.casefold() for e in expected}
    best, best_score = ",", (-1, -1.0, 0)
    for delimiter in _DELIMITERS:
        rows = _sample(text, header_row, delimiter)
        if not rows:
            continue
        width = len(rows[0])
        hits = sum(" ".join(cell.split()).casefold() in wanted for cell in rows[0])
        even = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        score = (hits, even, width)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _sample(text: str, header_row: int, delimiter: str) -> list[list[str]]:
    reader = csv.reader(io.StringIO(after_lines(text, header_row - 1), newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) >= _SAMPLE_ROWS:
                break
    except csv.Error:
        pass  # a wrong delimiter may misread a quote; the rows so far still count
    return rows


def after_lines(text: str, lines: int) -> str:
    """Return the text after its first lines, whatever the line ends."""
    start = 0
    for _ in range(lines):
        end = re.compile(r"\r\n|\r|\n").search(text, start)
        if end is None:
            return ""
        start = end.end()
    return text[start:]
