"""Whom the release shows, in tables and figures, and in words what is thin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.papers import paper_files
from curation_dagster.core.release.representativeness import NOT_STATED, representativeness
from curation_dagster.core.release.view import ReleaseView, as_json, stamped
from curation_dagster.core.report.charts import bars, shaded
from curation_dagster.core.report.paper import Block, Figure, Heading, Paper, Points, Say, Share, Table

SLUG = "representativeness"


@document
def representation(view: ReleaseView) -> dict[str, bytes]:
    """Tables and figures of who is shown, alone and crossed, with what is thin in words."""
    numbers = representativeness(view)
    paper = _paper(view, numbers)
    return paper_files(view, paper) | {f"documents/{SLUG}.numbers.json": as_json(numbers)}


def _paper(view: ReleaseView, numbers: Mapping[str, Any]) -> Paper:
    thin = numbers["thin"]
    blocks: list[Block] = [
        Say(
            "{images} images of {patients} patients that the sources name; {without_patient} images name no patient. Sequestered "
            "images are counted like all others.",
            {
                "images": numbers["images"],
                "patients": numbers["patients"],
                "without_patient": numbers["without_patient"],
            },
        ),
        Say(
            "A group is called thin below {minimum} images, or below {share} of the images that state the property; a "
            "property that more than {missing} of the images do not state can't be judged. "
            + _braced(thin["rationale"]),
            {
                "minimum": thin["minimum_images"],
                "share": _percent(thin["minimum_share"]),
                "missing": _percent(thin["missing_share"]),
            },
        ),
        Heading("What is thin", "thin"),
        Points([_words(d, numbers) for d in numbers["dimensions"]]),
        Points([_cross_words(c, numbers) for c in numbers["crosses"]]),
    ]
    for d in numbers["dimensions"]:
        blocks += _dimension(d, numbers)
    titles = {d["id"]: d["title"] for d in numbers["dimensions"]}
    for c in numbers["crosses"]:
        blocks += _crossed(c, titles, thin["minimum_images"])
    return Paper(
        SLUG,
        f"Representativeness of release {view.number}",
        f"Release of {stamped(view.issued_at)}. Whom the images show, and what is thin. Every number is counted from the images of the release.",
        blocks,
    )


def _words(d: Mapping[str, Any], numbers: Mapping[str, Any]) -> Say:
    """Return what is thin in one property, in words."""
    parts, values = ["{title}:"], {"title": d["title"]}
    absent = [v["value"] for v in d["values"] if v["state"] == "absent"]
    few = [v for v in d["values"] if v["state"] == "thin"]
    if absent:
        parts.append("no image of {absent}.")
        values["absent"] = ", ".join(absent)
    if few:
        named = []
        for i, v in enumerate(few):
            named.append(f"{{value{i}}} ({{n{i}}}, {{share{i}}})")
            values |= {
                f"value{i}": v["value"],
                f"n{i}": v["images"],
                f"share{i}": Share(v["images"], d["stated"]),
            }
        parts.append("thin: " + ", ".join(named) + ".")
    if not absent and not few:
        parts.append("no group is thin.")
    if d["not_stated"]:
        values |= {"missing": d["not_stated"], "part": Share(d["not_stated"], numbers["images"])}
        parts.append("{missing} images ({part}) do not state it.")
        if d["not_stated"] > numbers["thin"]["missing_share"] * numbers["images"]:
            parts.append("That is more than declared, so the others can't be taken to stand for all.")
    return Say(" ".join(parts), values)


def _cross_words(c: Mapping[str, Any], numbers: Mapping[str, Any]) -> Say:
    titles = {d["id"]: d["title"] for d in numbers["dimensions"]}
    return Say(
        "{rows} by {columns}: of {of} combinations, {empty} hold no image and {thin} hold fewer than {minimum}. {without} "
        "images lack one of the two.",
        {
            "rows": titles[c["rows"]],
            "columns": titles[c["columns"]].lower(),
            "minimum": numbers["thin"]["minimum_images"],
            **{n: c[n] for n in ("of", "empty", "thin", "without")},
        },
    )


def _dimension(d: Mapping[str, Any], numbers: Mapping[str, Any]) -> list[Block]:
    rows: list[list[Any]] = [
        [v["value"], v["images"], Share(v["images"], d["stated"]), v["patients"], v["state"]]
        for v in d["values"]
    ]
    drawn = [
        (
            v["value"],
            v["images"],
            "none" if not v["images"] else f"{v['images']:,}  {100 * v['images'] / d['stated']:.1f} %",
            "fine" if v["state"] == "fine" else "thin",
        )
        for v in d["values"]
    ]
    if d["not_stated"]:
        rows.append([NOT_STATED, d["not_stated"], Share(d["not_stated"], numbers["images"]), None, "missing"])
        drawn.append(
            (
                NOT_STATED,
                d["not_stated"],
                f"{d['not_stated']:,}  {100 * d['not_stated'] / numbers['images']:.1f} % of all",
                "missing",
            )
        )
    note = "Images, and their share of those that state it. Blue: fine; amber: thin; grey: not stated."
    return [
        Heading(d["title"], d["id"]),
        Figure(
            bars(d["title"], drawn, note), f"figures/{SLUG}-{d['id']}.svg", f"{d['title']}: images by group."
        ),
        Table(f"by_{d['id']}", ["group", "images", "share", "patients", "state"], rows),
    ]


def _crossed(c: Mapping[str, Any], titles: Mapping[str, str], minimum: int) -> list[Block]:
    name = f"{titles[c['rows']]} by {titles[c['columns']].lower()}"
    key = f"{c['rows']}_by_{c['columns']}"
    rows = [[value, *cells] for value, cells in zip(c["row_values"], c["cells"], strict=True)]
    note = f"Images. White with red: none; amber: fewer than {minimum}; the darker the blue, the more."
    return [
        Heading(name, key),
        Figure(
            shaded(name, c["row_values"], c["column_values"], c["cells"], minimum, note),
            f"figures/{SLUG}-{key}.svg",
            f"{name}: images in each combination.",
        ),
        Table(f"cells_{key}", [titles[c["rows"]], *c["column_values"]], rows),
    ]


def _percent(share: float) -> Share:
    return Share(round(share * 1000), 1000)


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
