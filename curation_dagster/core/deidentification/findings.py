"""What was found about each image that may identify a person, and what is done about it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curation_dagster.core.deidentification.identifiers import NameScanner, RecordScanner
from curation_dagster.core.deidentification.record import applied_codes

_COLUMNS = ("image_id", "archive", "version", "sha256", "path", "source_values", "hidden_kinds", "regions")


def find_identifiers(images: pa.Table) -> pa.Table:
    """Return the findings of each image, by carrier and kind.

    Parameters
    ----------
    images : pyarrow.Table
        Columns image_id, archive, version, sha256, path, source_values (of ``records``) and hidden_kinds and
        regions (of ``measurements``; null where the file was not measured).

    Returns
    -------
    pyarrow.Table
        The columns of ``deidentified`` without its verdict. The action for hidden metadata is ``strip``, because
        the published file is built from pixels; for names ``rename``, because it is called by its image_id; for
        records ``drop``, because published columns are an allow-list; for text and faces ``redact``, because the
        writer fills their boxes, or ``ask`` where a detector is not sure. ``found_in_pixels`` is null where no
        detector has looked.
    """
    rows = []
    scanner, names = RecordScanner(), NameScanner()
    for row in images.select(_COLUMNS).to_pylist():
        in_file = sorted(row["hidden_kinds"] or [])
        in_name = names.kinds_in_name(row["path"]) if row["path"] else []
        in_pixels = _in_pixels(row["regions"])
        in_record = scanner.kinds_in_record(row["source_values"])
        rows.append(
            {
                "image_id": row["image_id"],
                "archive": row["archive"],
                "version": row["version"],
                "sha256": row["sha256"],
                "found_in_file": in_file,
                "found_in_name": in_name,
                "found_in_record": in_record,
                "found_in_pixels": in_pixels,
                "actions": [f"file:{k}:strip" for k in in_file]
                + [f"name:{k}:rename" for k in in_name]
                + [f"record:{k}:drop" for k in in_record]
                + [f"pixels:{k}:{'ask' if k.endswith('_doubtful') else 'redact'}" for k in in_pixels or ()],
                "profile_codes": applied_codes(in_file),
            }
        )
    schema = pa.schema(
        [(n, pa.string()) for n in ("image_id", "archive", "version", "sha256")]
        + [
            (n, pa.list_(pa.string()))
            for n in (
                "found_in_file",
                "found_in_name",
                "found_in_record",
                "found_in_pixels",
                "actions",
                "profile_codes",
            )
        ]
    )
    return pa.Table.from_pylist(rows, schema=schema)


def _in_pixels(regions: list[dict[str, Any]] | None) -> list[str] | None:
    if regions is None:
        return None
    return sorted({r["kind"] if r["certain"] else f"{r['kind']}_doubtful" for r in regions})
