"""The files of a paper in a bundle: Markdown, HTML, JSON, and a file for each figure; and the page that leads to all."""

from __future__ import annotations

from curation_dagster.core.release.view import ReleaseView, as_json
from curation_dagster.core.report.page import as_html
from curation_dagster.core.report.paper import Figure, Paper, as_data, as_markdown

FOLDER = "documents"


def paper_files(view: ReleaseView, paper: Paper) -> dict[str, bytes]:
    """Return path in the bundle to bytes: ``documents/<slug>.md``, ``.html`` and ``.json``, and its figures."""
    up = [(f"Release {view.number}", "index.html")]
    place = f"{FOLDER}/{paper.slug}"
    files = {
        f"{place}.md": as_markdown(paper).encode(),
        f"{place}.html": as_html(paper, up).encode(),
        f"{place}.json": as_json(as_data(paper)),
    }
    return files | {f"{FOLDER}/{b.file}": b.svg.encode() for b in paper.blocks if isinstance(b, Figure)}
