"""A fresh instance in a real browser against the real servers: from deliveries that a sensor finds to a sealed release.

The steps build on one another, as those of the data team do: one instance, one browser, in the order of this file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.demo import judge_everything
from curation_dagster.releasing import approve_release, state_problems
from curation_dagster.review_app.accounts import Accounts
from curation_dagster.runs import approve_archive_version, approve_criteria
from curation_dagster.sensors import ledger_is_current
from curation_dagster_tests.e2e.browser import chromium
from curation_dagster_tests.e2e.server import (
    BROKEN,
    KEY,
    LOCATION,
    REFUSED,
    SECONDS,
    Server,
    idle,
    running,
    runs,
    succeeded,
    wait_until,
)
from curation_dagster_tests.review_app.conftest import REVIEWERS, serving
from curation_dagster_tests.review_app.conftest import hashed as hashed

LICENCE_CHECK = "every_licence_permits_commercial_use"
# one worker runs them all: each goes on where the one before it stopped
pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("ui")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ui") / "home") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A tab that must ask nothing of any other host than this one."""
    opened = browser.new_page(viewport={"width": 1500, "height": 950})
    opened.set_default_timeout(40_000)
    outside: list[str] = []
    opened.on(
        "request",
        lambda r: (
            outside.append(r.url) if not r.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else None
        ),
    )
    yield opened
    opened.close()
    assert outside == []


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the screenshots; SCREENSHOTS names one that stays."""
    named = os.environ.get("SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def seen(page: Page, text: str | re.Pattern[str], exact: bool = True) -> None:
    # labels have a hidden twin that is measured
    page.get_by_text(text, exact=exact).locator("visible=true").first.wait_for()


def launch(page: Page, partition: str | None) -> None:
    """Press the button that launches, choose the partition in the dialog, and start one run."""
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    if partition is None:
        return
    page.get_by_text("Select a partition or create one").click()
    page.locator("[role=menuitem]", has_text=partition).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Launch 1 run").click()
    seen(page, re.compile("Launched run"), exact=False)


def test_the_sensor_finds_the_deliveries_and_a_failure_is_told(server: Server) -> None:
    wait_until(lambda: succeeded(server, "curate_archive_version", KEY) > 0, SECONDS, f"the run of {KEY}")
    wait_until(
        lambda: succeeded(server, "curate_archive_version", REFUSED) > 0, SECONDS, f"the run of {REFUSED}"
    )
    wait_until(lambda: bool(server.told), 120, "the alert about the broken delivery")
    (said,) = server.told
    assert said["archive_version"] == BROKEN
    assert said["steps"] == "staged"
    run = next(r for r in runs(server) if r["partition"] == BROKEN)
    assert f"{server.url}/runs/{run['runId']}" in said["text"]
    assert "more.png" not in json.dumps(said)


def test_a_newcomer_understands_the_lineage(server: Server, page: Page, shots: Path) -> None:
    groups = (
        "intake",
        "quality",
        "deidentification",
        "harmonization",
        "deduplication",
        "review",
        "corpus",
        "release",
    )
    opened = ",".join(f"global%40global%3A{g}" for g in groups)
    page.goto(f"{server.url}/asset-groups?expanded={opened}")
    for name in (*groups, "staged", "review_queue", "splits"):
        seen(page, name)
    page.screenshot(path=str(shots / "lineage.png"))

    page.goto(f"{server.url}/assets/quality?view=overview")
    seen(page, re.compile("Protocol I.3, E.1, E.2, E.3 and E.4"), exact=False)
    for text in ("data-curation", "protocol/E.3"):
        seen(page, text)
    page.goto(f"{server.url}/jobs")
    for job in ("curate_archive_version", "rebuild_corpus", "make_release"):
        seen(page, job)
    page.goto(f"{server.url}/automation")
    for name in ("new_deliveries", "failures_are_told", "nightly_retention"):
        seen(page, name)
    seen(page, re.compile("Every day|At 03:30"), exact=False)
    page.screenshot(path=str(shots / "automation.png"))
    page.goto(f"{server.url}/locations/{LOCATION}/sensors/new_deliveries")
    seen(page, re.compile("Curates a delivery once it lies still"), exact=False)


def test_a_materialization_shows_flow_bounds_and_the_technical_file(
    server: Server, page: Page, shots: Path
) -> None:
    page.goto(f"{server.url}/assets/quality?view=partitions&partition={KEY}")
    for label in ("flow", "top_reasons", "duration_seconds", "rows_per_second", "technical_file"):
        seen(page, label)
    seen(page, re.compile("█"), exact=False)
    page.screenshot(path=str(shots / "materialization.png"))
    row = page.locator("tr", has_text="measured_values_and_bounds").locator("visible=true").first
    row.get_by_text("[Show Markdown]").click()
    drawing = page.get_by_alt_text("measured values with their bounds")
    drawing.wait_for()
    assert drawing.evaluate("i => i.complete && i.naturalWidth") > 600
    page.screenshot(path=str(shots / "bounds.png"))


def test_contact_sheets_are_seen_in_place_and_lead_to_the_page(
    server: Server, page: Page, shots: Path
) -> None:
    page.goto(f"{server.url}/assets/review_queue?view=partitions&partition={KEY}")
    sheet = page.locator("img[src*='-beyond.jpg']").first
    sheet.scroll_into_view_if_needed()
    expect(sheet).to_be_visible()
    wait_until(lambda: sheet.evaluate("i => i.complete && i.naturalWidth") > 100, 20, "the contact sheet")
    page.screenshot(path=str(shots / "contact-sheets.png"))
    link = page.get_by_role("link", name=re.compile("All .* contact sheets")).first
    address = link.get_attribute("href")
    assert address
    page.goto(address)
    seen(page, "Diagnostic quality")
    broken = "() => [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert page.evaluate(broken) == []
    page.locator("#focus, #resolution").first.scroll_into_view_if_needed()
    page.screenshot(path=str(shots / "technical-file.png"))


def test_checks_say_by_partition_which_archive_fails_and_what_to_do(
    server: Server, page: Page, shots: Path
) -> None:
    page.goto(f"{server.url}/assets/harmonized?view=checks&checkDetail={LICENCE_CHECK}")
    seen(page, LICENCE_CHECK)
    seen(page, re.compile("What to do: nothing for these images"), exact=False)
    page.get_by_text("Partitions", exact=True).locator("visible=true").last.click()
    seen(page, re.compile(r"Failed \(1\)"), exact=False)
    for key in (KEY, REFUSED):
        seen(page, key)
    page.screenshot(path=str(shots / "checks.png"))
    page.goto(
        f"{server.url}/assets/quality?view=checks&checkDetail=rows_in_equal_kept_excluded_and_quarantined"
    )
    seen(page, re.compile("Where this fails, the run stops here. What to do:"), exact=False)


def test_one_partition_is_launched_from_the_asset_page_and_from_the_job_page(
    server: Server, page: Page, shots: Path
) -> None:
    before = succeeded(server, "__ASSET_JOB", KEY)
    page.goto(f"{server.url}/assets/review_queue?view=overview")
    launch(page, KEY)
    before_job = succeeded(server, "curate_archive_version", KEY)
    page.goto(f"{server.url}/locations/{LOCATION}/jobs/curate_archive_version")
    launch(page, KEY)
    page.screenshot(path=str(shots / "job.png"))
    wait_until(lambda: succeeded(server, "__ASSET_JOB", KEY) > before, SECONDS, "the run of the asset page")
    wait_until(
        lambda: succeeded(server, "curate_archive_version", KEY) > before_job,
        SECONDS,
        "the run of the job page",
    )


def test_the_config_is_documented_in_the_launchpad(server: Server, page: Page, shots: Path) -> None:
    page.goto(f"{server.url}/locations/{LOCATION}/jobs/rebuild_corpus")
    page.get_by_role("button", name=re.compile("Materialize")).first.click(modifiers=["Shift"])
    page.get_by_text("seconds_between_reports").locator("visible=true").first.click()
    seen(page, re.compile("Worker processes of this run"), exact=False)
    page.screenshot(path=str(shots / "launchpad.png"))


def test_two_reviewers_disagree_and_a_third_decides(
    server: Server, browser: Browser, hashed: Path, shots: Path
) -> None:
    from curation_dagster_tests.e2e.test_review import on_screen, open_queue, recorded, sign_in

    wait_until(lambda: idle(server), SECONDS, "all runs to end")
    criterion = "diagnosis_unambiguous"
    with serving(server.home, Accounts(hashed)) as review:
        tabs = {name: sign_in(browser, review, name) for name in REVIEWERS}
        anna, bo, chi = tabs.values()
        anna.screenshot(path=str(shots / "queues.png"))
        disputed = open_queue(anna, review, criterion)
        assert anna.locator("#pictures img").evaluate("i => i.naturalWidth") > 100
        anna.screenshot(path=str(shots / "review.png"))
        for tab, verdict in ((anna, "p"), (bo, "1"), (chi, "p")):
            found = disputed if tab is anna else open_queue(tab, review, criterion)
            while found != disputed:
                tab.keyboard.press("s")
                found = on_screen(tab, found)
            tab.keyboard.press(verdict)
            recorded(tab, 1)
        for tab in tabs.values():
            tab.close()
    key, workspace = parse_key(KEY), server.workspace
    ledger = settle(
        workspace.part("verdicts", key),
        workspace.reviews_of(key),
        workspace.part("review_queue", key),
        workspace.criteria,
    ).to_pylist()
    (row,) = [r for r in ledger if r["image_id"] == disputed and r["criterion"] == criterion]
    assert row["outcome"] == "pass"
    assert row["decided_by"] != "rule"


def test_what_is_judged_and_approved_is_rebuilt_by_itself_and_released(
    server: Server, page: Page, shots: Path
) -> None:
    workspace = server.workspace
    approve_criteria(workspace, "A. Author", "B. Approver", None)
    judge_everything(workspace, KEY)
    approve_archive_version(workspace, KEY, "A. Author", "B. Approver", None)
    wait_until(
        lambda: bool(server.workspace.lake.read("corpus").num_rows), SECONDS, "the corpus by its sensor"
    )
    wait_until(
        lambda: ledger_is_current(server.workspace) and idle(server) and not state_problems(server.workspace),
        SECONDS,
        "tables that know what people said, and no run under way",
    )
    admitted = {r["archive"]: r["admitted"] for r in server.workspace.lake.read("admissions").to_pylist()}
    assert admitted["pad_ufes_20"]
    assert not admitted["isic_archive"] if "isic_archive" in admitted else True
    approve_release(server.workspace, "A. Author", "B. Approver", "the first")
    page.goto(f"{server.url}/locations/{LOCATION}/jobs/make_release")
    launch(page, None)
    wait_until(lambda: succeeded(server, "make_release") == 1, SECONDS, "the release")
    (released,) = server.workspace.lake.read("releases").to_pylist()
    bundle = server.workspace.settings.releases / released["folder"]
    assert (bundle / "SEAL.json").is_file()
    page.goto(f"{server.url}/assets/release?view=events")
    seen(page, "bundle")
    page.screenshot(path=str(shots / "release.png"))
    page.goto(f"{server.url}/assets/corpus?view=events")
    seen(page, "exclusions_by_clause")
    page.screenshot(path=str(shots / "corpus.png"))
