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


def launch(server: Server) -> str:
    """Launch the run of the archive version as the page does; return its id."""
    params = {
        "selector": REPOSITORY | {"jobName": "curate_archive_version"},
        "runConfigData": {},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": KEY}]},
    }
    for _ in range(5):
        launched = server.query(SITE, TEAM, _LAUNCH, params=params)
        # a connection that a stopped database left behind fails once and is replaced
        if "OperationalError" not in str(launched["data"]["launchRun"].get("message")):
            break
    assert launched["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", launched
    return str(launched["data"]["launchRun"]["run"]["runId"])


def status(server: Server, run: str) -> str:
    """Return the state of a run."""
    return str(server.query(SITE, TEAM, _STATUS, run=run)["data"]["runOrError"]["status"])


def _deliver(home: Path) -> None:
    settings = Settings.load(home)
    write_samples(settings.landing, archives=["isic_archive"], images=8, overlay_dir=settings.archives[0])


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All processes of the compose file; the data team has launched the run of an archive version, which goes on."""
    with running_server(tmp_path_factory.mktemp("server") / "s", _deliver) as running:
        added = running.query(SITE, TEAM, _ADD, key=KEY, repository=REPOSITORY)
        assert added["data"]["addDynamicPartition"]["__typename"] == "AddDynamicPartitionSuccess", added
        running.run_id = launch(running)
        yield running


@pytest.fixture(scope="package")
def curated(server: Server) -> Server:
    """The server once the run has gone through."""

    server.wait(
        lambda: status(server, server.run_id) in ("SUCCESS", "FAILURE", "CANCELED"), 240, "the end of the run"
    )
    assert status(server, server.run_id) == "SUCCESS"
    return server
