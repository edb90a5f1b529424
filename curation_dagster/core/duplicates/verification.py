"""From candidates to links: what kind each pair is, and the figures that say so.

A pair that is the same file or the same pixels needs no look. Nor do hashes within ``accept_radius``, of pictures as
they are. Every other candidate is looked at on the stored thumbnails: keypoints that agree on one transform first, and
where they are too few, the correlation of the 64x64 thumbnails, which serves smooth skin and squeezed copies. Too few
for a rule and too many for chance is ``uncertain``: a person decides.

A verdict depends on the two images alone, and the one with the smaller id always comes first.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.duplicates.bounds import HASH_BITS, DuplicateBounds
from curation_dagster.core.duplicates.keypoints import (
    Features,
    KeypointMethod,
    agreement,
    features,
    keypoint_method,
)
from curation_dagster.core.duplicates.variants import IDENTITY, VARIANTS

ReadThumbnails: TypeAlias = Callable[[list[str]], pa.Table]
"""From some image_ids to a table with ``image_id``, ``thumbnail_64`` and ``thumbnail_256``."""

Thumbnails: TypeAlias = Callable[[list[str]], AbstractContextManager[ReadThumbnails]]
"""Opened once with all image_ids that will be asked for, so that whoever keeps them needs a single pass over them."""

Look: TypeAlias = Callable[[pa.Table, ReadThumbnails, DuplicateBounds, int], pa.Table]
"""As :func:`look_here`."""

KINDS = ("same_file", "same_pixels", "derived", "near", "uncertain")  # the strongest first
LINKS = pa.schema(
    [
        pa.field("a", pa.string(), nullable=False),  # image_id, the smaller of the two
        pa.field("b", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # one of KINDS
        pa.field("variant", pa.uint8(), nullable=False),  # of the picture of a
        pa.field("distance", pa.int16()),
        pa.field("evidence", pa.string(), nullable=False),
    ]
)

_SIDE = 64
_MIRROR = 1  # the variant that stands for all mirrored ones
_BATCH = 512  # pairs that are verified between two reads of thumbnails
_CACHED = 2048  # images whose keypoints stay in memory: about 50 KiB each


class ThumbnailError(LookupError):
    """The thumbnails of a candidate are missing or can't be read."""


@dataclass(frozen=True)
class _Candidate:
    a: str
    b: str
    variant: int
    distance: int


@dataclass(frozen=True)
class _Link:
    kind: str
    candidate: _Candidate
    evidence: str


def verify(
    candidates: pa.Table,
    thumbnails: Thumbnails,
    bounds: DuplicateBounds,
    workers: int = 1,
    look: Look | None = None,
) -> pa.Table:
    """Return the links among the candidates, one row per pair that is linked.

    Parameters
    ----------
    candidates : pyarrow.Table
        Schema ``CANDIDATES`` of :mod:`~curation_dagster.core.duplicates.candidates`.
    thumbnails : callable
        Opened with the image_ids of all doubtful pairs, and not at all if there is none. What it gives is called in this
        thread, for some thousand images at once, and returns ``thumbnail_64`` (4,096 bytes, 64x64 grey) and
        ``thumbnail_256`` (grey JPEG) of each.
    bounds : DuplicateBounds
        What is enough.
    workers : int
        Threads that compare.
    look : callable or None
        What looks at doubtful pairs: the threads of this machine (:func:`look_here`), or a cluster.

    Returns
    -------
    pyarrow.Table
        Schema ``LINKS``, ordered by a and b.

    Raises
    ------
    ThumbnailError
        If a thumbnail is missing or does not decode.
    """
    kind, distance, variant = candidates["kind"], candidates["distance"], candidates["variant"]
    exact = pc.not_equal(kind, "perceptual")
    outright = pc.and_(pc.equal(variant, IDENTITY), pc.less_equal(distance, bounds.accept_radius))
    settled = pc.or_(exact, pc.fill_null(outright, False))
    sure = candidates.filter(settled)
    keys = sure.select(["a", "b"])
    doubtful = candidates.filter(pc.invert(settled))
    if doubtful.num_rows and sure.num_rows:  # near as it is and mirrored as well: no further look
        doubtful = doubtful.join(keys, keys=["a", "b"], join_type="left anti")
    doubtful = doubtful.sort_by([(c, "ascending") for c in ("a", "b", "distance", "variant")])
    looked = LINKS.empty_table()
    if doubtful.num_rows:
        ids = pc.unique(pa.chunked_array([*doubtful["a"].chunks, *doubtful["b"].chunks]))
        with thumbnails(sorted(ids.to_pylist())) as read:
            looked = (look or look_here)(doubtful, read, bounds, workers)
    links = pa.concat_tables([_settled(sure, bounds), looked])
    return links.sort_by([("a", "ascending"), ("b", "ascending")])


def look_here(doubtful: pa.Table, read: ReadThumbnails, bounds: DuplicateBounds, workers: int) -> pa.Table:
    """Return the links among doubtful pairs, found in threads of this machine.

    Parameters
    ----------
    doubtful : pyarrow.Table
        Candidates ordered by a, b, distance and variant. A pair's link depends on its own rows only, so they may be looked
        at in parts, as long as none parts the rows of a pair.
    """
    return _table(list(_looked_at(doubtful, read, bounds, workers)))


def _settled(sure: pa.Table, bounds: DuplicateBounds) -> pa.Table:
    words = {"same_file": "same bytes", "same_pixels": "same pixels, other file"}
    kinds = sure["kind"].to_pylist()
    distances = sure["distance"].to_pylist()
    return pa.table(
        {
            "a": sure["a"],
            "b": sure["b"],
            "kind": pa.array(["near" if k == "perceptual" else k for k in kinds], pa.string()),
            "variant": sure["variant"],
            "distance": sure["distance"],
            "evidence": pa.array(
                [
                    words.get(k)
                    or f"hash: {d} of {HASH_BITS} bits differ, accepted up to {bounds.accept_radius}"
                    for k, d in zip(kinds, distances, strict=True)
                ],
                pa.string(),
            ),
        },
        schema=LINKS,
    )


def _table(links: Sequence[_Link]) -> pa.Table:
    rows = [
        {
            "a": link.candidate.a,
            "b": link.candidate.b,
            "kind": link.kind,
            "variant": link.candidate.variant,
            "distance": link.candidate.distance,
            "evidence": link.evidence,
        }
        for link in links
    ]
    return pa.Table.from_pylist(rows, schema=LINKS)


def _looked_at(
    doubtful: pa.Table, read: ReadThumbnails, bounds: DuplicateBounds, workers: int
) -> Iterator[_Link]:
    views = _Views(read, keypoint_method())
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[list[_Link]]] = deque()
        for batch in _batches(doubtful):
            seen = views.of({_key(c.a, c.variant) for c in batch} | {_key(c.b) for c in batch}, pool)
            waiting.append(pool.submit(_compare_all, batch, seen, bounds, views.method))
            if len(waiting) > workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _batches(doubtful: pa.Table) -> Iterator[list[_Candidate]]:
    """Yield the candidates in batches that never part the variants of a pair."""
    batch: list[_Candidate] = []
    rows = (
        _Candidate(*values)
        for part in doubtful.select(["a", "b", "variant", "distance"]).to_batches(max_chunksize=_BATCH)
        for values in zip(
            *(part[name].to_pylist() for name in ("a", "b", "variant", "distance")), strict=True
        )
    )
    for _, pair in itertools.groupby(rows, key=lambda c: (c.a, c.b)):
        batch.extend(pair)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True)
class _View:
    """What is compared of one picture, as it is or mirrored left to right; keypoints don't mind rotation."""

    features: Features
    small: npt.NDArray[np.uint8]  # 64x64, never mirrored


class _Views:
    """Views of pictures; the most recently used stay in memory."""

    def __init__(self, read: ReadThumbnails, method: KeypointMethod) -> None:
        self.method = method
        self._read = read
        self._kept: OrderedDict[tuple[str, int], _View] = OrderedDict()

    def of(self, keys: set[tuple[str, int]], pool: ThreadPoolExecutor) -> dict[tuple[str, int], _View]:
        missing = sorted(k for k in keys if k not in self._kept)
        if missing:
            ids = sorted({image_id for image_id, _ in missing})
            stored = {row["image_id"]: row for row in self._read(ids).to_pylist()}
            absent = [i for i in ids if i not in stored]
            if absent:
                raise ThumbnailError(
                    f"thumbnails: asked for {len(ids)} images, {len(absent)} are missing, such as {absent[0]}; "
                    "measure the files again"
                )
            made = pool.map(lambda k: _view(stored[k[0]], k[1], self.method), missing)
            self._kept.update(zip(missing, made, strict=True))
        for key in keys:
            self._kept.move_to_end(key)
        found = {k: self._kept[k] for k in keys}
        while len(self._kept) > _CACHED:
            self._kept.popitem(last=False)
        return found


def _key(image_id: str, variant: int = IDENTITY) -> tuple[str, int]:
    return image_id, _MIRROR if VARIANTS[variant].mirrored else IDENTITY


def _view(row: dict[str, Any], variant: int, method: KeypointMethod) -> _View:
    large = cv2.imdecode(np.frombuffer(row["thumbnail_256"] or b"\0", np.uint8), cv2.IMREAD_GRAYSCALE)
    if large is None:
        raise ThumbnailError(f"image {row['image_id']}: thumbnail_256 is not a JPEG; measure the file again")
    small = np.frombuffer(row["thumbnail_64"] or b"", np.uint8)
    if small.size != _SIDE * _SIDE:
        raise ThumbnailError(
            f"image {row['image_id']}: expected {_SIDE * _SIDE} bytes of thumbnail_64, got {small.size}; "
            "measure the file again"
        )
    pixels = VARIANTS[variant].picture(large.astype(np.uint8))
    return _View(features(pixels, method), small.reshape(_SIDE, _SIDE))


def _correlation(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> float:
    """Return the correlation of two pictures of one size, 0 if one is flat."""
    left, right = a.astype(np.float32) - a.mean(), b.astype(np.float32) - b.mean()
    length = float(np.linalg.norm(left)) * float(np.linalg.norm(right))
    return float(np.vdot(left, right)) / length if length else 0.0


def _compare_all(
    batch: list[_Candidate],
    views: dict[tuple[str, int], _View],
    bounds: DuplicateBounds,
    method: KeypointMethod,
) -> list[_Link]:
    links = []
    for _, pair in itertools.groupby(batch, key=lambda c: (c.a, c.b)):
        best: _Link | None = None
        for candidate in pair:  # the nearest variant first
            link = _compare(
                candidate,
                views[_key(candidate.a, candidate.variant)],
                views[_key(candidate.b)],
                bounds,
                method,
            )
            if link is not None and (best is None or KINDS.index(link.kind) < KINDS.index(best.kind)):
                best = link
            if best is not None and best.kind == "near":
                break
        if best is not None:
            links.append(best)
    return links


def _compare(
    candidate: _Candidate, a: _View, b: _View, bounds: DuplicateBounds, method: KeypointMethod
) -> _Link | None:
    hashes = f"hash: {candidate.distance} of {HASH_BITS} bits differ"
    if candidate.variant != IDENTITY:
        hashes += f", one {VARIANTS[candidate.variant].name}"
    seen = agreement(a.features, b.features, method)
    alike = seen.detail >= method.detail_agreement
    keypoints = (
        f"{hashes}; keypoints: {seen.inliers} agree (scale {seen.scale:.2f}, rotation {seen.rotation:.0f} degrees), "
        f"details correlate by {seen.detail:.2f}"
    )
    if seen.inliers >= bounds.keypoint_accept and alike:
        return _Link("near", candidate, f"{keypoints}, accepted from {bounds.keypoint_accept}")
    correlation = _correlation(VARIANTS[candidate.variant].picture(a.small), b.small)
    if correlation >= bounds.correlation_accept:
        text = f"{hashes}; correlation: {correlation:.4f}, accepted from {bounds.correlation_accept}"
        return _Link("near", candidate, text)
    if seen.inliers >= bounds.keypoint_accept:
        why = f"enough keypoints, as of a common logo or ruler, but details below {method.detail_agreement}"
        return _Link("uncertain", candidate, f"{keypoints}: {why}, a person decides")
    if seen.inliers >= bounds.keypoint_review:
        between = f"from {bounds.keypoint_review} and below {bounds.keypoint_accept}"
        return _Link("uncertain", candidate, f"{keypoints}, {between}: a person decides")
    return None
