"""How often each field of the unified schema is missing in an archive version, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.schemas import MISSINGNESS, UNIFIED

PRESENT = "present"
"""Stands for the images that have a value."""


def missingness(harmonized: pa.Table) -> pa.Table:
    """Return for each field how many images lack it, by reason, and how many have it.

    Parameters
    ----------
    harmonized : pyarrow.Table
        With ``archive``, ``version`` and ``missing``, of one archive version.

    Returns
    -------
    pyarrow.Table
        Schema ``missingness`` without run_id: for each field a row ``present`` and a row for each reason. The rows of a
        field add up to all images. Empty for an archive version without images.
    """
    schema = pa.schema([f for f in MISSINGNESS.arrow_schema if f.name != "run_id"])
    n = harmonized.num_rows
    if n == 0:
        return schema.empty_table()
    archive, version = harmonized["archive"][0].as_py(), harmonized["version"][0].as_py()
    counted: dict[str, Counter[str]] = {field: Counter() for field in UNIFIED}
    for found in pc.value_counts(harmonized["missing"]).to_pylist():
        for field, reason in json.loads(found["values"] or "{}").items():
            counted.setdefault(field, Counter())[reason] += found["counts"]
    rows = [
        {
            "archive": archive,
            "version": version,
            "field": field,
            "reason": reason,
            "images": images,
            "of": n,
        }
        for field, reasons in counted.items()
        for reason, images in [(PRESENT, n - reasons.total()), *reasons.most_common()]
    ]
    return pa.Table.from_pylist(rows, schema=schema)


def shares(rows: pa.Table) -> Mapping[str, Mapping[str, float]]:
    """Return each field to the share of images, 0 to 1, of each reason and of ``present``."""
    found: dict[str, dict[str, float]] = {}
    for row in rows.to_pylist():
        if row["images"]:
            found.setdefault(row["field"], {})[row["reason"]] = row["images"] / row["of"]
    return found
