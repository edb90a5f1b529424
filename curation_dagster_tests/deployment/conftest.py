"""One running server form for all tests that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from curation_dagster.samples.write import write_samples
from curation_dagster.settings import Settings
from curation_dagster_tests.deployment.server import SITE, TEAM, Server, running_server

KEY = "isic_archive@synthetic"
REPOSITORY = {"repositoryLocationName": "curation", "repositoryName": "__repository__"}
_ADD = """mutation($key: String!, $repository: RepositorySelector!) { addDynamicPartition(
  partitionKey: $key, partitionsDefName: "archive_version", repositorySelector: $repository) { __typename } }"""
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_STATUS = "query($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def _deliver(home: Path) -> None:
    settings = Settings.load(home)
    write_samples(settings.landing, archives=["isic_archive"], images=8, overlay_dir=settings.archives[0])


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All processes of the compose file; the data team has launched the run of an archive version, which goes on."""
    with running_server(tmp_path_factory.mktemp("server") / "s", _deliver) as running:
        added = running.query(SITE, TEAM, _ADD, key=KEY, repository=REPOSITORY)
        assert added["data"]["addDynamicPartition"]["__typename"] == "AddDynamicPartitionSuccess", added
        params = {
            "selector": REPOSITORY | {"jobName": "curate_archive_version"},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": KEY}]},
        }
        launched = running.query(SITE, TEAM, _LAUNCH, params=params)
        assert launched["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", launched
        running.run_id = launched["data"]["launchRun"]["run"]["runId"]
        yield running


@pytest.fixture(scope="package")
def curated(server: Server) -> Server:
    """The server once the run has gone through."""

    def status() -> str:
        return str(server.query(SITE, TEAM, _STATUS, run=server.run_id)["data"]["runOrError"]["status"])

    server.wait(lambda: status() in ("SUCCESS", "FAILURE", "CANCELED"), 240, "the end of the run")
    assert status() == "SUCCESS"
    return server
