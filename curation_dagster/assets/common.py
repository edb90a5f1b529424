"""What all assets share: how they are declared, and what their materializations show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from tabulate import tabulate

from curation_dagster.core.registry.keys import ArchiveVersionKey, parse_key
from curation_dagster.partitions import ARCHIVE_VERSIONS
from curation_dagster.schemas import TABLES
from curation_dagster.stage import StageReport
from curation_dagster.version import code_version
from curation_dagster.workspace import Workspace

OWNERS = ["team:data-curation"]

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
    return dg.asset(
        group_name=group,
        deps=list(deps),
        partitions_def=ARCHIVE_VERSIONS,
        owners=OWNERS,
        kinds={"python", *kinds},
        code_version=code_version(),
    )


def global_asset(
    group: str, deps: Sequence[str], kinds: Sequence[str] = ("deltalake",), **rest: Any
) -> Callable[..., Any]:
    """Declare an asset over all archive versions; it reads its inputs by filter, never all of them at once."""
    return dg.asset(
        group_name=group,
        deps=[dg.AssetDep(d, partition_mapping=dg.AllPartitionMapping()) for d in deps],
        owners=OWNERS,
        kinds={"python", *kinds},
        code_version=code_version(),
        automation_condition=WHEN_ARCHIVES_CHANGED,
        **rest,
    )


def key_of(context: dg.AssetExecutionContext) -> ArchiveVersionKey:
    """Return the archive version of this run."""
    return parse_key(context.partition_key)


def shown(
    workspace: Workspace, table: str, report: StageReport, extra: Mapping[str, Any] | None = None
) -> dg.MaterializeResult[Any]:
    """Return what the UI shows of a finished stage, with the fingerprint as its data version."""
    metadata: dict[str, Any] = {
        "dagster/row_count": report.rows_in,
        "kept": report.kept,
        "excluded": report.excluded,
        "quarantined": report.quarantined,
        "fingerprint": report.fingerprint,
        "table": dg.MetadataValue.path(workspace.lake.path(table)),
        "table_version": report.table_version,
        "dagster/column_schema": column_schema(table),
    }
    if report.reasons:
        rows = [(c, f, r) for c, (f, r) in report.reasons.items()]
        metadata["top_reasons"] = markdown_table(rows, ["criterion", "excluded", "for review"])
    if report.changed is not None:
        changes = [(c, newly, no_longer) for c, (newly, no_longer) in report.changed.items()]
        metadata["decided_otherwise_than_before"] = (
            markdown_table(changes, ["criterion", "newly fail", "no longer fail"]) if changes else "no image"
        )
    return dg.MaterializeResult(
        metadata=metadata | dict(extra or {}), data_version=dg.DataVersion(report.fingerprint)
    )


def markdown_table(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> dg.MarkdownMetadataValue:
    """Return rows as a Markdown table for the UI."""
    return dg.MetadataValue.md(tabulate(rows, headers=headers, tablefmt="github"))


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
