from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.diagnosis import UNMAPPED, combined, diagnoses, diagnosis_of, normalized
from curation_dagster.core.harmonize.vocabulary import VocabularyError, rows
from curation_dagster.schemas import RELATIONS


def test_every_label_of_the_isic_tree_is_mapped(real_data: Path) -> None:
    with (real_data / "isic_schema" / "isic_diagnosis_hierarchy.tsv").open(
        encoding="utf-8", newline=""
    ) as file:
        paths = list(csv.DictReader(file, delimiter="\t"))
    labels = [
        next(path[f"diagnosis_{n}"] for n in (5, 4, 3, 2, 1) if path[f"diagnosis_{n}"]) for path in paths
    ]
    assert len(labels) == 418
    assert [label for label in labels if diagnosis_of(label).relation == "unmapped"] == []
    # the first two levels of the tree are groups, and are said to be
    shallow = [path["diagnosis_2"] or path["diagnosis_1"] for path in paths if not path["diagnosis_3"]]
    assert {diagnosis_of(label).relation for label in shallow} <= {"nonspecific", "exact", "broader"}
    assert diagnosis_of("Benign").relation == "nonspecific"


@pytest.mark.parametrize(
    ("label", "code", "relation"),
    [
        ("BCC", "2C32", "exact"),
        ("ACK", "EK90.0", "exact"),
        ("nv", "2F20", "exact"),
        ("Nevus, Blue", None, None),
        ("akiec", None, "narrower"),
        ("unknown", None, "nonspecific"),
        ("normal skin", None, "not_a_diagnosis"),
        ("green nail", "EE12.Y", "broader"),
        ("no such label", None, "unmapped"),
    ],
)
def test_a_label_is_mapped_with_its_relation(label: str, code: str | None, relation: str | None) -> None:
    found = diagnosis_of(label)
    if relation is not None:
        assert (found.icd11_code, found.relation) == (code, relation)
        assert (found.icd11_title is None) == (code is None)


def test_a_label_that_pools_diseases_has_candidates_and_no_code() -> None:
    found = diagnosis_of("akiec")
    assert found.icd11_code is None
    assert found.candidates == ("EK90.0", "2E64.0", "2E64.00", "2E64.01")


def test_an_archive_may_mean_something_else_by_a_label() -> None:
    assert diagnosis_of("DF") == diagnosis_of("dermatofibroma")
    assert diagnosis_of("DF", {"df": "Vascular malformation of skin"}) != diagnosis_of("DF")
    assert diagnosis_of("d_f", {"D-F": "nevus"}) == diagnosis_of("nevus")


def test_several_labels_are_one_only_if_they_mean_the_same() -> None:
    assert combined(["nevus", "nv"]).icd11_code == "2F20"
    both = combined(["scabies", "impetigo"])
    assert (both.icd11_code, both.relation, both.granularity) == (None, "nonspecific", "composite")
    assert len(both.candidates) == 2


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (
            "Benign adnexal epithelial proliferations - Follicular",
            "benign adnexal epithelial proliferations follicular",
        ),
        ("melanoma-acral-lentiginous", "melanoma acral lentiginous"),
        ("Acne_Keloidalis_Nuchae", "acne keloidalis nuchae"),
        (" Squamous cell carcinoma,  NOS ", "squamous cell carcinoma, nos"),
    ],
)
def test_labels_compare_without_case_and_separators(label: str, expected: str) -> None:
    assert normalized(label) == expected


@given(st.text(max_size=30))
def test_normalizing_twice_changes_nothing(label: str) -> None:
    once = normalized(label)
    assert normalized(once) == once


def test_the_vocabulary_is_sound() -> None:
    table = rows("diagnoses")
    assert len({r["label_normalized"] for r in table}) == len(table) == len(diagnoses())
    for row in table:
        assert normalized(row["label_normalized"]) == row["label_normalized"]
        assert row["relation"] in RELATIONS
        assert (row["relation"] in {"exact", "broader", "narrower"}) == bool(row["icd11_code"])
        if row["icd11_code"]:
            assert icd11.title(row["icd11_code"]) == row["icd11_title"]
    assert UNMAPPED.relation == "unmapped"


# -- the hierarchy ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("2F20", "2F20", "same"),
        ("2F20", "2F20.1", "broader"),
        ("2F20", "2F20.20", "broader"),
        ("2F20.20", "2F20", "narrower"),
        ("2F20.Z", "2F20", "same"),
        ("2F20.Z", "2F20.1", "broader"),
        ("2F20.Y", "2F20.1", "different"),
        ("2F20.Y", "2F20", "narrower"),
        ("2C30", "2F20", "different"),
        ("2C30", "2E63.0", "different"),
        ("EA90.4", "EA90.40", "broader"),
    ],
)
def test_codes_relate_by_the_hierarchy(a: str, b: str, expected: str) -> None:
    assert icd11.related(a, b) == expected


codes = st.sampled_from(sorted(icd11.codes()))
OPPOSITE = {"same": "same", "different": "different", "broader": "narrower", "narrower": "broader"}


@given(codes, codes)
def test_the_relation_reads_the_same_both_ways(a: str, b: str) -> None:
    assert icd11.related(b, a) == OPPOSITE[icd11.related(a, b)]


@given(codes)
def test_every_code_is_narrower_than_its_ancestors(code: str) -> None:
    for above in icd11.ancestors(code):
        if above in icd11.codes():
            assert icd11.related(code, above) in {"narrower", "same"}


def test_the_release_is_that_of_the_file() -> None:
    assert icd11.release() == "2025-01"


def test_an_unknown_code_is_an_error() -> None:
    with pytest.raises(VocabularyError, match=r"'C43\.9' is not a code"):
        icd11.related("C43.9", "2C30")
