"""The compiled inner loops of the search: all pairs of two sets of hashes, block by block or bucket by bucket.

Both loops look at two or three of a hash's four words first. The distance on a part of the words is a lower bound of the
whole, so a pair that is too far apart there is ruled out; the words even-odd and odd-odd come first, because pictures
of one lesion in the middle agree in the even-even word most. The few pairs that are left get the exact distance of
every variant asked for. The loops hold no Python object and no interpreter lock.

Positions are int32, so a set has at most 2**31 - 1 hashes. Distances of variants: see
:mod:`~curation_dagster.core.duplicates.variants`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from curation_dagster.core.compiling import compiled
from curation_dagster.core.duplicates.ordering import STEP, sorted_again, sorted_by

_BLOCK = 128  # pairs whose flags are joined before anybody looks at them: 1 KiB a word
_FEW = 10  # pairs that are compared one by one
_TILE = 1024  # columns that stay in the cache while rows pass over them
_SORT_NS, _KEY_NS = 15.0, 1.0  # what a sorted row and an empty key cost in a bucket


def _count_ones(_typing: Any, word: Any) -> Any:
    """Return the number of ones of a word of 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


_ones: Any = intrinsic(_count_ones)


@compiled
def _folded(count: Any) -> Any:
    """Return the distance on a word that a mirror may invert."""
    return min(count, np.uint64(64) - count)


# The three tests below join signs instead of truth values, and count in unsigned numbers, which can't mean a place from
# the end of an array: the compiler turns that into vectors of eight pairs.


@compiled
def _any_plain(a1: Any, a2: Any, a3: Any, w1: Any, w2: Any, w3: Any, lo: int, hi: int, radius: int) -> Any:
    near = np.int64(0)
    for y in range(np.uint64(lo), np.uint64(hi)):
        near |= np.int64(_ones(a3 ^ w3[y]) + _ones(a1 ^ w1[y]) + _ones(a2 ^ w2[y])) - radius - 1
    return near < 0


@compiled
def _any_plain_of_two(a1: Any, a3: Any, w1: Any, w3: Any, lo: int, hi: int, radius: int) -> Any:
    near = np.int64(0)
    for y in range(np.uint64(lo), np.uint64(hi)):
        near |= np.int64(_ones(a3 ^ w3[y]) + _ones(a1 ^ w1[y])) - radius - 1
    return near < 0


@compiled
def _any_mirrored(a1: Any, a3: Any, w1: Any, w3: Any, lo: int, hi: int, radius: int) -> Any:
    near = np.int64(0)
    for y in range(np.uint64(lo), np.uint64(hi)):
        c1, c3 = np.int64(_ones(a1 ^ w1[y])), np.int64(_ones(a3 ^ w3[y]))
        near |= min(c1, 64 - c1) + min(c3, 64 - c3) - radius - 1
    return near < 0


@compiled
def _written(
    found: Any, n: int, a: Any, b: Any, left: int, right: int, transposed: bool, radius: int, dihedral: int
) -> Any:
    """Write down the variants of a pair that lie within the radius; return the array, which may have grown, and its fill."""
    c0, c1 = np.int64(_ones(a[0] ^ b[0])), np.int64(_ones(a[1] ^ b[1]))
    c2, c3 = np.int64(_ones(a[2] ^ b[2])), np.int64(_ones(a[3] ^ b[3]))
    first = 4 if transposed else 0
    for variant in range(first, first + 4):
        columns, rows = (variant & 1) != 0, (variant & 2) != 0
        distance = c0
        distance += 64 - c1 if columns else c1
        distance += 64 - c2 if rows else c2
        distance += 64 - c3 if columns != rows else c3
        if distance <= (radius if variant == 0 else dihedral):
            if n == len(found):
                larger = np.empty((2 * n, 4), np.int32)
                larger[:n] = found
                found = larger
            found[n, 0], found[n, 1], found[n, 2], found[n, 3] = left, right, variant, distance
            n += 1
    return found, n


@compiled
def scan_rows(
    left: Any, transposed: Any, right: Any, start: int, stop: int, within: bool, radius: int, dihedral: int
) -> Any:
    """Return the pairs of some rows with all columns, as they are and in every variant.

    Parameters
    ----------
    left, transposed, right : ndarray of uint64, shape (4, n), (4, n) or (4, 0), and (4, m)
        Words of the hashes, of their transposed pictures, and of those searched in.
    start, stop : int
        Rows of ``left``.
    within : bool
        ``left`` and ``right`` are the same; each pair once with left < right.
    radius, dihedral : int
        Bit; -1 to leave out.

    Returns
    -------
    ndarray of int32, shape (pairs, 4)
        left, right, variant, distance.
    """
    found, n = np.empty((1024, 4), np.int32), 0
    columns = right.shape[1]
    w1, w2, w3 = right[1], right[2], right[3]
    far = radius > 48  # then two words of four rule out too little
    for tile in range(0, columns, _TILE):
        end = min(tile + _TILE, columns)
        for row in range(start, stop):
            first = max(tile, row + 1) if within else tile
            for lo in range(first, end, _BLOCK):
                hi = min(lo + _BLOCK, end)
                near = False
                a = left[:, row]
                if radius >= 0:
                    if far:
                        near = _any_plain(a[1], a[2], a[3], w1, w2, w3, lo, hi, radius)
                    else:
                        near = _any_plain_of_two(a[1], a[3], w1, w3, lo, hi, radius)
                if dihedral >= 0 and not near:
                    near = _any_mirrored(a[1], a[3], w1, w3, lo, hi, dihedral)
                if near:
                    found, n = _pairs_of_row(found, n, a, right, row, lo, hi, False, radius, dihedral)
                if dihedral >= 0:
                    t = transposed[:, row]
                    if _any_mirrored(t[1], t[3], w1, w3, lo, hi, dihedral):
                        found, n = _pairs_of_row(found, n, t, right, row, lo, hi, True, radius, dihedral)
    return found[:n].copy()


@compiled
def _pairs_of_row(
    found: Any,
    n: int,
    a: Any,
    right: Any,
    row: int,
    lo: int,
    hi: int,
    transposed: bool,
    radius: int,
    dihedral: int,
) -> Any:
    for y in range(lo, hi):
        c1, c2, c3 = _ones(a[1] ^ right[1, y]), _ones(a[2] ^ right[2, y]), _ones(a[3] ^ right[3, y])
        plain = not transposed and np.int64(c1 + c2 + c3) <= radius
        if plain or np.int64(_folded(c1) + _folded(c3)) <= dihedral:
            found, n = _written(found, n, a, right[:, y], row, y, transposed, radius, dihedral)
    return found, n


@compiled
def _first_agreement(a: Any, b: Any, bands: Any, folded: bool, first: int, second: int) -> bool:
    """Return whether ``first`` and ``second`` (-1: any) are the first bands that two hashes agree in."""
    wanted = first
    for band in range(len(bands)):
        word = np.int64(bands[band, 0])
        mask = bands[band, 2]
        difference = ((a[word] ^ b[word]) >> bands[band, 1]) & mask
        if difference == 0 or (folded and word != 0 and difference == mask):
            if band != wanted:
                return False
            if wanted == second or second < 0:
                return True
            wanted = second
    return False


@compiled
def _collect(
    found: Any, n: int, a: Any, right: Any, right_ids: Any, b1: Any, b3: Any, places: Any, lo: int, hi: int, row: int,
    transposed: bool, radius: int, dihedral: int, bands: Any, first: int, second: int,
) -> Any:  # fmt: skip
    """Write down the pairs of one row with a part of a list that holds a near one."""
    a1, a3 = a[1], a[3]
    for y in range(lo, hi):
        c1, c3 = np.int64(_ones(a1 ^ b1[y])), np.int64(_ones(a3 ^ b3[y]))
        if (transposed or c1 + c3 > radius) and min(c1, 64 - c1) + min(c3, 64 - c3) > dihedral:
            continue
        b = right[:, places[y]]
        before = n
        found, n = _written(found, n, a, b, row, right_ids[places[y]], transposed, radius, dihedral)
        if n > before and not _first_agreement(a, b, bands, dihedral >= 0, first, second):
            n = before  # another combination of bands brings this pair
    return found, n


@compiled
def _join(
    found: Any, n: int, left: Any, left_ids: Any, a1: Any, a3: Any, a_places: Any, a_starts: Any,
    right: Any, right_ids: Any, b1: Any, b3: Any, b_places: Any, b_starts: Any, key_lo: int, key_hi: int,
    within: bool, transposed: bool, radius: int, dihedral: int, bands: Any, first: int, second: int,
) -> Any:  # fmt: skip
    """Compare the rows of each key with each other; both sides are in the order of their positions."""
    folded = dihedral >= 0
    plain = radius >= 0 and not transposed
    for key in range(key_lo, key_hi):
        start, b_hi = b_starts[key], b_starts[key + 1]
        if start == b_hi:
            continue
        for x in range(a_starts[key], a_starts[key + 1]):
            row = left_ids[a_places[x]]
            if within:
                while start < b_hi and right_ids[b_places[start]] <= row:
                    start += 1
            u1, u3 = a1[x], a3[x]
            for lo in range(start, b_hi, _BLOCK):
                hi = min(lo + _BLOCK, b_hi)
                near: Any = False
                if hi - lo < _FEW:
                    for y in range(lo, hi):
                        c1, c3 = np.int64(_ones(u1 ^ b1[y])), np.int64(_ones(u3 ^ b3[y]))
                        near |= plain and c1 + c3 <= radius
                        near |= min(c1, 64 - c1) + min(c3, 64 - c3) <= dihedral
                else:
                    # beyond the list lie other rows, or padding: at worst a look for nothing
                    whole = lo + (hi - lo + STEP - 1) // STEP * STEP
                    near = plain and _any_plain_of_two(u1, u3, b1, b3, lo, whole, radius)
                    near = near or (folded and _any_mirrored(u1, u3, b1, b3, lo, whole, dihedral))
                if near:
                    found, n = _collect(
                        found, n, left[:, a_places[x]], right, right_ids, b1, b3, b_places, lo, hi, row,
                        transposed, radius, dihedral, bands, first, second,
                    )  # fmt: skip
    return found, n


@compiled
def join_band(
    left: Any,
    transposed: Any,
    right: Any,
    within: bool,
    radius: int,
    dihedral: int,
    bands: Any,
    first: int,
    pair_ns: float,
) -> Any:
    """Return the pairs that agree in one band and no earlier one.

    Parameters
    ----------
    left, transposed, right, within, radius, dihedral
        As in :func:`scan_rows`. With a dihedral radius the bands' keys don't change when a mirror inverts a word.
    bands : ndarray of uint64, shape (m, 3)
        Word, shift and mask of each band. At least two agree in every pair within the radius.
    first : int
        The band.
    pair_ns : float
        What comparing two rows costs. Where comparing all rows of a bucket costs more than that, it is sorted by each
        later band in turn, and only what agrees in both is compared.

    Returns
    -------
    ndarray of int32, shape (pairs, 4)
        left, right, variant, distance.
    """
    found, n = np.empty((1024, 4), np.int32), 0
    folded = dihedral >= 0
    word, shift, mask = np.int64(bands[first, 0]), bands[first, 1], bands[first, 2]
    fold_first = folded and word != 0
    r, r_ids, r_starts = sorted_by(right, word, shift, mask, fold_first)
    if within:
        p, p_ids, p_starts = r, r_ids, r_starts
    else:
        p, p_ids, p_starts = sorted_by(left, word, shift, mask, fold_first)
    t, t_ids, t_starts = sorted_by(transposed, word, shift, mask, fold_first)
    largest = 0
    for key in range(np.int64(mask) + 1):
        largest = max(
            largest, r_starts[key + 1] - r_starts[key], p_starts[key + 1] - p_starts[key],
            t_starts[key + 1] - t_starts[key],
        )  # fmt: skip
    room = largest + STEP
    widest = np.int64(bands[:, 2].max()) + 2
    keys = np.empty(largest, np.uint64)
    rs, ps, ts = np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(widest, np.int64)
    r1, r3, r_places = np.zeros(room, np.uint64), np.zeros(room, np.uint64), np.empty(room, np.int64)
    p1, p3, p_places = np.zeros(room, np.uint64), np.zeros(room, np.uint64), np.empty(room, np.int64)
    t1, t3, t_places = np.zeros(room, np.uint64), np.zeros(room, np.uint64), np.empty(room, np.int64)
    own = np.arange(r.shape[1] if r.shape[1] > max(p.shape[1], t.shape[1]) else max(p.shape[1], t.shape[1]))
    later = len(bands) - first - 1
    for key in range(np.int64(mask) + 1):
        r_lo, r_hi = r_starts[key], r_starts[key + 1]
        p_lo, p_hi = p_starts[key], p_starts[key + 1]
        t_lo, t_hi = t_starts[key], t_starts[key + 1]
        rows = r_hi - r_lo + (0 if within else p_hi - p_lo) + t_hi - t_lo
        if r_hi == r_lo or (p_hi == p_lo and t_hi == t_lo):
            continue
        pairs = (r_hi - r_lo) * (p_hi - p_lo + t_hi - t_lo) / (2 if within else 1)
        sorting = later * (rows * _SORT_NS + 3 * widest * _KEY_NS)
        if later > 0 and pairs * pair_ns < sorting:
            found, n = _join(
                found, n, p, p_ids, p[1], p[3], own, p_starts, r, r_ids, r[1], r[3], own, r_starts,
                key, key + 1, within, False, radius, dihedral, bands, first, -1,
            )  # fmt: skip
            if folded:
                found, n = _join(
                    found, n, t, t_ids, t[1], t[3], own, t_starts, r, r_ids, r[1], r[3], own, r_starts,
                    key, key + 1, within, True, radius, dihedral, bands, first, -1,
                )  # fmt: skip
            continue
        for second in range(first + 1, len(bands)):
            word2, shift2, mask2 = np.int64(bands[second, 0]), bands[second, 1], bands[second, 2]
            fold = folded and word2 != 0
            last = np.int64(mask2) + 1
            sorted_again(r, r_lo, r_hi, word2, shift2, mask2, fold, keys, rs, r1, r3, r_places)
            if within:
                found, n = _join(
                    found, n, r, r_ids, r1, r3, r_places, rs, r, r_ids, r1, r3, r_places, rs,
                    0, last, True, False, radius, dihedral, bands, first, second,
                )  # fmt: skip
            else:
                sorted_again(p, p_lo, p_hi, word2, shift2, mask2, fold, keys, ps, p1, p3, p_places)
                found, n = _join(
                    found, n, p, p_ids, p1, p3, p_places, ps, r, r_ids, r1, r3, r_places, rs,
                    0, last, False, False, radius, dihedral, bands, first, second,
                )  # fmt: skip
            if folded:
                sorted_again(t, t_lo, t_hi, word2, shift2, mask2, fold, keys, ts, t1, t3, t_places)
                found, n = _join(
                    found, n, t, t_ids, t1, t3, t_places, ts, r, r_ids, r1, r3, r_places, rs,
                    0, last, within, True, radius, dihedral, bands, first, second,
                )  # fmt: skip
    return found[:n].copy()
