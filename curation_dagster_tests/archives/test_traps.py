"""What goes wrong between archives: one picture under two ids, one word with two meanings, two clamps of ages."""

from __future__ import annotations

import itertools
import json
import re
from collections import defaultdict
from typing import Any

import pyarrow as pa
import pytest

from curation_dagster.core.duplicates.overlap import overlap_in
from curation_dagster.core.harmonize.anatomy import common_site
from curation_dagster.core.harmonize.diagnosis import diagnosis_of
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.core.release.groups import tied
from curation_dagster.grouping import group_images
from curation_dagster_tests.archives.golden import curated_once
from curation_dagster_tests.installation import Installation

Name = tuple[str, str]  # archive and source id
PERSON = ("image_id", "patient_key", "lesion_key")

OVERLAPPING = (
    "ham10000",
    "bcn20000",
    "bcn20000_isic",
    "isic_2016",
    "isic_2019",
    "isic_2020",
    "isic_2020_dicom",
    "milk10k",
)


class Overlap:
    """The groups over all overlapping twins, and their unified records."""

    def __init__(self, installation: Installation) -> None:
        workspace = installation.workspace
        keys = [parse_key(curated_once(installation, twin)) for twin in OVERLAPPING]
        self.name: dict[str, Name] = {}
        self.records: dict[Name, dict[str, Any]] = {}
        for key in keys:
            unified = {r["image_id"]: r for r in workspace.part("harmonized", key).to_pylist()}
            for row in workspace.part("records", key).to_pylist():
                if row["path"] is not None:
                    self.name[row["image_id"]] = (row["archive"], row["source_id"])
                    self.records[row["archive"], row["source_id"]] = row | unified[row["image_id"]]
        groups = group_images(workspace, keys, admitted=None)
        self.rows = {self.name[r["image_id"]]: r for r in groups.to_pylist() if r["image_id"] in self.name}
        self.shared = {
            (r.pop("archive"), r.pop("other")): r for r in overlap_in(workspace.lake, groups).to_pylist()
        }
        unified = pa.concat_tables([workspace.part("harmonized", k, list(PERSON)) for k in keys])
        self.cases = list(tied(unified, groups).values())
        self.members: dict[str, set[Name]] = defaultdict(set)
        for name, row in self.rows.items():
            if row["group_id"] is not None:
                self.members[row["group_id"]].add(name)

    def of(self, archive: str) -> list[str]:
        """Return the source ids of an archive."""
        return sorted(id for a, id in self.records if a == archive)

    def with_(self, name: Name) -> set[Name]:
        """Return the other members of an image's group."""
        group = self.rows[name]["group_id"]
        return set() if group is None else self.members[group] - {name}

    def lesions(self, archive: str) -> dict[str, list[str]]:
        """Return the source ids of each lesion of an archive that several of its pictures show."""
        found: dict[str, list[str]] = defaultdict(list)
        for id in self.of(archive):
            if (key := self.records[archive, id]["lesion_key"]) is not None:
                found[key].append(id)
        return {key: ids for key, ids in found.items() if len(ids) > 1}

    def in_one_case(self, *names: Name) -> bool:
        """Return whether the pictures are kept together wherever images are divided."""
        ids = {self.records[n]["image_id"] for n in names}
        return any(ids <= set(case) for case in self.cases)


@pytest.fixture(scope="session")
def computed() -> list[Overlap]:
    return []


@pytest.fixture
def overlap(made: Installation, computed: list[Overlap]) -> Overlap:
    if not computed:
        computed.append(Overlap(made))
    return computed[0]


def shared_with_ham(overlap: Overlap) -> list[str]:
    return sorted(set(overlap.of("isic_2019")) & set(overlap.of("ham10000")))


# -- one picture, several archives -----------------------------------------------------------------


def test_ham10000_and_bcn20000_inside_isic_2019_are_found_by_pixels(overlap: Overlap) -> None:
    ids = shared_with_ham(overlap)
    assert len(ids) == 7
    for id in ids:
        ours, theirs = overlap.records["ham10000", id], overlap.records["isic_2019", id]
        assert ours["sha256"] != theirs["sha256"]
        assert ("isic_2019", id) in overlap.with_(("ham10000", id))
    lesions = {
        json.loads(overlap.records["bcn20000", i]["source_values"])["lesion_id"]: i
        for i in overlap.of("bcn20000")
    }
    of_bcn = {
        i: lesion
        for i in overlap.of("isic_2019")
        if (lesion := json.loads(overlap.records["isic_2019", i]["source_values"])["lesion_id"]).startswith(
            "BCN_"
        )
    }
    assert len(of_bcn) == 7
    for id, lesion in of_bcn.items():
        assert ("bcn20000", lesions[lesion]) in overlap.with_(("isic_2019", id))


def test_isic_2019_adds_no_picture_to_the_archives_that_it_is_made_of(overlap: Overlap) -> None:
    for id in overlap.of("isic_2019"):
        others = {archive for archive, _ in overlap.with_(("isic_2019", id))}
        assert others & {"ham10000", "bcn20000", "isic_2016"}, id


def test_the_two_copies_of_bcn20000_share_all_pictures_and_no_id(overlap: Overlap) -> None:
    assert not set(overlap.of("bcn20000")) & set(overlap.of("bcn20000_isic"))
    for id in overlap.of("bcn20000"):
        assert [a for a, _ in overlap.with_(("bcn20000", id))].count("bcn20000_isic") == 1


def test_the_suffix_downsampled_is_no_part_of_an_id(overlap: Overlap) -> None:
    again = [
        i
        for i in overlap.of("isic_2019")
        if overlap.records["isic_2019", i]["path"].endswith("_downsampled.jpg")
    ]
    assert len(again) == 7
    for id in again:
        assert re.fullmatch(r"ISIC_\d{7}", id)
        assert ("isic_2016", id) in overlap.with_(("isic_2019", id))


def test_the_publisher_s_own_list_of_duplicates_is_found_by_pixels_in_both_forms(overlap: Overlap) -> None:
    for archive in ("isic_2020", "isic_2020_dicom"):
        listed = {
            i: first
            for i in overlap.of(archive)
            if (first := json.loads(overlap.records[archive, i]["source_values"]).get("image_name_1"))
        }
        assert len(listed) == 1
        for second, first in listed.items():
            assert (archive, first) in overlap.with_((archive, second))


def test_dicom_and_jpeg_of_one_picture_are_duplicates(overlap: Overlap) -> None:
    assert overlap.of("isic_2020") == overlap.of("isic_2020_dicom")
    for id in overlap.of("isic_2020"):
        assert ("isic_2020_dicom", id) in overlap.with_(("isic_2020", id))


def test_the_two_views_of_a_lesion_are_no_duplicates(overlap: Overlap) -> None:
    assert {overlap.records["milk10k", i]["modality"] for i in overlap.of("milk10k")} == {
        "clinical",
        "dermoscopic",
    }
    assert all(not overlap.with_(("milk10k", i)) for i in overlap.of("milk10k"))
    # a clinical and a dermoscopic view of each lesion: one case, two pictures
    pairs = overlap.lesions("milk10k")
    assert sum(map(len, pairs.values())) == len(overlap.of("milk10k")) > 0
    for ids in pairs.values():
        assert sorted(overlap.records["milk10k", i]["modality"] for i in ids) == ["clinical", "dermoscopic"]
        assert overlap.in_one_case(*(("milk10k", i) for i in ids))


def test_photographs_of_one_lesion_are_one_case_and_as_many_pictures(overlap: Overlap) -> None:
    """Taken again with the same camera: what they share is the lesion, and both may train a device."""
    views = overlap.lesions("ham10000")
    taken_again = 0
    for ids in views.values():
        for first, second in itertools.combinations(ids, 2):
            one, other = ("ham10000", first), ("ham10000", second)
            assert overlap.in_one_case(one, other)
            assert overlap.rows[one]["group_id"] is None or other not in overlap.with_(one), (first, second)
            taken_again += overlap.rows[one]["relation"] != "unreadable" != overlap.rows[other]["relation"]
    assert taken_again >= 3
    # the reverse: copies that nobody noticed go under lesions of their own, and are duplicates all the same
    of_lesion = {i: key for key, ids in views.items() for i in ids}
    copies = [
        (one, other)
        for one in overlap.of("ham10000")
        for archive, other in overlap.with_(("ham10000", one))
        if archive == "ham10000" and one < other
    ]
    assert copies
    assert all(of_lesion.get(a, a) != of_lesion.get(b, b) for a, b in copies)


def test_the_overlap_of_archives_shows_what_lies_in_what(overlap: Overlap) -> None:
    counts = {pair: row["images"] for pair, row in overlap.shared.items()}
    # of the 21 pictures of ISIC 2019, seven are from each; all are re-encoded, so no file and no pixel is the same
    for source in ("ham10000", "bcn20000", "isic_2016"):
        assert overlap.shared["isic_2019", source] == {
            "images": 7, "same_file": 0, "same_pixels": 0, "near": 7,
        }, source  # fmt: skip
    assert counts["bcn20000", "bcn20000_isic"] == len(overlap.of("bcn20000"))
    assert counts["isic_2020", "isic_2020_dicom"] == len(overlap.of("isic_2020"))
    assert {pair[::-1] for pair in counts} == counts.keys()
    assert not [pair for pair in counts if "milk10k" in pair]


# -- one word, several meanings --------------------------------------------------------------------


def test_akiec_against_scc_is_a_difference_of_taxonomy_and_no_conflict(overlap: Overlap) -> None:
    pooled = [
        i
        for i in shared_with_ham(overlap)
        if overlap.records["ham10000", i]["diagnosis_source_label"] == "akiec"
    ]
    assert pooled
    for id in pooled:
        assert overlap.records["isic_2019", id]["diagnosis_source_label"] == "SCC"
        assert overlap.records["isic_2019", id]["icd11_code"] == "2C31"
        assert overlap.records["ham10000", id]["diagnosis_relation"] == "narrower"
        assert overlap.records["ham10000", id]["icd11_code"] is None
        assert overlap.rows["ham10000", id]["label_conflict"] is False


def test_no_group_of_the_overlapping_archives_is_a_false_conflict(overlap: Overlap) -> None:
    """What really differs is planted inside HAM10000: two rows of one image, or copies under another diagnosis."""
    conflicts = {
        g for g, names in overlap.members.items() if any(overlap.rows[n]["label_conflict"] for n in names)
    }
    for group in conflicts:
        mine = [n for n in overlap.members[group] if n[0] == "ham10000"]
        assert any(overlap.records[n]["join_state"] == "conflicting_record" for n in mine), overlap.members[
            group
        ]


def test_actinic_keratosis_has_one_code_whoever_writes_it_and_is_not_malignant() -> None:
    for label in ("AK", "ACK", "Solar or actinic keratosis", "actinic keratosis"):
        assert diagnosis_of(label).icd11_code == "EK90.0", label
    assert diagnosis_of("akiec").icd11_code is None


# -- sites, ages, skin, dates ----------------------------------------------------------------------


def test_sites_of_ham10000_and_of_the_isic_archive_agree_on_the_same_picture(overlap: Overlap) -> None:
    compared = 0
    for id in shared_with_ham(overlap):
        sites = {overlap.records[a, id]["anatomy_code"] for a in ("ham10000", "isic_2019")}
        if None not in sites:
            compared += 1
            # one of the two holds the other
            assert common_site(sorted(sites)) in sites, (id, sites)
    assert compared >= 4


def test_no_archive_of_barcelona_claims_a_side_of_the_torso(overlap: Overlap) -> None:
    for archive in ("bcn20000", "bcn20000_isic"):
        found = {overlap.records[archive, i]["anatomy_code"] for i in overlap.of(archive)}
        assert "trunk" in found
        assert not found & {"torso_anterior", "torso_posterior"}


def test_ages_are_open_from_where_each_archive_clamps_them(overlap: Overlap) -> None:
    def ages(archive: str) -> dict[str, tuple[float, float | None]]:
        return {
            json.loads(r["source_values"])["age_approx"]: (r["age_low"], r["age_high"])
            for (a, _), r in overlap.records.items()
            if a == archive and r["age_low"] is not None
        }

    assert ages("isic_2019")["85.0"] == (82.5, None)
    assert ages("isic_2020")["90"] == (87.5, None)
    # 85 is a bin like any other where the clamp is at 90
    assert load_registry().descriptors["isic_2020"].columns.age.clamp_at == 90
    assert all(high is not None for text, (_, high) in ages("isic_2020").items() if float(text) < 90)


@pytest.mark.parametrize(
    ("twin", "field", "spelled", "reason"),
    [
        ("ham10000", "anatomy_code", "unknown", "stated_unknown"),
        ("isic_2017", "age_years", "unknown", "stated_unknown"),
        ("isic_2017", "sex", "unknown", "stated_unknown"),
        ("isic_2017", "icd11_code", None, "not_one_hot"),
        ("isic_2020", "sex", "", "blank"),
        ("isic_2020", "anatomy_code", "", "blank"),
        ("milk10k", "fitzpatrick", None, "not_collected"),
        ("bcn20000", "diagnosis_source_label", None, "blank"),
        ("isic_2018_task12", "icd11_code", None, "not_collected"),
    ],
)
def test_unknown_is_null_with_its_reason_however_it_is_spelled(
    twin: str, field: str, spelled: str | None, reason: str, made: Installation
) -> None:
    at = parse_key(curated_once(made, twin))
    values = {r["image_id"]: r["source_values"] for r in made.workspace.part("records", at).to_pylist()}
    found = [
        r
        for r in made.workspace.part("harmonized", at).to_pylist()
        if r[field] is None and json.loads(r["missing"]).get(field) == reason
    ]
    assert found
    if spelled is not None:
        assert all(spelled in json.loads(values[r["image_id"]]).values() for r in found)


def test_a_scale_of_skin_tone_is_no_phototype(overlap: Overlap) -> None:
    for id in overlap.of("milk10k"):
        record = overlap.records["milk10k", id]
        assert record["fitzpatrick"] is None
        stated = json.loads(record["source_values"])["skin_tone_class"]
        assert stated in set("012345")
        assert (record["skin_tone_scale"], record["skin_tone_value"]) == ("isic_skin_tone_class", stated)


def test_days_of_barcelona_are_found_and_only_their_year_goes_on(made: Installation) -> None:
    at = parse_key(curated_once(made, "bcn20000"))
    workspace = made.workspace
    days = [json.loads(r["source_values"])["capture_date"] for r in workspace.part("records", at).to_pylist()]
    assert all(re.fullmatch(r"201\d-\d\d-\d\d", d) for d in days)
    found = workspace.part("deidentified", at).to_pylist()
    assert {tuple(r["found_in_record"]) for r in found} == {("capture_date:full_date",)}
    unified = workspace.part("harmonized", at).to_pylist()
    assert sorted(r["acquired_year"] for r in unified) == sorted(int(d[:4]) for d in days)
    for table in ("quality", "deidentified", "harmonized", "duplicates_within", "verdicts"):
        text = json.dumps(workspace.part(table, at).to_pylist(), default=str)
        assert not [d for d in days if d in text], table
