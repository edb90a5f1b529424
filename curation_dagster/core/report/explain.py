"""The life of one image, as text for a terminal, as Markdown, or as an HTML page."""

from __future__ import annotations

import textwrap
from typing import Literal

from tabulate import tabulate

from curation_dagster.core.report.life import Tables, known_as, life_of
from curation_dagster.core.report.page import as_html
from curation_dagster.core.report.paper import Block, Heading, Paper, Say, Table, as_markdown, sentence, shown

Form = Literal["text", "markdown", "html"]
# the widest columns are folded, so that a line of the ledger fits a terminal
_WIDTHS = {
    "measured": 24,
    "bound": 24,
    "detail": 60,
    "by": 28,
    "value": 90,
    "meaning": 60,
    "evidence": 60,
    "why": 60,
}


def explain_image(tables: Tables, image: str, form: Form = "text") -> str | None:
    """Return what is known of an image, or None if nothing is.

    Parameters
    ----------
    tables : Lake or ReleaseView
        The tables as they are now, or as a release holds them.
    image : str
        An image_id, or the source id, path or file name that the publisher gave it. Several images may answer to one.
    form : {"text", "markdown", "html"}
        Several images become several parts of the text, or of the page.
    """
    papers = [life_of(tables, *found) for found in known_as(tables, image)]
    if not papers:
        return None
    if form == "text":
        return "\n\n".join(_text(p) for p in papers)
    if form == "markdown":
        return "\n".join(as_markdown(p) for p in papers)
    blocks = [b for p in papers for b in (Heading(p.title, p.slug), *(_apart(b, p.slug) for b in p.blocks))]
    return as_html(Paper("image", image, f"Images that answer to this name: {len(papers)}.", blocks))


def _text(paper: Paper) -> str:
    parts = [paper.title, f"  {paper.about}"]
    for block in paper.blocks:
        if isinstance(block, Heading):
            parts.append(f"\n{block.text.upper()}")
        elif isinstance(block, Say):
            parts.append(f"  {sentence(block)}")
        elif isinstance(block, Table):
            parts.append(_table(block))
    return "\n".join(parts)


def _table(table: Table) -> str:
    if not table.rows:
        return f"  {table.empty}"
    rows = [
        [_folded(shown(c), h) for c, h in zip(row, table.headers, strict=True)]
        for row in table.rows
        if len(table.headers) != 2 or row[1] is not None
    ]
    if len(table.headers) == 2:  # facts: no header needed
        return tabulate(rows, tablefmt="plain", disable_numparse=True)
    return tabulate(rows, table.headers, "simple", disable_numparse=True)


def _folded(text: str, header: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTHS.get(header, 200)))


def _apart(block: Block, name: str) -> Block:
    """Return a block whose id carries the name of its image, so that several images share a page."""
    if isinstance(block, Heading):
        return Heading(block.text, f"{name}-{block.id}", 3)
    return (
        Table(f"{name}-{block.id}", block.headers, block.rows, block.empty)
        if isinstance(block, Table)
        else block
    )
