"""The auditors' server reads and does nothing else: every mutation of the schema is tried on it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from curation_dagster.schedules import SCHEDULES
from curation_dagster_tests.deployment.conftest import KEY, REPOSITORY
from curation_dagster_tests.deployment.graphql import INTROSPECTION, mutations
from curation_dagster_tests.deployment.server import AUDIT, AUDITOR, Server

pytestmark = pytest.mark.xdist_group("deployment")


def test_the_auditors_server_refuses_every_mutation(curated: Server) -> None:
    schema = curated.query(AUDIT, AUDITOR, INTROSPECTION)["data"]["__schema"]
    # everything that is asked for is there, so that nothing else can be the reason of a refusal
    known = REPOSITORY | {
        "runId": curated.run_id, "runIds": [curated.run_id], "path": ["staged"], "locationName": "curation",
        "partitionsDefName": "archive_version", "partitionKeys": [KEY], "partitionKey": "x@1", "partitionNames": [KEY],
        "jobName": "curate_archive_version", "sensorName": "new_deliveries", "scheduleName": SCHEDULES[0].name,
        "mode": "default", "runConfigData": {}, "assetSelection": [{"path": ["staged"]}], "backfillId": backfill(curated),
        "metadata": "{}", "clientTime": "1", "cursor": "", "timestamp": 1.0,
    }  # fmt: skip
    of = {
        "stopSensor": {"id": state(curated, "sensorOrError(sensorSelector: {%s, sensorName: \"new_deliveries\"})", "Sensor", "sensorState")},
        "stopRunningSchedule": {"id": state(curated, f'scheduleOrError(scheduleSelector: {{%s, scheduleName: "{SCHEDULES[0].name}"}})', "Schedule", "scheduleState")},
        "launchPipelineReexecution": {"reexecutionParams": {"parentRunId": curated.run_id, "strategy": "ALL_STEPS"}},
        "launchRunReexecution": {"reexecutionParams": {"parentRunId": curated.run_id, "strategy": "ALL_STEPS"}},
        "reexecutePartitionBackfill": {"reexecutionParams": {"parentRunId": known["backfillId"], "strategy": "ALL_STEPS"}},
    }  # fmt: skip
    before = rows(curated)
    others = {}
    for name, query, variables in mutations(schema, known, of):
        answer = curated.query(AUDIT, AUDITOR, query, **variables)
        if not re.search("UnauthorizedError|You do not have permission", json.dumps(answer)):
            others[name] = answer
    # two need no permission in Dagster: telemetry, which is switched off, and a mark that the introduction was seen
    assert set(others) == {"logTelemetry", "setNuxSeen"}, others
    assert len(schema["mutationType"]["fields"]) > 35
    assert rows(curated) == before
    for path in ("materialization", "check", "observation"):
        assert curated.ask(AUDIT, f"/report_asset_{path}/staged", AUDITOR, "POST").status == 405
        direct = f"http://127.0.0.1:{curated.ports['auditors']}/report_asset_{path}/staged?check_name=x&passed=true"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(
                urllib.request.Request(direct, b"", {"Content-Type": "application/json"}), timeout=30
            )
        assert refused.value.code in (400, 401, 500)
    assert rows(curated) == before


def test_an_auditor_reads_no_file_of_the_server(curated: Server) -> None:
    up = "..%2f" * 6
    for path in (
        "/logs/../dagster.yaml", f"/logs/{up}etc/passwd", "/logs/..%2f..%2fdagster.yaml", "/logs/%2fetc%2fpasswd",
        f"/logs/{curated.run_id}/compute_logs/..%2f..%2f..%2f..%2fdagster.yaml", f"/notebook?repoLocName=curation&path={up}x.ipynb",
        "/static/..%2f..%2f..%2f__init__.py", "/vendor/..%2f..%2f__init__.py", "/static/%2e%2e/%2e%2e/csp-header.txt",
    ):  # fmt: skip
        answer = curated.ask(AUDIT, path, AUDITOR)
        assert b"postgres_db" not in answer.body, path
        assert b"root:" not in answer.body, path
        assert b"import " not in answer.body, path


def backfill(server: Server) -> str:
    """Note a finished backfill, which could be run again; return its id."""
    with server.opened_instance() as instance:
        done = PartitionBackfill(
            backfill_id="finished", status=BulkActionStatus.COMPLETED_FAILED, from_failure=False, tags={},
            backfill_timestamp=1.0, asset_selection=[dg.AssetKey("staged")], partition_names=[KEY],
        )  # fmt: skip
        instance.add_backfill(done)
    return "finished"


def state(server: Server, query: str, kind: str, field: str) -> str:
    """Return the id by which a sensor or schedule is stopped."""
    repository = 'repositoryLocationName: "curation", repositoryName: "__repository__"'
    asked = f"{{ found: {query % repository} {{ ... on {kind} {{ {field} {{ id }} }} }} }}"
    return str(server.query(AUDIT, AUDITOR, asked)["data"]["found"][field]["id"])


def rows(server: Server) -> dict[str, str]:
    """Return a digest of each table of the database but those in which the daemon notes that it lives."""
    ask = ["psql", "-d", "dagster", "-Atc"]
    tables = server.postgres.run(*ask, "select tablename from pg_tables where schemaname = 'public'").split()
    lively = {"daemon_heartbeats", "job_ticks", "kvs", "instigators", "asset_daemon_asset_evaluations"}
    digest = "select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {} t"
    return {t: server.postgres.run(*ask, digest.format(t)) for t in set(tables) - lively}
