"""Workbooks and drawn tables: what a person sees is what is read, and a hostile file is refused."""

from __future__ import annotations

import datetime
import io
import zipfile
from typing import Any

import openpyxl
import pytest

from curation_dagster.core.records import workbooks
from curation_dagster.core.records.reading import read_table
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.retrieval.limits import TableLimits
from curation_dagster_tests.core.records.builders import table


def book(rows: list[list[Any]], formats: dict[str, str] | None = None, sheet: str = "Folha1") -> bytes:
    made = openpyxl.Workbook()
    made.active.title = sheet
    for row in rows:
        made.active.append(row)
    for cell, number_format in (formats or {}).items():
        made.active[cell].number_format = number_format
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def with_part(data: bytes, name: str, content: bytes) -> bytes:
    """Return the workbook with one part replaced or added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename != name:
                new.writestr(info, old.read(info))
        new.writestr(name, content)
    return buffer.getvalue()


SHEET = [
    ["id", "Asymmetry\n(0/1/2)", "seen", "when", "control"],
    ["A1", 45.0, 0.1 + 0.2, datetime.date(2019, 8, 14), True],
    ["A2", None, 7, datetime.datetime(2019, 8, 14, 10, 32, 7), False],
    ["A3", "-2243186711511406658", "NA", None, None],
]


def test_cells_are_text_as_the_sheet_shows_them() -> None:
    found = read_table(book(SHEET, {"C3": "000"}), table(), "metadata.xlsx")
    assert found.columns == ("id", "Asymmetry (0/1/2)", "seen", "when", "control")
    assert found.data.to_pylist() == [
        dict(zip(found.columns, row, strict=True))
        for row in (
            ("A1", "45", "0.3", "2019-08-14", "TRUE"),
            ("A2", "", "007", "2019-08-14 10:32:07", "FALSE"),
            ("A3", "-2243186711511406658", "NA", "", ""),
        )
    ]


def test_decimals_are_shown_only_where_nothing_is_lost() -> None:
    made = book([["id", "a", "b"], ["A1", 3, 45.27]], {"B2": "0.0", "C2": "0.0"})
    assert read_table(made, table(format="xlsx"), "m.xlsx").data.to_pylist()[0]["a"] == "3.0"
    assert read_table(made, table(format="xlsx"), "m.xlsx").data.to_pylist()[0]["b"] == "45.27"


def test_a_legend_stands_above_the_header() -> None:
    made = book([["Legend"], [None, "X: present"], [], ["id", "Melanoma"], ["IMD003", None], ["IMD058", "X"]])
    found = read_table(made, table(header_row=4, sheet="Folha1"), "PH2_dataset.xlsx")
    assert found.data.to_pylist() == [{"id": "IMD003", "Melanoma": ""}, {"id": "IMD058", "Melanoma": "X"}]
    assert not found.problems


@pytest.mark.parametrize(
    ("data", "spec", "message"),
    [
        (b"PK\x03\x04rest", {"format": "xlsx"}, "damaged zip"),
        (book([["id"], ["A1"]]), {"format": "xlsx", "sheet": "Sheet9"}, "expected the sheet 'Sheet9', got 'Folha1'"),
        (book([["dx"], ["A1"]]), {"format": "xlsx"}, "the column 'id' is missing"),
        (
            with_part(book([["id"], ["A1"]]), "xl/sharedStrings.xml", b'<!DOCTYPE x [<!ENTITY a "b">]><sst/>'),
            {"format": "xlsx"},
            "defines a document type",
        ),
        (with_part(book([["id"]]), "xl/extra.xml", b"<x>" + b" " * (80 << 20) + b"</x>"), {"format": "xlsx"}, "as bombs do"),
        (
            with_part(book([["id"]]), "xl/sharedStrings.xml", "<sst/>".encode("utf-16")),
            {"format": "xlsx"},
            "UTF-16",
        ),
        (with_part(book([["id"]]), "xl/worksheets/sheet1.xml", b"<worksheet><sheetData><row>"), {"format": "xlsx"}, "no element found"),
    ],
    ids=["damaged", "sheet", "impostor", "entities", "bomb", "utf16", "cut_off"],
)  # fmt: skip
def test_a_workbook_that_is_not_the_one_is_refused(data: bytes, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(MetadataError, match=message):
        read_table(data, table(**spec), "metadata.xlsx")


def test_a_workbook_beyond_a_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # one cell in the last corner: the rows between are what exhausts a reader
    far = openpyxl.Workbook()
    far.active["A1"] = "id"
    far.active.cell(200, 200, "x")
    buffer = io.BytesIO()
    far.save(buffer)
    for limits, message in (
        (TableLimits(10**9, 150, 10), "more than 150 cells"),
        (TableLimits(100, 10**6, 10), "unpacks to"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(workbooks.TableLimits, "load", classmethod(lambda cls, limits=limits: limits))
            with pytest.raises(MetadataError, match=message):
                read_table(buffer.getvalue(), table(), "metadata.xlsx")


BARS = """
|| Name   || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Dots/Globules || Colors ||
|| IMD003 ||                        ||                  0 ||         0 |             A ||    4   ||
|| IMD058 || Melanoma               ||                  2 ||         2 |            AT || 1 4 5  ||
|| IMD059 ||||2||2|AT||4||

Legends:
Clinical Diagnosis:
\t0 - Common Nevus; 1 - Atypical Nevus; 2 - Melanoma.
"""


def test_a_table_drawn_with_bars_is_found_out() -> None:
    found = read_table(BARS.encode(), table(key="Name"), "PH2_dataset.txt")
    assert [r["Histological Diagnosis"] for r in found.data.to_pylist()] == ["", "Melanoma", ""]
    assert [r["Colors"] for r in found.data.to_pylist()] == ["4", "1 4 5", "4"]
    assert found.notes == ("PH2_dataset.txt has 3 lines of text around the table; they are no records.",)


def test_a_mangled_row_of_bars_is_kept_and_marked() -> None:
    mangled = BARS.replace(
        "|| Melanoma               ||                  2 ||", "|| Melanoma                                  2"
    )
    found = read_table(mangled.encode(), table(key="Name"), "PH2_dataset.txt")
    assert found.data.num_rows == 3
    assert found.problems == {1: "has 4 cells, expected 6"}


def test_a_list_of_lines_has_one_column_and_numbers() -> None:
    data = b"https://a.example/1\nhttps://a.example/1\n\nhttps://a.example/2"
    found = read_table(
        data, table(format="lines", columns=["url"], key="line", row_number="line"), "urls.txt"
    )
    assert found.data["url"].to_pylist() == [
        "https://a.example/1",
        "https://a.example/1",
        "https://a.example/2",
    ]
