"""Links that an archive declares: an image that was made of another one belongs to its group.

A crop may look like nothing that its parent's hash can find, so what the publisher says is a link by itself, of the
kind ``derived``. It joins groups as a verified link does: the crop is never counted as a case of its own, and stands on
its parent's side wherever images are divided.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

DERIVED = "derived"


def with_declared(links: pa.Table, images: pa.Table, facts: pa.Table | None) -> pa.Table:
    """Return the links and those that the archives declare.

    Parameters
    ----------
    links : pyarrow.Table
        Schema ``LINKS``.
    images : pyarrow.Table
        With ``image_id``; a link of which an end is none of them is left out.
    facts : pyarrow.Table or None
        With ``image_id`` and, where images were made of others, ``parent_image_id``.
    """
    if facts is None or "parent_image_id" not in facts.column_names:
        return links
    known = images["image_id"].combine_chunks()
    both = pc.and_(pc.is_in(facts["parent_image_id"], known), pc.is_in(facts["image_id"], known))
    declared = facts.filter(pc.and_(both, pc.is_valid(facts["parent_image_id"])))
    pairs = sorted(
        {
            tuple(sorted(pair))
            for pair in zip(
                declared["image_id"].to_pylist(), declared["parent_image_id"].to_pylist(), strict=True
            )
            if pair[0] != pair[1]
        }
    )
    rows = [
        {
            "a": a,
            "b": b,
            "kind": DERIVED,
            "variant": 0,
            "distance": None,
            "evidence": "declared by the archive",
        }
        for a, b in pairs
    ]
    return pa.concat_tables([links, pa.Table.from_pylist(rows, schema=links.schema)]) if rows else links
