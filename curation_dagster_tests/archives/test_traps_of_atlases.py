"""Traps that archives set for each other: the same thing in many spellings, and one spelling for several things."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from curation_dagster.core.harmonize.fields import convert
from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.licences import licence
from curation_dagster.core.registry.loading import ArchiveVersion, load_registry
from curation_dagster.core.registry.models import Version
from curation_dagster.samples import ddi, lists
from curation_dagster.samples.delivery import csv_bytes
from curation_dagster.schemas import UNIFIED
from curation_dagster_tests.core.records.builders import records_of

REGISTRY = load_registry()


def said(archive: str, field: str, *cells: str) -> Any:
    """Return what a descriptor makes of the cells of one field: the value, or the reason why there is none."""
    mapping = getattr(REGISTRY.descriptors[archive].columns, field)
    found = convert(field, mapping, list(cells))
    return found.value if found.value is not None else found.reason


def rows(archive: str, contents: dict[str, bytes]) -> list[dict[str, Any]]:
    """Harmonize a delivery of a version of which the publisher states nothing."""
    made = ArchiveVersion(ArchiveVersionKey(archive, "x"), REGISTRY.descriptors[archive], Version(), "0" * 64)
    return harmonize(made, records_of(made, contents).table, b"secret").to_pylist()


@pytest.mark.parametrize(
    ("archive", "cell", "phototype"),
    [
        ("fitzpatrick17k", "3", 3), ("fitzpatrick17k", "3.0", 3), ("fitzpatrick17k", "-1", "stated_unknown"),
        ("fitzpatrick17k", "-1.0", "stated_unknown"), ("passion", "4", 4), ("pad_ufes_20", "2.0", 2),
        ("scin", "FST1", 1), ("scin", "FST6", 6), ("scin", "NONE_IDENTIFIED", "stated_unknown"), ("scin", "", "blank"),
        ("mra_midas", "i pale white skin, blue/green eyes, blond/red hair", 1),
        ("mra_midas", "iv light brown skin", 4), ("mra_midas", "vi dark brown or black skin", 6),
        ("effisayil_1", "V", 5), ("effisayil_1", "12", "unmapped_value"), ("effisayil_1", "0", "unmapped_value"),
        ("effisayil_1", "7", "unmapped_value"),
    ],
)  # fmt: skip
def test_phototypes_are_read_in_every_spelling_and_nothing_else_is_one(
    archive: str, cell: str, phototype: Any
) -> None:
    assert said(archive, "fitzpatrick", cell) == phototype


def test_groups_of_phototypes_and_other_scales_are_kept_as_what_they_are() -> None:
    table = [dict.fromkeys(ddi.COLUMNS, "") | {"DDI_file": f"{n:06d}.png", "skin_tone": tone, "malignant": flag, "disease": "melanoma"}
             for n, (tone, flag) in enumerate((("12", "True"), ("34", "TRUE"), ("56", "False"), ("3", "x")), start=1)]  # fmt: skip
    found = rows("ddi", {"ddi_metadata.csv": csv_bytes(ddi.COLUMNS, table)})
    assert [r["fitzpatrick"] for r in found] == [None] * 4
    assert [r["skin_tone_value"] for r in found] == ["I-II", "III-IV", "V-VI", None]
    assert {json.loads(r["missing"])["fitzpatrick"] for r in found} == {"not_collected"}
    assert said("scin", "skin_tone_value", "10") == "10"


@pytest.mark.parametrize(
    ("archive", "field", "cells"),
    [
        ("scin", "age", ("AGE_UNKNOWN",)), ("scin", "sex", ("OTHER_OR_UNSPECIFIED",)), ("mra_midas", "modality", ("n/a - virtual",)),
        ("mra_midas", "lesion_size_mm", ("0", "0")), ("mra_midas", "diagnosis", ("0",)), ("effisayil_1", "sex", ("unknown",)),
        ("effisayil_1", "age", ("NaN",)), ("effisayil_1", "anatomy", ("UNK",)),
    ],
)  # fmt: skip
def test_unknown_in_its_spellings_is_null_with_its_reason(
    archive: str, field: str, cells: tuple[str, ...]
) -> None:
    assert said(archive, field, *cells) == "stated_unknown"


@pytest.mark.parametrize(
    ("archive", "cell", "low", "high"),
    [
        ("scin", "AGE_18_TO_29", 18, 29), ("scin", "AGE_80_OR_ABOVE", 80, None), ("passion", "97", 90, None),
        ("passion", "0", 0, 0), ("mra_midas", "64", 64, 64), ("mra_midas", "90", 90, None),
    ],
)  # fmt: skip
def test_ages_are_years_or_bands_and_end_at_89(
    archive: str, cell: str, low: float, high: float | None
) -> None:
    age = said(archive, "age", cell)
    assert (age.low, age.high) == (low, high)
    assert age.years is None or age.years <= 89


@pytest.mark.parametrize("archive", ["fitzpatrick17k", "ph2", "derm7pt", "ddi", "sd_198", "dermnet"])
def test_an_archive_without_ages_says_that_they_are_not_collected(archive: str) -> None:
    assert REGISTRY.descriptors[archive].columns.age is None


def test_actinic_keratosis_is_one_disease_whatever_a_publisher_calls_it() -> None:
    from curation_dagster.core.harmonize.diagnosis import combined

    codes = {
        combined((label,), REGISTRY.descriptors[archive].diagnosis_aliases, archive).icd11_code
        for archive, label in (("mra_midas", "malignant- ak"), ("mra_midas", "10-malignant-ak"), ("pad_ufes_20", "ACK"),
                               ("isic_2019", "AK"), ("ddi", "actinic-keratosis"))
    }  # fmt: skip
    assert codes == {"EK90.0"}


def test_what_a_check_found_to_be_wrongly_labelled_has_no_diagnosis() -> None:
    table = [dict.fromkeys(lists.FITZPATRICK_COLUMNS, "") | {"md5hash": f"{n:032x}", "label": "psoriasis", "qc": qc}
             for n, qc in enumerate(("", "1 Diagnostic", "3 Wrongly labelled"))]  # fmt: skip
    found = rows("fitzpatrick17k", {"fitzpatrick17k.csv": csv_bytes(lists.FITZPATRICK_COLUMNS, table)})
    assert [r["icd11_code"] for r in found] == ["EA90", "EA90", None]
    assert found[2]["diagnosis_relation"] == "nonspecific"


def test_dates_of_tables_do_not_leave_them() -> None:
    columns = (("index", "1"), ("added_at", "2024-05-01"))
    for archive in ("mra_midas", "agppga_v1", "effisayil_1"):
        mappings = REGISTRY.descriptors[archive].columns
        used = {c for name in type(mappings).model_fields if (m := getattr(mappings, name)) for c in m.source}
        assert not used & {c for c, _ in columns}, archive


def test_every_archive_of_the_seeds_and_the_protocol_is_there_and_no_licence_passes_by_mistake() -> None:
    passing = {id for id, d in REGISTRY.descriptors.items() if licence(d.licence.default).permits_all}
    assert passing == {
        "pad_ufes_20",
        "scin",
        "isic_2016",
        "isic_2017",
        "isic_2018_task12",
        "isic_2024_permissive",
    }
    for id in ("fitzpatrick17k", "ph2", "derm7pt", "ddi", "scin", "mra_midas", "sd_198", "dermnet", "dermnet_nz", "danderm", "dermis",
               "hellenic_atlas", "atlas_dermatologico", "passion", "agppga_healthy_skin", "agppga_internet", "agppga_v1",
               "effisayil_1", "effisayil_2"):  # fmt: skip
        evaluated = REGISTRY.descriptors[id].technical_file.selection
        for name in type(evaluated).model_fields:
            assert getattr(evaluated, name).reason, (id, name)


def test_severity_has_its_four_scales() -> None:
    table = (
        "file,patient_id,visit_day,gppga_total,pustules,erythema,scaling\n"
        "a.jpg,P1,0,3,3,3,2\nb.jpg,P1,7,,,,\nc.jpg,P2,0,5,0,0,0\n"
    )
    found = rows("effisayil_2", {"manifest.csv": table.encode()})
    scores = [{s["scale"]: s["value"] for s in r["severities"] or ()} for r in found]
    assert scores[0] == {"gppga_total": 3, "gppga_pustules": 3, "gppga_erythema": 3, "gppga_scaling": 2}
    assert scores[1] == {}
    assert "gppga_total" not in scores[2]
    assert (found[0]["severity_scale"], found[0]["severity_value"]) == ("gppga_total", 3)


def test_a_crop_of_healthy_skin_has_its_parent_and_is_no_case() -> None:
    files = {
        f"data/NSL/consented_images/{n}.jpg": n.encode()
        for n in ("image_0014", "image_0014_crop1", "image_0099_crop1")
    }
    made = REGISTRY.resolve("agppga_healthy_skin@2025-12-18")
    made = replace(made, version=made.version.model_copy(update={"images": None}))  # three stand for all
    records = records_of(made, files).table
    found = {r["source_id"]: r for r in records.to_pylist()}
    unified = {r["image_id"]: r for r in harmonize(made, records, b"secret").to_pylist()}
    crop, orphan = found["image_0014_crop1"], found["image_0099_crop1"]
    assert unified[crop["image_id"]]["parent_image_id"] == found["image_0014"]["image_id"]
    assert unified[crop["image_id"]]["derivation"] == "crop"
    assert (orphan["derivation"], orphan["parent_image_id"]) == ("crop", None)
    assert json.loads(unified[orphan["image_id"]]["missing"])["parent_image_id"] == "no_such_parent"
    assert json.loads(unified[found["image_0014"]["image_id"]]["missing"])["derivation"] == "not_derived"


class TestRealLists:
    def test_the_list_of_five_atlases_has_a_row_for_every_line_and_a_licence_for_every_row(
        self, real_data: Path
    ) -> None:
        content = (real_data / "agppga/V1_public_image_urls.csv").read_bytes()
        made = REGISTRY.resolve("agppga_v1@5a752b7")
        records = records_of(made, {"data/V1_public_image_urls.csv": content}).table
        unified = harmonize(made, records, b"secret").to_pylist()
        assert len(unified) == 172
        stated = [json.loads(r)["dataset_name"] for r in records["source_values"].to_pylist()]
        shares = {id: sum(r["licence"] == id for r in unified) for id in {r["licence"] for r in unified}}
        assert shares == dict(made.descriptor.licence.images)
        assert set(stated) == set(made.descriptor.licence.values)
        assert {r["icd11_code"] for r in unified} == {"EA90.40"}

    @pytest.mark.parametrize(
        ("key", "path", "real", "count"),
        [
            ("agppga_v1@5a752b7", "data/V1_public_image_urls.csv", "agppga/V1_public_image_urls.csv", 172),
            ("agppga_internet@2025-12-18", "data/NSL/internet_images_urls.txt", "agppga/internet_images_urls.txt", 10),
            ("pad_ufes_20@1", "metadata.csv", "pad_ufes_20/metadata.csv", 2298),
        ],
    )  # fmt: skip
    def test_no_row_of_a_real_file_is_lost_and_every_null_has_its_reason(
        self, real_data: Path, key: str, path: str, real: str, count: int
    ) -> None:
        made = REGISTRY.resolve(key)
        records = records_of(made, {path: (real_data / real).read_bytes()}).table
        unified = harmonize(made, records, b"secret").to_pylist()
        assert len(unified) == count
        assert sorted(records["record_row"].to_pylist()) == list(range(1, count + 1))
        unexplained = {
            field
            for row in unified
            for field in UNIFIED
            if row[field] is None and not json.loads(row["missing"]).get(field)
        }
        assert unexplained == set()

    def test_the_list_of_pages_has_ten_lines_of_nine_addresses(self, real_data: Path) -> None:
        content = (real_data / "agppga/internet_images_urls.txt").read_bytes()
        records = records_of(
            REGISTRY.resolve("agppga_internet@2025-12-18"), {"data/NSL/internet_images_urls.txt": content}
        ).table
        urls = [json.loads(r)["url"] for r in records["source_values"].to_pylist()]
        assert (len(urls), len(set(urls))) == (10, 9)
        assert set(records["join_state"].to_pylist()) == {"record_without_file"}

    def test_the_sites_of_pad_are_read_as_before(self, real_data: Path) -> None:
        with (real_data / "pad_ufes_20/metadata.csv").open(newline="") as handle:
            regions = {row["region"] for row in csv.DictReader(handle)}
        assert all(said("pad_ufes_20", "anatomy", r) != "unmapped_value" for r in regions)
