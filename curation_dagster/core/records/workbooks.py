"""Workbooks (``.xlsx``) as text: every cell as a person sees it in the sheet, and nothing computed again.

A workbook is a zip of XML from a stranger. Before a parser sees it, its directory is held against the limits of
``vocabularies/limits.yaml`` (size, ratio, cells), and parts that define entities of their own are refused: they are
what "billion laughs" are made of, and no spreadsheet program writes them.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import openpyxl

from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.layout import MetadataTable
from curation_dagster.core.retrieval.limits import ContainerLimits, TableLimits

_DECIMALS = re.compile(r"0\.(0+)")
_PADDED = re.compile(r"0{2,}")
_PIECE = 1 << 20
_FORBIDDEN = re.compile(rb"<!DOCTYPE|<!ENTITY", re.IGNORECASE)


def is_workbook(data: bytes, name: str) -> bool:
    """Return whether a file is a workbook, by its content and its name."""
    return data.startswith(b"PK\x03\x04") and name.lower().endswith((".xlsx", ".xlsm"))


def sheet_rows(data: bytes, spec: MetadataTable, name: str) -> Iterator[list[str]]:
    """Yield the rows of one sheet as text, from the line of the header on, blank lines included.

    A row ends with its last filled cell, so that all rows are made as wide as the header.

    A number stands as a cell of the General format shows it (15 significant digits, ``45`` for 45.0), or in its own
    format where that is zeros only (``007``, ``3.0``) and loses nothing; a date as ISO 8601; a truth value as ``TRUE``
    or ``FALSE``; a formula as the value that was stored with it; an error as its name. Of merged cells the first
    holds the text.

    Raises
    ------
    MetadataError
        If the file is no workbook, breaks a limit, or has no such sheet.
    """
    _check_container(data, name)
    limit = TableLimits.load().max_cells
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # a damaged part fails in whatever way its parser knows
        raise MetadataError(f"{name}: expected a workbook, but it can't be read: {error!r}. Nothing was read.") from error  # fmt: skip
    try:
        sheet = book[_sheet_name(book.sheetnames, spec, name)]
        if not hasattr(sheet, "iter_rows"):
            raise MetadataError(f"{name}: the sheet {sheet.title!r} is a chart, not a table.")
        sheet.reset_dimensions()  # what the file says of its own extent may be wrong
        cells = width = 0
        for line, row in enumerate(sheet.iter_rows(), start=1):
            cells += max(len(row), 1)
            if cells > limit:
                raise MetadataError(
                    f"{name}: the sheet {sheet.title!r} has more than {limit} cells, the limit of "
                    "vocabularies/limits.yaml. Nothing was read from it."
                )
            if line < spec.header_row:
                continue
            shown = [_shown(cell.value, cell.number_format if cell.value is not None else "") for cell in row]
            if line == spec.header_row:
                width = len(shown)
            yield shown + [""] * (width - len(shown))
    except MetadataError:
        raise
    except Exception as error:  # sheets are parsed while they are read
        raise MetadataError(f"{name}: the sheet is damaged: {error!r}. Nothing was read from it.") from error
    finally:
        book.close()


def _sheet_name(names: list[str], spec: MetadataTable, name: str) -> str:
    if not names:
        raise MetadataError(f"{name}: the workbook has no sheet.")
    if spec.sheet is None:
        return names[0]
    if spec.sheet not in names:
        raise MetadataError(
            f"{name}: expected the sheet {spec.sheet!r}, got {', '.join(map(repr, names))}. Nothing was read from it."
        )
    return spec.sheet


def _check_container(data: bytes, name: str) -> None:
    limits, containers = TableLimits.load(), ContainerLimits.load()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            infos = opened.infolist()
            total = sum(i.file_size for i in infos)
            if total > limits.max_workbook_bytes:
                raise MetadataError(
                    f"{name}: the workbook unpacks to {total} bytes; {limits.max_workbook_bytes} is the limit of "
                    "vocabularies/limits.yaml. Nothing was read from it."
                )
            for info in infos:
                if containers.is_bomb(info.file_size, info.compress_size):
                    raise MetadataError(
                        f"{name}: the part {info.filename} unpacks to more than {containers.max_ratio} times its size, "
                        "as bombs do. Nothing was read from it."
                    )
                _check_part(opened, info, name)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise MetadataError(f"{name}: expected a workbook, got a damaged zip: {error}. Fetch it again.") from error  # fmt: skip


def _check_part(opened: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
    if not info.filename.lower().endswith((".xml", ".rels", ".vml")):
        return
    read, tail = 0, b""
    with opened.open(info) as part:
        while piece := part.read(_PIECE):
            if read == 0 and piece[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise MetadataError(f"{name}: the part {info.filename} is in UTF-16; workbooks are UTF-8.")
            read += len(piece)
            if read > info.file_size:
                raise MetadataError(f"{name}: the part {info.filename} is larger than its directory says.")
            if _FORBIDDEN.search(tail + piece):
                raise MetadataError(
                    f"{name}: the part {info.filename} defines a document type or entities, which no spreadsheet "
                    "program writes. Nothing was read from it."
                )
            tail = piece[-16:]


def _shown(value: Any, number_format: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time(0)
        return value.date().isoformat() if midnight else value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | float):
        return _number(value, number_format)
    return str(value)


def _number(value: float, number_format: str) -> str:
    plain = str(value) if isinstance(value, int) else format(value, ".15g")
    if _PADDED.fullmatch(number_format) and plain.isdigit():
        return plain.zfill(len(number_format))
    decimals = _DECIMALS.fullmatch(number_format)
    if decimals:
        shown = format(value, f".{len(decimals.group(1))}f")
        return shown if float(shown) == value else plain
    return plain
