"""Identifiers in cells and file names: each kind is found, and what only looks like one is not."""

from __future__ import annotations

import csv
import doctest
import json
import random
import time
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.deidentification import checksums, identifiers
from curation_dagster.core.deidentification.checksums import CHECKSUMS, holds
from curation_dagster.core.deidentification.findings import find_identifiers
from curation_dagster.core.deidentification.identifiers import (
    RecordScanner,
    kinds_in_name,
    kinds_in_record,
    rules,
)
from curation_dagster.schemas import MEASUREMENTS

SPEED_GOAL_SECONDS = 20.0


def in_cell(text: str) -> set[str]:
    return set(RecordScanner().kinds_in_cell(text))


FOUND = [
    ("Dr. Mustermann", "titled_name"),
    ("seen by Herr Müller", "titled_name"),
    ("Frau  Schmidt", "titled_name"),
    ("Sra. García", "titled_name"),
    ("Mustermann, Erika", "person_name"),
    ("García López, María", "person_name"),
    ("O'Brien, Sean J.", "person_name"),
    ("photo of Maria da Silva at home", "person_name"),
    ("Erika Mustermann", "person_name"),
    ("Mustermann^Erika", "person_name"),
    ("1957-03-12", "full_date"),
    ("12.03.1957", "full_date"),
    ("3/12/1957", "full_date"),
    ("03/25/1957", "full_date"),
    ("19570312", "full_date"),
    ("2019:08:14 10:32:07", "full_date"),
    ("12 March 1957", "full_date"),
    ("March 12th, 1957", "full_date"),
    ("12. März 1957", "full_date"),
    ("12 de março de 1957", "full_date"),
    ("12 de marzo de 1957", "full_date"),
    ("12 mars 1957", "full_date"),
    ("12-Mar-1957", "full_date"),
    ("12MAR1957", "full_date"),
    ("1957 Mar 12", "full_date"),
    ("12.03.57", "full_date"),
    ("born 12.03.1957", "birth_date"),
    ("geb. 12.3.57", "birth_date"),
    ("DOB: 03/12/57", "birth_date"),
    ("nascida em 12/03/1957", "birth_date"),
    ("née le 12/03/1957", "birth_date"),
    ("MRN 0012345", "record_number"),
    ("Patient no. 77001", "record_number"),
    ("Fallnummer: 4711", "record_number"),
    ("MRN-A0012345", "record_number"),
    ("erika.mustermann@example.org", "email"),
    ("https://example.org/p/7", "url"),
    ("see www.example.org", "url"),
    ("192.168.17.4", "ip_address"),
    ("2001:db8::8a2e:370:7334", "ip_address"),
    ("2001:0db8:85a3:0000:0000:8a2e:0370:7334", "ip_address"),
    ("+49 30 1234567", "telephone"),
    ("+1-202-555-0143", "telephone"),
    ("(202) 555-0143", "telephone"),
    ("202-555-0143", "telephone"),
    ("030/1234567", "telephone"),
    ("Tel. 1234 567 89", "telephone"),
    ("219-09-9999", "social_security_number"),
    ("12345678Z", "national_id"),
    ("X1234567L", "national_id"),
    ("X-1234567-L", "national_id"),
    ("86095742719", "national_id"),
    ("86 095 742 719", "national_id"),
    ("943 476 5919", "national_id"),
    ("529.982.247-25", "national_id"),
    ("52998224725", "national_id"),
    ("2 55 08 14 168 025 38", "national_id"),
    ("RSSMRA85T10A562S", "national_id"),
    ("DE89 3704 0044 0532 0130 00", "bank_account"),
    ("Hauptstraße 12", "postal_address"),
    ("Musterweg 3a, Beispielstadt", "postal_address"),
    ("221 Baker Street", "postal_address"),
    ("Rua das Flores, 123", "postal_address"),
    (
        "The patient came with a lesion that had been growing for some weeks and had bled twice since then.",
        "free_text",
    ),
]


@pytest.mark.parametrize(("text", "kind"), FOUND, ids=[t[:40] for t, _ in FOUND])
def test_each_identifier_in_a_cell_is_found(text: str, kind: str) -> None:
    assert kind in in_cell(text)


NOTHING = [
    "PAT_1516", "PAT_1516_1765_530.png", "ISIC_0024306", "HAM_0000118", "530", "1765", "12.5", "0.0", "-1", "True", "ARM",
    "POMERANIA", "BCC", "basal cell carcinoma", "lower extremity", "seborrheic keratosis, irritated", "1957", "55-60",
    "CC-BY-NC", "CC0-1.0", "vidir_modern", "histopathology", "single image expert consensus", "ISIC_0000000_downsampled",
    "IMG_20190", "2019", "12/2019", "1.0.0", "86095742718", "529.982.247-26", "12345678A", "Melanoma, NOS", "contact polarized",
    "Hospital Barcelona 2019", "3 4 5", "000-12-3456", "nevus, dysplastic", "MSK-4", "9434765918", "head/neck", "May",
    "3.0 mm", "a" * 200,
]  # fmt: skip


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_an_identifier_is_not_one(text: str) -> None:
    assert in_cell(text) == set()


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("patient_name", "person_name"),
        ("Name", "person_name"),
        ("Nachname", "person_name"),
        ("dob", "birth_date"),
        ("date_of_birth", "birth_date"),
        ("patient_birth_date", "birth_date"),
        ("Geburtsdatum", "birth_date"),
        ("data_nascimento", "birth_date"),
        ("MRN", "record_number"),
        ("phone", "telephone"),
        ("zip code", "postal_address"),
        ("cpf", "national_id"),
    ],
)
def test_a_column_that_says_what_it_holds_is_believed(header: str, kind: str) -> None:
    assert f"{header}:{kind}" in kinds_in_record(json.dumps({header: "anything"}))
    assert kinds_in_record(json.dumps({header: ""})) == []


@pytest.mark.parametrize(
    "header",
    [
        "img_name",
        "image_name",
        "file_name",
        "dataset",
        "age",
        "region",
        "attribution",
        "patient_id",
        "cancer",
    ],
)
def test_ordinary_columns_are_not_believed_to_hold_names(header: str) -> None:
    assert RecordScanner().kinds_in_header(header) == ()


def test_findings_name_column_and_kind_and_never_a_value() -> None:
    record = {"notes": "born 12.03.1957, erika@example.org", "age": "62", "Mustermann, Erika": "x"}
    found = kinds_in_record(json.dumps(record))
    assert found == ["#3:person_name", "notes:birth_date", "notes:email", "notes:full_date"]
    assert kinds_in_record(json.dumps(record), ignored=["notes"]) == ["#3:person_name"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/2019-03-04/x.jpg", "full_date"),
        ("Erika_Mustermann/x.jpg", "person_name"),
        ("pics.zip!/Max Muster/1.jpg", "two_part_name"),
        ("x/12_March_1957.jpg", "full_date"),
        ("MRN0012345.jpg", "record_number"),
        ("dr_house/1.jpg", "titled_name"),
        ("12345678Z.jpg", "national_id"),
        ("dob 1957-03-12.png", "birth_date"),
    ],
)
def test_identifiers_in_file_and_folder_names_are_found(path: str, kind: str) -> None:
    assert kind in kinds_in_name(path)


@pytest.mark.parametrize(
    "path",
    [
        "images/imgs_part_1.zip!/PAT_1516_1765_530.png",
        "HAM10000_images_part_1/ISIC_0024306.jpg",
        "1_0123.jpg",
    ],
)
def test_ordinary_file_names_hold_nothing(path: str) -> None:
    assert kinds_in_name(path) == []


def test_the_real_metadata_give_no_false_alarm(real_data: Path) -> None:
    scanner = RecordScanner()
    cells = 0
    for name in ("metadata.csv", "metadata_excel_resaved_variant.csv"):
        with (real_data / "pad_ufes_20" / name).open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                cells += len(row)
                assert scanner.kinds_in_record(json.dumps(row)) == []
                assert kinds_in_name(f"zr7vgbcyr2-1.zip!/images/imgs_part_1/{row['img_id']}") == []
    assert cells > 2 * 2298 * 25


def test_a_hundred_thousand_records_are_scanned_in_time() -> None:
    rng = random.Random(1)
    columns = [f"c{n}" for n in range(22)]
    few = ["True", "False", "ARM", "POMERANIA", "seborrheic keratosis", "6.0", "", "3.0", "histopathology"]
    rows = [
        json.dumps(
            {c: rng.choice(few) for c in columns}
            | {"patient": f"PAT_{n // 2}", "lesion": str(n), "img": f"PAT_{n // 2}_{n}_530.png", "age": str(n % 90)}
        )
        for n in range(100_000)
    ]  # fmt: skip
    blank = pa.repeat("x", len(rows))
    paths = [f"a.zip!/imgs/PAT_{n}_1_2.png" for n in range(len(rows))]
    images = dict.fromkeys(("image_id", "archive", "version", "sha256"), blank)
    images |= {
        "path": paths,
        "source_values": rows,
        "hidden_kinds": pa.nulls(len(rows), pa.list_(pa.string())),
        "regions": pa.nulls(len(rows), MEASUREMENTS.arrow_schema.field("regions").type),
    }
    started = time.process_time()
    found = find_identifiers(pa.table(images))
    assert time.process_time() - started < SPEED_GOAL_SECONDS
    assert set(map(len, found["found_in_record"].to_pylist())) == {0}


def test_every_declared_rule_finds_something() -> None:
    texts = [t for t, _ in FOUND]
    idle = [p.expression.pattern[:60] for p in rules().of("record") if not any(p.finds(t) for t in texts)]
    assert idle == []


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=120))
def test_no_text_stops_the_scan(text: str) -> None:
    RecordScanner().kinds_in_cell(text)
    kinds_in_name(text)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789 .-/+()@:ABCabcäÄ,'_", max_size=3000))
def test_long_texts_of_the_characters_that_rules_look_for_take_no_time(text: str) -> None:
    started = time.process_time()
    RecordScanner().kinds_in_cell(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["1" * 5000, "a" * 5000, "A a" * 2000, "1." * 3000, "a@" * 3000, "1:" * 3000, "Rua " + "a " * 3000])  # fmt: skip
def test_hostile_texts_take_no_time(text: str) -> None:
    started = time.process_time()
    RecordScanner().kinds_in_cell(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("before", [0, 400, 415, 500, 511, 5000])
def test_an_identifier_anywhere_in_a_long_text_is_found(before: int) -> None:
    assert {"email", "full_date", "free_text"} <= in_cell(
        "lorem " * (before // 6 + 20) + "x" * (before % 6) + " erika@example.org 1957-03-12"
    )


def test_checksums_refuse_a_changed_digit() -> None:
    for name, number in {
        "de_steuer_id": "86095742719",
        "uk_nhs": "9434765919",
        "br_cpf": "52998224725",
        "fr_nir": "255081416802538",
        "iban": "DE89370400440532013000",
        "es_dni": "12345678Z",
    }.items():
        assert holds(name, number)
        at = len(number) - 3
        changed = number[:at] + str((int(number[at]) + 1) % 10) + number[at + 1 :]
        assert not holds(name, changed), name
    assert set(CHECKSUMS) == {p.checksum for p in rules().patterns if p.checksum}


def test_docstrings_hold() -> None:
    for module in (checksums, identifiers):
        assert doctest.testmod(module).failed == 0
