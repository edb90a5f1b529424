"""What all assets share: how they are declared, and what their materializations show."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from pydantic import Field
from tabulate import tabulate

from curation_dagster import links
from curation_dagster.core.registry.keys import ArchiveVersionKey, parse_key
from curation_dagster.core.report import stage_drawing as drawing
from curation_dagster.core.report.measured import measured_values
from curation_dagster.core.report.paper import markdown_text
from curation_dagster.partitions import ARCHIVE_VERSIONS
from curation_dagster.schemas import TABLES
from curation_dagster.stage import StageReport
from curation_dagster.version import code_version
from curation_dagster.workspace import Workspace

OWNERS = ["team:data-curation"]
_MOST_HISTOGRAMS = 14
_CLAUSE = re.compile(r"\b[IES]\.\d+\b")

# `eager` waits while any partition is missing, so one rejected archive would hold up all others for ever
WHEN_ARCHIVES_CHANGED = (
    (dg.AutomationCondition.newly_missing() | dg.AutomationCondition.any_deps_updated()).since_last_handled()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
)


def archive_asset(
    group: str, deps: Sequence[str] = (), kinds: Sequence[str] = ("deltalake",)
) -> Callable[..., Any]:
    """Declare an asset with one partition per archive version."""
    return _declared(group, kinds, deps=list(deps), partitions_def=ARCHIVE_VERSIONS)


def global_asset(
    group: str, deps: Sequence[str], kinds: Sequence[str] = ("deltalake",), **rest: Any
) -> Callable[..., Any]:
    """Declare an asset over all archive versions; it reads its inputs by filter, never all of them at once."""
    rest = {"automation_condition": WHEN_ARCHIVES_CHANGED} | rest
    over_all = [dg.AssetDep(d, partition_mapping=dg.AllPartitionMapping()) for d in deps]
    return _declared(group, kinds, deps=over_all, **rest)


def _declared(group: str, kinds: Sequence[str], **rest: Any) -> Callable[..., Any]:
    def declare(body: Callable[..., dg.MaterializeResult[Any]]) -> Any:
        # the sections of the protocol as tags, so that `tag:"protocol/E.9"` finds the asset that carries a clause out
        clauses = dict.fromkeys(_CLAUSE.findall(body.__doc__ or ""))
        return dg.asset(
            group_name=group,
            owners=OWNERS,
            kinds={"python", *kinds},
            tags={f"protocol/{c}": "" for c in clauses},
            code_version=code_version(),
            **rest,
        )(timed(body))

    return declare


def timed(body: Callable[..., dg.MaterializeResult[Any]]) -> Callable[..., dg.MaterializeResult[Any]]:
    """Return the body of an asset with the seconds that it took, and its rows a second, in what the UI shows of it."""

    @functools.wraps(body)
    def run(*arguments: Any, **named: Any) -> dg.MaterializeResult[Any]:
        began = time.monotonic()
        result = body(*arguments, **named)
        metadata: dict[str, Any] = dict(result.metadata or {})
        seconds = time.monotonic() - began
        metadata["duration_seconds"] = round(seconds, 1)
        rows = metadata.get("dagster/row_count")
        if rows:
            metadata["rows_per_second"] = round(rows / max(seconds, 1e-3), 1)
        return dg.MaterializeResult(metadata=metadata, data_version=result.data_version)

    return run


class PixelPass(dg.Config):
    """How a pass over files is run. Nothing here changes a row of a table."""

    workers: int | None = Field(
        default=None,
        ge=1,
        description="Worker processes of this run. Without it CURATION_WORKERS, and without that all cores. Fewer of them "
        "take less memory; the rows are the same.",
    )
    seconds_between_reports: float = Field(
        default=10.0,
        gt=0,
        description="Seconds between two lines of log that say how many files are done, how fast, and how long the rest takes.",
    )


def key_of(context: dg.AssetExecutionContext) -> ArchiveVersionKey:
    """Return the archive version of this run."""
    return parse_key(context.partition_key)


def shown(
    workspace: Workspace,
    table: str,
    report: StageReport,
    extra: Mapping[str, Any] | None = None,
    measured: tuple[str, pa.Table] | None = None,
    unit: str = "images",
    key: ArchiveVersionKey | None = None,
) -> dg.MaterializeResult[Any]:
    """Return what the UI shows of a finished stage, with the fingerprint as its data version.

    Parameters
    ----------
    extra : mapping
        What only this stage has to show.
    measured : tuple of str and pyarrow.Table
        The stage whose criteria bound measured values, and the table that they looked at: it is drawn with the bounds.
    unit : str
        What a row is.
    key : ArchiveVersionKey, optional
        The archive version, for the link to its page in the technical file.
    """
    rows = [(c, f, r) for c, (f, r) in report.reasons.items()]
    metadata: dict[str, Any] = {
        "dagster/row_count": report.rows_in,
        "kept": report.kept,
        "excluded": report.excluded,
        "quarantined": report.quarantined,
        "for_review": sum(r for _, _, r in rows),
        "flow": flow_table(report.counts, unit),
        "flow_picture": drawn(drawing.flow(report.counts, rows, unit), "flow"),
        "fingerprint": report.fingerprint,
        "table": dg.MetadataValue.path(workspace.lake.path(table)),
        "table_version": report.table_version,
        "dagster/column_schema": column_schema(table),
    }
    if rows:
        metadata["top_reasons"] = markdown_table(rows, ["criterion", "excluded", "for review"])
    if measured:
        stage, facts = measured
        found = measured_values(workspace.criteria.of_stage(stage), facts)
        if found:
            # those with something beyond a bound first: the event log should stay small
            found.sort(key=lambda m: not m.fate.any())
            metadata["measured_values_and_bounds"] = drawn(
                drawing.histograms(found[:_MOST_HISTOGRAMS]), "measured values with their bounds"
            )
    if key is not None:
        metadata["technical_file"] = links.technical_file(workspace, key)
    if report.changed is not None:
        changes = [(c, newly, no_longer) for c, (newly, no_longer) in report.changed.items()]
        metadata["decided_otherwise_than_before"] = (
            markdown_table(changes, ["criterion", "newly fail", "no longer fail"]) if changes else "no image"
        )
    return dg.MaterializeResult(
        metadata=metadata | dict(extra or {}), data_version=dg.DataVersion(report.fingerprint)
    )


def flow_table(counts: Mapping[str, int], unit: str) -> dg.MarkdownMetadataValue:
    """Return the flow as a table with bars, short enough that the UI shows it in place (below 1,000 characters)."""
    entered = counts["rows_in"]
    rows = [(f"{unit} in", f"{entered:,}", "", _bar(entered, entered))]
    for name, of in (("kept", "kept"), ("excluded", "excluded"), ("waiting", "quarantined")):
        n = counts[of]
        rows.append((name, f"{n:,}", f"{n / entered:.1%}" if entered else "", _bar(n, entered)))
    return markdown_table(rows, ["", "number", "share", ""])


def _bar(n: int, of: int) -> str:
    return "█" * max(1, round(24 * n / of)) if n else ""


def drawn(svg: str, title: str) -> dg.MarkdownMetadataValue:
    """Return a drawing as the UI shows it."""
    return dg.MetadataValue.md(drawing.as_markdown(svg, title))


def markdown_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return rows as a Markdown table for the UI."""
    shown_rows = [[markdown_text(cell) for cell in row] for row in rows]
    return dg.MetadataValue.md(tabulate(shown_rows, headers=headers, tablefmt="github"))


def column_schema(table: str) -> dg.TableSchema:
    """Return a table's declaration as the column schema that the UI shows."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=c.name,
                type=str(c.type),
                description=c.description + (f" Unit: {c.unit}." if c.unit else ""),
                constraints=dg.TableColumnConstraints(
                    nullable=c.nullable, unique=TABLES[table].key == (c.name,)
                ),
            )
            for c in TABLES[table].columns
        ]
    )
