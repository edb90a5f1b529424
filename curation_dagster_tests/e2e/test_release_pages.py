"""An auditor's walk in a real browser: from the first page of a release to all of an image, in three steps, from file://."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page

from curation_dagster_tests.core.release.counting import Counted
from curation_dagster_tests.e2e.browser import chromium


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with chromium() as browser:
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.set_default_timeout(20_000)
        yield opened


@pytest.fixture
def watched(tab: Page) -> Iterator[tuple[Page, list[str]]]:
    """The tab, and what went wrong in it: an error of a script, or a request that leaves the disk."""
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("file://", "data:")) else None)
    yield tab, wrong
    for event in ("pageerror", "console", "request"):
        tab._impl_obj.remove_all_listeners(event)


@pytest.mark.parametrize("seed", range(2))
def test_an_auditors_walk_in_the_browser(
    curated_home: Path, watched: tuple[Page, list[str]], seed: int
) -> None:
    tab, wrong = watched
    bundle = curated_home / "releases" / "1"
    counted = Counted(curated_home, bundle)
    rows = pq.read_table(bundle / "tables" / "decisions.parquet").to_pylist()
    chosen = random.Random(seed)
    failed = sorted({r["image_id"] for r in rows if r["outcome"] == "fail"})
    kept = sorted(counted.images().image_id)
    for image_id, fate in ((chosen.choice(failed), "Excluded: "), (chosen.choice(kept), "In the release: ")):
        tab.goto((bundle / "documents" / "index.html").as_uri())
        tab.get_by_role("link", name="The page of every image").click()  # step 1
        tab.get_by_label("image_id").fill(image_id)  # step 2
        tab.get_by_role("button", name="Show").click()  # step 3
        tab.get_by_role("heading", name=image_id).wait_for()
        text = tab.locator("#image").inner_text()
        assert fate in text
        record = counted.of("records").set_index("image_id").loc[image_id]
        harmonized = counted.of("harmonized").set_index("image_id").loc[image_id]
        for value in (
            record.sha256,
            harmonized.licence,
            harmonized.source_url,
            f"{record.archive}@{record.version}",
        ):
            assert not value or value in text
        mine = [r for r in rows if r["image_id"] == image_id]
        decisions = tab.locator("#decisions ~ .wide table").first.locator("tbody tr")
        assert decisions.count() == len(mine)
        shown = {d[2]: d for d in (row.split("\t") for row in decisions.all_inner_texts())}
        for r in mine:
            cells = shown[r["criterion"]]
            assert (cells[0], cells[1]) == (r["outcome"], r["clause"].split(" ")[0])
            assert " ".join(cells[4].split()) == " ".join((r["measured"] or "").split())
            assert " ".join(cells[5].split()) == " ".join((r["bound"] or "").split())
            assert cells[7] == r["decided_by"]
            assert cells[8].strip() == f"{r['decided_at']:%Y-%m-%dT%H:%M:%SZ}"
        assert f"Criteria {mine[0]['criteria_version']}, SHA-256 {mine[0]['criteria_digest']}" in text
        assert "approver" in text
        if fate.startswith("In"):
            assert tab.locator("#image img").evaluate("i => i.complete && i.naturalWidth") > 100
        # from there to the archive's technical file, and back to where all began
        tab.locator("#image a").first.click()
        tab.get_by_role("heading", name="Selection evaluation").wait_for()
        tab.get_by_role("link", name="Release 1").click()
        tab.get_by_role("heading", name="Release 1").wait_for()
    assert wrong == []


def test_every_page_is_whole_without_a_network(curated_home: Path, watched: tuple[Page, list[str]]) -> None:
    tab, wrong = watched
    folder = curated_home / "releases" / "1" / "documents"
    for path in sorted(folder.glob("*.html")):
        tab.goto(path.as_uri())
        assert tab.locator("h1").count() == 1
        assert tab.locator("figure svg").count() == path.read_text(encoding="utf-8").count("<svg ")
        # nothing of a figure runs out of its sheet
        assert tab.evaluate(
            "() => [...document.querySelectorAll('figure svg')].every(s => [...s.querySelectorAll('text')].every(t => "
            "{ const b = t.getBBox(), v = s.viewBox.baseVal; return b.x >= -1 && b.x + b.width <= v.width + 1; }))"
        )
    tab.goto((folder / "images" / "all.html").as_uri() + "#nobody")
    tab.get_by_text("No image of this page has the id nobody.").wait_for()
    assert tab.locator("#image tbody tr").count() == len(Counted(curated_home, folder.parent).of("records"))
    assert wrong == []
