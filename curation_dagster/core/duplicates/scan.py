"""All pairs within a Hamming radius by comparing every hash with every other, block by block.

Above a fifth or so of the bits no index is both complete and faster: the distances of unrelated pictures crowd
around 128 of 256, and a radius of 64 to 72 leaves nothing to prune by. So every pair is looked at, but not all of
it: the distance on a part of the words is a lower bound of the whole, and for the radii in use two or three words
rule out nearly every unrelated pair. The few that are left get their exact distance.

Measured on one core of a shared EPYC, 5e9 pairs of 100,000 random hashes: see docs/duplicates.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.variants import (
    EVEN_EVEN,
    EVEN_ODD,
    IDENTITY,
    ODD_EVEN,
    ODD_ODD,
    VARIANTS,
    WORD_BITS,
    Hashes,
    Variant,
    Words,
)

# A block of 16 x 16384 pairs keeps numpy's cost per call small and its 2 MiB buffer in the cache.
_ROWS = 16
_COLUMNS = 16384
_STRIPE = 64  # blocks of rows that one thread takes at once
# Symmetric pictures (a lesion in the middle, dark corners) agree in the even-even word most, so it comes last.
_WORD_ORDER = (ODD_ODD, EVEN_ODD, ODD_EVEN, EVEN_EVEN)
# Unrelated hashes differ in 32 of 64 bits (standard deviation 4); or 28.8 (2.4) where the mirror is free to choose.
_PLAIN = (32.0, 4.0)
_MIRRORED = (28.8, 2.4)


def scan(
    left: Hashes, right: Hashes | None, radius: int, dihedral_radius: int | None, workers: int = 1
) -> Pairs:
    """Return every pair within the radius.

    Parameters
    ----------
    left : Hashes
        The hashes searched for.
    right : Hashes or None
        The hashes searched in; None for pairs among ``left``, each pair once with left < right.
    radius : int
        Largest distance of a pair as it is. Bit.
    dihedral_radius : int or None
        Largest distance of a mirrored or rotated variant of the left picture; None to leave them out. Bit.
    workers : int
        Threads; numpy works without the interpreter lock.

    Returns
    -------
    Pairs
        The same pairs as brute force over all variants, in order.
    """
    if len(left) == 0 or (right is not None and len(right) == 0):
        return Pairs.joined(())
    within = right is None
    columns = left if right is None else right

    def stripe(start: int) -> list[Pairs]:
        buffers = _Buffers()
        stop = min(start + _ROWS * _STRIPE, len(left))
        return [
            found
            for row in range(start, stop, _ROWS)
            for found in _rows(
                buffers, left, columns, row, min(row + _ROWS, stop), within, radius, dihedral_radius
            )
        ]

    if dihedral_radius is not None:
        _ = left.transposed  # computed once, before the threads share it
    starts = range(0, len(left), _ROWS * _STRIPE)
    if workers == 1 or len(starts) == 1:
        return Pairs.joined(p for start in starts for p in stripe(start))
    with ThreadPoolExecutor(workers) as pool:
        return Pairs.joined(p for parts in pool.map(stripe, starts) for p in parts)


def prefix_words(radius: int, mean: float, deviation: float) -> int:
    """Return how many words rule out all but about a thousandth of the unrelated pairs, 1 to 4."""
    for words in (1, 2, 3):
        if radius < words * mean - 3 * deviation * words**0.5:
            return words
    return 4


class _Buffers:
    """Scratch space of one thread.

    Buffers of a power of two in size would all start at the same offset within a memory page, and the processor
    takes a read for one that depends on the last write to another (4 KiB aliasing: ten times slower). So each
    starts elsewhere in its page.
    """

    def __init__(self) -> None:
        self.xor = np.empty(_ROWS * _COLUMNS, np.uint64)
        self.bytes = [_shifted(_ROWS * _COLUMNS, 640 * k) for k in range(1, 5)]
        self.flags = [_shifted(_ROWS * _COLUMNS, 640 * k).view(np.bool_) for k in range(5, 7)]


def _shifted(size: int, offset: int) -> npt.NDArray[np.uint8]:
    page = 4096
    room = np.empty(size + 2 * page, np.uint8)
    start = -room.ctypes.data % page + offset
    return room[start : start + size]


def _rows(
    buffers: _Buffers,
    left: Hashes,
    right: Hashes,
    start: int,
    stop: int,
    within: bool,
    radius: int,
    dihedral_radius: int | None,
) -> Iterator[Pairs]:
    passes: list[tuple[Words, int | None, tuple[Variant, ...]]] = [
        (left.words[:, start:stop], radius, VARIANTS[:4])
    ]
    if dihedral_radius is not None:
        passes.append((left.transposed.words[:, start:stop], None, VARIANTS[4:]))
    for column in range(start + 1 if within else 0, len(right), _COLUMNS):
        block = right.words[:, column : column + _COLUMNS]
        for words, plain_radius, variants in passes:
            i, j = _survivors(buffers, words, block, plain_radius, dihedral_radius)
            if within:
                later = start + i < column + j
                i, j = i[later], j[later]
            if not len(i):
                continue
            counts = np.bitwise_count(words[:, i] ^ block[:, j]).astype(np.int16)
            for variant in variants:
                bound = radius if variant.index == IDENTITY else dihedral_radius
                if bound is None:
                    continue
                distance = _distance(counts, variant)
                near = distance <= bound
                if near.any():
                    yield Pairs(
                        start + i[near].astype(np.int64),
                        column + j[near].astype(np.int64),
                        np.full(int(near.sum()), variant.index, np.uint8),
                        distance[near],
                    )


def _distance(counts: npt.NDArray[np.int16], variant: Variant) -> npt.NDArray[np.int16]:
    total = np.zeros(counts.shape[1], np.int16)
    for word, inverted in enumerate(variant.inverted_words):
        total += WORD_BITS - counts[word] if inverted else counts[word]
    return total


def _survivors(
    buffers: _Buffers, left: Words, right: Words, radius: int | None, dihedral_radius: int | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return rows and columns of the pairs that a part of the words can't rule out."""
    shape = (left.shape[1], right.shape[1])
    size = shape[0] * shape[1]
    xor = buffers.xor[:size].reshape(shape)
    count, other, plain, mirrored = (b[:size].reshape(shape) for b in buffers.bytes)
    near, also = (b[:size].reshape(shape) for b in buffers.flags)
    plain_words = 0 if radius is None else prefix_words(radius, *_PLAIN)
    mirrored_words = 0 if dihedral_radius is None else prefix_words(dihedral_radius, *_MIRRORED)
    for step in range(max(plain_words, mirrored_words)):
        word = _WORD_ORDER[step]
        np.bitwise_xor(left[word][:, None], right[word][None, :], out=xor)
        np.bitwise_count(xor, out=count)
        if step < plain_words:
            # 256 differing bits wrap to 0 in a byte: one pair more to look at, and none lost
            np.copyto(plain, count) if step == 0 else np.add(plain, count, out=plain)
        if step < mirrored_words:
            if word != EVEN_EVEN:  # no mirror inverts it
                np.subtract(np.uint8(WORD_BITS), count, out=other)
                np.minimum(count, other, out=count)
            np.copyto(mirrored, count) if step == 0 else np.add(mirrored, count, out=mirrored)
    if plain_words and radius is not None:
        np.less_equal(plain, min(radius, 255), out=near)
        if mirrored_words and dihedral_radius is not None:
            np.less_equal(mirrored, min(dihedral_radius, 255), out=also)
            np.logical_or(near, also, out=near)
    else:
        assert dihedral_radius is not None
        np.less_equal(mirrored, min(dihedral_radius, 255), out=near)
    if not near.any():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # numpy finds the few in a flat array ten times faster than in two dimensions
    rows, columns = np.divmod(np.flatnonzero(near), shape[1])
    return rows, columns
