"""The exclusion flow of the release, of each archive version and of each modality: figures, tables, and all numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.flow import flow_numbers
from curation_dagster.core.release.flow_figure import flow_svg
from curation_dagster.core.release.papers import paper_files
from curation_dagster.core.release.view import ReleaseView, as_json, stamped
from curation_dagster.core.report.paper import Block, Figure, Heading, Paper, Say, Table
from curation_dagster.schemas import SIDES


@document
def flow(view: ReleaseView) -> dict[str, bytes]:
    """The flow in the manner of CONSORT and STARD, as SVG, and its numbers as JSON."""
    numbers = flow_numbers(view)
    blocks: list[Block] = [
        Say(
            "Each image that entered is counted once: where it left, under the first criterion that it met and failed or "
            "waits for, or where it arrived. The numbers add up to the last image; a release whose numbers do not is not made."
        )
    ]
    for scope in numbers["scopes"]:
        blocks += scope_blocks(scope, view.number)
    paper = Paper(
        "flow",
        f"Exclusion flow of release {view.number}",
        f"Release of {stamped(view.issued_at)}, in the manner of CONSORT 2010 and STARD 2015.",
        blocks,
    )
    return paper_files(view, paper) | {"documents/flow.numbers.json": as_json(numbers)}


def scope_blocks(scope: Mapping[str, Any], number: int, level: int = 2) -> list[Block]:
    """Return heading, figure and table of one scope."""
    key = name_of(scope)
    title = title_of(scope, number)
    return [
        Heading(title, f"flow_{key}", level),
        Figure(
            flow_svg(scope, title),
            f"figures/flow-{key}.svg",
            f"{title}: who entered, who left and why, who arrived.",
        ),
        flow_table(scope),
    ]


def name_of(scope: Mapping[str, Any]) -> str:
    """Return the name of a scope that ids and files carry."""
    return "all" if scope["kind"] == "all" else f"{scope['kind']}-{scope['name'].replace(' ', '_')}"


def title_of(scope: Mapping[str, Any], number: int) -> str:
    """Return the title of a scope's figure."""
    if scope["kind"] == "all":
        return f"All images of release {number}"
    return (
        f"Modality: {scope['name']}" if scope["kind"] == "modality" else f"Archive version: {scope['name']}"
    )


def flow_table(scope: Mapping[str, Any]) -> Table:
    """Return the flow of a scope as a table: each stage with who is there, each exit with its reasons."""
    rows: list[list[Any]] = []
    for step in scope["steps"]:
        rows.append([step["title"], None, step["n"], None])
        for out in step["out"]:
            rows.append([None, out["title"], None, out["n"]])
            rows += [[None, f"- {r['title']}", None, r["n"]] for r in out["reasons"]]
    rows += [[f"Side: {s}", None, scope["sides"][s], None] for s in SIDES]
    return Table(
        f"table_flow_{name_of(scope)}",
        ["stage", "left here, and why", "images there", "images that left"],
        rows,
    )
