"""What a member of the data team does in the Dagster UI, in a real browser against the real servers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from curation_dagster.cli import prepare_instance
from curation_dagster.samples.write import write_samples
from curation_dagster.settings import Settings

KEY = "pad_ufes_20@synthetic"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`curation-dagster dev` with its sensors, on a landing folder into which one archive was delivered."""
    home = tmp_path_factory.mktemp("ui") / "home"
    settings = Settings.load(home)
    write_samples(settings.landing, archives=["pad_ufes_20"], images=12, overlay_dir=settings.archives[0])
    prepare_instance(home)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home / "dev.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "curation_dagster.cli", "dev", "--port", str(port)],
        env={**os.environ, "CURATION_HOME": str(home), "CURATION_AUTOSTART": "1", "CURATION_WORKERS": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: bool(fetch(f"{url}/server_info")), 120, f"the web server; see {home / 'dev.log'}")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        subprocess.run(["pkill", "-9", "-f", str(home)], check=False)


@pytest.fixture(scope="module")
def page(server: str) -> Iterator[Page]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: .ci/run installs it")
        pytest.skip("no Chromium on this machine; .ci/run shows how to install it")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        opened = browser.new_page(viewport={"width": 1500, "height": 950})
        yield opened
        browser.close()


def fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except OSError:
        return b""


def graphql(server: str, query: str) -> dict:
    request = urllib.request.Request(
        f"{server}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())["data"]


def wait_until(condition, seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(1)
    pytest.fail(f"waited {seconds:g} seconds for {what}")


def statuses(server: str) -> list[str]:
    return [
        r["status"]
        for r in graphql(server, "{ runsOrError { ... on Runs { results { status } } } }")["runsOrError"][
            "results"
        ]
    ]


@pytest.mark.timeout(600)
def test_a_delivery_is_found_curated_and_shown(server: str, page: Page, tmp_path: Path) -> None:
    outside: list[str] = []
    page.on(
        "request",
        lambda r: outside.append(r.url) if not r.url.startswith((server, "data:", "blob:")) else None,
    )

    # the sensor looks twice at a delivery before it believes that it lies still
    wait_until(
        lambda: "SUCCESS" in statuses(server) or "FAILURE" in statuses(server), 240, "the sensor's run"
    )
    assert "FAILURE" not in statuses(server)

    page.goto(f"{server}/asset-groups")
    for group in ("intake", "quality", "deidentification", "harmonization", "deduplication", "corpus"):
        page.get_by_text(group, exact=True).locator("visible=true").first.wait_for(timeout=30_000)

    page.goto(f"{server}/assets/quality?view=partitions&partition={KEY}")
    page.get_by_text(KEY).locator("visible=true").first.wait_for(timeout=30_000)
    page.get_by_text("top_reasons").locator("visible=true").first.wait_for(timeout=30_000)

    for check in ("rows_in_equal_kept_excluded_and_quarantined", "every_image_has_the_minimum_resolution"):
        page.goto(f"{server}/assets/quality?view=checks&checkDetail={check}")
        page.get_by_text(check, exact=True).locator("visible=true").first.wait_for(timeout=30_000)
        page.get_by_text(KEY).locator("visible=true").first.wait_for(timeout=30_000)
    page.screenshot(path=str(tmp_path / "checks.png"))
    assert outside == []
