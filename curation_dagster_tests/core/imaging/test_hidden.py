"""The inventory of hidden metadata: every kind is found, by kind and never by value."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from pydicom.dataset import Dataset

from curation_dagster.core.imaging.formats import sniff
from curation_dagster.core.imaging.hidden import Inventory, inventory, known_kinds
from curation_dagster.core.imaging.measure import measure_bytes
from curation_dagster.core.imaging.settings import VOCABULARIES, measuring
from curation_dagster_tests.core.imaging.carriers import (
    DICOM_TAGS,
    EXIF_TAGS,
    PIXELS,
    SECRET,
    kitchen_sink,
    planted_jpegs,
    planted_pngs,
)
from curation_dagster_tests.core.imaging.pictures import (
    dataset_of,
    dicom,
    display_p3_like,
    every_format,
    exif,
    heic,
    saved,
    skin,
    with_segment,
    written,
)


def take(data: bytes) -> Inventory:
    return inventory(data, sniff(data).format)


@pytest.mark.parametrize("kind", planted_jpegs())
def test_each_kind_in_a_jpeg_is_found(kind: str) -> None:
    found = take(planted_jpegs()[kind])
    assert kind in found.kinds
    assert found.bytes > 0
    expected = {kind, "exif"} if kind.startswith("exif") else {kind}
    assert set(found.kinds) <= expected | ({"exif_datetime"} if kind == "exif_gps" else set())


@pytest.mark.parametrize("kind", planted_pngs())
def test_each_kind_in_a_png_is_found(kind: str) -> None:
    assert kind in take(planted_pngs()[kind]).kinds


@pytest.mark.parametrize("name", every_format(skin(64, 48)))
def test_a_clean_file_of_each_format_has_none(name: str) -> None:
    found = take(every_format(skin(64, 48))[name][0])
    assert set(found.kinds) <= ({"dicom_uid"} if "dicom" in name else set())
    assert found.trailing_bytes == 0


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("tiff", {"exif_description", "exif_owner"}),
        ("webp", {"exif", "exif_owner", "xmp"}),
        ("gif", {"gif_comment", "trailing_bytes"}),
        ("heic", {"exif", "exif_owner", "exif_description", "xmp"}),
        ("bmp", {"trailing_bytes"}),
    ],
)
def test_other_formats_tell_what_they_carry(name: str, kinds: set[str]) -> None:
    assert kinds <= set(take(kitchen_sink()[name]).kinds)


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        ("PatientName", "dicom_patient"),
        ("PatientID", "dicom_patient"),
        ("ReferringPhysicianName", "dicom_person"),
        ("StudyDate", "dicom_date"),
        ("InstitutionName", "dicom_institution"),
        ("Manufacturer", "dicom_device"),
        ("StudyInstanceUID", "dicom_uid"),
        ("StudyDescription", "dicom_text"),
        ("ImageComments", "dicom_text"),
        ("BurnedInAnnotation", "dicom_burned_in"),
    ],
)
def test_each_attribute_of_a_dicom_file_has_its_kind(tag: str, kind: str) -> None:
    without = set(take(dicom(PIXELS)).kinds)
    assert set(take(dicom(PIXELS, **{tag: DICOM_TAGS[tag]})).kinds) == without | {kind}


def test_private_overlay_and_nested_attributes_are_found() -> None:
    data = dataset_of(PIXELS.shape, 8, None)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data.PixelData = PIXELS.tobytes()
    data.private_block(0x0011, "VENDOR", create=True).add_new(1, "LO", SECRET)
    data.add_new(0x60000010, "US", 8)
    inner = Dataset()
    inner.PersonName = SECRET
    data.ContentCreatorIdentificationCodeSequence = [inner]
    assert {"dicom_private", "dicom_overlay", "dicom_person"} <= set(take(written(data)).kinds)
    marked = bytearray(dicom(PIXELS))
    marked[:4] = b"II*\0"
    assert "dicom_preamble" in inventory(bytes(marked), "DICOM").kinds


def test_a_blank_or_absent_value_is_nothing_hidden() -> None:
    assert "dicom_patient" not in take(dicom(PIXELS, PatientName="", PatientID="")).kinds
    assert (
        "exif_owner"
        not in take(with_segment(planted_jpegs()["exif"], 0xE1, exif(zeroth={0x013B: b"    "}))).kinds
    )
    assert "dicom_burned_in" not in take(dicom(PIXELS, BurnedInAnnotation="NO")).kinds


def test_every_kind_that_code_can_report_is_in_the_vocabulary_and_has_a_description() -> None:
    with (VOCABULARIES / "hidden_metadata.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len({r["kind"] for r in rows}) == len(rows)
    assert all(r["description"] and r["identifying"] in ("yes", "possible", "no") for r in rows)
    found = set(EXIF_TAGS)
    for files in (planted_jpegs(), planted_pngs(), kitchen_sink()):
        for data in files.values():
            found |= set(take(data).kinds)
    assert found <= set(known_kinds())


@pytest.mark.parametrize("name", kitchen_sink())
def test_no_value_reaches_the_row(name: str) -> None:
    row = measure_bytes(kitchen_sink()[name], measuring())
    assert row["decode_state"] == "ok"
    text = repr({k: v for k, v in row.items() if not isinstance(v, bytes)})
    assert SECRET not in text
    assert "Doe" not in text


def test_kinds_of_profiles_are_named() -> None:
    assert (
        measure_bytes(saved(PIXELS, "JPEG", icc_profile=display_p3_like()), measuring())["icc_profile"]
        == "other"
    )
    assert (
        measure_bytes(saved(PIXELS, "JPEG", icc_profile=b"broken" * 30), measuring())["icc_profile"]
        == "other"
    )
    assert measure_bytes(saved(PIXELS, "PNG"), measuring())["icc_profile"] is None


def test_a_truncated_carrier_loses_nothing_found_before() -> None:
    for name, data in kitchen_sink().items():
        for share in (0.1, 0.4, 0.7):
            found = inventory(data[: int(len(data) * share)], sniff(data).format)
            assert set(found.kinds) <= set(known_kinds()), name


def test_mattes_and_thumbnails_of_heic_are_named() -> None:
    assert "heif_thumbnail" in take(heic(PIXELS, thumbnails=[64])).kinds
    assert "heif_auxiliary" in take(heic(np.dstack([PIXELS, PIXELS[..., 0]]))).kinds
