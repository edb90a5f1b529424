"""Three reviewers at the page, in a real browser and by keyboard only; then the ledger says what they said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, TimeoutError
from playwright.sync_api import Page as Tab

from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace
from curation_dagster_tests.e2e.browser import chromium
from curation_dagster_tests.review_app.conftest import PASSWORD, Page
from curation_dagster_tests.review_app.conftest import hashed as hashed
from curation_dagster_tests.review_app.conftest import page as page
from curation_dagster_tests.review_app.conftest import waiting as waiting

KEY = "pad_ufes_20@synthetic"


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def sign_in(browser: Browser, page: Page, name: str) -> Tab:
    tab = browser.new_context(viewport={"width": 1440, "height": 860}).new_page()
    tab.goto(page.url)
    tab.wait_for_function(
        "document.activeElement instanceof HTMLInputElement"
    )  # the page puts the cursor there
    tab.keyboard.type(name)
    tab.keyboard.press("Tab")
    tab.keyboard.type(PASSWORD)
    tab.keyboard.press("Enter")
    heading = tab.get_by_role("heading", name="Queues")
    with contextlib.suppress(TimeoutError):
        heading.wait_for()
    assert heading.is_visible(), tab.inner_text("body")
    return tab


def open_queue(tab: Tab, page: Page, criterion: str) -> str:
    tab.goto(f"{page.url}/queues/{KEY}/{criterion}")
    return on_screen(tab)


def on_screen(tab: Tab, other_than: str = "") -> str:
    tab.wait_for_function(
        "other => { const d = document.getElementById('desk').dataset; return (d.image && d.image !== other) || d.done }",
        arg=other_than,
        timeout=20_000,
    )
    return str(tab.evaluate("document.getElementById('desk').dataset.image || ''"))


def recorded(tab: Tab, how_many: int) -> None:
    tab.wait_for_function(
        "n => Number(document.getElementById('desk').dataset.recorded || 0) >= n",
        arg=how_many,
        timeout=20_000,
    )


@pytest.mark.timeout(600)
def test_only_what_was_on_the_screen_is_judged(browser: Browser, page: Page) -> None:
    anna = sign_in(browser, page, "Anna Weber")
    first = open_queue(anna, page, "faces_and_text")
    # a double click, and a second key while the next picture is still being decoded
    anna.locator("#pass").dblclick()
    second = on_screen(anna, first)
    recorded(anna, 1)
    anna.evaluate(
        "['p', 'p', '1'].forEach((key) => document.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })))"
    )
    third = on_screen(anna, second)
    recorded(anna, 2)
    assert third
    # what was taken back is the last that was judged, though its verdict is still on its way
    anna.route("**/verdicts", lambda route: (anna.wait_for_timeout(700), route.continue_()))
    anna.keyboard.press("p")
    on_screen(anna, third)
    anna.keyboard.press("u")
    anna.wait_for_function("id => document.getElementById('desk').dataset.image === id", arg=third)
    anna.unroute("**/verdicts")
    # a picture that can't be shown can't be passed
    anna.route("**/pictures/**", lambda route: route.abort())
    lost = open_queue(anna, page, "diagnosis_unambiguous")
    anna.keyboard.press("p")
    anna.get_by_text("nobody can pass it").wait_for()
    assert on_screen(anna) == lost
    rows = Workspace(Settings.load(page.home)).lake.read("reviews").to_pylist()
    said = [(r["image_id"], r["outcome"]) for r in sorted(rows, key=lambda r: r["reviewed_at"])]
    assert said == [(first, "pass"), (second, "pass"), (third, "pass"), (third, "withdrawn")]


@pytest.mark.timeout(600)
def test_three_reviewers_judge_by_keyboard(browser: Browser, page: Page, tmp_path: Path) -> None:
    outside: list[str] = []
    anna = sign_in(browser, page, "Anna Weber")
    anna.on(
        "request",
        lambda r: outside.append(r.url) if not r.url.startswith((page.url, "blob:", "data:")) else None,
    )
    anna.screenshot(path=tmp_path / "queues.png")

    # she passes all but one image of the sample, which she fails, takes back, and fails for another reason
    image = open_queue(anna, page, "faces_and_text")
    assert anna.locator("#pictures img").evaluate("i => i.naturalWidth") > 100
    anna.screenshot(path=tmp_path / "queue.png")
    first = image
    anna.keyboard.press("1")
    second = on_screen(anna, first)
    recorded(anna, 1)
    anna.keyboard.press("u")
    assert on_screen(anna, second) == first
    anna.keyboard.press("f")
    anna.keyboard.type("a reflection in the lens")
    anna.keyboard.press("Enter")
    image, n = on_screen(anna, first), 3
    waits: list[int] = []
    while image:
        anna.keyboard.press("p")
        n += 1
        image = on_screen(anna, image)
        waits.append(int(anna.evaluate("document.getElementById('desk').dataset.milliseconds || 0")))
    recorded(anna, n - 1)
    anna.screenshot(path=tmp_path / "done.png")

    # two readers disagree about a label; the third decides
    bo, chi = sign_in(browser, page, "Bo Lind"), sign_in(browser, page, "Chi Mensah")
    disputed = open_queue(anna, page, "diagnosis_unambiguous")
    anna.keyboard.press("p")
    recorded(anna, 1)
    found = open_queue(bo, page, "diagnosis_unambiguous")
    while found != disputed:
        bo.keyboard.press("s")
        found = on_screen(bo, found)
    bo.keyboard.press("1")
    recorded(bo, 1)
    assert "Anna" not in chi.content()
    found = open_queue(chi, page, "diagnosis_unambiguous")
    while found != disputed:
        chi.keyboard.press("s")
        found = on_screen(chi, found)
    assert "Weber" not in chi.content()
    chi.keyboard.press("p")
    recorded(chi, 1)
    chi.goto(f"{page.url}/agreement")
    chi.get_by_text("Anna Weber and Bo Lind").wait_for()
    chi.screenshot(path=tmp_path / "agreement.png")

    # pairs lie side by side
    open_queue(anna, page, "duplicate_certain")
    assert anna.locator("#pictures figure img").count() == 2
    anna.keyboard.press("z")
    anna.screenshot(path=tmp_path / "pair.png")
    assert outside == []

    workspace = Workspace(Settings.load(page.home))
    key = parse_key(KEY)
    rows = [r for r in workspace.lake.read("reviews").to_pylist() if r["image_id"] == first and r["criterion"] == "faces_and_text"]  # fmt: skip
    assert [r["outcome"] for r in sorted(rows, key=lambda r: r["reviewed_at"])] == [
        "fail",
        "withdrawn",
        "fail",
    ]
    verdicts = workspace.part("verdicts", key)
    ledger = settle(
        verdicts, workspace.reviews_of(key), workspace.part("review_queue", key), workspace.criteria
    )
    said = {(r["image_id"], r["criterion"]): r for r in ledger.to_pylist()}
    assert said[first, "faces_and_text"]["outcome"] == "fail"
    assert said[first, "faces_and_text"]["decided_by"] == "Anna Weber"
    assert "a reflection in the lens" in said[first, "faces_and_text"]["detail"]
