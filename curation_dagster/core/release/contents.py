"""The first page of a release: its numbers, and a way to every document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from curation_dagster.core.report.page import as_html
from curation_dagster.core.report.paper import (
    Block,
    Cell,
    Heading,
    Link,
    Paper,
    Points,
    Say,
    Table,
    as_data,
    as_markdown,
)
from curation_dagster.schemas import SIDES

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

_KNOWN = {
    "technical-file-corpus": "Technical file of the corpus",
    "flow": "Exclusion flow: who entered, who left and why, in figures and numbers",
    "representativeness": "Representativeness: whom the images show, and what is thin",
    "datasheet": "Datasheet, after Gebru et al.",
}
_BESIDE = (
    ("MANIFEST.json", "What the release is made of: versions of all tables, digests, people"),
    ("croissant.json", "Croissant 1.1: what a loader needs to read the images"),
    ("prov.json", "W3C PROV of the release"),
    ("ATTRIBUTION.md", "Who made the images, under which terms"),
    ("SHA256SUMS", "Checksums of all files; `sha256sum -c SHA256SUMS` checks them"),
    ("tables/decisions.parquet", "The ledger: every criterion of every image"),
    ("tables/audit.parquet", "The audit trail, entry by entry"),
)


def contents(view: ReleaseView, files: Iterable[str]) -> dict[str, bytes]:
    """Return ``documents/index`` as HTML, Markdown and JSON, with a link to each of the documents' files."""
    from curation_dagster.core.release.view import as_json, stamped

    names = sorted(f.removeprefix("documents/") for f in files if f.startswith("documents/"))
    stems: dict[str, dict[str, str]] = {}
    for name in names:
        if "/" not in name:
            stem, kind = name.split(".", 1) if name.endswith(".numbers.json") else name.rsplit(".", 1)
            stems.setdefault(stem, {})[kind] = name
    ordered = sorted(stems, key=lambda s: (list(_KNOWN).index(s) if s in _KNOWN else len(_KNOWN), s))
    rows: list[list[Cell]] = [[Link("The page of every image", "images/index.html"), None, None, None]]
    for stem in ordered:
        have = stems[stem]
        title = _KNOWN.get(stem) or f"Technical file of {stem.removeprefix('technical-file-')}"
        cells = [Link(k, have[k]) if k in have else None for k in ("md", "json", "numbers.json")]
        rows.append([Link(title, have.get("html") or have.get("md") or next(iter(have.values()))), *cells])
    counts = Counter(view.images["split"].to_pylist())
    entered, kept = view.fates.num_rows, view.images.num_rows
    blocks: list[Block] = [
        Say(
            "{kept} images of {entered} that entered, under the criteria {name} {version}. Put forward by {author}, approved "
            "by {approver}.",
            {
                "kept": kept,
                "entered": entered,
                "name": view.criteria.name,
                "version": view.criteria.version,
                "author": str(view.approval["author"]),
                "approver": str(view.approval["approver"]),
            },
        ),
        Points([Say("{side}: {n} images", {"side": s, "n": counts[s]}) for s in SIDES]),
        Heading("Documents", "documents"),
        Table("documents", ["document", "Markdown", "JSON", "numbers"], rows),
        Heading("Beside them", "beside"),
        Table("beside", ["file", "what it holds"], [[Link(f, f"../{f}"), what] for f, what in _BESIDE]),
    ]
    paper = Paper(
        "index",
        f"Release {view.number}",
        f"Release of {stamped(view.issued_at)}. {view.criteria.intended_use.strip()}",
        blocks,
    )
    return {
        "documents/index.html": as_html(paper).encode(),
        "documents/index.md": as_markdown(paper).encode(),
        "documents/index.json": as_json(as_data(paper)),
    }
