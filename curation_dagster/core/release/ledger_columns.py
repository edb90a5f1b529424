"""The ledger of a release in columns, image by image: some million decisions, held as a few numbers and one text each.

What decisions of one criterion share (bound, decider, time, criteria, code, run) is a *context*; the contexts and outcomes of
all criteria of one image are a *pattern*, and most images share theirs with many others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.schemas import OUTCOMES

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

_TIME = "%Y-%m-%dT%H:%M:%SZ"
CONTEXT = (
    "criterion", "clause", "bound", "decided_by", "decided_at", "criteria_version", "criteria_digest", "code_version", "run_id",
)  # fmt: skip


@dataclass(frozen=True)
class LedgerColumns:
    """The decisions of images that are numbered from 0.

    Parameters
    ----------
    contexts : list of tuple
        Values of :data:`CONTEXT`, sorted; a decision names one by its place.
    starts : numpy.ndarray of int64
        Where the decisions of each image begin; one more than there are images.
    context, outcome : numpy.ndarray of int32, int8
        Of each decision: place in ``contexts``, place in ``OUTCOMES``.
    measured, detail : pyarrow.LargeStringArray
        Of each decision, null where there is none.
    """

    contexts: list[tuple[Any, ...]]
    starts: np.ndarray
    context: np.ndarray
    outcome: np.ndarray
    measured: pa.Array
    detail: pa.Array


def ledger_columns(
    view: ReleaseView, archives: Sequence[tuple[str, str]], numbers: dict[tuple[str, str], pa.Table]
) -> LedgerColumns:
    """Return the ledger of some archive versions.

    Parameters
    ----------
    numbers : mapping of archive and version to pyarrow.Table
        image_id and number of each image; numbers of all archive versions together run from 0 without gaps.
    """
    known: dict[tuple[Any, ...], int] = {}
    images, contexts, outcomes, measured, detail = [], [], [], [], []
    for key in archives:
        ids, places = numbers[key]["image_id"].combine_chunks(), numbers[key]["number"].to_numpy()
        for batch in view.batches("decisions", ("image_id", "outcome", "measured", "detail", *CONTEXT), *key):
            if not batch.num_rows:
                continue
            at = pc.index_in(batch["image_id"].cast(ids.type), value_set=ids)
            if at.null_count:
                raise ValueError(
                    f"{at.null_count} decisions of {key[0]}@{key[1]} speak of images that did not enter"
                )
            images.append(places[at.to_numpy()])
            contexts.append(_contexts(batch, known))
            outcomes.append(
                pc.index_in(batch["outcome"], value_set=pa.array(OUTCOMES)).to_numpy().astype(np.int8)
            )
            measured.append(batch["measured"].cast(pa.large_string()))
            detail.append(batch["detail"].cast(pa.large_string()))
    ordered = sorted(known, key=lambda c: tuple("" if v is None else v for v in c))
    place = np.empty(len(known), np.int32)
    for new, context in enumerate(ordered):
        place[known[context]] = new
    total = sum(t.num_rows for t in numbers.values())
    if not images:
        empty = pa.array([], pa.large_string())
        none = np.zeros(0, np.int32)
        return LedgerColumns([], np.zeros(total + 1, np.int64), none, none.astype(np.int8), empty, empty)
    image = np.concatenate(images).astype(np.int32)
    images.clear()
    context = place[np.concatenate(contexts)]
    order = np.argsort(image.astype(np.int64) * len(ordered) + context, kind="stable").astype(np.int32)
    starts = np.concatenate(([0], np.cumsum(np.bincount(image, minlength=total)))).astype(np.int64)
    del image
    return LedgerColumns(
        ordered,
        starts,
        context[order],
        np.concatenate(outcomes)[order],
        _taken(measured, order),
        _taken(detail, order),
    )


def _taken(chunks: list[pa.Array], order: np.ndarray) -> pa.Array:
    """Return texts in another order; the chunks are given up on the way, so that no more than two copies are held."""
    whole = pa.chunked_array(chunks, pa.large_string()).combine_chunks()
    chunks.clear()
    return whole.take(pa.array(order))


def _contexts(batch: pa.RecordBatch, known: dict[tuple[Any, ...], int]) -> np.ndarray:
    """Return the number of each row's context; contexts that were not known yet are entered."""
    mixed = np.zeros(batch.num_rows, np.int64)
    values = []
    for name in CONTEXT:
        encoded = batch[name].dictionary_encode(null_encoding="encode")
        found = encoded.dictionary.to_pylist()
        values.append([f"{v:{_TIME}}" if name == "decided_at" and v is not None else v for v in found])
        mixed = mixed * len(found) + encoded.indices.to_numpy()
    distinct, inverse = np.unique(mixed, return_inverse=True)
    here = np.empty(len(distinct), np.int32)
    for n, code in enumerate(distinct.tolist()):
        parts = []
        for found in reversed(values):
            code, place = divmod(code, len(found))
            parts.append(found[place])
        here[n] = known.setdefault(tuple(reversed(parts)), len(known))
    return here[inverse]
