"""Severity scores of each record: all of them, and the one that sums them up.

A descriptor names under ``severities`` where the score of each scale stands. The column ``severities`` holds all
scores of an image; ``severity_scale`` and ``severity_value`` hold the total, or else the first scale that has a score.
A score that is missing is explained under ``severities.<scale>`` in ``missing``, the list itself only where it is
empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation_dagster.core.harmonize.fields import Field, convert_field
from curation_dagster.core.harmonize.severity import scales, total_agrees
from curation_dagster.core.registry.models import Descriptor

Parts = tuple[dict[str, Any], dict[str, np.ndarray]]

_NAMES = ("severity_scale", "severity_value")


def severity_columns(
    descriptor: Descriptor, fields: dict[str, Field], table: pa.Table, has_record: np.ndarray
) -> Parts:
    """Return the columns of severity and the reasons where they are null.

    Parameters
    ----------
    fields : dict of str to Field
        The fields of ``columns``; ``severity_scale`` and ``severity_value`` hold where the descriptor gives them.
    table : pyarrow.Table
        The publisher's columns as text.
    has_record : numpy.ndarray of bool, shape (rows,)
        False where an image has no record at all.
    """
    n = table.num_rows
    values: dict[str, Any] = {name: fields[name].values for name in _NAMES}
    reasons = {name: fields[name].reasons for name in _NAMES}
    if not descriptor.severities:
        return (
            values | {"severities": _nulls(n), "severity_agrees": _nulls(n)},
            reasons | {"severities": np.full(n, "not_collected", dtype=object)},
        )
    found = {
        scale: convert_field(scale, mapping, table, has_record)
        for scale, mapping in descriptor.severities.items()
    }
    # the total first: it stands for the image
    order = sorted(found, key=lambda scale: not scales()[scale].total_of)
    columns = [found[scale].values for scale in order]
    pool: dict[tuple[Any, ...], dict[str, float]] = {}
    lists, agreed, first, score = (_nulls(n) for _ in range(4))
    for row, scores in enumerate(zip(*columns, strict=True)):
        given = pool.setdefault(
            scores, {s: float(v) for s, v in zip(order, scores, strict=True) if v is not None}
        )
        if given:
            lists[row] = [{"scale": s, "value": v} for s, v in given.items()]
            agreed[row] = total_agrees(given)
            first[row], score[row] = next(iter(given.items()))
    why = found[order[0]].reasons
    values |= {"severities": lists, "severity_agrees": agreed}
    reasons |= {"severities": why} | {f"severities.{scale}": found[scale].reasons for scale in order}
    for name, column in zip(_NAMES, (first, score), strict=True):
        if getattr(descriptor.columns, name) is None:
            values[name], reasons[name] = column, why
    return values, reasons


def _nulls(n: int) -> np.ndarray:
    return np.full(n, None, dtype=object)
