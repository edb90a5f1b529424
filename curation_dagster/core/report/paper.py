"""A document before it has a form: headings, sentences, tables and figures, every number still a number.

One paper is written as Markdown, as HTML (:mod:`curation_dagster.core.report.page`), as PDF
(:mod:`curation_dagster.core.report.pdf`) and as JSON, so that the four can't say different things. A sentence is a template
with named values, a cell of a table is a value: what a reader sees as a number stands as one in the JSON, and a test can
count it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from curation_dagster.core.visible import visible

_SPECIAL = re.compile(r"([\\`*_\[\]<>|])")
_COLUMN_BREAKERS = re.compile(r"([\\`*\[\]<>|])")


@dataclass(frozen=True)
class Share:
    """A part of a whole; shown in per cent, kept as two counts."""

    n: int
    of: int


@dataclass(frozen=True)
class Link:
    """A text that leads to another file of the bundle (relative) or to an address."""

    text: str
    href: str


Cell = int | float | str | bool | None | Share | Link | datetime


@dataclass(frozen=True)
class Heading:
    """A heading; ``id`` is what links lead to."""

    text: str
    id: str
    level: int = 2


@dataclass(frozen=True)
class Say:
    """A sentence or several: ``{name}`` in the template stands for a value."""

    template: str
    values: Mapping[str, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class Points:
    """Sentences, a line each."""

    items: Sequence[Say]


@dataclass(frozen=True)
class Table:
    """Rows under headers. ``id`` names the table in the JSON; no two of a paper share one."""

    id: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    empty: str = "Nothing."


@dataclass(frozen=True)
class Figure:
    """A drawing: SVG, and the file of the bundle that holds it."""

    svg: str
    file: str
    caption: str


Block = Heading | Say | Points | Table | Figure


@dataclass(frozen=True)
class Paper:
    """A document. ``slug`` names its files: ``<slug>.md``, ``.html`` and ``.json``."""

    slug: str
    title: str
    about: str
    blocks: Sequence[Block]


def shown(cell: Cell) -> str:
    """Return a value as every form of the document writes it.

    >>> shown(12345), shown(Share(1, 8)), shown(None), shown(0.5), shown(True)
    ('12,345', '12.5 %', '', '0.5', 'yes')
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    if isinstance(cell, Share):
        return f"{100 * cell.n / cell.of:.1f} %" if cell.of else "none"
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S UTC")
    # names of files, comments and labels come from others: none may turn a line around, or speak to a terminal
    return visible(cell.text if isinstance(cell, Link) else cell)


def is_number(cell: Cell) -> bool:
    """Whether a value is set to the right."""
    return isinstance(cell, int | float | Share) and not isinstance(cell, bool)


def plain(cell: Cell) -> Any:
    """Return a value as the JSON holds it."""
    if isinstance(cell, Share):
        return {"n": cell.n, "of": cell.of}
    if isinstance(cell, Link):
        return {"text": cell.text, "href": cell.href}
    return {"at": cell.strftime("%Y-%m-%dT%H:%M:%SZ")} if isinstance(cell, datetime) else cell


def unplain(value: Any) -> Cell:
    """Return the value that :func:`plain` wrote."""
    if not isinstance(value, dict):
        return value
    if "href" in value:
        return Link(value["text"], value["href"])
    if "at" in value:
        return datetime.strptime(value["at"], "%Y-%m-%dT%H:%M:%SZ")
    return Share(value["n"], value["of"])


def sentence(say: Say) -> str:
    """Return a sentence with its values in it."""
    return say.template.format_map({k: shown(v) for k, v in say.values.items()})


def as_markdown(paper: Paper) -> str:
    """Return the document as Markdown (GitHub's tables)."""
    parts = [f"# {_escaped(paper.title)}", _escaped(paper.about)]
    for block in paper.blocks:
        if isinstance(block, Heading):
            parts.append(f"{'#' * block.level} {_escaped(block.text)}")
        elif isinstance(block, Say):
            parts.append(_escaped(sentence(block)))
        elif isinstance(block, Points):
            parts.append("\n".join(f"- {_escaped(sentence(i))}" for i in block.items))
        elif isinstance(block, Figure):
            parts.append(f"![{_escaped(block.caption)}]({block.file})")
        else:
            parts.append(_markdown_table(block))
    return "\n\n".join(p for p in parts if p) + "\n"


def _markdown_table(table: Table) -> str:
    if not table.rows:
        return _escaped(table.empty)
    right = [
        bool(table.rows) and all(is_number(r[i]) or r[i] is None for r in table.rows)
        for i in range(len(table.headers))
    ]
    lines = [
        "| " + " | ".join(_escaped(h) for h in table.headers) + " |",
        "|" + "|".join("---:" if r else "---" for r in right) + "|",
    ]
    lines += ["| " + " | ".join(_markdown_cell(c) for c in row) + " |" for row in table.rows]
    return "\n".join(lines)


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Link):
        return f"[{_escaped(cell.text)}](<{cell.href}>)"
    return _escaped(shown(cell))


def markdown_text(value: Any) -> Any:
    r"""Return a text from a delivery such that Markdown shows it as it is, on one line; other values as they are.

    Underscores stay: inside a word they mean nothing, and the names of criteria and tables are full of them.

    >>> markdown_text("naevus | <b>"), markdown_text(3)
    ('naevus \\| \\<b\\>', 3)
    """
    if not isinstance(value, str):
        return value
    return _COLUMN_BREAKERS.sub(r"\\\1", " ".join(visible(value).split()))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def as_data(paper: Paper) -> dict[str, Any]:
    """Return the whole document as plain data: what the JSON beside it holds.

    Raises
    ------
    ValueError
        If two tables, or two headings, share an id: their numbers could not be told apart.
    """
    blocks: list[dict[str, Any]] = []
    seen: set[tuple[type, str]] = set()
    for block in paper.blocks:
        if isinstance(block, Heading | Table):
            if (type(block), block.id) in seen:
                raise ValueError(f"{paper.slug}: two parts are called {block.id!r}")
            seen.add((type(block), block.id))
        if isinstance(block, Heading):
            blocks.append({"heading": block.text, "id": block.id, "level": block.level})
        elif isinstance(block, Say):
            blocks.append(_said(block))
        elif isinstance(block, Points):
            blocks.append({"points": [_said(i) for i in block.items]})
        elif isinstance(block, Figure):
            blocks.append({"figure": block.file, "caption": block.caption})
        else:
            blocks.append(
                {
                    "table": block.id,
                    "headers": list(block.headers),
                    "rows": [[plain(c) for c in row] for row in block.rows],
                    "empty": block.empty,
                }
            )
    return {"slug": paper.slug, "title": paper.title, "about": paper.about, "blocks": blocks}


def _said(say: Say) -> dict[str, Any]:
    return {"say": say.template, "values": {k: plain(v) for k, v in say.values.items()}}


def from_data(data: Mapping[str, Any], drawings: Mapping[str, str]) -> Paper:
    """Return the document that :func:`as_data` wrote; ``drawings`` maps the files of figures to their SVG."""

    def say(block: Mapping[str, Any]) -> Say:
        return Say(block["say"], {k: unplain(v) for k, v in block["values"].items()})

    blocks: list[Block] = []
    for b in data["blocks"]:
        if "heading" in b:
            blocks.append(Heading(b["heading"], b["id"], b["level"]))
        elif "say" in b:
            blocks.append(say(b))
        elif "points" in b:
            blocks.append(Points([say(i) for i in b["points"]]))
        elif "figure" in b:
            blocks.append(Figure(drawings[b["figure"]], b["figure"], b["caption"]))
        else:
            rows = [[unplain(c) for c in row] for row in b["rows"]]
            blocks.append(Table(b["table"], b["headers"], rows, b["empty"]))
    return Paper(data["slug"], data["title"], data["about"], blocks)
