"""The packaged descriptors of archives whose records can't be shipped, on small tables with their real headers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.registry.loading import load_registry
from curation_dagster_tests.core.records.builders import records_of


def rows(archive: str, contents: dict[str, bytes | str]) -> list[dict[str, Any]]:
    registry = load_registry()
    made = registry.resolve(f"{archive}@{next(iter(registry.descriptors[archive].versions))}")
    # a few rows stand for all of them
    made = replace(made, version=made.version.model_copy(update={"records_tolerance": None}))
    return harmonize(made, records_of(made, contents).table, b"secret").to_pylist()


def test_ham10000_without_an_extension_and_with_a_pooled_class() -> None:
    text = (
        "lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\n"
        "HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp,vidir_modern\n"
        "HAM_0000119,ISIC_0027420,akiec,histo,,unknown,unknown,rosendahl\n"
        "HAM_0000120,ISIC_0027421,nv,follow_up,45.0,female,genital,vidir_molemax\n"
    )
    images = {f"HAM10000_images_part_1/ISIC_002742{n}.jpg": str(n) for n in (0, 1)}
    found = rows(
        "ham10000", {"HAM10000_metadata": text, "HAM10000_images_part_1/ISIC_0027419.jpg": "9", **images}
    )
    assert [r["confirmation"] for r in found] == ["histopathology", "histopathology", "follow_up"]
    assert [r["diagnosis_relation"] for r in found][1:] == ["narrower", "exact"]
    assert [r["anatomy_scope"] for r in found] == ["in", None, "out"]
    assert [r["permits_commercial"] for r in found] == [False] * 3
    assert json.loads(found[1]["missing"])["age_years"] == "blank"


def test_the_three_generations_of_isic_exports() -> None:
    generations = {
        "a": "isic_id,attribution,copyright_license,image_type,diagnosis,anatom_site_general,age_approx\n"
        "ISIC_0000001,Anonymous,CC-0,dermoscopic,nevus,anterior torso,85\n",
        "b": "isic_id,attribution,copyright_license,image_type,diagnosis_1,diagnosis_2,diagnosis_3,anatom_site_general,"
        "anatom_site_special,age_approx\n"
        "ISIC_0000001,Anonymous,CC-BY,dermoscopic,Benign,Benign melanocytic proliferations,Nevus,upper extremity,"
        "oral or genital,45.0\n",
        "c": "isic_id,attribution,copyright_license,image_type,diagnosis_1,diagnosis_2,diagnosis_3,anatom_site_1,"
        "anatom_site_2,anatom_site_3,fitzpatrick_skin_type\n"
        'ISIC_0000001,"\t=Anonymous",CC-BY-NC,TBP tile: close-up,Benign,Benign melanocytic proliferations,Nevus,'
        "Head and neck,Head,Scalp,III\n",
    }
    found = {
        g: rows("isic_archive", {"metadata.csv": t, "ISIC_0000001.jpg": "x"})[0]
        for g, t in generations.items()
    }
    assert {r["icd11_code"] for r in found.values()} == {"2F20"}
    assert [found[g]["licence"] for g in "abc"] == ["CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0"]
    assert [found[g]["anatomy_code"] for g in "abc"] == ["torso_anterior", "oral_genital", "scalp"]
    assert [found[g]["modality"] for g in "abc"] == ["dermoscopic", "dermoscopic", "other"]
    assert (found["a"]["age_years"], found["a"]["age_low"], found["a"]["age_high"]) == (None, 82.5, None)
    assert (found["b"]["age_years"], found["c"]["fitzpatrick"]) == (45.0, 3)
    assert found["c"]["attribution"] == "=Anonymous"


def test_passion_describes_subjects_and_may_have_two_labels() -> None:
    label = (
        "subject_id,country,age,sex,fitzpatrick,body_loc,impetig,conditions_PASSION\n"
        "AA00000001,Guinea,7,f,5,torso; back,0.0,Scabies\n"
        "AA00000002,Malawi,97,m,4,pelvic,1.0,Eczema\n"
    )
    images = {f"images/AA0000000{s}_{n}.jpg": f"{s}{n}" for s in (1, 2) for n in (1, 2)}
    found = rows(
        "passion", {"label.csv": label, "PASSION_split.csv": "subject_id,Split\nAA00000001,TRAIN\n", **images}
    )
    assert len(found) == 4
    assert len({r["patient_key"] for r in found}) == 2
    assert [r["icd11_code"] for r in found][:2] == ["1G04"] * 2
    assert found[2]["diagnosis_granularity"] == "composite"
    assert found[2]["diagnosis_source_label"] == "eczema; impetigo"
    assert [r["anatomy_scope"] for r in found] == ["in", "in", "review", "review"]
    assert found[0]["anatomy_code"] == "trunk"


def test_agppga_consists_of_controls() -> None:
    found = rows("agppga_healthy_skin", {"data/NSL/consented_images/image_0001.jpg": "x"})
    assert (found[0]["is_control"], found[0]["diagnosis_relation"]) == (True, "not_a_diagnosis")
