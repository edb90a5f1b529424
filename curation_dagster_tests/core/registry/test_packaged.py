"""The descriptors that come with the package."""

import csv
from pathlib import Path

import pytest

from curation_dagster.core.harmonize.anatomy import site_of
from curation_dagster.core.registry.licences import licence
from curation_dagster.core.registry.loading import PACKAGED, load_registry
from curation_dagster.core.registry.paths import source_id_of

REGISTRY = load_registry()


def test_all_packaged_descriptors_are_valid():
    assert (
        REGISTRY.report()
        == f"{len(list(PACKAGED.glob('*.yaml')))} archives, {len(REGISTRY.keys())} versions, no problems"
    )


@pytest.mark.parametrize(
    ("key", "images", "records", "passes"),
    [
        ("pad_ufes_20@1", 2298, 2298, True),
        ("ham10000@4.0", 10015, 10015, False),
        ("isic_archive@2025-07-22", 18946, 18946, None),
        ("bcn20000@1", 18946, 18946, None),
        ("bcn20000_isic@2025-07-22", 18946, 18946, False),
        ("isic_2016@complete", 1279, 1279, True),
        ("isic_2017@training", 2000, 2000, True),
        ("isic_2018_task12@training", 2594, None, True),
        ("isic_2018_task3@training", 10015, 10015, False),
        ("isic_2019@training", 25331, 25331, False),
        ("isic_2019@complete", 33569, 33569, False),
        ("isic_2020@training", 33126, 33126, False),
        ("isic_2020_dicom@training", 33126, 33126, False),
        ("isic_2024@training", 401059, 401059, False),
        ("isic_2024_permissive@training", 217477, 217477, True),
        ("milk10k@training", 10480, 10480, False),
        ("passion@2024", 4901, 1653, False),
        ("agppga_healthy_skin@2025-12-18", 19, None, None),
    ],
)
def test_versions_and_licences_are_as_published(key, images, records, passes):
    found = REGISTRY.resolve(key)
    assert (found.version.images, found.version.records) == (images, records)
    assert licence(found.descriptor.licence.default).permits_all is passes


def test_a_part_of_an_archive_inherits_no_licence_of_the_whole():
    whole, part = (REGISTRY.descriptors[id] for id in ("isic_2024", "isic_2024_permissive"))
    assert (whole.licence.default, part.licence.default) == ("CC-BY-NC-4.0", "CC-BY-4.0")
    assert whole.technical_file.doi != part.technical_file.doi
    assert part.technical_file.selection.licence.outcome == "accepted"


def test_the_isic_archive_takes_the_licence_of_each_record():
    terms = REGISTRY.descriptors["isic_archive"].licence
    assert {k: licence(v).permits_all for k, v in terms.values.items()} == {
        "CC-0": True,
        "CC-BY": True,
        "CC-BY-NC": False,
    }


@pytest.mark.parametrize("id", sorted(REGISTRY.descriptors))
def test_the_technical_file_is_complete(id):
    file = REGISTRY.descriptors[id].technical_file
    assert file.repository_url
    assert file.gotchas
    assert "evidence" in REGISTRY.descriptors[id].licence.model_fields_set


def test_a_licence_that_the_gate_refuses_is_not_evaluated_as_accepted():
    for descriptor in REGISTRY.descriptors.values():
        if licence(descriptor.licence.default).permits_all is False:
            assert descriptor.technical_file.selection.licence.outcome == "refused", descriptor.id


def test_controls_are_controls_and_have_no_table():
    descriptor = REGISTRY.descriptors["agppga_healthy_skin"]
    assert descriptor.columns.is_control.constant is True
    assert descriptor.layout.metadata == ()


class TestRealFiles:
    def test_every_record_of_pad_has_an_id_that_its_file_name_gives(self, real_data: Path):
        layout = REGISTRY.descriptors["pad_ufes_20"].layout
        with (real_data / "pad_ufes_20/metadata.csv").open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert set(layout.metadata[0].required_columns) <= set(rows[0])
        ids = {source_id_of(f"images/{r['img_id']}", layout) for r in rows}
        assert len(ids) == 2298
        assert None not in ids

    @pytest.mark.parametrize("field", ["confirmation", "sex", "anatomy"])
    def test_every_value_of_pad_is_mapped(self, real_data: Path, field):
        mapping = getattr(REGISTRY.descriptors["pad_ufes_20"].columns, field)
        with (real_data / "pad_ufes_20/metadata.csv").open(newline="") as handle:
            values = {row[mapping.source[0]].strip().casefold() for row in csv.DictReader(handle)} - {""}
        assert values <= {v.casefold() for v in mapping.values}

    def test_every_site_of_the_isic_tree_has_a_code(self, real_data: Path):
        with (real_data / "isic_schema/isic_anatom_site_hierarchy.tsv").open(newline="") as handle:
            names = {cell for row in csv.DictReader(handle, delimiter="\t") for cell in row.values() if cell}
        assert [n for n in sorted(names) if site_of(n) is None] == []


# -- every archive of the protocol and the seeds, evaluated before it is retrieved -------------------

#: name in the protocol or the seeds, to the descriptor
NAMED = {
    "HAM10000": "ham10000", "BCN20000 (figshare)": "bcn20000", "BCN20000 (ISIC)": "bcn20000_isic",
    "ISIC 2016": "isic_2016", "ISIC 2017": "isic_2017", "ISIC 2018 task 1 and 2": "isic_2018_task12",
    "ISIC 2018 task 3": "isic_2018_task3", "ISIC 2019": "isic_2019", "ISIC 2020 (JPEG)": "isic_2020",
    "ISIC 2020 (DICOM)": "isic_2020_dicom", "ISIC 2024": "isic_2024", "ISIC 2024 permissive": "isic_2024_permissive",
    "ISIC Archive": "isic_archive", "MILK10k": "milk10k", "PAD-UFES-20": "pad_ufes_20",
    "Fitzpatrick17k": "fitzpatrick17k", "PH2": "ph2", "Derm7pt": "derm7pt", "DDI": "ddi", "SCIN": "scin",
    "MRA-MIDAS": "mra_midas", "SD-198": "sd_198", "DermNet": "dermnet", "DermNet NZ": "dermnet_nz", "Danderm": "danderm",
    "DermIS": "dermis", "Hellenic atlas": "hellenic_atlas", "Atlas Dermatologico": "atlas_dermatologico",
    "PASSION": "passion", "AGPPGA consented healthy skin": "agppga_healthy_skin",
    "AGPPGA internet list": "agppga_internet", "AGPPGA V1 list": "agppga_v1", "EFFISAYIL 1": "effisayil_1",
    "EFFISAYIL 2": "effisayil_2",
}  # fmt: skip
#: those whose licence lets a company use, modify and redistribute what records don't state otherwise
PASSING = {"isic_2016", "isic_2017", "isic_2018_task12", "isic_2024_permissive", "pad_ufes_20", "scin"}
RECORD_BY_RECORD = {"isic_archive"}


def test_every_archive_that_is_named_has_a_descriptor_and_no_other_is_packaged():
    assert sorted(NAMED.values()) == sorted(REGISTRY.descriptors)


@pytest.mark.parametrize("id", sorted(REGISTRY.descriptors))
def test_the_selection_evaluation_has_an_outcome_and_a_reason_for_each_of_its_four_parts(id):
    selection = REGISTRY.descriptors[id].technical_file.selection
    parts = {n: getattr(selection, n) for n in ("diagnostic_quality", "licence", "diversity", "governance")}
    for name, part in parts.items():
        assert len(part.reason.split()) >= 3, (id, name)
        # what nobody can assess is no reason to admit
        assert part.outcome != "not_assessed" or selection.licence.outcome == "refused", (id, name)
    assert parts["licence"].outcome != "not_assessed"


@pytest.mark.parametrize("id", sorted(REGISTRY.descriptors))
def test_the_technical_file_says_everything_that_the_protocol_asks_for(id):
    descriptor = REGISTRY.descriptors[id]
    file = descriptor.technical_file
    asked = ("name", "publisher", "country", "access_method", "diagnostic_coverage", "demographics", "modality",
             "validation_method")  # fmt: skip
    for name in asked:
        assert getattr(file, name).strip(), (id, name)
    assert file.repository_url.startswith(("https://", "http://"))
    assert file.access in ("public", "registration", "gated")
    # of the archive that grows every day only a state has a number
    counted = file.sample_size.images is not None or id == "isic_archive"
    assert counted or not any(v.images for v in descriptor.versions.values())
    assert len(descriptor.licence.evidence.split()) >= 5
    assert len(descriptor.retrieval.instructions.split()) >= 8
    assert all(v.released or v.note for v in descriptor.versions.values())


def test_a_refused_archive_keeps_its_descriptor_and_its_refusal():
    refused = set(REGISTRY.descriptors) - PASSING - RECORD_BY_RECORD
    assert len(refused) == 27
    for id in refused:
        descriptor = REGISTRY.descriptors[id]
        assert descriptor.technical_file.selection.licence.outcome == "refused", id
        # where records state their own, those that the publisher counts
        own = {licence(v).permits_all for v in descriptor.licence.images}
        assert licence(descriptor.licence.default).permits_all is not True, id
        assert True not in own, id
    for id in PASSING:
        assert REGISTRY.descriptors[id].technical_file.selection.licence.outcome in (
            "accepted",
            "conditional",
        ), id


@pytest.mark.parametrize("id", sorted(set(REGISTRY.descriptors) - PASSING - RECORD_BY_RECORD))
def test_the_ledger_of_a_refused_archive_refuses_every_row_by_its_licence(id):
    """In the ledger of its synthetic twin, which test_archives_golden.py holds against a real run."""
    golden = Path(__file__).parents[2] / "archives/golden" / f"{id}.csv"
    with golden.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows
    for row in rows:
        assert row["verdict"] != "kept", row
        assert any(c.startswith("licence_") for c in row["failed"].split()), row
