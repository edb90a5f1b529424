from __future__ import annotations

import csv
from pathlib import Path

import pytest

from curation_dagster.core.harmonize.anatomy import common_site, may_show_face, scope_of, site_of, sites


def test_every_site_of_the_isic_tree_is_known(real_data: Path) -> None:
    with (real_data / "isic_schema" / "isic_anatom_site_hierarchy.tsv").open(
        encoding="utf-8", newline=""
    ) as file:
        paths = [
            [path[f"anatom_site_{n}"] for n in range(1, 6)] for path in csv.DictReader(file, delimiter="\t")
        ]
    assert len(paths) == 206
    for path in paths:
        names = [name for name in path if name]
        codes = [site_of(name) for name in names]
        assert None not in codes, names
        # what lies in the mouth, the genitals or the eye is out, however deep the name
        if "Mouth" in names or {"Vulva", "Vagina", "Penis", "Scrotum"} & set(names):
            assert sites()[codes[-1] or ""].scope == "out", names


ARCHIVES = {
    "HAM10000": "back;lower extremity;trunk;upper extremity;abdomen;face;chest;foot;neck;scalp;hand;ear;genital;acral",
    "ISIC": "anterior torso;lower extremity;head/neck;upper extremity;posterior torso;palms/soles;oral/genital;"
    "lateral torso;torso;acral NOS;nail NOS;fingernail;toenail;acral palms or soles;oral or genital",
    "PAD-UFES-20": "FACE;FOREARM;CHEST;BACK;ARM;NOSE;HAND;NECK;THIGH;EAR;ABDOMEN;LIP;SCALP;FOOT",
    "Derm7pt": "back;lower limbs;abdomen;upper limbs;chest;head neck;acral;buttocks;genital areas",
    "PASSION": "torso;arm;leg;back;pelvic;hand;hair;face;foot",
    "SCIN": "HEAD_OR_NECK;ARM;PALM;BACK_OF_HAND;TORSO_FRONT;TORSO_BACK;GENITALIA_OR_GROIN;BUTTOCKS;LEG;"
    "FOOT_TOP_OR_SIDE;FOOT_SOLE",
    "MRA-MIDAS": "l cheek;r forearm;left buttox",
}


@pytest.mark.parametrize("archive", ARCHIVES)
def test_the_spellings_of_the_archives_are_known(archive: str) -> None:
    assert [name for name in ARCHIVES[archive].split(";") if site_of(name) is None] == []


@pytest.mark.parametrize(
    ("name", "code", "scope"),
    [
        ("Helix of pinna", "ear", "in"),
        ("fingernail", "nail", "in"),
        ("Lip", "lip", "review"),
        ("Eyelid", "eyelid", "review"),
        ("pelvic", "pelvic", "review"),
        ("Anogenital region", "anogenital", "review"),
        ("oral/genital", "oral_genital", "out"),
        ("Tongue", "oral", "out"),
        ("Cornea", "eye", "out"),
        ("genital", "genital", "out"),
    ],
)
def test_the_scope_says_whether_it_is_skin(name: str, code: str, scope: str) -> None:
    assert site_of(name) == code
    assert scope_of([code]) == scope


def test_what_is_out_is_out_by_its_code_and_its_parents() -> None:
    for code in sites():
        parent = sites()[code].parent
        assert parent is None or parent in sites()
        order = ("in", "review", "out")
        if parent is not None:
            assert order.index(scope_of([code])) >= order.index(scope_of([parent]))
    assert {c for c in sites() if scope_of([c]) == "out"} == {"genital", "oral_genital", "oral", "eye"}
    assert common_site(["oral", "eye"]) == "head_neck"


def test_the_strictest_scope_of_several_sites_holds() -> None:
    assert scope_of(["back", "genital"]) == "out"
    assert scope_of(["back", "lip"]) == "review"


def test_the_vocabulary_is_sound() -> None:
    for site in sites().values():
        assert site.scope in {"in", "out", "review"}
        assert site.parent is None or site.parent in sites()
        assert site_of(site.code) == site_of(site.label) == site.code
        assert common_site([site.code]) == site.code
    assert site_of("attic") is None


def test_every_site_of_head_and_neck_may_show_a_face_and_no_other() -> None:
    assert {code for code in sites() if may_show_face(code)} == {
        "head_neck", "face", "scalp", "ear", "nose", "lip", "eyelid", "neck", "eye", "oral", "oral_genital",
    }  # fmt: skip
