"""A paper as one HTML page that needs nothing else: styles and drawings are inside, and it asks no address for anything."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from html import escape
from importlib import resources

from jinja2 import Environment, Template, select_autoescape

from curation_dagster.core.report.paper import (
    Block,
    Cell,
    Figure,
    Heading,
    Link,
    Paper,
    Points,
    Say,
    Table,
    is_number,
    sentence,
    shown,
)

Up = Sequence[tuple[str, str]]


@functools.cache
def _template() -> Template:
    text = (
        resources.files("curation_dagster")
        .joinpath("core/report/document.html.j2")
        .read_text(encoding="utf-8")
    )
    return Environment(autoescape=select_autoescape(default=True)).from_string(text)


def as_html(paper: Paper, up: Up = (), body: str = "", script: str = "") -> str:
    """Return the document as an HTML page.

    Parameters
    ----------
    up : pairs of text and address
        Where the reader came from; stands above the title.
    body, script : str
        HTML and JavaScript that stand behind the paper's own blocks, taken as they are.
    """
    contents = [b for b in paper.blocks if isinstance(b, Heading) and b.level == 2]
    return _template().render(
        title=paper.title,
        about=paper.about,
        contents=contents,
        up=up,
        body="\n".join(_block(b) for b in paper.blocks) + body,
        script=script,
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f'<h{block.level} id="{escape(block.id)}">{escape(block.text)}</h{block.level}>'
    if isinstance(block, Say):
        return f"<p>{escape(sentence(block))}</p>"
    if isinstance(block, Points):
        return "<ul>" + "".join(f"<li>{escape(sentence(i))}</li>" for i in block.items) + "</ul>"
    if isinstance(block, Figure):
        return f"<figure>{block.svg}<figcaption>{escape(block.caption)}</figcaption></figure>"
    return table_html(block)


def table_html(table: Table) -> str:
    """Return a table as HTML; a sentence where it has no row."""
    if not table.rows:
        return f"<p>{escape(table.empty)}</p>"
    count = len(table.headers)
    right = [all(is_number(r[i]) or r[i] is None for r in table.rows) for i in range(count)]
    marks = [' class="n"' if r else "" for r in right]
    head = "".join(f'<th scope="col"{m}>{escape(h)}</th>' for h, m in zip(table.headers, marks, strict=True))
    rows = "\n".join(
        "<tr>" + "".join(f"<td{m}>{_cell(c)}</td>" for c, m in zip(row, marks, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table id="t-{escape(table.id)}"><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f'<a href="{escape(cell.href)}">{escape(cell.text)}</a>'
    return escape(shown(cell))
