"""Sources are watched: a new version asks for one run, changed bytes are an incident, and staging is emptied by rule."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from curation_dagster import watching
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.retrieval.probes import Look, as_version
from curation_dagster.core.retrieval.sources.policy import Retention
from curation_dagster.definitions import defs
from curation_dagster.resources import Curation
from curation_dagster.retention import empty_staging
from curation_dagster.schemas import TABLES
from curation_dagster.sensors import new_versions_of_sources
from curation_dagster_tests.core.retrieval.sources import repositories
from curation_dagster_tests.installation import Installation
from curation_dagster_tests.servers import HttpServer, http_server

__all__ = ["http_server"]
FILES = {"part_1.zip": b"PK" * 50, "meta.csv": b"image_id\na\n"}


@pytest.fixture
def zenodo(
    installation: Installation, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    """An installation whose only source is a record with one version."""
    monkeypatch.setenv("CURATION_OFFLINE", "0")
    monkeypatch.setenv("CURATION_PRIVATE_SOURCES", "1")
    folder = installation.home / "archives"
    folder.mkdir(parents=True, exist_ok=True)
    said = {
        "extends": "ham10000",
        "retrieval": {
            "method": "doi", "repository": "zenodo", "record": "5", "api": http_server.url("").rstrip("/"),
            "plain_http_reason": "loopback", "instructions": "x", "include": [],
        },
        "versions": {"4.0": {"source": "5"}},
    }  # fmt: skip
    (folder / "ham10000.yaml").write_text(yaml.safe_dump(said))
    repositories.zenodo(http_server, 5, FILES)
    monkeypatch.setattr(watching, "sources", lambda workspace: ["ham10000"])
    return installation


def tick(installation: Installation, cursor: str | None = None):
    curation = {"curation": Curation(home=None, criteria=None)}
    with dg.build_sensor_context(
        instance=installation.instance, cursor=cursor, resources=curation
    ) as context:
        return new_versions_of_sources(context), context


def test_a_new_version_gets_its_partition_and_one_run(zenodo: Installation, http_server: HttpServer) -> None:
    found, context = tick(zenodo)
    assert isinstance(found, dg.SkipReason)
    (row,) = zenodo.workspace.lake.read("source_probes").to_pylist()
    assert (row["archive"], row["version"], row["state"]) == ("ham10000", "4.0", "known")
    repositories.zenodo(http_server, 5, FILES, latest=9)
    repositories.zenodo(http_server, 9, {**FILES, "more.zip": b"PK"})
    found, _ = tick(zenodo, context.cursor)
    assert [r.run_key for r in found.run_requests] == ["ham10000@9"]
    assert found.dynamic_partitions_requests[0].partition_keys == ["ham10000@9"]
    resolved = zenodo.workspace.resolve("ham10000@9")
    assert (resolved.version.source, resolved.descriptor.retrieval.method) == ("9", "doi")
    # evaluated again: asked for once
    again, _ = tick(zenodo, found.cursor)
    assert isinstance(again, dg.SkipReason)
    # a tick that died before its cursor was kept asks for the same run, which has the same key
    twice, _ = tick(zenodo, context.cursor)
    assert [r.run_key for r in twice.run_requests] == ["ham10000@9"]
    text = (zenodo.home / "archives/ham10000.found.yaml").read_text()
    assert text.count("nobody has read its terms") == 1


def test_the_requested_run_fetches_the_new_version(zenodo: Installation, http_server: HttpServer) -> None:
    from curation_dagster_tests.test_retrieving import stage

    repositories.zenodo(http_server, 5, FILES, latest=9)
    files = {"meta.csv": b"image_id\nb\n"}
    repositories.zenodo(http_server, 9, files)
    tick(zenodo)
    workspace = stage(zenodo, "ham10000@9")
    rows = workspace.part("files", parse_key("ham10000@9")).to_pylist()
    assert [(r["path"], r["checksum_state"]) for r in rows] == [("meta.csv", "verified")]
    assert watching.waiting_versions(workspace) == []


def test_changed_bytes_under_an_old_version_are_an_incident(
    zenodo: Installation, http_server: HttpServer
) -> None:
    _, context = tick(zenodo)
    repositories.zenodo(http_server, 5, {**FILES, "meta.csv": b"image_id\nother\n"})
    found, _ = tick(zenodo, context.cursor)
    assert list(found.run_requests or []) == []
    (event,) = found.asset_events
    assert isinstance(event, dg.AssetObservation)
    assert event.partition == "ham10000@4.0"
    (row,) = watching.incidents(zenodo.workspace)
    assert "nothing was ingested" in row["detail"]
    again, _ = tick(zenodo, found.cursor)
    assert isinstance(again, dg.SkipReason), "an incident is told once"


def test_a_silent_source_stops_nobody_and_forgets_nothing(
    zenodo: Installation, http_server: HttpServer
) -> None:
    tick(zenodo)
    repositories.zenodo(http_server, 5, {**FILES, "meta.csv": b"x"})
    tick(zenodo)
    http_server.add("/api/records/5", b"", faults=-1, fault_status=503)
    tick(zenodo)
    (row,) = zenodo.workspace.lake.read("source_probes").to_pylist()
    assert row["state"] == "changed"
    assert "did not answer" in row["detail"]


def test_offline_nothing_is_probed(zenodo: Installation, http_server: HttpServer, monkeypatch) -> None:
    monkeypatch.setenv("CURATION_OFFLINE", "1")
    assert isinstance(tick(zenodo)[0], dg.SkipReason)
    assert http_server.asked == []


def test_probes_share_one_budget_of_time(zenodo: Installation) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 10
        return now[0]

    asked = watching.look_at_sources(zenodo.workspace, ["ham10000"] * 5, print, seconds=25, clock=clock)
    assert len(asked) == 3


def test_the_weekly_schedule_and_the_nightly_one_are_stopped_on_a_laptop() -> None:
    repository = defs.get_repository_def()
    for name in ("weekly_recheck_of_sources", "nightly_retention"):
        schedule = repository.get_schedule_def(name)
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert (
        repository.get_sensor_def("new_versions_of_sources").default_status is dg.DefaultSensorStatus.STOPPED
    )


def test_the_job_of_the_schedule_asks_every_source(zenodo: Installation) -> None:
    job = defs.resolve_job_def("recheck_sources")
    assert job.execute_in_process(instance=zenodo.instance).success
    assert zenodo.workspace.lake.read("source_probes").num_rows == 1


def test_a_manifest_that_is_dropped_is_a_new_version(zenodo: Installation) -> None:
    (zenodo.home / "archives/ham10000.yaml").write_text(
        yaml.safe_dump(
            {"extends": "ham10000", "retrieval": {"method": "drop", "instructions": "x", "urls": []}}
        )
    )
    folder = zenodo.workspace.settings.landing / "ham10000@5.0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"archive": "ham10000", "version": "5.0", "files": {}}))
    found, _ = tick(zenodo)
    assert [r.partition_key for r in found.run_requests] == ["ham10000@5.0"]


def test_names_of_versions() -> None:
    assert as_version("v 2/b..c") == "v-2-b.c"
    assert watching.rows_of("a", "doi", ["1"], Look(problem="x"), {})[0]["state"] == "unreachable"


# -- retention -------------------------------------------------------------------------------------

LATER = datetime.now(UTC) + timedelta(days=400)
RULE = Retention(superseded_days=30, curated_days=180, quarantine_days=90, unfinished_days=14)


def test_staging_is_emptied_by_rule_and_published_files_stay(curated: Installation) -> None:
    workspace = curated.workspace
    corpus = sorted(p.name for p in workspace.settings.corpus.rglob("*") if p.is_file())
    quarantined = workspace.settings.staging / "quarantine/isic_archive@x/abc"
    unfinished = workspace.settings.retrieval / "isic_archive@y"
    for folder in (quarantined, unfinished):
        folder.mkdir(parents=True)
        (folder / "a.part").write_bytes(b"12345")
    assert empty_staging(workspace, rule=RULE) == [], "nothing is old enough"
    taken = {
        f"{r['archive']}@{r['version']}"
        for r in workspace.lake.read("admissions").to_pylist()
        if r["admitted"]
    }
    removed = {Path(r["folder"]).name: r for r in empty_staging(workspace, LATER, RULE)}
    assert set(removed) == taken | {"abc", "isic_archive@y"}
    assert {r["rule"] for n, r in removed.items() if n in taken} == {"curated_days"}
    assert removed["abc"]["bytes"] == 5
    assert workspace.lake.read("staging_emptied").num_rows == len(removed)
    left = {p.name for p in workspace.settings.staging.iterdir() if p.is_dir() and not p.name.startswith(".")}
    assert left.isdisjoint(taken)
    kept = {p.stem for p in (workspace.settings.staging / "emptied").iterdir()}
    assert kept == taken
    assert sorted(p.name for p in workspace.settings.corpus.rglob("*") if p.is_file()) == corpus
    assert empty_staging(workspace, LATER, RULE) == []
    assert curated.rebuild(), "the corpus stands without the staged files"
    assert TABLES["staging_emptied"].problems(workspace.lake.read("staging_emptied")) == []
