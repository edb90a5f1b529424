"""The initial assessment of an archive version, as Markdown for the UI and the technical file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.report.paper import markdown_text

_MOST = 25


def assessment_markdown(archive: ArchiveVersion, assessment: Mapping[str, Any]) -> str:
    """Return the assessment as Markdown: counts, issues, labels, demographics, missingness.

    Parameters
    ----------
    archive : ArchiveVersion
        With what the publisher states.
    assessment : mapping
        As returned by :func:`curation_dagster.core.records.assessment.assess`.
    """
    stated = archive.descriptor.technical_file
    parts = [f"**{stated.name}**, {stated.publisher} ({stated.country}), version {archive.key.version}"]
    counts = [(k.replace("_", " "), v) for k, v in assessment["counts"].items()]
    counts += [(f"rows: {k.replace('_', ' ')}", v) for k, v in assessment["join_states"].items()]
    parts.append(tabulate(counts, headers=["counted", "n"], tablefmt="github"))
    if assessment["issues"]:
        parts.append("**Issues**\n\n" + "\n".join(f"- {markdown_text(i)}" for i in assessment["issues"]))
    if assessment["labels"]:
        labels = [{k: markdown_text(v) for k, v in row.items()} for row in assessment["labels"][:_MOST]]
        parts.append(
            "**Labels**\n\n"
            + tabulate(labels, headers="keys", tablefmt="github")
            + _more(assessment["labels"])
        )
    for field, values in assessment["distributions"].items():
        rows = sorted(values.items(), key=lambda i: (-i[1], str(i[0])))
        bars = [(markdown_text(value), n, _bar(n, rows[0][1])) for value, n in rows[:_MOST]]
        parts.append(
            f"**{field.replace('_', ' ').capitalize()}**\n\n"
            + tabulate(bars, headers=["value", "records", ""], tablefmt="github")
            + _more(rows)
        )
    if assessment["columns"]:
        columns = assessment["columns"]
        rows = [{"column": k, **v} for k, v in columns.items()] if isinstance(columns, Mapping) else columns
        rows = [{k: markdown_text(v) for k, v in row.items()} for row in rows]
        parts.append(
            "**Missingness**\n\n" + tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3f")
        )
    return "\n\n".join(parts)


def _bar(n: int, most: int) -> str:
    return "█" * max(1, round(20 * n / most)) if n else ""


def _more(rows: Any) -> str:
    return f"\n\nand {len(rows) - _MOST} more" if len(rows) > _MOST else ""
