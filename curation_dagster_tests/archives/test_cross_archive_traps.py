"""The nine traps between archives, one test each; what is deeper about one stands beside, in the two other files of traps.

1 one picture counted in several archives, 2 one picture in several encodings, 3 spellings of file names and formats,
4 spellings of unknown, 5 scales of skin, 6 ages and their clamps, 7 sites, 8 actinic keratosis, 9 dates.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from curation_dagster.core.harmonize.anatomy import site_of
from curation_dagster.core.harmonize.diagnosis import combined
from curation_dagster.core.harmonize.fields import convert
from curation_dagster.core.registry.admissible import admissible, overlaps
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.views import measured_images
from curation_dagster_tests.archives.golden import curated_once
from curation_dagster_tests.installation import Installation

REGISTRY = load_registry()


def rows(made: Installation, twin: str, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made.workspace.part(table, parse_key(curated_once(made, twin))).to_pylist()
    return found


def measured(made: Installation, twin: str, column: str) -> dict[str, Any]:
    """Return a measurement of each image of a twin."""
    table = measured_images(made.workspace, parse_key(curated_once(made, twin)), [column])
    return dict(zip(table["image_id"].to_pylist(), table[column].to_pylist(), strict=True))


def said(archive: str, field: str, *cells: str) -> Any:
    """Return what a descriptor makes of the cells of one field: the value, or the reason why there is none."""
    found = convert(field, getattr(REGISTRY.descriptors[archive].columns, field), list(cells))
    return found.value if found.value is not None else found.reason


def test_trap_1_what_lies_inside_another_archive_is_counted_once() -> None:
    known = {frozenset(o.archives): o for o in overlaps().overlaps}
    parts = [known[frozenset({part, "isic_2019"})] for part in ("ham10000", "bcn20000")]
    assert [(o.images, o.exact) for o in parts] == [(10_015, True), (12_413, True)]
    assert sum(o.images for o in parts) == 22_428
    # as if all three were admitted: 22,428 images less than the sum
    three = [
        REGISTRY.descriptors[a].model_copy(
            update={"licence": REGISTRY.descriptors[a].licence.model_copy(update={"default": "CC0-1.0"})}
        )
        for a in ("ham10000", "bcn20000", "isic_2019")
    ]
    found = admissible(three)
    assert sum(line.admitted for line in found.lines) - found.total == 22_428


def test_trap_2_one_picture_in_two_encodings_has_one_perceptual_hash(made: Installation) -> None:
    """The groups over all archives stand in test_traps.py; here it is why bytes are not enough."""
    by_id: dict[str, dict[str, tuple[str, str]]] = {}
    for twin in ("isic_2020", "isic_2020_dicom"):
        hashes = measured(made, twin, "phash")
        for record in rows(made, twin, "records"):
            if record["path"]:
                by_id.setdefault(record["source_id"], {})[twin] = (
                    record["sha256"],
                    hashes[record["image_id"]],
                )
    pairs = [tuple(v.values()) for v in by_id.values() if len(v) == 2]
    assert len(pairs) >= 10
    for (sha_a, hash_a), (sha_b, hash_b) in pairs:
        assert sha_a != sha_b
        assert (_bits(hash_a) ^ _bits(hash_b)).bit_count() <= 4


def _bits(value: Any) -> int:
    return int.from_bytes(value, "big") if isinstance(value, bytes) else int(value, 16)


def test_trap_3_names_and_formats_are_what_they_are_and_not_what_they_are_called(made: Installation) -> None:
    twins = ("derm7pt", "scin", "agppga_healthy_skin", "isic_2019")
    state = {twin: measured(made, twin, "decode_state") for twin in twins}

    def images(twin: str, like: str) -> list[dict[str, Any]]:
        return [r for r in rows(made, twin, "records") if r["path"] and re.search(like, r["path"])]

    cases = {
        "derm7pt": r"\.JPG$", "scin": r"/-\d+\.png$", "isic_2019": r"_downsampled\.jpg$",
    }  # fmt: skip
    for twin, like in cases.items():
        found = images(twin, like)
        assert found, (twin, like)
        states = {r["join_state"] for r in found}
        assert "matched" in states
        assert not states & {"file_without_record", "record_without_file"}
        assert {state[twin][r["image_id"]] for r in found} == {"ok"}
    kinds = {
        r["path"]: r["media_type"]
        for r in rows(made, "agppga_healthy_skin", "files")
        if r["path"].endswith(".jpg")
    }
    pngs = [p for p, kind in kinds.items() if kind == "image/png"]
    assert len(pngs) == 2
    for record in images("agppga_healthy_skin", r"\.jpg$"):
        if record["path"] in pngs:
            assert measured(made, "agppga_healthy_skin", "format")[record["image_id"]].lower() == "png"
    # masks of one bit are no images, whatever they are called
    roles = {r["path"]: r["role"] for r in rows(made, "ph2", "files") if r["path"].endswith(".bmp")}
    masks = {p for p in roles if "_lesion" in p or "_roi" in p}
    assert masks
    assert {roles[p] for p in masks} == {"ignored"}
    assert not masks & {r["path"] for r in rows(made, "ph2", "records")}


def test_trap_4_unknown_has_many_spellings_and_a_blank_block_is_blank(made: Installation) -> None:
    spelled = [
        ("ham10000", "sex", "unknown"), ("isic_2017", "age", "unknown"), ("scin", "fitzpatrick", "NONE_IDENTIFIED"),
        ("scin", "age", "AGE_UNKNOWN"), ("scin", "sex", "OTHER_OR_UNSPECIFIED"), ("fitzpatrick17k", "fitzpatrick", "-1"),
        ("effisayil_1", "anatomy", "UNK"), ("effisayil_1", "age", "NaN"),
    ]  # fmt: skip
    assert {said(a, f, cell) for a, f, cell in spelled} == {"stated_unknown"}
    assert said("ham10000", "sex", "") == said("scin", "fitzpatrick", "") == "blank"
    # the questions that PAD-UFES-20 never asked are blank all together, and no value is made of that
    records = {
        r["image_id"]: json.loads(r["source_values"])
        for r in rows(made, "pad_ufes_20", "records")
        if r["source_values"]
    }
    never = ("smoke", "gender", "fitspatrick", "diameter_1", "diameter_2")
    block = {i for i, v in records.items() if not any(v.get(c) for c in never)}
    assert block
    for row in rows(made, "pad_ufes_20", "harmonized"):
        if row["image_id"] in block:
            missing = json.loads(row["missing"])
            assert {missing[f] for f in ("sex", "fitzpatrick", "lesion_size_mm")} == {"blank"}


def test_trap_5_only_a_phototype_of_one_person_is_a_phototype() -> None:
    assert [said("pad_ufes_20", "fitzpatrick", "3.0"), said("scin", "fitzpatrick", "FST3")] == [3, 3]
    assert said("effisayil_1", "fitzpatrick", "III") == 3
    assert said("mra_midas", "fitzpatrick", "iii medium white to olive skin, brown eyes, brown hair") == 3
    for archive, scale in (
        ("ddi", "fitzpatrick_groups"),
        ("milk10k", "isic_skin_tone_class"),
        ("scin", "monk"),
    ):
        columns = REGISTRY.descriptors[archive].columns
        assert columns.skin_tone_scale.constant == scale
        if archive != "scin":
            assert columns.fitzpatrick is None


def test_trap_6_an_age_is_as_exact_as_its_archive() -> None:
    def band(archive: str, cell: str) -> tuple[float, float | None]:
        age = said(archive, "age", cell)
        return age.low, age.high

    assert band("pad_ufes_20", "53") == (53, 53)
    assert band("passion", "7") == (7, 7)
    for archive in ("ham10000", "isic_2019", "bcn20000"):
        assert band(archive, "50") == (47.5, 52.5), archive
    assert band("isic_2019", "85") == (82.5, None)
    assert band("isic_2020", "85") == (82.5, 87.5)
    assert band("isic_2020", "90") == (87.5, None)
    assert band("scin", "AGE_30_TO_39") == (30, 39)
    for archive in ("ph2", "derm7pt", "ddi", "fitzpatrick17k"):
        assert REGISTRY.descriptors[archive].columns.age is None


@pytest.mark.parametrize(
    ("ham", "isic"),
    [("chest", "anterior torso"), ("abdomen", "anterior torso"), ("back", "posterior torso"), ("foot", "lower extremity"),
     ("hand", "upper extremity"), ("acral", "palms/soles")],
)  # fmt: skip
def test_trap_7_the_site_of_one_archive_lies_inside_that_of_another(ham: str, isic: str) -> None:
    from curation_dagster.core.harmonize.anatomy import common_site

    mine, theirs = site_of(ham), site_of(isic)
    assert mine is not None
    assert theirs is not None
    assert common_site([mine, theirs]) in {mine, theirs}
    # Barcelona writes "anterior torso" for all of it
    assert said("bcn20000", "anatomy", "anterior torso") == ("trunk",)


def test_trap_8_actinic_keratosis_has_one_code_and_is_not_malignant() -> None:
    from curation_dagster.core.harmonize.consistency import behaviour_of

    written = {"isic_2019": "AK", "pad_ufes_20": "ACK", "bcn20000_isic": "Solar or actinic keratosis",
               "mra_midas": "malignant- ak", "ddi": "actinic-keratosis"}  # fmt: skip
    codes = {
        combined((label,), REGISTRY.descriptors[archive].diagnosis_aliases, archive).icd11_code
        for archive, label in written.items()
    }
    assert codes == {"EK90.0"}
    assert behaviour_of("EK90.0") != "malignant"
    assert (
        combined(("akiec",), REGISTRY.descriptors["ham10000"].diagnosis_aliases, "ham10000").icd11_code
        is None
    )


def test_trap_9_days_are_found_and_a_relative_number_of_days_is_none(made: Installation) -> None:
    # a manifest beside the table holds days of upload: nothing of it becomes a column of a record
    files = {r["path"]: r["role"] for r in rows(made, "mra_midas", "files")}
    assert [role for path, role in files.items() if path.endswith("data.csv")]
    for twin, days in {"mra_midas": "2024-05-01", "isic_archive": None}.items():
        tables = ("records", "deidentified", "harmonized", "verdicts")
        text = {t: json.dumps(rows(made, twin, t), default=str) for t in tables}
        assert days is None or not [t for t, content in text.items() if days in content]
    relative = [
        r["image_id"] for r in rows(made, "isic_archive", "records")
        if r["source_values"] and json.loads(r["source_values"]).get("acquisition_day")
    ]  # fmt: skip
    assert relative
    found = {r["image_id"]: r for r in rows(made, "isic_archive", "deidentified")}
    assert not [
        f for i in relative for f in found[i]["found_in_record"] or () if f.startswith("acquisition_day")
    ]
    # the photographs of healthy skin carry theirs in EXIF
    kinds = {k for r in rows(made, "agppga_healthy_skin", "deidentified") for k in r["found_in_file"] or ()}
    assert any("date" in k or "time" in k for k in kinds), kinds
