"""Archive versions and inventories made on the fly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curation_dagster.core.records.joining import RecordsResult, build_records
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.layout import MetadataTable
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.registry.paths import classify
from curation_dagster.schemas import FILES

_OPEN = {"outcome": "not_assessed", "reason": "made up"}

TABLE: dict[str, Any] = {"name": "metadata", "files": ["metadata.csv"], "key": "id"}


def table(**parts: Any) -> MetadataTable:
    return MetadataTable.model_validate(TABLE | parts)


def archive_version(
    columns: Mapping[str, Any] | None = None,
    layout: Mapping[str, Any] | None = None,
    version: Mapping[str, Any] | None = None,
    **parts: Any,
) -> ArchiveVersion:
    data = {
        "id": "made_up",
        "technical_file": {
            "name": "Made up",
            "publisher": "Nobody",
            "country": "Nowhere",
            "repository_url": "https://example.org/made-up",
            "access": "public",
            "access_method": "none",
            "sample_size": {},
            "diagnostic_coverage": "none",
            "demographics": "none",
            "modality": "clinical",
            "validation_method": "none",
            "selection": dict.fromkeys(("diagnostic_quality", "licence", "diversity", "governance"), _OPEN),
        },
        "licence": {"default": "CC-BY-4.0", "attribution": "Nobody", "evidence": "made up"},
        "retrieval": {"instructions": "none"},
        "versions": {"1": dict(version or {})},
        "layout": {"images": ["**/*.png"], "metadata": [TABLE], **(layout or {})},
        "columns": {"modality": {"constant": "clinical"}, **(columns or {})},
        **parts,
    }
    descriptor = Descriptor.model_validate(data)
    return ArchiveVersion(
        ArchiveVersionKey(descriptor.id, "1"), descriptor, descriptor.versions["1"], "0" * 64
    )


def files_table(made: ArchiveVersion, contents: Mapping[str, bytes]) -> pa.Table:
    """Return the inventory of a delivery, given as path to content."""
    rows = [
        {
            "archive": made.key.archive,
            "version": made.key.version,
            "path": path,
            "role": classify(path, made.descriptor),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "media_type": "application/octet-stream",
            "checksum_state": "unpublished",
        }
        for path, content in contents.items()
    ]
    names = {name for row in rows for name in row}
    schema = pa.schema([f.with_nullable(True) for f in FILES.arrow_schema if f.name in names])
    return pa.Table.from_pylist(rows, schema=schema)


def records_of(made: ArchiveVersion, contents: Mapping[str, bytes | str]) -> RecordsResult:
    """Return the records of a delivery, given as path to content."""
    data = {p: c.encode() if isinstance(c, str) else c for p, c in contents.items()}
    return build_records(made, files_table(made, data), lambda file: data[file["path"]])


def rows_of(result: RecordsResult) -> list[dict]:
    """Return the rows, with the publisher's values as a dict in ``values``."""
    found = result.table.to_pylist()
    for row in found:
        row["values"] = json.loads(row["source_values"]) if row["source_values"] else None
    return found


def states_of(result: RecordsResult) -> list[tuple[str, str | None, int | None, str]]:
    """Return source id, path, row of the record and state of each row."""
    return [(r["source_id"], r["path"], r["record_row"], r["join_state"]) for r in rows_of(result)]
