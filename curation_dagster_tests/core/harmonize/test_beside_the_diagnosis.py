"""Severity scores, skin tones, derived images, codes as labels: from the publisher's columns to rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from curation_dagster.core.duplicates.declared import with_declared
from curation_dagster.core.duplicates.verification import LINKS
from curation_dagster.core.harmonize import diagnosis, vocabulary
from curation_dagster.core.harmonize.missingness import PRESENT, missingness
from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.harmonize.worklist import label_worklist, suggestions
from curation_dagster.core.registry.mapping import FieldMapping
from curation_dagster.core.report.missingness import as_markdown, missing_table, missingness_png
from curation_dagster.schemas import HARMONIZED, LABEL_WORKLIST, MISSINGNESS, UNIFIED
from curation_dagster_tests.core.records.builders import archive_version, records_of

SECRET = b"a secret of the tests"
BASE: dict[str, Any] = {"modality": {"constant": "clinical"}}
SCORES = {
    scale: FieldMapping.model_validate({"from": column, "parse": "number"})
    for scale, column in {
        "gppga_pustules": "pustules",
        "gppga_total": "total",
        "gppga_erythema": "erythema",
        "gppga_scaling": "scaling",
    }.items()
}


def table_of(columns: dict[str, Any], text: str, **more: Any) -> Any:
    made = archive_version(BASE | columns)
    if more:
        object.__setattr__(made, "descriptor", made.descriptor.model_copy(update=more))
    ids = [line.split(",")[0] for line in text.splitlines()[1:]]
    contents = {"metadata.csv": text.encode(), **{f"{i}.png": i.encode() for i in ids}}
    found = harmonize(made, records_of(made, contents).table, SECRET)
    full = found.append_column("verdict", [["kept"] * found.num_rows])
    assert HARMONIZED.problems(HARMONIZED.conform(full)) == []
    return made.descriptor, found


def rows_of(columns: dict[str, Any], text: str, **more: Any) -> list[dict[str, Any]]:
    _, found = table_of(columns, text, **more)
    rows = found.to_pylist()
    for row in rows:
        row["missing"] = json.loads(row["missing"])
    return rows


def test_an_image_has_several_severity_scores_and_the_total_stands_for_it() -> None:
    a, b, c = rows_of(
        {},
        "id,total,pustules,erythema,scaling\nA,2,1,2,3\nB,4,1,7,\nC,,,,\n",
        severities=SCORES,
    )
    assert (a["severity_scale"], a["severity_value"], a["severity_agrees"]) == ("gppga_total", 2.0, True)
    assert {s["scale"]: s["value"] for s in a["severities"]} == {
        "gppga_total": 2.0, "gppga_pustules": 1.0, "gppga_erythema": 2.0, "gppga_scaling": 3.0,
    }  # fmt: skip
    assert [s["scale"] for s in b["severities"]] == ["gppga_total", "gppga_pustules"]
    assert b["severity_agrees"] is None
    assert b["missing"]["severities.gppga_erythema"] == "out_of_range"
    assert b["missing"]["severities.gppga_scaling"] == "blank"
    assert (c["severities"], c["severity_value"], c["missing"]["severities"]) == (None, None, "blank")


def test_a_total_that_its_subscores_do_not_give_is_seen() -> None:
    [row] = rows_of({}, "id,total,pustules,erythema,scaling\nA,4,1,1,1\n", severities=SCORES)
    assert row["severity_agrees"] is False


def test_a_skin_tone_that_is_no_phototype_stays_what_it_is() -> None:
    groups = {
        "skin_tone_scale": {"constant": "fitzpatrick_groups"},
        "skin_tone_value": {"from": "tone", "values": {"12": "I-II", "34": "III-IV", "56": "V-VI"}},
    }
    a, b = rows_of(groups, "id,tone\nA,12\nB,78\n")
    assert (a["skin_tone_scale"], a["skin_tone_value"], a["fitzpatrick"]) == (
        "fitzpatrick_groups",
        "I-II",
        None,
    )
    assert a["missing"]["fitzpatrick"] == "not_collected"
    assert (b["skin_tone_value"], b["missing"]["skin_tone_value"]) == (None, "unmapped_value")
    monk = {"skin_tone_scale": {"constant": "monk"}, "skin_tone_value": {"from": "tone"}}
    a, b = rows_of(monk, "id,tone\nA,10.0\nB,11\n")
    assert (a["skin_tone_value"], b["skin_tone_value"]) == ("10", None)
    assert b["missing"]["skin_tone_value"] == "not_on_scale"


def test_a_crop_names_the_image_that_it_was_made_of() -> None:
    columns = {"parent": {"from": "of"}, "derivation": {"constant": "crop"}}
    a, b, c, d, e, f = rows_of(columns, "id,of\nA,\nB,A\nC,B\nD,Z\nE,F\nF,E\n")
    assert (b["parent_image_id"], b["derivation"]) == (a["image_id"], "crop")
    assert (c["parent_image_id"], c["derivation"]) == (b["image_id"], "crop")
    assert (a["parent_image_id"], a["derivation"], a["missing"]["parent_image_id"]) == (
        None,
        None,
        "not_derived",
    )
    for lost in (d, e, f):  # not delivered, and a circle
        assert (lost["parent_image_id"], lost["missing"]["parent_image_id"]) == (None, "no_such_parent")
        assert lost["derivation"] is None


def test_a_crop_is_in_the_group_of_its_parent() -> None:
    _, found = table_of(
        {"parent": {"from": "of"}, "derivation": {"constant": "crop"}}, "id,of\nA,\nB,A\nC,\n"
    )
    links = with_declared(LINKS.empty_table(), found, found)
    a, b, _ = found["image_id"].to_pylist()
    assert [(x["a"], x["b"], x["kind"]) for x in links.to_pylist()] == [(*sorted((a, b)), "derived")]
    # a parent that is not among the images is left out
    assert with_declared(LINKS.empty_table(), found.slice(1), found.slice(1)).num_rows == 0


def test_a_diagnosis_that_is_stated_as_a_code_of_icd10() -> None:
    a, b, c = rows_of({"diagnosis": {"from": "dx", "parse": "icd10"}}, "id,dx\nA,L40.1\nB,L08.0\nC,Q99\n")
    assert (a["icd11_code"], a["icd11_title"], a["diagnosis_relation"]) == (
        "EA90.40", "Generalised pustular psoriasis", "exact",
    )  # fmt: skip
    assert (b["icd11_code"], b["missing"]["icd11_code"]) == (None, "nonspecific")
    assert (c["diagnosis_relation"], c["missing"]["icd11_code"]) == ("unmapped", "unmapped_value")


def test_lesion_size_by_unit() -> None:
    a, b = rows_of({"lesion_size_mm": {"from": "size", "parse": "length_cm"}}, "id,size\nA,1.2\nB,5 x 3 mm\n")
    assert (a["lesion_size_mm"], b["lesion_size_mm"]) == (12.0, 5.0)


def test_contradictions_reach_their_rows() -> None:
    columns = {
        "diagnosis": {"from": "dx", "parse": "label"},
        "patient": {"from": "p"},
        "sex": {"from": "sex"},
        "fitzpatrick": {"from": "fst", "parse": "fitzpatrick"},
        "age": {"from": "age", "parse": "age_years"},
        "visit": {"from": "visit"},
        "benign_malignant": {"from": "flag"},
    }
    a, b, c = rows_of(
        columns,
        "id,dx,p,sex,fst,age,visit,flag\nA,nevus,P,f,2,50,1,malignant\nB,nevus,P,m,3,45,2,benign\nC,nevus,Q,f,,,,\n",
    )
    assert (a["patient_sexes"], a["patient_phototypes"], a["age_step_back"]) == (2, 2, 5.0)
    assert (a["behaviour_agrees"], b["behaviour_agrees"], c["behaviour_agrees"]) == (False, True, None)
    assert (c["patient_sexes"], c["patient_phototypes"], c["age_step_back"]) == (1, None, None)


LABELS = "id,dx\nA,seborrhoic keratosys\nB,seborrhoic keratosys\nC,akiec\nD,nevus\nE,rash\n"


def test_labels_that_wait_for_a_coder_are_listed_with_suggestions() -> None:
    descriptor, found = table_of({"diagnosis": {"from": "dx", "parse": "label"}}, LABELS)
    rows = label_worklist(found, descriptor)
    assert LABEL_WORKLIST.problems(LABEL_WORKLIST.conform(rows)) == []
    new, pooled = rows.to_pylist()
    assert (new["label"], new["kind"], new["images"]) == ("seborrhoic keratosys", "unmapped", 2)
    assert new["suggestions"][0].startswith("2F21.0 Seborrhoeic keratosis")
    assert (pooled["label"], pooled["kind"]) == ("akiec", "pooled")
    assert pooled["suggestions"][0] == "EK90.0 Actinic keratosis"
    # a suggestion is never applied by itself
    assert found["icd11_code"].to_pylist()[:2] == [None, None]


def test_what_is_alike_is_suggested_and_nothing_else() -> None:
    assert suggestions("generalized pustular psoriasis")[0].startswith("EA90.40")
    assert suggestions("xqzjv wkp") == []
    assert len(suggestions("dermatitis")) == 5


def test_the_row_that_a_coder_adds_is_taken_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "vocabularies"
    shutil.copytree(vocabulary.FOLDER, folder)
    with (folder / "diagnoses_by_archive.csv").open("a", encoding="utf-8") as file:
        file.write("made_up,seborrhoic keratosys,seborrheic keratosis,,,,,,,a slip of the pen,coder\n")
    before = vocabulary.digest()
    caches = (vocabulary.rows, vocabulary.digest, diagnosis.diagnoses_of_archive, diagnosis.diagnoses)
    monkeypatch.setattr(vocabulary, "FOLDER", folder)
    for cached in caches:
        cached.cache_clear()
    try:
        descriptor, found = table_of({"diagnosis": {"from": "dx", "parse": "label"}}, LABELS)
        assert vocabulary.digest() != before
        assert found["icd11_code"].to_pylist()[:2] == ["2F21.0", "2F21.0"]
        assert [r["label"] for r in label_worklist(found, descriptor).to_pylist()] == ["akiec"]
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()
    assert vocabulary.digest() == before


def test_missing_fields_are_counted_by_reason_and_shown() -> None:
    _, found = table_of(
        {"diagnosis": {"from": "dx", "parse": "label"}, "sex": {"from": "sex"}},
        "id,dx,sex\nA,nevus,f\nB,nevus,unknown\nC,akiec,\n",
    )
    rows = missingness(found)
    assert MISSINGNESS.problems(MISSINGNESS.conform(rows)) == []
    sums: dict[str, int] = {}
    for row in rows.to_pylist():
        sums[row["field"]] = sums.get(row["field"], 0) + row["images"]
        assert row["of"] == 3
    assert set(sums) >= set(UNIFIED)
    assert set(sums.values()) == {3}
    of_sex = {r["reason"]: r["images"] for r in rows.to_pylist() if r["field"] == "sex"}
    assert of_sex == {PRESENT: 1, "stated_unknown": 1, "blank": 1}
    assert ("sex", "blank", 1, "33.3%") in missing_table(rows)
    png = missingness_png(rows)
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    assert as_markdown(png, "missing").startswith("![missing](data:image/png;base64,")
    assert missingness(found.slice(0, 0)).num_rows == 0
