"""The page of an archive version shows only what may be shown, is forgotten with a withdrawal, and leads from the UI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from curation_dagster import links
from curation_dagster.archive_pages import draw_page, folder_of, sheets_with, write_index
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.settings import Settings
from curation_dagster.withdrawing import withdraw
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation

KEY = parse_key("pad_ufes_20@synthetic")


def boxes(workspace: Workspace) -> dict[str, list[str]]:
    """Return the images on each sheet of the archive version."""
    return json.loads((folder_of(workspace, KEY) / "sheets.json").read_text())


def test_a_page_was_drawn_with_the_queue_and_shows_nobody_it_may_not(curated: Installation) -> None:
    workspace = curated.workspace
    shown = {i for ids in boxes(workspace).values() for i in ids}
    assert shown
    clear = {r["image_id"]: r["verdict"] for r in workspace.part("deidentified", KEY).to_pylist()}
    identifying = {c.id for c in workspace.criteria.criteria if c.clause_id in ("I.6", "E.6")}
    open_ = {
        r["image_id"]
        for r in workspace.part("verdicts", KEY).to_pylist()
        if r["criterion"] in identifying and r["outcome"] in ("fail", "review")
    }
    assert open_, "the sample has pictures that must not be shown"
    assert not shown & open_
    assert {clear[i] for i in shown} == {"kept"}
    file_of = {r["image_id"]: r["sha256"] for r in workspace.part("records", KEY).to_pylist()}
    measured = workspace.lake.read("measurements", columns=["sha256", "regions", "pixels_searched"], where={"measured_by": measured_by()})  # fmt: skip
    regions = {r["sha256"]: r for r in measured.to_pylist()}
    assert all(regions[file_of[i]]["pixels_searched"] and not regions[file_of[i]]["regions"] for i in shown)

    page = (folder_of(workspace, KEY) / "index.html").read_text()
    for file in re.findall(r'<img src="([^"]+)"', page):
        assert (folder_of(workspace, KEY) / file).read_bytes()[:2] == b"\xff\xd8"
    for row in workspace.part("records", KEY).to_pylist():
        assert row["source_id"] is None or f">{row['source_id']}<" not in page
        assert row["path"] is None or Path(row["path"]).name not in page
    index = (workspace.settings.reports / "index.html").read_text()
    assert f"archives/{KEY}/index.html" in index
    assert "curation-report.html" in index


def test_a_withdrawal_takes_the_sheets_and_the_next_drawing_leaves_the_image_out(
    curated: Installation,
) -> None:
    workspace = curated.workspace
    image = next(i for ids in boxes(workspace).values() for i in ids)
    gone = sheets_with(workspace, [image])
    assert gone
    done = withdraw(workspace, "image", image, "asked for", "data protection")
    assert set(gone) <= set(done.removed)
    assert not any(p.exists() for p in gone)
    assert sheets_with(curated.workspace, [image]) == []
    draw_page(curated.workspace, KEY)
    assert image not in {i for ids in boxes(workspace).values() for i in ids}


def test_without_pictures_the_page_has_none(curated: Installation) -> None:
    drawn = draw_page(curated.workspace, KEY, pictures=0)
    assert list(drawn.folder.glob("*.jpg")) == []
    assert "<img" not in drawn.page.read_text()


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:3002", "/reports/"])
def test_the_ui_shows_sheets_in_place_where_the_reports_are_shown(
    curated: Installation, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("CURATION_REPORTS_URL", url)
    workspace = Workspace(Settings.load(curated.home))
    drawn = draw_page(workspace, KEY)
    text = str(links.contact_sheets(workspace.settings, drawn).value)
    assert len(text) < 1000, "the UI would hide it behind a click"
    base = url.rstrip("/")
    pictures = re.findall(r"!\[\w+\]\(([^)]+)\)", text)
    assert bool(pictures) == bool(url)
    for address in pictures:
        assert address.startswith(f"{base}/archives/{KEY}/")
        assert (workspace.settings.reports / address.removeprefix(f"{base}/")).is_file()
    found = links.technical_file(workspace, KEY)
    assert found.value == (f"{base}/archives/{KEY}/index.html" if url else str(drawn.page))


def test_an_empty_installation_has_a_first_page(workspace: Workspace) -> None:
    assert "Nothing was curated yet" in write_index(workspace.settings.reports).read_text()
