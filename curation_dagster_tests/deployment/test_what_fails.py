"""The server form when parts of it fail in the middle of a run: the tables afterwards are those of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable

import pytest

from curation_dagster.lake import Lake
from curation_dagster_tests.deployment.conftest import KEY, launch, status
from curation_dagster_tests.deployment.server import Server

pytestmark = pytest.mark.xdist_group("deployment")

ENDED = ("SUCCESS", "FAILURE", "CANCELED")
RUNS = """{ runsOrError(filter: {pipelineName: "curate_archive_version"}) { ... on Runs { results {
    runId rootRunId status startTime tags { key value } } } } }"""
SECONDS_TO_FIND_LOST_RUNS = (
    360  # the five minutes that a run may take to its first step, and a look of the daemon
)


def fingerprints(server: Server) -> dict[str, str]:
    """Return what each stage of the archive version left, without times and runs."""
    if not (server.home / "lake").exists():
        return {}
    rows = (
        Lake.open(str(server.home / "lake"))
        .read("stages", columns=["archive", "stage", "fingerprint"])
        .to_pylist()
    )
    return {r["stage"]: r["fingerprint"] for r in rows if KEY.startswith(r["archive"] or "-")}


@pytest.fixture
def fresh(curated: Server) -> Server:
    """The server with empty tables and no run under way: what the first run made is put aside."""
    left: list[dict] = []

    def none_is_left() -> bool:
        # a run that was made, and whose launch then met a connection that the stopped database left behind, never starts
        left[:] = [r for r in all_runs(curated) if r["status"] not in (*ENDED, "NOT_STARTED")]
        return not left

    keep_up(
        curated, none_is_left, SECONDS_TO_FIND_LOST_RUNS, lambda: f"the end of runs of earlier tests: {left}"
    )
    for folder in ("lake", "staging", "work"):
        shutil.rmtree(curated.home / folder, ignore_errors=True)
    return curated


@pytest.fixture(scope="module")
def expected(curated: Server) -> dict[str, str]:
    """What the undisturbed run left."""
    return fingerprints(curated)


def kill(server: Server, service: str) -> None:
    """End a service with everything that it started, as when its container is killed."""
    process = server.processes[service]
    for pid in server._tree():
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    process.wait(10)


def keep_up(
    server: Server, condition: Callable[[], object], seconds: float, what: str | Callable[[], str]
) -> None:
    """Wait, and start services that ended, as the compose file's ``restart`` does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):  # nobody answers for a while
            if condition():
                return
        for name, process in list(server.processes.items()):
            if process.poll() is not None:
                server.start(name)
        time.sleep(0.5)
    logs = "\n".join(f"--- {n}\n{server.log(n).read_text()[-9000:]}" for n in ("daemon", "code"))
    raise AssertionError(f"waited {seconds:g} s for {what() if callable(what) else what}\n{logs}")


def all_runs(server: Server) -> list[dict]:
    """Return every run of the job that curates an archive version."""
    from curation_dagster_tests.deployment.server import SITE, TEAM

    found: list[dict] = server.query(SITE, TEAM, RUNS)["data"]["runsOrError"]["results"]
    return found


def runs(server: Server, first: str) -> dict[str, str]:
    """Return the state of a run, and of all that Dagster started for it anew."""
    return {r["runId"]: r["status"] for r in all_runs(server) if first in (r["runId"], r["rootRunId"])}


def wait_for_all(server: Server, run: str, what: str) -> None:
    """Wait until the run, and any that Dagster starts for it anew, has come to an end, and none has begun for a while."""
    ended = 0.0

    def quiet() -> bool:
        nonlocal ended
        found = runs(server, run)
        if run not in found or not all(s in ENDED for s in found.values()):
            ended = 0.0
            return False
        ended = ended or time.monotonic()
        return time.monotonic() - ended > 12

    keep_up(server, quiet, 240, what)


def heal(server: Server, expected: dict[str, str]) -> None:
    """Launch once more where the run failed; then the tables are as they should be."""
    if fingerprints(server) != expected:
        again = launch(server)
        keep_up(server, lambda: status(server, again) in ENDED, 180, "the end of the run that heals")
        assert status(server, again) == "SUCCESS"
    assert fingerprints(server) == expected


def test_the_database_stops_and_starts_in_the_middle_of_a_run(
    fresh: Server, expected: dict[str, str]
) -> None:
    run = launch(fresh)
    keep_up(fresh, lambda: "staged" in fingerprints(fresh), 120, "the first stage")
    fresh.postgres.stop()
    time.sleep(3)
    fresh.postgres.start()
    wait_for_all(fresh, run, "the end of the run")
    heal(fresh, expected)


def test_daemon_and_code_location_are_killed_in_the_middle_of_a_run(
    fresh: Server, expected: dict[str, str]
) -> None:
    run = launch(fresh)
    keep_up(fresh, lambda: "staged" in fingerprints(fresh), 120, "the first stage")
    kill(fresh, "daemon")
    kill(fresh, "code")
    keep_up(fresh, lambda: fresh.healthy("code"), 60, "the code location")
    wait_for_all(fresh, run, "the end of the run that was lost")
    heal(fresh, expected)


def test_two_runs_of_one_archive_version_go_one_after_the_other(
    fresh: Server, expected: dict[str, str]
) -> None:
    both = (launch(fresh), launch(fresh))
    most = 0

    def ended() -> bool:
        nonlocal most
        states = [status(fresh, r) for r in both]
        most = max(most, sum(s in ("STARTED", "STARTING") for s in states))
        return all(s in ENDED for s in states)

    keep_up(fresh, ended, 240, "the end of both runs")
    assert most == 1
    assert [status(fresh, r) for r in both] == ["SUCCESS", "SUCCESS"]
    assert fingerprints(fresh) == expected
