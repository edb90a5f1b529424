"""The verification record of de-identification, made from the tables and written as a table and as a page."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from curation_dagster.core.deidentification.identifiers import rules
from curation_dagster.core.deidentification.record import Evidence, as_html, as_markdown, verification_record
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.imaging.publish import written_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.schemas import TABLES
from curation_dagster.version import code_version
from curation_dagster.workspace import Workspace


def record_deidentification(workspace: Workspace, key: ArchiveVersionKey, run_id: str) -> Path:
    """Write the record of one archive version, in the place of an earlier one; return its page."""
    rows = verification_record(
        key.archive,
        key.version,
        _evidence(workspace, key),
        {
            "code": code_version(),
            "measuring code": measured_by(),
            "writing code": written_by(),
            "criteria": f"{workspace.criteria.name} {workspace.criteria.version}, {workspace.criteria.digest}",
            "rules of identifiers": rules().version,
            "detectors": f"{detecting().version}; BlazeFace {detecting().faces.sha256}; RapidOCR {version('rapidocr')}",
        },
        run_id,
    )
    table = TABLES["deidentification_record"]
    workspace.lake.replace(
        table.name,
        table.conform(rows),
        {"archive": key.archive, "version": key.version},
        {"run_id": run_id},
    )
    folder = workspace.settings.reports / "deidentification"
    _write(folder / f"{key}.md", as_markdown(key.archive, key.version, rows))
    return _write(folder / f"{key}.html", as_html(key.archive, key.version, rows))


def _write(page: Path, text: str) -> Path:
    page.parent.mkdir(parents=True, exist_ok=True)
    temporary = page.with_name(f".{page.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(page)
    return page


def _evidence(workspace: Workspace, key: ArchiveVersionKey) -> Evidence:
    records = workspace.part("records", key, ["image_id", "sha256", "path", "source_values"])
    images = records.select(["image_id", "sha256"])
    with workspace.lake.sql("measurements", "published", images=images) as sql:
        measured = sql.sql(
            "SELECT sha256, decode_state, format, faces, text_regions FROM measurements "
            "WHERE measured_by = ? AND sha256 IN (SELECT sha256 FROM images)",
            params=[measured_by()],
        ).to_arrow_table()
        published = sql.sql(
            "SELECT image_id, state, transformations, rescan_findings FROM published "
            "WHERE written_by = ? AND image_id IN (SELECT image_id FROM images)",
            params=[written_by()],
        ).to_arrow_table()
    return Evidence(
        records=records,
        measured=measured,
        deidentified=workspace.part("deidentified", key),
        verdicts=workspace.part("verdicts", key, stage="deidentified"),
        queue=workspace.part("review_queue", key),
        reviews=_of_stage(workspace, workspace.part("reviews", key)),
        published=published,
        reviewers=workspace.criteria.reviewers,
    )


def _of_stage(workspace: Workspace, reviews: pa.Table) -> pa.Table:
    """Return the verdicts about criteria of de-identification."""
    ids = {c.id for c in workspace.criteria.of_stage("deidentified")}
    keep = [criterion in ids for criterion in reviews["criterion"].to_pylist()]
    return reviews.filter(pa.array(keep, pa.bool_()))
