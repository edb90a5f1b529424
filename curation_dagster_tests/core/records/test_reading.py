from __future__ import annotations

import codecs
import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.records.reading import read_table
from curation_dagster.core.records.tables import MetadataError
from curation_dagster_tests.core.records.builders import table

CSV = "id,age,site,credit\nA1,45.0,head/neck,Hospital Clínic de Barcelona\nA2,,NA,\n"
ROWS = [
    {"id": "A1", "age": "45.0", "site": "head/neck", "credit": "Hospital Clínic de Barcelona"},
    {"id": "A2", "age": "", "site": "NA", "credit": ""},
]


def rows(data: bytes | str, **spec: object) -> list[dict[str, str]]:
    content = data.encode() if isinstance(data, str) else data
    return read_table(content, table(**spec), "metadata.csv").data.to_pylist()


@pytest.mark.parametrize(
    "encoded",
    [
        CSV.encode(),
        codecs.BOM_UTF8 + CSV.encode(),
        CSV.encode("utf-16"),
        CSV.encode("utf-16-le"),
        CSV.encode("utf-16-be"),
        CSV.encode("utf-32"),
        CSV.encode("cp1252"),
        CSV.encode("latin-1"),
    ],
    ids=["utf-8", "bom", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"],
)
def test_the_encoding_is_found_out(encoded: bytes) -> None:
    assert rows(encoded) == ROWS


def test_another_encoding_than_utf8_is_noted() -> None:
    assert "cp1252" in read_table(CSV.encode("cp1252"), table(), "m.csv").notes[0]


def test_a_declared_encoding_goes_before_a_guess() -> None:
    assert rows("id,site\nA1,Кожа\n".encode("cp1251"), encoding="cp1251") == [{"id": "A1", "site": "Кожа"}]


def test_a_wrong_encoding_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(MetadataError, match=r"metadata\.csv: expected text in utf-8.*right `encoding`"):
        rows(CSV.encode("cp1252"), encoding="utf-8")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_delimiter_and_line_ends_are_found_out(delimiter: str, line_end: str) -> None:
    text = CSV.replace(",", delimiter).replace("\n", line_end)
    assert rows(text) == ROWS


def test_commas_inside_cells_do_not_mislead_the_delimiter() -> None:
    assert rows("id;size\nA1;3,5\nA2;4,5\n") == [{"id": "A1", "size": "3,5"}, {"id": "A2", "size": "4,5"}]


def test_a_table_of_one_column_is_read() -> None:
    assert rows("id\nA1\nA2\n") == [{"id": "A1"}, {"id": "A2"}]


def test_a_quoted_line_break_stays_in_its_cell_and_counts_as_one_row() -> None:
    found = read_table(b'id,note\nA1,"two\nlines"\nA2,x\n', table(), "m.csv")
    assert found.data["note"].to_pylist() == ["two\nlines", "x"]
    assert found.rows == (1, 2)


def test_cells_stay_verbatim() -> None:
    assert rows("id,a,b,c,d\nA1,TRUE,3.0,007, x \n") == [
        {"id": "A1", "a": "TRUE", "b": "3.0", "c": "007", "d": " x "}
    ]


def test_the_tab_that_guards_a_formula_is_taken_away() -> None:
    found = rows('id,a,b,c\nA1,"\t=1+1","\t-5","\tplain"\n')
    assert found == [{"id": "A1", "a": "=1+1", "b": "-5", "c": "\tplain"}]


def test_a_row_with_a_wrong_number_of_cells_is_kept_with_its_reason() -> None:
    found = read_table(b"id,a\nA1,x\nA2,x,y,z\nA3\nA4,x\n", table(), "m.csv")
    assert found.data["id"].to_pylist() == ["A1", "A2", "A3", "A4"]
    assert found.problems == {1: "has 4 cells, expected 2", 2: "has 1 cells, expected 2"}
    assert found.data["column_4"].to_pylist() == ["", "z", "", ""]


def test_what_a_spreadsheet_leaves_behind_is_no_row_and_no_problem() -> None:
    found = read_table(b"id,a,\nA1,x,\nA2,x\n,,\n,,\nA3,x,,,\n", table(), "m.csv")
    assert found.data["id"].to_pylist() == ["A1", "A2", "A3"]
    assert found.rows == (1, 2, 5)
    assert not found.problems
    assert "2 blank rows" in found.notes[0]


def test_a_column_without_a_name_is_called_by_its_position() -> None:
    assert rows(",id\n0,A1\n") == [{"column_1": "0", "id": "A1"}]


def test_a_line_break_in_a_name_is_a_blank() -> None:
    assert rows('id,"Streaks\n(A/P)"\nA1,P\n') == [{"id": "A1", "Streaks (A/P)": "P"}]


def test_the_header_may_stand_further_down() -> None:
    assert rows("Legend: X means yes\n\nid,a\nA1,X\n", header_row=3) == [{"id": "A1", "a": "X"}]


def test_aliases_rename_columns() -> None:
    assert rows("ID,gender\nA1,m\n", aliases={"id": "id", "gender": "sex"}) == [{"id": "A1", "sex": "m"}]


def test_a_missing_column_is_an_error_with_the_nearest_names() -> None:
    with pytest.raises(MetadataError) as caught:
        rows("id,diagnostics,age\nA1,NEV,5\n", required_columns=["id", "diagnostic", "sex"])
    message = str(caught.value)
    assert "the column 'diagnostic' is missing (close: diagnostics)" in message
    assert "the column 'sex' is missing" in message
    assert "got id, diagnostics, age" in message
    assert "Nothing was read" in message


def test_an_unexpected_column_is_an_error_if_the_descriptor_lists_all() -> None:
    with pytest.raises(MetadataError, match=r"'note' is not expected"):
        rows("id,note\nA1,x\n", optional_columns=["age"])


def test_a_doubled_column_is_an_error() -> None:
    with pytest.raises(MetadataError, match=r"'age' occurs 2 times"):
        rows("id,age,age\nA1,5,6\n")


def test_a_quote_that_is_never_closed_is_an_error_with_its_line() -> None:
    with pytest.raises(MetadataError, match=r"near line \d+.*never closed"):
        rows('id,a\nA1,"x\nA2,y\n')


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"PK\x03\x04rest", "workbook"), (b"\xd0\xcf\x11\xe0rest", "old Excel"), (b"PAR1rest", "Parquet"), (b"id\x00,a\n1,2", "NUL")],
)  # fmt: skip
def test_what_is_no_text_is_an_error_that_says_so(data: bytes, kind: str) -> None:
    with pytest.raises(MetadataError, match=kind):
        rows(data)


@pytest.mark.parametrize("data", [b"", b"  \n\n"])
def test_an_empty_file_is_an_error(data: bytes) -> None:
    with pytest.raises(MetadataError, match="empty file"):
        rows(data)


def test_json_arrays_lines_and_pages_are_read_with_numbers_as_written() -> None:
    items = '{"id": 9007199254740993, "age": 45.0, "clinical": {"sex": "f", "biopsy": true}, "note": null}'
    expected = [
        {"id": "9007199254740993", "age": "45.0", "clinical.sex": "f", "clinical.biopsy": "true", "note": ""}
    ]
    assert rows(f"[{items}]") == expected
    assert rows(items) == expected
    assert rows(f'{{"count": 1, "results": [{items}]}}') == expected
    assert rows(f"{items}\n{items}\n") == expected * 2


def test_a_broken_line_of_json_is_kept_as_a_problem() -> None:
    found = read_table(b'{"id": "A1"}\n{"id": "A2"\n{"id": "A3"}\n', table(), "m.json")
    assert found.data["id"].to_pylist() == ["A1", "", "A3"]
    assert list(found.problems) == [1]


# a cell may hold anything but what means something else: NUL, and the tab that guards a formula
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\t"), max_size=12)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_what_csv_writes_is_read_back(content: list[tuple[str, str]], delimiter: str) -> None:
    content = [(f"x{a}", b) for a, b in content]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("id", "value"), *content])
    found = read_table(text.getvalue().encode(), table(delimiter=delimiter), "m.csv")
    assert list(zip(found.data["id"].to_pylist(), found.data["value"].to_pylist(), strict=True)) == content


@given(st.lists(st.dictionaries(st.sampled_from("abc"), cells), min_size=1, max_size=5))
def test_what_json_writes_is_read_back(items: list[dict[str, str]]) -> None:
    items = [{"id": "x", **item} for item in items]
    found = rows(json.dumps(items))
    assert [
        {k: v for k, v in row.items() if v or k in item} for row, item in zip(found, items, strict=True)
    ] == items
