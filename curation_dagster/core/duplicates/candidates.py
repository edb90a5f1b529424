"""Pairs of images that may be duplicates: the same file, the same pixels, or near perceptual hashes.

The candidates are complete: every pair of searchable images whose hashes lie within the radius is among them, the
mirrored and rotated variants included. Three things keep their number in bounds. Images with the same bytes, pixels or
hash are linked to the one with the smallest id, not each to each, and only that one is compared with others by its
hash. Hashes of pictures without structure are searched by bytes and pixels only. Images that don't decode are not
searched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.slices import near_pairs
from curation_dagster.core.duplicates.variants import HASH_BYTES, INVERSE, Hashes

NearPairs: TypeAlias = Callable[..., Pairs]
"""As :func:`~.slices.near_pairs`, from two sets of hashes, two radii and a number of workers."""

SEARCHED_COLUMNS = (
    "image_id",
    "sha256",
    "stream_sha256",
    "pixel_sha256",
    "phash256",
    "hash_is_degenerate",
    "decode_state",
)

CANDIDATES = pa.schema(
    [
        pa.field("a", pa.string(), nullable=False),  # image_id, the smaller of the two
        pa.field("b", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # same_file, same_pixels, perceptual
        pa.field("variant", pa.uint8(), nullable=False),  # of the picture of a
        pa.field("distance", pa.int16()),  # of the hashes; null without hashes
    ]
)


def search(
    new: pa.Table,
    known: pa.Table | None,
    bounds: DuplicateBounds,
    workers: int = 1,
    pairs_within: NearPairs = near_pairs,
) -> pa.Table:
    """Return the candidate pairs, but for near hashes of two images that were both known before.

    Parameters
    ----------
    new : pyarrow.Table
        Images with the columns ``SEARCHED_COLUMNS``, a row each.
    known : pyarrow.Table or None
        Images that were searched among themselves before, with the same columns. Costs grow with
        ``new * (new + known)``.
    bounds : DuplicateBounds
        Radii; which ones hold depends on how many images there are.
    workers : int
        Threads.
    pairs_within : callable
        What finds near hashes: this machine, or a cluster.

    Returns
    -------
    pyarrow.Table
        Schema ``CANDIDATES``, ordered by a, b and variant. A pair that is the same file or the same pixels has one
        row, other pairs one row for each variant within its radius.

    Raises
    ------
    ValueError
        If an image_id occurs twice, is null, or a hash has not 32 bytes.
    """
    images = (
        new
        if known is None
        else pa.concat_tables([new.select(SEARCHED_COLUMNS), known.select(SEARCHED_COLUMNS)])
    )
    readable = _readable(images)
    _refuse_repeated_ids(readable["image_id"])
    exact, chosen = _exact(readable), searchable(images)
    equal = _equal_hashes(readable, chosen)
    earlier = pc.is_in(chosen["image_id"], known["image_id"].combine_chunks()) if known is not None else None
    left, right = (
        (chosen, chosen.slice(0, 0))
        if earlier is None
        else (chosen.filter(pc.invert(earlier)), chosen.filter(earlier))
    )
    radius, dihedral_radius = bounds.radii(chosen.num_rows)
    near = pa.concat_tables(
        [equal, _perceptual(left, right, (radius, dihedral_radius, workers), pairs_within)]
    )
    if near.num_rows and exact.num_rows:
        near = near.join(exact.select(["a", "b"]), keys=["a", "b"], join_type="left anti")
    found = pa.concat_tables([exact, near.select(CANDIDATES.names).cast(CANDIDATES)])
    return found.sort_by([("a", "ascending"), ("b", "ascending"), ("variant", "ascending")])


def searchable(images: pa.Table) -> pa.Table:
    """Return the images whose hashes are compared: they decode, have structure, and are the first of equal pixels and hash.

    The first is the one with the smallest id. It stands for the others, which are linked to it.
    """
    return _first_of_each(_distinct_pixels(images), "phash256")


def _readable(images: pa.Table) -> pa.Table:
    """Return the images that decode, ordered by id: positions are then in the order of ids."""
    chosen = images.select(SEARCHED_COLUMNS)
    chosen = chosen.filter(pc.fill_null(pc.equal(chosen["decode_state"], "ok"), False))
    if chosen["image_id"].null_count:
        raise ValueError(
            f"images of the duplicate search: {chosen['image_id'].null_count} rows have no image_id"
        )
    return chosen.sort_by("image_id")


def _refuse_repeated_ids(ids: pa.ChunkedArray) -> None:
    if len(ids) != pc.count_distinct(ids).as_py():
        counts = ids.value_counts().to_pylist()
        repeated = sorted(c["values"] for c in counts if c["counts"] > 1)
        raise ValueError(
            f"images of the duplicate search: {len(repeated)} image_ids occur more than once, such as {repeated[0]}"
        )


def _exact(images: pa.Table) -> pa.Table:
    """Return pairs with equal bytes, image data or pixels: each image with the smallest id of its class."""
    queries = [
        f"""
        SELECT center AS a, image_id AS b, '{kind}' AS kind, {rank} AS rank
        FROM (SELECT image_id, min(image_id) OVER (PARTITION BY {key}) AS center FROM images WHERE {key} IS NOT NULL)
        WHERE image_id <> center
        """
        for rank, (key, kind) in enumerate(
            (("sha256", "same_file"), ("stream_sha256", "same_pixels"), ("pixel_sha256", "same_pixels"))
        )
    ]
    with duckdb.connect() as connection:
        connection.register("images", images.select(["image_id", "sha256", "stream_sha256", "pixel_sha256"]))
        found = connection.sql(
            f"SELECT a, b, arg_min(kind, rank) AS kind FROM ({' UNION ALL '.join(queries)}) GROUP BY a, b"
        ).to_arrow_table()
    return pa.table(
        {
            "a": found["a"],
            "b": found["b"],
            "kind": found["kind"],
            "variant": pa.array(np.zeros(found.num_rows, np.uint8)),
            "distance": _distances_between(found, images),
        },
        schema=CANDIDATES,
    )


def _distances_between(pairs: pa.Table, images: pa.Table) -> pa.Array:
    ids, hashes = images["image_id"].combine_chunks(), images["phash256"]
    left = hashes.take(pc.index_in(pairs["a"], ids))
    right = hashes.take(pc.index_in(pairs["b"], ids))
    both = pc.and_(left.is_valid(), right.is_valid()).to_numpy()
    values = np.zeros(pairs.num_rows, np.int16)
    if both.any():
        mask = pa.array(both)
        difference = hash_bytes(left.filter(mask)) ^ hash_bytes(right.filter(mask))
        values[both] = np.bitwise_count(difference).sum(axis=1, dtype=np.int16)
    return pa.array(values, mask=~both)


def _structured(images: pa.Table) -> pa.Table:
    usable = pc.and_(
        images["phash256"].is_valid(), pc.invert(pc.fill_null(images["hash_is_degenerate"], True))
    )
    return images.filter(usable)


def _distinct_pixels(images: pa.Table) -> pa.Table:
    structured = _structured(_readable(images))
    # an image without a digest is its own class
    pixels = pc.coalesce(structured["pixel_sha256"], structured["sha256"], structured["image_id"])
    return _first_of_each(structured.append_column("pixels", pixels), "pixels")


def _first_of_each(images: pa.Table, column: str) -> pa.Table:
    """Return the first image of each value; rows are ordered by id, so it has the smallest."""
    if images.num_rows == 0:
        return images
    _, first = np.unique(
        images[column].combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True
    )
    return images.take(pa.array(np.sort(first), pa.int64()))


def _equal_hashes(readable: pa.Table, chosen: pa.Table) -> pa.Table:
    """Return each image that stands back for another with its very hash, with that one."""
    distinct = _distinct_pixels(readable).select(["image_id", "phash256"])
    centers = chosen.select(["image_id", "phash256"]).rename_columns(["center", "phash256"])
    joined = distinct.join(centers, "phash256")
    joined = joined.filter(pc.not_equal(joined["image_id"], joined["center"]))
    count = joined.num_rows
    return pa.table(
        {
            "a": joined["center"],
            "b": joined["image_id"],
            "kind": pa.array(["perceptual"] * count, pa.string()),
            "variant": pa.array(np.zeros(count, np.uint8)),
            "distance": pa.array(np.zeros(count, np.int16)),
        }
    )


def _perceptual(
    new: pa.Table, known: pa.Table, radii: tuple[int, int, int], pairs_within: NearPairs
) -> pa.Table:
    left, right = (Hashes.of_bytes(hash_bytes(images["phash256"])) for images in (new, known))
    parts = []
    for side, images, pairs in (
        (None, new, pairs_within(left, None, *radii)),
        (right, known, pairs_within(left, right, *radii) if len(right) else Pairs.joined(())),
    ):
        a = new["image_id"].take(pa.array(pairs.left))
        b = images["image_id"].take(pa.array(pairs.right))
        variant = pairs.variant
        if side is not None:
            swapped = pc.greater(a, b)
            a, b = pc.if_else(swapped, b, a), pc.if_else(swapped, a, b)
            variant = np.where(swapped.to_numpy(), INVERSE[variant], variant)
        parts.append(
            pa.table(
                {
                    "a": a,
                    "b": b,
                    "kind": pa.array(["perceptual"] * len(pairs), pa.string()),
                    "variant": pa.array(variant, pa.uint8()),
                    "distance": pa.array(pairs.distance, pa.int16()),
                }
            )
        )
    return pa.concat_tables(parts)


def hash_bytes(hashes: pa.ChunkedArray) -> npt.NDArray[np.uint8]:
    """Return a column of 32-byte hashes without nulls as an array of shape (n, 32)."""
    lengths = pc.binary_length(hashes)
    if len(hashes) and (pc.min(lengths).as_py() != HASH_BYTES or pc.max(lengths).as_py() != HASH_BYTES):
        raise ValueError(
            f"phash256: expected {HASH_BYTES} bytes in every row, got {pc.min(lengths)} to {pc.max(lengths)}"
        )
    joined = b"".join(hashes.to_pylist())
    return np.frombuffer(joined, np.uint8).reshape(-1, HASH_BYTES)
