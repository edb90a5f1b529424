"""What approvers are shown: a new version against the old one, and new criteria against old ones, by count."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner

from curation_dagster.assets.common import shown
from curation_dagster.cli import main
from curation_dagster.comparing import (
    approved_criteria,
    compare_criteria,
    compare_versions,
    criteria_report,
    not_compared,
    version_report,
)
from curation_dagster.core.criteria.loading import PACKAGED, load_criteria
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.review.approvals import ApprovalError
from curation_dagster.gate import archive_versions
from curation_dagster.runs import approve_archive_version, approve_criteria
from curation_dagster.schemas import TABLES
from curation_dagster.stage import StageReport, decided_otherwise
from curation_dagster.watching import declare
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation

OLD = parse_key("isic_archive@synthetic")
NEW = parse_key("isic_archive@next")


def copy_of_a_version(workspace: Workspace) -> list[dict]:
    """Write the tables of a further version: one image less, one more, one changed, one relabelled; return its records."""
    lake = workspace.lake
    part = {"archive": NEW.archive, "version": NEW.version}
    records = workspace.part("records", OLD).to_pylist()
    gone, changed = records[0]["source_id"], next(r for r in records[1:] if r["sha256"])
    new_id = {changed["image_id"]: "11111111-1111-1111-1111-111111111111"}
    kept = [r for r in records if r["source_id"] != gone]
    ids = {r["image_id"] for r in kept}
    for row in kept:
        row |= {"version": "next", "image_id": new_id.get(row["image_id"], row["image_id"])}
        if row["image_id"] in new_id.values():
            row["sha256"] = "f" * 64
    harmonized = [r for r in workspace.part("harmonized", OLD).to_pylist() if r["image_id"] in ids]
    added = dict(kept[-1]) | {
        "image_id": "2" * 8 + "-2222-2222-2222-" + "2" * 12,
        "source_id": "ISIC_9999999",
    }
    harmonized.append(
        next(r for r in harmonized if r["image_id"] == kept[-1]["image_id"]) | {"image_id": added["image_id"]}
    )
    kept.append(added)
    relabelled = next(r for r in harmonized if r["icd11_code"] and r["image_id"] not in new_id)
    relabelled |= {
        "icd11_code": "2C30",
        "icd11_title": "Melanoma of skin",
        "diagnosis_source_label": "melanoma",
    }
    for row in harmonized:
        row |= {"version": "next", "image_id": new_id.get(row["image_id"], row["image_id"])}
    lake.replace("records", TABLES["records"].conform(kept), part)
    lake.replace("harmonized", TABLES["harmonized"].conform(harmonized), part)
    stages = [r | {"version": "next"} for r in workspace.part("stages", OLD).to_pylist()]
    for row in stages:
        lake.replace("stages", TABLES["stages"].conform([row]), part | {"stage": row["stage"]})
    return kept


def test_a_new_version_against_the_one_in_the_corpus(curated: Installation) -> None:
    workspace = curated.workspace
    before = workspace.part("records", OLD).num_rows
    assert compare_versions(workspace, OLD, "test").num_rows == 0
    copy_of_a_version(workspace)
    with pytest.raises(ApprovalError, match="was not compared"):
        approve_archive_version(workspace, str(NEW), "author", "approver", None)
    changes = compare_versions(workspace, NEW, "test")
    counts = {(r["subject"], r["value"]): (r["before"], r["after"]) for r in changes.to_pylist()}
    assert counts["images", "added"] == (0, 1)
    assert counts["images", "removed"] == (1, 0)
    assert counts["images", "changed"] == (1, 1)
    assert counts["images", "relabelled"] == (1, 1)
    assert {r["compared_with"] for r in changes.to_pylist()} == {"synthetic"}
    for subject in ("diagnosis", "sex", "age_band", "fitzpatrick", "verdict"):
        rows = [n for (s, _), n in counts.items() if s == subject]
        assert sum(b for b, _ in rows) == before
        assert sum(a for _, a in rows) == workspace.part("harmonized", NEW).num_rows
    text = version_report(changes)
    assert "| removed" in text
    assert "curation-dagster approve" in text
    declare(workspace, NEW.archive, NEW.version, None)
    approve_archive_version(curated.workspace, str(NEW), "author", "approver", None)
    assert TABLES["version_changes"].problems(workspace.lake.read("version_changes")) == []


def stricter(folder: Path) -> Path:
    """The device criteria with a higher bound of resolution."""
    text = (
        (PACKAGED / "device.yaml")
        .read_text(encoding="utf-8")
        .replace('version: "1.0.0"', 'version: "1.1.0"', 1)
    )

    text, n = re.subn(r"bound: \{dermoscopic: \d+,", "bound: {dermoscopic: 100000,", text)
    assert n == 1
    path = folder / "stricter.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_old_and_new_criteria_are_compared_by_count(curated: Installation, tmp_path: Path) -> None:
    workspace = curated.workspace
    old = load_criteria("device")
    same = compare_criteria(workspace, old, old).to_pylist()
    assert all(r["newly_failing"] == r["no_longer_failing"] == 0 for r in same)
    # the comparison decides as the stages did
    verdicts = workspace.lake.read("verdicts", where={"outcome": "fail"})
    decided: dict[tuple[str, str], int] = {}
    for row in verdicts.to_pylist():
        if row["stage"] in ("records", "quality", "deidentified", "harmonized"):
            decided[row["archive"], row["criterion"]] = decided.get((row["archive"], row["criterion"]), 0) + 1
    compared = {
        (r["archive"], r["criterion"]): r["failing_before"]
        for r in same
        if r["criterion"] != "*" and r["failing_before"]
    }
    assert compared == decided
    changes = compare_criteria(workspace, old, load_criteria(stricter(tmp_path)))
    differing = {r["criterion"] for r in changes.to_pylist() if r["newly_failing"] or r["no_longer_failing"]}
    assert len(differing - {"*"}) == 1
    assert "all criteria" in criteria_report(changes)
    assert workspace.lake.read("verdicts", where={"outcome": "fail"}).num_rows == verdicts.num_rows
    assert isinstance(changes, pa.Table)


def test_a_stage_that_decides_again_says_what_it_decides_otherwise(curated: Installation) -> None:
    """A changed vocabulary or descriptor shows up here, before anybody records or approves it."""
    workspace = curated.workspace
    rows = workspace.part("verdicts", OLD, stage="harmonized").to_pylist()
    columns = ("image_id", "criterion", "outcome")

    def decided(changes: dict[int, str]) -> dict[str, tuple[int, int]] | None:
        again = [
            {c: r[c] for c in columns} | {"outcome": changes.get(n, r["outcome"])} for n, r in enumerate(rows)
        ]
        return decided_otherwise(workspace, OLD, "harmonized", pa.Table.from_pylist(again))

    assert decided({}) == {}
    fails = [n for n, r in enumerate(rows) if r["outcome"] == "fail"]
    criterion = rows[fails[0]]["criterion"]
    other = next(n for n, r in enumerate(rows) if r["outcome"] == "pass" and r["criterion"] != criterion)
    found = decided({fails[0]: "pass", other: "fail"})
    assert found == {criterion: (0, 1), rows[other]["criterion"]: (1, 0)}
    assert decided_otherwise(workspace, NEW, "harmonized", pa.table({})) is None, "nothing stood before"
    report = StageReport(1, 1, 0, 0, "f", {}, 1, changed=found)
    shown_in_ui = shown(workspace, "harmonized", report).metadata["decided_otherwise_than_before"].value
    assert f"| {criterion}" in shown_in_ui
    assert "no longer fail" in shown_in_ui
    metadata = {} | (shown(workspace, "harmonized", replace(report, changed={})).metadata or {})
    assert metadata["decided_otherwise_than_before"] == "no image"


def test_criteria_that_replace_approved_ones_are_compared_on_every_version_first(
    curated: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert approved_criteria(curated.workspace).digest == curated.workspace.criteria.digest
    assert not_compared(curated.workspace) == []
    monkeypatch.setenv("CURATION_CRITERIA", str(stricter(tmp_path)))
    changed = curated.workspace
    keys = sorted(f"{a}@{v}" for a, v in archive_versions(changed))
    assert not_compared(changed) == keys
    with pytest.raises(ApprovalError, match="what they decide otherwise was not counted"):
        approve_criteria(changed, "author", "approver", None)
    told = CliRunner().invoke(main, ["versions", "compare"])
    assert told.exit_code == 0, told.output
    assert "newly failing" in told.output
    assert not_compared(changed) == []
    approve_criteria(changed, "author", "approver", None)


def test_the_commands_say_it(curated: Installation, tmp_path: Path) -> None:
    run = CliRunner()
    told = run.invoke(main, ["versions", "compare", "device", str(stricter(tmp_path))])
    assert told.exit_code == 0, told.output
    assert "newly failing" in told.output
    assert run.invoke(main, ["versions", "check"]).exit_code == 0
    said = ["versions", "record", "--own", "--author", "a", "--change", "as delivered"]
    assert "archives/isic_archive" in run.invoke(main, said).output
    path = next((curated.home / "archives").glob("isic_archive*.yaml"))
    path.write_text(path.read_text() + "# more\n")
    told = run.invoke(main, ["versions", "check"])
    assert told.exit_code == 1
    assert "nobody said why" in told.output
