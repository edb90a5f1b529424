from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from curation_dagster.core.criteria.loading import PACKAGED, CriteriaError, available, load_criteria

DEVICE = yaml.safe_load((PACKAGED / "device.yaml").read_text())


def written(folder: Path, **changes: object) -> Path:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(DEVICE | {"name": "mine"} | changes, sort_keys=False))
    return path


def criteria_with(identifier: str, **changes: object) -> list[dict]:
    found = [dict(c) for c in DEVICE["criteria"]]
    next(c for c in found if c["id"] == identifier).update(changes)
    return found


def problems(path: Path) -> tuple[str, ...]:
    with pytest.raises(CriteriaError) as error:
        load_criteria(path)
    return error.value.problems


def test_packaged() -> None:
    assert available() == ["device", "research"]
    device = load_criteria("device")
    assert device.digest == hashlib.sha256((PACKAGED / "device.yaml").read_bytes()).hexdigest()
    assert device.criterion("resolution").bound == {"dermoscopic": 200, "clinical": 400, "default": 400}
    assert [c.stage for c in device.of_stage("duplicates")] == ["duplicates"] * 4
    assert device.sampling.required() == 299
    assert device.confirmation_rank[0] == "histopathology"
    assert device.duplicate_bounds.accept_radius == 31
    with pytest.raises(KeyError, match="no criterion 'x'"):
        device.criterion("x")


def test_a_folder_goes_before_the_package(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.rename(tmp_path / "device.yaml")
    assert load_criteria("device", [tmp_path]).name == "mine"
    assert load_criteria("device").name == "device"


def test_unknown_name_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(CriteriaError, match=r"no criteria are called 'devise'.*there are device, research"):
        load_criteria("devise")
    assert "can't be read" in problems(tmp_path / "absent.yaml")[0]
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [")
    assert "not valid YAML" in problems(bad)[0]
    bad.write_text("- a\n")
    assert "expected a mapping" in problems(bad)[0]
    bad.write_text("name: a\nname: b\n")
    assert "key 'name' is given twice" in problems(bad)[0]


def test_all_problems_at_once_with_breadcrumbs(tmp_path: Path) -> None:
    found = problems(
        written(
            tmp_path,
            version=1,
            nmae="x",
            criteria=criteria_with("resolution", onfail="exclude", severity="fatal", bound=[1]),
        )
    )
    assert "mine.yaml > nmae: unknown key" in found
    assert any(p.startswith("mine.yaml > version: ") for p in found)
    assert "mine.yaml > criteria > resolution > onfail: unknown key" in found
    assert any(p.startswith("mine.yaml > criteria > resolution > severity: ") for p in found)
    bounds = [p for p in found if "resolution > bound" in p]
    assert bounds == [
        "mine.yaml > criteria > resolution > bound: expected a number, a text, a list of texts, or a number per modality"
    ]


@pytest.mark.parametrize(
    ("identifier", "changes", "expected"),
    [
        ("resolution", {"rule": "smallest"}, "criteria > resolution > rule: no rule is called 'smallest'"),
        (
            "resolution",
            {"columns": ["shortside"]},
            "criteria > resolution > columns: the stage has no column 'shortside'",
        ),
        ("resolution", {"columns": ["source_values"]}, "the stage has no column 'source_values'"),
        ("resolution", {"bound": {"clinical": 400}}, "criteria > resolution > bound: minimum needs a number"),
        ("resolution", {"clause": "E.40 Resolution"}, "clause: the protocol has no clause E.40"),
        ("resolution", {"clause": "E.4 Size"}, "clause: expected 'E.4 Resolution', got 'E.4 Size'"),
        ("resolution", {"id": "integrity"}, "criteria > integrity: 2 criteria have this id"),
        ("resolution", {"check": "every_image_is_in_focus"}, "2 criteria have this check"),
        (
            "hair",
            {"detail_columns": ["path"]},
            "criteria > hair > detail_columns: the stage has no column 'path'",
        ),
        (
            "faces_and_text",
            {"rule": "person_decides", "columns": [], "on_fail": "exclude"},
            "criteria > faces_and_text > on_fail: person_decides never passes by itself",
        ),
    ],
)
def test_one_problem(tmp_path: Path, identifier: str, changes: dict, expected: str) -> None:
    found = problems(written(tmp_path, criteria=criteria_with(identifier, **changes)))
    assert any(expected in p for p in found), found


def test_a_clause_without_a_criterion_must_be_waived(tmp_path: Path) -> None:
    without = [c for c in DEVICE["criteria"] if not c["clause"].startswith("E.3")]
    found = problems(written(tmp_path, criteria=without))
    assert found == (
        "mine.yaml > criteria: no criterion carries out E.3 Obstruction; add one, or say why under waives",
    )
    assert load_criteria(written(tmp_path, criteria=without, waives={"E.3": "Segmentation needs them."}))
    assert "waives > E.33" in problems(written(tmp_path, waives={"E.33": "x"}))[0]


@pytest.mark.parametrize(
    ("section", "changes", "expected"),
    [
        ("representative", {"order": ["eligible", "image_id", "pixels"]}, "image_id last"),
        ("representative", {"confirmation_rank": ["histopathology"]}, "expected each of"),
        ("duplicates", {"accept_radius": 65}, "accept_radius: expected at most candidate_radius"),
        ("sampling", {"confidence": 1.0}, "less than 1"),
    ],
)
def test_sections(tmp_path: Path, section: str, changes: dict, expected: str) -> None:
    found = problems(written(tmp_path, **{section: DEVICE[section] | changes}))
    assert len(found) == 1
    assert found[0].startswith(f"mine.yaml > {section}")
    assert expected in found[0]
