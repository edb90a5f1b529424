"""Which images people look at: drawn by hash order, so nobody can choose them and they stay as images are added.

The order is that of SHA-256 over criterion and image_id. It is as good as random with respect to anything that an
image shows, the same on every machine, and a new image moves another out of the sample only where its own hash says
so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import CriteriaSet, Sampling
from curation_dagster.schemas import REVIEW_QUEUE

GLOBAL_STAGES = ("duplicates",)
"""Stages whose verdicts don't decide who is in a sample: they come later, and depend on the other archives."""


def sample_size(images: int, sampling: Sampling) -> int:
    """Return how many of ``images`` people look at: all of a small set, 299 of a large one at 0.95 and 0.01."""
    return sampling.size_for(images)


def hash_order(image_ids: Iterable[str], criterion: str) -> list[str]:
    """Return the images in the order in which they are drawn for a criterion."""
    return sorted(image_ids, key=lambda i: hashlib.sha256(f"{criterion}\n{i}".encode()).digest())


def draw_sample(
    image_ids: Iterable[str],
    archive: str,
    version: str,
    criterion: str,
    size: int,
    purpose: str = "sample",
    criteria_digest: str = "",
    run_id: str | None = None,
) -> pa.Table:
    """Return the first ``size`` images in hash order as rows of ``review_queue``, ranked from 1."""
    drawn = hash_order(image_ids, criterion)[:size]
    n = len(drawn)
    return pa.Table.from_arrays(
        [
            pa.repeat(pa.scalar(archive, pa.string()), n),
            pa.repeat(pa.scalar(version, pa.string()), n),
            pa.array(drawn, pa.string()),
            pa.repeat(pa.scalar(criterion, pa.string()), n),
            pa.repeat(pa.scalar(purpose, pa.string()), n),
            pa.array(np.arange(1, n + 1), pa.int64()),
            pa.repeat(pa.scalar(criteria_digest, pa.string()), n),
            pa.repeat(pa.scalar(run_id, pa.string()), n),
        ],
        schema=REVIEW_QUEUE.arrow_schema,
    )


def population(verdicts: pa.Table, criterion: str, everyone: bool = False) -> pa.Array:
    """Return the images that a sample for ``criterion`` stands for.

    These are the images for which the criterion's rule says ``review`` (or, with ``everyone``, ``pass`` too) and that
    fail no criterion of their archive version's own stages. A verdict of the global stages does not count: it would make the sample depend on what else
    is in the corpus.

    Parameters
    ----------
    verdicts : pyarrow.Table
        Columns stage, image_id, criterion and outcome of one archive version.
    """
    outcomes = pa.array(["review", "pass"] if everyone else ["review"])
    asked = pc.and_(
        pc.equal(verdicts["criterion"], criterion), pc.is_in(verdicts["outcome"], value_set=outcomes)
    )
    images = pc.unique(verdicts["image_id"].filter(asked))
    return images.filter(pc.invert(pc.is_in(images, value_set=_excluded(verdicts))))


def queue_of(
    verdicts: pa.Table, criteria: CriteriaSet, archive: str, version: str, run_id: str | None = None
) -> pa.Table:
    """Return the review queue of one archive version.

    Parameters
    ----------
    verdicts : pyarrow.Table
        Columns stage, image_id, criterion and outcome: the verdicts by rule of this archive version.

    Returns
    -------
    pyarrow.Table
        Rows of ``review_queue``: for each criterion that a sample settles, the sample; for each criterion that is
        settled image by image, every image whose outcome is ``review``. Images that fail a criterion of the archive
        version's own stages are left out: nothing that a person says brings them back.
    """
    # only these rows matter below, and they are few
    verdicts = verdicts.select(["stage", "image_id", "criterion", "outcome"])
    whole = criteria.whole_population()
    verdicts = verdicts.filter(
        pc.or_(
            pc.is_in(verdicts["outcome"], value_set=pa.array(["fail", "review"])),
            pc.is_in(verdicts["criterion"], value_set=pa.array(whole, pa.string())),
        )
    )
    excluded = _excluded(verdicts)
    verdicts = verdicts.filter(pc.invert(pc.is_in(verdicts["image_id"], value_set=excluded)))
    tables = []
    for criterion in criteria.criteria:
        images = population(verdicts, criterion.id, criterion.id in whole).to_pylist()
        size = sample_size(len(images), criteria.sampling) if criterion.review == "sample" else len(images)
        if images:
            tables.append(
                draw_sample(
                    images, archive, version, criterion.id, size, criterion.review, criteria.digest, run_id
                )
            )
    return pa.concat_tables(tables) if tables else REVIEW_QUEUE.empty()


def _excluded(verdicts: pa.Table) -> pa.Array:
    failing = pc.and_(
        pc.equal(verdicts["outcome"], "fail"),
        pc.invert(pc.is_in(verdicts["stage"], value_set=pa.array(GLOBAL_STAGES))),
    )
    found = pc.unique(verdicts["image_id"].filter(failing))
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
