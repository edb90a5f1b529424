"""One archive in several forms, tables without a header, and lists that describe no images of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.loading import load_registry
from curation_dagster_tests.core.records.builders import TABLE, archive_version, records_of, table

CSV = {**TABLE, "name": "new", "files": ["new.csv"], "required_columns": ["site"]}
OLD = {**TABLE, "name": "old", "files": ["old.csv"], "alternative_to": "new"}


def rows(tables: list[dict[str, Any]], contents: dict[str, str]) -> tuple[list[dict[str, Any]], list[str]]:
    found = records_of(archive_version(layout={"metadata": tables}), contents)
    return found.table.to_pylist(), found.assessment["issues"]


def test_the_form_that_is_there_is_read() -> None:
    for name, text in (("new.csv", "id,site\nA1,x\n"), ("old.csv", "id\nA1\n")):
        found, _ = rows([CSV, OLD], {name: text, "A1.png": "1"})
        assert [(r["join_state"], r["record_table"]) for r in found] == [("matched", name)]


def test_where_both_are_there_the_first_one_is_read_and_the_other_is_named() -> None:
    found, notes = rows([CSV, OLD], {"new.csv": "id,site\nA1,x\n", "old.csv": "id\nA1\nA2\n", "A1.png": "1"})
    assert [r["record_table"] for r in found] == ["new.csv"]
    assert "The metadata table old is not read, because new says the same." in notes


def test_where_none_is_there_the_message_names_all_forms() -> None:
    with pytest.raises(
        MetadataError, match=r"'new': expected a file that matches new\.csv or old\.csv, got none"
    ):
        rows([CSV, OLD], {"A1.png": "1"})


def test_an_alternative_names_a_table_before_it() -> None:
    with pytest.raises(ValidationError, match="alternative_to names 'nothing'"):
        archive_version(layout={"metadata": [CSV, {**OLD, "alternative_to": "nothing"}]})


def test_a_table_without_a_header_has_the_declared_columns() -> None:
    spec = {**TABLE, "columns": ["id", "label"]}
    found, _ = rows([spec], {"metadata.csv": "A1,benign\nA2,malignant\nA3\n", "A1.png": "1"})
    assert json.loads(found[0]["source_values"]) == {"id": "A1", "label": "benign"}
    assert [r["record_row"] for r in found] == [1, 2, 3]
    assert found[2]["detail"] == "row 3 of metadata.csv has 1 cells, expected 2: its values can't be trusted"


def test_columns_without_the_key_are_an_error() -> None:
    with pytest.raises(ValidationError, match="columns must hold id"):
        table(columns=["label"])


def test_a_list_of_duplicates_makes_no_records() -> None:
    spec = {**TABLE, "name": "twice", "files": ["twice.csv"], "key": "second", "adds_records": False}
    contents = {
        "metadata.csv": "id\nA1\nA2\n",
        "twice.csv": "first,second\nA1,A2\nA8,A9\n",
        "A1.png": "1",
        "A2.png": "2",
    }
    found, notes = rows([TABLE, spec], contents)
    assert [(r["source_id"], json.loads(r["source_values"]).get("first")) for r in found] == [
        ("A1", None),
        ("A2", "A1"),
    ]
    assert "1 ids of the table twice are in no other table." in notes


# -- the interface of the ISIC Archive (API, version 2) ----------------------------------------------


def image(number: int, **clinical: Any) -> dict[str, Any]:
    return {
        "isic_id": f"ISIC_{number:07d}",
        "public": True,
        "copyright_license": ("CC-0", "CC-BY", "CC-BY-NC")[number % 3],
        "attribution": "Anonymous",
        "files": {"full": {"url": "https://example.org/full.jpg", "size": 3}},
        "metadata": {
            "acquisition": {"pixels_x": 1022, "pixels_y": 767, "image_type": "dermoscopic"},
            "clinical": {"sex": "female", "age_approx": 85, "anatom_site_general": "head/neck", **clinical},
        },
    }


def test_pages_of_the_isic_interface_are_one_table() -> None:
    first = {
        "count": 3,
        "next": "https://example.org/?cursor=b",
        "previous": None,
        "results": [image(0, diagnosis_1="Benign", diagnosis_3="Nevus"), image(1, diagnosis_1="Malignant")],
    }
    second = {"next": None, "previous": "https://example.org/?cursor=a", "results": [image(2)]}
    made = load_registry().resolve("isic_archive@2025-07-22")
    made = replace(made, version=made.version.model_copy(update={"records": 3}))
    contents = {"pages/1.json": json.dumps(first), "pages/2.json": json.dumps(second)}
    images = {f"images/ISIC_{n:07d}.jpg": str(n) for n in range(3)}
    records = records_of(made, {**contents, **images}).table
    assert records["join_state"].to_pylist() == ["matched"] * 3
    found = harmonize(made, records, b"secret").to_pylist()
    assert [r["licence"] for r in found] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"]
    assert [r["permits_commercial"] for r in found] == [True, True, False]
    assert [r["diagnosis_source_label"] for r in found] == ["Nevus", "Malignant", None]
    assert {(r["sex"], r["age_low"], r["age_high"], r["anatomy_code"], r["modality"]) for r in found} == {
        ("female", 82.5, None, "head_neck", "dermoscopic")
    }
