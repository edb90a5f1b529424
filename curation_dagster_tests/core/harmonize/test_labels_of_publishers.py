"""Every label that the archives are known to use is mapped, or refused for a stated reason."""

from __future__ import annotations

from collections import Counter

import pytest

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.diagnosis import (
    diagnoses,
    diagnoses_of_archive,
    diagnosis_of,
    normalized,
)
from curation_dagster.core.harmonize.vocabulary import rows
from curation_dagster.core.registry.loading import load_registry

LABELS = rows("publishers_labels")
ARCHIVES = sorted({r["archive"] for r in LABELS})


@pytest.mark.parametrize("archive", ARCHIVES)
def test_every_label_of_an_archive_is_mapped_or_refused_for_a_reason(archive: str) -> None:
    labels = [r["label"] for r in LABELS if r["archive"] == archive]
    for label in labels:
        found = diagnosis_of(label, archive=archive)
        assert found.relation != "unmapped", f"{archive}: {label!r} has no row in the vocabularies"
        if found.icd11_code is None:
            assert found.refusal, f"{archive}: {label!r} is refused without a reason"
        else:
            assert (found.icd11_code, found.icd11_title) == (
                found.icd11_code,
                icd11.title(found.icd11_code),
            )
            assert found.relation in ("exact", "broader", "narrower")


def test_the_list_of_labels_is_whole() -> None:
    counted = Counter(r["archive"] for r in LABELS)
    assert len(LABELS) == 1325
    assert (counted["isic_archive"], counted["scin"], counted["sd_198"]) == (464, 220, 198)
    assert (counted["fitzpatrick17k"], counted["ddi"], counted["derm7pt"]) == (114, 78, 25)
    assert sum(int(r["count"]) for r in LABELS if r["archive"] == "ham10000" and r["field"] == "dx") == 10015


# what the labels mean, one line each: a change of the vocabulary shows up here
GOLDEN = """
ham10000 akiec -> none narrower EK90.0 2E64.0 2E64.00 2E64.01
ham10000 bkl -> none narrower 2F21 2F21.0 EJ20.1 2F21.Y
ham10000 mel -> 2C30 narrower 2C30 2E63.0
ham10000 nv -> 2F20 exact
ham10000 vasc -> none nonspecific 2F25 EF20.1 2F26 EF20.0 2E81
isic_2018_task3 AKIEC -> none narrower EK90.0 2E64.0 2E64.00 2E64.01
isic_2019 AK -> EK90.0 exact
isic_2019 MEL -> 2C30 narrower 2C30 2E63.0
isic_2019 SCC -> 2C31 narrower 2C31 2E64.0
isic_2019 UNK -> none nonspecific
isic_2020 melanoma -> 2C30 narrower 2C30 2E63.0
isic_2020 unknown -> none nonspecific
milk10k AKIEC -> none narrower EK90.0 2E64.0 2E64.00 2E64.01
milk10k INF -> none nonspecific
pad_ufes_20 ACK -> EK90.0 exact
pad_ufes_20 SCC -> 2C31 narrower 2C31 2E64.00
pad_ufes_20 MEL -> 2C30 narrower 2C30 2E63.0
ph2 Melanoma -> 2C30 narrower 2C30 2E63.0
ph2 Common Nevus -> 2F20.0 exact
ddi melanoma -> 2C30 exact
ddi melanoma-in-situ -> 2E63.0 exact
derm7pt melanoma (in situ) -> 2E63.0 exact
mra_midas malignant- ak -> EK90.0 exact
mra_midas malignant- other -> none nonspecific
passion Scabies -> 1G04 exact
passion Others -> none nonspecific
agppga_v1 generalised pustular psoriasis -> EA90.40 exact
agppga_healthy_skin healthy skin -> none not_a_diagnosis
protocol rash -> none nonspecific
"""


@pytest.mark.parametrize("line", GOLDEN.strip().splitlines())
def test_what_a_label_means_in_its_archive(line: str) -> None:
    said, _, meant = line.partition(" -> ")
    archive, _, label = said.partition(" ")
    found = diagnosis_of(label, archive=archive)
    assert " ".join([found.icd11_code or "none", found.relation, *found.candidates]) == meant


def test_the_same_word_means_different_things_in_different_archives() -> None:
    assert diagnosis_of("melanoma", archive="ddi").relation == "exact"
    assert diagnosis_of("melanoma", archive="isic_2020").relation == "narrower"
    assert diagnosis_of("melanoma", {"melanoma": "mel"}, "ham10000").candidates == ("2C30", "2E63.0")


def test_every_row_keyed_by_archive_is_of_use_and_names_codes_of_the_vocabulary() -> None:
    known = {*ARCHIVES, *(d.id for d in load_registry().descriptors.values())}
    for row in rows("diagnoses_by_archive"):
        stem = row["archive"].rstrip("*")
        assert any(a.startswith(stem) for a in known), f"{row['archive']} fits no archive"
        assert row["label_normalized"] == normalized(row["label_normalized"])
        assert bool(row["means"]) != bool(row["relation"])
        assert row["note"]
        for code in (row["icd11_code"], *row["alt_codes"].split(";")):
            assert not code or code in icd11.codes()
    for archive in known:
        own = diagnoses_of_archive(archive)
        assert all(d in diagnoses().values() or d.icd11_code or d.candidates for d in own.values())


def test_no_code_of_the_vocabularies_was_removed_from_icd11() -> None:
    gone = {r["code"] for r in rows("icd11_drift") if r["change"] == "removed"}
    named = {r["icd11_code"] for name in ("diagnoses", "diagnoses_by_archive") for r in rows(name)}
    assert named & gone == set()
    retitled = {r["code"]: r["title_2025_01"] for r in rows("icd11_drift") if r["change"] != "removed"}
    assert all(icd11.title(code) == title for code, title in retitled.items())
