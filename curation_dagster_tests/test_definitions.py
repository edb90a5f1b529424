"""The graph, the docs and the declared data agree with each other; a change of the graph shows in review."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from pathlib import Path

import dagster as dg
import pytest
import yaml

from curation_dagster.checks.catalogue import CATALOGUE, blocking_checks
from curation_dagster.core.criteria import reference as criteria_reference
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.report.reference import pages, render
from curation_dagster.definitions import defs
from curation_dagster.resources import Curation
from curation_dagster.schemas import (
    CONFIRMATIONS,
    DECODE_STATES,
    JOIN_STATES,
    OUTCOMES,
    OVER_ALL,
    PER_ARCHIVE,
    RELATIONS,
    RELEASING,
    STAGES,
    TABLES,
    VERDICTS,
)

ROOT = Path(__file__).parents[1]

GRAPH = {
    "staged": [],
    "records": ["staged"],
    "measurements": ["records"],
    "quality": ["measurements", "records"],
    "deidentified": ["measurements", "records"],
    "harmonized": ["records"],
    "duplicates_within": ["deidentified", "harmonized", "measurements", "quality"],
    "review_queue": ["deidentified", "duplicates_within", "harmonized", "quality"],
    "duplicates": ["duplicates_within", "review_queue"],
    "decisions": ["duplicates", "review_queue"],
    "corpus": ["decisions"],
    "splits": ["corpus"],
    "release": ["splits"],
}


def test_the_graph_is_as_drawn() -> None:
    graph = defs.resolve_asset_graph()
    found = {
        k.to_user_string(): sorted(p.to_user_string() for p in graph.get(k).parent_keys)
        for k in graph.get_all_asset_keys()
    }
    assert found == GRAPH
    assert set(STAGES) == set(GRAPH)


def test_every_asset_says_what_it_is() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert "Protocol" in (node.description or ""), key
        assert node.owners, key
        assert node.group_name != "default", key
        assert node.is_partitioned == (key.to_user_string() in PER_ARCHIVE), key


def test_every_asset_is_found_by_the_clauses_that_it_carries_out() -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        clauses = set(re.findall(r"\b[IES]\.\d+\b", node.description or ""))
        assert clauses, key
        assert {t.removeprefix("protocol/") for t in node.tags if t.startswith("protocol/")} == clauses
        assert "python" in node.kinds


def test_whatever_can_be_set_in_the_launchpad_is_explained() -> None:
    found = {}
    for asset in defs.assets or ():
        fields = getattr(getattr(asset.node_def.config_field, "config_type", None), "fields", {})
        for name, said in fields.items():
            found[asset.node_def.name, name] = said.description
    assert {a for a, _ in found} == {"measurements", "corpus", "review_queue"}
    assert all(text and text.endswith(".") for text in found.values()), found
    assert all(f.description for f in Curation.model_fields.values())


def test_every_job_sensor_and_schedule_says_what_it_does_and_rests_on_a_fresh_instance() -> None:
    jobs = [j for j in defs.resolve_all_job_defs() if not j.name.startswith("__")]
    for one in [*jobs, *(defs.sensors or ()), *(defs.schedules or ())]:
        assert one.description, one.name
        assert one.description.endswith("."), one.name
    states = {s.name: s.default_status.value for s in [*(defs.sensors or ()), *(defs.schedules or ())]}
    assert set(states.values()) == {"STOPPED"}
    code = (
        "from curation_dagster.definitions import defs;"
        "print({s.default_status.value for s in [*defs.sensors, *defs.schedules]})"
    )
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), "CURATION_AUTOSTART": "1"},
    )  # fmt: skip
    assert told.stdout.strip() == "{'RUNNING'}"  # as the server form sets it
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.search(r"CURATION_AUTOSTART:\s*\"?1", compose)


def test_every_check_reads_as_a_sentence_and_says_what_to_do() -> None:
    blocking_checks(STAGES)
    for checks in CATALOGUE.values():
        for check in checks:
            assert check.description.endswith("."), check.name
            assert len(check.remedy) > 20, check.name
            assert check.remedy.endswith("."), check.name
            assert check.name.count("_") >= 3, check.name
    for spec in (s for c in defs.asset_checks or () for s in c.check_specs):
        assert "What to do: " in (spec.description or ""), spec.name


def test_every_criterion_and_every_fact_is_a_check_of_its_asset() -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    found = {(k.asset_key.to_user_string(), k.name) for k in keys}
    criteria = {(c.stage, c.check) for c in load_criteria("device").criteria}
    facts = {(s, n) for s, names in blocking_checks(STAGES).items() for n in names}
    assert found == criteria | facts
    assert len(criteria) + len(facts) == len(found), "a criterion and a fact share a name"


def test_partitioned_checks_are_recorded_by_partition() -> None:
    """A preview API of the pinned release: this test says when it has changed."""
    for stage in PER_ARCHIVE:
        for check in defs.resolve_asset_graph().asset_check_keys:
            if check.asset_key == dg.AssetKey(stage):
                assert defs.resolve_asset_graph().get(check).partitions_def is not None


def test_the_jobs_cover_the_graph() -> None:
    assert set(PER_ARCHIVE) | set(OVER_ALL) | set(RELEASING) == set(GRAPH)
    assert {j.name for j in defs.resolve_all_job_defs()} >= {
        "curate_archive_version",
        "rebuild_corpus",
        "make_release",
    }


@pytest.mark.parametrize("page", pages(ROOT), ids=lambda p: p.name)
def test_generated_pages_are_not_stale(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert render(text) == text, "run `make docs`"


def docs() -> str:
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs").rglob("*.md")))


def test_docs_name_every_table_column_check_criterion_and_code() -> None:
    text = docs()
    words = set(re.findall(r"[a-z][a-z0-9_]+", text))
    missing: list[str] = []
    for table in TABLES.values():
        missing += [n for n in (table.name, *(c.name for c in table.columns)) if n not in words]
    for name in ("device", "research"):
        for criterion in load_criteria(name).criteria:
            missing += [n for n in (criterion.id, criterion.check) if n not in words]
            assert criterion.clause in text, criterion.id
    missing += [c.name for checks in CATALOGUE.values() for c in checks if c.name not in words]
    codes = (*OUTCOMES, *VERDICTS, *JOIN_STATES, *DECODE_STATES, *CONFIRMATIONS, *RELATIONS)
    missing += [c for c in codes if c not in words]
    assert missing == []


def test_the_protocol_map_names_every_criterion_with_asset_check_and_test() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for criterion in load_criteria("device").criteria:
        row = next((x for x in page.splitlines() if x.startswith("|") and f"`{criterion.id}`" in x), None)
        assert row is not None, criterion.id
        assert f"`{criterion.stage}`" in row
        assert f"`{criterion.check}`" in row
        assert "curation_dagster_tests/" in row


def test_every_file_that_the_protocol_map_names_exists() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for path in set(re.findall(r"\]\(\.\./([^)#]+)\)", page)):
        assert (ROOT / path).exists(), path
    checks = {c.name for found in CATALOGUE.values() for c in found} | {
        c.check for c in load_criteria("device").criteria
    }
    protocol = yaml.safe_load((ROOT / "curation_dagster/criteria/protocol.yaml").read_text(encoding="utf-8"))
    for clause in protocol["clauses"]:
        for proof in clause.get("carried_out_by", ()):
            if proof.get("check"):
                assert proof["check"] in checks, (clause["id"], proof["check"])
            assert proof["asset"] in GRAPH, (clause["id"], proof["asset"])


def test_every_link_between_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8") + docs()
    told = subprocess.run(
        [sys.executable, "-m", "curation_dagster.cli", "--help"], capture_output=True, text=True, check=True
    )
    commands = re.findall(r"^  ([a-z]+)  ", told.stdout.split("Commands:")[1], re.MULTILINE)
    assert commands
    assert [c for c in commands if f"curation-dagster {c}" not in text] == []


def test_importing_the_package_touches_nothing(tmp_path: Path) -> None:
    code = "import curation_dagster.definitions, os; print(sorted(os.listdir('.')))"
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "nowhere")},
    )  # fmt: skip
    assert told.stdout.strip() == "[]"


def test_the_core_knows_nothing_of_dagster() -> None:
    for path in (ROOT / "curation_dagster" / "core").rglob("*.py"):
        assert not re.search(
            r"^\s*(import|from) dagster\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ), path


def test_the_criteria_pages_are_generated() -> None:
    for name, blocks in criteria_reference.pages().items():
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert criteria_reference.filled(page, blocks) == page, "run `make docs`"


def test_dagster_validates_the_definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURATION_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dg.Definitions.validate_loadable(defs)
