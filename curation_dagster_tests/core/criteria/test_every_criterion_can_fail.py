"""For every criterion a row that it stops and one that it lets pass; a criterion without such a pair fails here."""

from __future__ import annotations

from typing import Any

import pytest

from curation_dagster.core.criteria.evaluate import evaluate
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.criteria.models import Criterion
from curation_dagster_tests.core.criteria.facts import STAMP, facts

SETS = {name: load_criteria(name) for name in ("device", "research")}
SMALL = {"long_side": 500, "short_side": 450}
CONTROL = {
    "is_control": True,
    "diagnosis_source_label": None,
    "diagnosis_relation": None,
    "icd11_code": None,
    "confirmation": None,
}

# criterion -> (change that it stops, outcome, change that it lets pass)
PAIRS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "record_has_file": ({"join_state": "record_without_file"}, "fail", {}),
    "records_agree": ({"join_state": "conflicting_record"}, "fail", {}),
    "one_file_per_record": ({"join_state": "ambiguous_file"}, "fail", {}),
    "first_of_its_record": ({"join_state": "duplicate_file"}, "fail", {}),
    "original": ({"derivation": "crop"}, "fail", {}),
    "integrity": ({"decode_state": "damaged"}, "fail", {}),
    "single_frame": ({"frames": 2}, "fail", {"frames": 1}),
    "resolution": ({"short_side": 199}, "fail", {"short_side": 200}),
    "focus": ({"reblur_512": 0.53}, "fail", {"reblur_512": 0.52}),
    "focus_doubtful": ({"reblur_512": 0.43}, "review", {"reblur_512": 0.42}),
    "motion": ({"reblur_512": 0.45, "blur_anisotropy": 1.3}, "review", {"reblur_512": 0.45, "blur_anisotropy": 1.2}),
    "underexposed": ({"luma_p95": 39.0}, "fail", {"luma_p95": 40.0}),
    "dim": ({"luma_p95": 89.0}, "review", {"luma_p95": 90.0}),
    "mostly_dark": ({"dark_share": 0.51}, "review", {"dark_share": 0.5}),
    "overexposed": ({"bright_share": 0.26}, "fail", {"bright_share": 0.25}),
    "information": ({"luma_entropy": 2.9}, "fail", {"luma_entropy": 3.0}),
    "structure": ({"hash_is_degenerate": True}, "review", {}),
    "compression": ({"jpeg_quality": 49}, "fail", {"jpeg_quality": 50}),
    "compression_doubtful": ({"jpeg_quality": 74}, "review", {"jpeg_quality": 75}),
    "compression_rate": (
        {"jpeg_quality": None, "bits_per_pixel": 0.2}, "review", {"jpeg_quality": None, "bits_per_pixel": 0.25},
    ),
    "hair": ({"hair_strands": 3}, "review", {"hair_strands": 2}),
    "vignette": ({"vignette_share": 0.1}, "review", {"vignette_share": 0.007}),
    "ink": ({"ink_share": 0.01}, "review", {"ink_share": 0.006}),
    "ruler": ({"ruler_score": 0.8}, "review", {"ruler_score": 0.75}),
    "burned_in_annotation": ({"found_in_file": ["dicom_patient", "dicom_burned_in"]}, "fail", {}),
    "hidden_metadata": ({"actions": ["name:full_date:rename", "file:exif:keep"]}, "fail", {"actions": []}),
    "file_name": ({"actions": ["name:email:keep"]}, "fail", {"actions": ["name:email:rename"]}),
    "record_text": ({"actions": ["record:note:email:keep"]}, "fail", {"actions": ["record:note:email:drop"]}),
    "pixels_searched": ({"pixels_searched": None}, "review", {}),
    "pixels_redactable": ({"regions_core_share": 0.06, "regions_share": 0.03}, "fail", {"regions_core_share": 0.05}),
    "pixels_doubtful": ({"text_doubtful": 1}, "review", {"regions_share": 0.08}),
    "face_possible": ({"face_score": 0.61, "modality": "clinical"}, "review", {"face_score": 0.74}),
    "partial_face": (
        {"may_show_face": True, "modality": "clinical"}, "review", {"may_show_face": False, "modality": "clinical"},
    ),
    "faces_and_text": ({"pixels_searched": False}, "review", {}),
    "modality": ({"modality": "other"}, "fail", {"modality": "clinical"}),
    "manipulation": ({"image_manipulation": "altered"}, "fail", {"image_manipulation": "instrument only"}),
    "anatomy": ({"anatomy_scope": "out"}, "fail", {}),
    "anatomy_doubtful": ({"anatomy_scope": "review"}, "review", {}),
    "anatomy_unknown": ({"anatomy_scope": None}, "review", {}),
    "control": (CONTROL, "fail", {}),
    "file_has_record": ({"join_state": "file_without_record"}, "fail", {}),
    "diagnosis_present": ({"diagnosis_source_label": None}, "fail", {}),
    "diagnosis_specific": ({"diagnosis_relation": "nonspecific"}, "fail", {"diagnosis_relation": "broader"}),
    "diagnosis_mapped": ({"icd11_code": None, "diagnosis_relation": "unmapped"}, "fail", {}),
    "diagnosis_unambiguous": ({"diagnosis_relation": "narrower"}, "review", {"diagnosis_granularity": "subtype"}),
    "confirmation": ({"confirmation": "unverified"}, "fail", {"confirmation": "expert"}),
    "lesion_labels_agree": ({"lesion_labels": 2}, "fail", {"lesion_labels": 1}),
    "patient_sex_agrees": ({"patient_sexes": 2}, "review", {"patient_sexes": 1}),
    "patient_phototype_agrees": ({"patient_phototypes": 2}, "review", {"patient_phototypes": 1}),
    "ages_run_forward": ({"age_step_back": 2.0}, "review", {"age_step_back": 1.0}),
    "benign_malignant_agrees": ({"behaviour_agrees": False}, "fail", {"behaviour_agrees": True}),
    "severity_total_agrees": ({"severity_agrees": False}, "review", {"severity_agrees": True}),
    "licence_known": ({"licence": None}, "fail", {}),
    "licence_commercial": ({"permits_commercial": False}, "fail", {}),
    "licence_modification": ({"permits_modification": False}, "fail", {}),
    "licence_redistribution": ({"permits_redistribution": False}, "fail", {}),
    "representative": ({"is_representative": False, "relation": "near"}, "fail", {}),
    "duplicate_certain": ({"relation": "representative", "uncertain_with": ["b"]}, "review", {"relation": "near"}),
    "not_withdrawn": ({"withdrawn_by": "w1", "withdrawn_how": "its patient was withdrawn"}, "fail", {}),
    "duplicate_labels_agree": ({"label_conflict": True, "labels": ["2C30@a", "2F20@b"]}, "fail", {}),
}  # fmt: skip

CRITERIA = {c.id: (s, c) for s in reversed(SETS.values()) for c in s.criteria}


def row(name: str, criterion: Criterion, change: dict[str, Any]) -> dict[str, Any]:
    verdicts = evaluate(SETS[name], criterion.stage, facts(criterion.stage, change), STAMP).to_pylist()
    return next(v for v in verdicts if v["criterion"] == criterion.id)


@pytest.mark.parametrize("identifier", CRITERIA)
def test_criterion(identifier: str) -> None:
    assert identifier in PAIRS, f"{identifier} has no row that it stops: give it one in PAIRS"
    stopped, outcome, passing = PAIRS[identifier]
    for name, criteria in SETS.items():
        for criterion in (c for c in criteria.criteria if c.id == identifier):
            found = row(name, criterion, stopped)
            assert found["outcome"] == outcome
            assert found["bound"]
            assert found["clause"] == criterion.clause
            expected = "review" if criterion.rule == "person_decides" else "pass"
            assert row(name, criterion, passing)["outcome"] == expected


def test_no_pair_without_a_criterion() -> None:
    assert not set(PAIRS) - set(CRITERIA)


@pytest.mark.parametrize("stage", ["records", "quality", "harmonized", "duplicates"])
@pytest.mark.parametrize("name", SETS)
def test_a_good_row_passes_everything(name: str, stage: str) -> None:
    verdicts = evaluate(SETS[name], stage, facts(stage, {}), STAMP).to_pylist()
    assert {v["outcome"] for v in verdicts} <= {"pass", "not_applicable"}


@pytest.mark.parametrize(
    ("stage", "change", "outcomes"),
    [
        pytest.param("quality", {"modality": "clinical", "short_side": 399}, {"resolution": "fail"}, id="clinical below 400"),
        pytest.param("quality", {"modality": None, "short_side": 399}, {"resolution": "fail"}, id="unknown modality, stricter bound"),
        pytest.param("quality", SMALL | {"reblur_512": 0.9, "laplacian_variance_512": 0.1}, {"focus": "pass", "focus_doubtful": "not_applicable"}, id="small image, small scale only"),
        pytest.param("quality", SMALL | {"laplacian_variance_256": 17.9}, {"focus": "fail"}, id="small and blurred"),
        pytest.param("quality", {"reblur_512": None}, {"focus": "review"}, id="not measured: a person"),
        pytest.param("quality", {"reblur_512": None, "laplacian_variance_512": 1.0}, {"focus": "fail"}, id="one measure is enough to fail"),
        pytest.param("quality", {"reblur_512": float("nan")}, {"focus": "review"}, id="NaN is missing"),
        pytest.param("quality", {"decode_state": "unreadable", "short_side": None}, {"integrity": "fail", "resolution": "not_applicable", "hair": "not_applicable"}, id="unreadable fails integrity only"),
        pytest.param("quality", {"decode_state": None}, {"integrity": "fail", "focus": "not_applicable"}, id="no measurement"),
        pytest.param("quality", {"jpeg_quality": None, "is_lossless": True, "bits_per_pixel": 0.1}, {"compression": "not_applicable", "compression_rate": "not_applicable"}, id="lossless"),
        # phototype VI: dark skin, well lit; luma percentiles of a dark but structured picture
        pytest.param("quality", {"luma_p05": 15.0, "luma_p95": 47.0, "dark_share": 0.2}, {"underexposed": "pass", "dim": "review"}, id="dark skin is not underexposed"),
        pytest.param("quality", {"luma_p95": 30.0, "dark_share": 0.7}, {"underexposed": "fail"}, id="underexposed"),
        pytest.param("deidentified", {"actions": None}, {"hidden_metadata": "fail"}, id="unknown actions"),
        pytest.param("deidentified", {"pixels_searched": None, "face_score": None}, {"pixels_searched": "review", "face_possible": "not_applicable", "faces_and_text": "review"}, id="no detector has run"),
        pytest.param("deidentified", {"pixels_searched": None, "decode_state": "unreadable"}, {"pixels_searched": "not_applicable"}, id="nothing to search"),
        pytest.param("deidentified", {"regions_share": 0.3}, {"pixels_redactable": "fail"}, id="most of it would be filled"),
        pytest.param("deidentified", {"regions_core_share": 0.02}, {"pixels_redactable": "pass", "pixels_doubtful": "review"}, id="touches the middle"),
        pytest.param("harmonized", {"may_show_face": None, "modality": "clinical"}, {"partial_face": "review"}, id="site unknown"),
        pytest.param("harmonized", {"may_show_face": True}, {"partial_face": "not_applicable"}, id="a dermatoscope shows no face"),
        pytest.param("harmonized", {"permits_commercial": None}, {"licence_known": "fail", "licence_commercial": "fail"}, id="unclear is excluded"),
        pytest.param("harmonized", {"diagnosis_confidence": "low"}, {"diagnosis_unambiguous": "review"}, id="low confidence"),
        pytest.param("harmonized", {"diagnosis_granularity": "composite"}, {"diagnosis_unambiguous": "review"}, id="composite"),
        pytest.param("harmonized", {"modality": None}, {"modality": "fail"}, id="unknown modality"),
        pytest.param("harmonized", {"confirmation": None}, {"confirmation": "fail"}, id="unverified"),
        pytest.param("harmonized", {"anatomy_scope": None}, {"anatomy": "not_applicable", "anatomy_unknown": "review"}, id="unknown site"),
    ],
)  # fmt: skip
def test_device(stage: str, change: dict[str, Any], outcomes: dict[str, str]) -> None:
    verdicts = evaluate(SETS["device"], stage, facts(stage, change), STAMP).to_pylist()
    found = {v["criterion"]: v["outcome"] for v in verdicts}
    assert {c: found[c] for c in outcomes} == outcomes


def test_research_admits_controls_and_non_commercial_licences() -> None:
    change = CONTROL | {
        "join_state": "file_without_record",
        "licence": "CC-BY-NC-4.0",
        "permits_commercial": False,
    }
    for name, admitted in (("research", True), ("device", False)):
        verdicts = evaluate(SETS[name], "harmonized", facts("harmonized", change), STAMP).to_pylist()
        assert ({v["outcome"] for v in verdicts} <= {"pass", "not_applicable"}) is admitted


def test_what_the_two_files_share_is_the_same() -> None:
    device, research = ({c.id: c for c in s.criteria} for s in SETS.values())
    differing = {i for i in set(device) & set(research) if device[i] != research[i]}
    assert differing == {
        "file_has_record", "diagnosis_present", "diagnosis_specific", "diagnosis_mapped", "diagnosis_unambiguous",
        "confirmation", "licence_known", "licence_modification",
    }  # fmt: skip
    assert not set(research) - set(device)
