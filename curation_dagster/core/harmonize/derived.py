"""Images that were made of other images of the same archive: the parent of each, by its image_id.

A crop of an image is no second case. Its record names the parent by the publisher's id; here the id becomes the
parent's ``image_id``, so that the crop is in the group of its parent, and with it in any split. A chain of crops leads
to the parent of each link; groups follow the chain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation_dagster.core.harmonize.fields import Field
from curation_dagster.core.records.derived import ORIGINAL
from curation_dagster.core.registry.models import Descriptor


def derivation_columns(
    records: pa.Table, fields: dict[str, Field], descriptor: Descriptor
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return ``parent_image_id`` and ``derivation`` of each record, and the reasons where they are null.

    A parent that the delivery lacks, that is the image itself, or that leads back to it in a circle is
    *no such parent*. Without a parent there is no derivation either.

    Parameters
    ----------
    records : pyarrow.Table
        With ``source_id`` and ``image_id``.
    fields : dict of str to Field
        With ``parent`` and ``derivation``.
    """
    if descriptor.layout.derivations and descriptor.columns.parent is None:
        return _by_name(records)
    n = records.num_rows
    parent, kind = fields["parent"], fields["derivation"]
    reasons = {"parent_image_id": parent.reasons.copy(), "derivation": kind.reasons.copy()}
    if descriptor.columns.parent is None:
        empty = np.full(n, None, dtype=object)
        collected = descriptor.columns.derivation is not None
        reasons["derivation"] = np.full(n, "no_such_parent" if collected else "not_collected", dtype=object)
        return {"parent_image_id": empty, "derivation": empty.copy()}, reasons
    exact = descriptor.layout.case_sensitive_ids
    ids = [s if exact else s.lower() for s in records["source_id"].to_pylist()]
    images = records["image_id"].to_pylist()
    image_of = dict(zip(reversed(ids), reversed(images), strict=True))
    named = [None if v is None else (str(v) if exact else str(v).lower()) for v in parent.values]
    above = {image: image_of.get(p) for image, p in zip(images, named, strict=True) if p is not None}
    parents = np.full(n, None, dtype=object)
    kinds = kind.values.copy()
    for row, image in enumerate(images):
        if named[row] is not None and above[image] is not None and not _in_circle(image, above):
            parents[row] = above[image]
            continue
        reason = "no_such_parent" if named[row] is not None else parent.reasons[row]
        reason = "not_derived" if reason in ("blank", "stated_unknown") else reason
        reasons["parent_image_id"][row] = reasons["derivation"][row] = reason
        kinds[row] = None
    return {"parent_image_id": parents, "derivation": kinds}, reasons


def _by_name(records: pa.Table) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the rules of the layout have found out from the names of the files."""
    parents = np.array(records["parent_image_id"].to_pylist(), dtype=object)
    kinds = np.array(records["derivation"].to_pylist(), dtype=object)
    originals = kinds == ORIGINAL
    kinds[originals] = None
    reasons = np.full(records.num_rows, "no_such_parent", dtype=object)
    reasons[originals] = "not_derived"
    kinds[[p is None for p in parents]] = None
    return (
        {"parent_image_id": parents, "derivation": kinds},
        {"parent_image_id": reasons, "derivation": reasons.copy()},
    )


def _in_circle(image: str, above: dict[str, str | None]) -> bool:
    seen = {image}
    at = above.get(image)
    while at is not None:
        if at in seen:
            return True
        seen.add(at)
        at = above.get(at)
    return False
