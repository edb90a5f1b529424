"""The search cut into slices that need nothing of each other: all pairs within a radius are the union of their pairs.

A slice is either some rows against all columns, or one band of bits and what agrees in it. No pair is in two slices of
one plan, so a slice may run in a thread here or on another machine, in any order, and be run again after a failure.

Bands: cut into ``m`` bands, two hashes within radius ``r`` agree in at least ``m - r`` of them. With ``r + 2`` bands
each such pair agrees in some two, so hashes are sorted into buckets by one band, each bucket by every later band, and
only what shares a bucket twice is compared; a pair counts in the first two bands that it agrees in. Pigeonhole: Norouzi,
Punjani and Fleet 2012, https://arxiv.org/abs/1307.2982. Buckets are compared by the same vector loop as whole sets, so
they may be large, and short bands, that is large radii, stay affordable.

A mirror inverts whole words of a hash. A band lies inside one word, and a band and its inverse share a bucket: so one
join serves four of the eight variants, and one more with the transposed hashes the other four.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.variants import WORD_BITS, Hashes, Words

NONE = -1  # a radius that is not asked for
_WIDEST = 16  # bits of a band: a bucket for each of its values must fit the memory
_ROWS = 2048  # of one slice of the scan
_MOST_BANDS = 100  # beyond, bands have two bits and every bucket is a quarter of all


@dataclass(frozen=True)
class Costs:
    """What the steps cost on one core, to choose between scan and bands. Nanoseconds.

    Measured (docs/duplicates.md); a wrong figure makes the search slower, never incomplete.
    """

    scan_pair: float = 0.27
    scan_pair_variants: float = 0.8
    join_row: float = 15.0
    join_pair: float = 0.5


@dataclass(frozen=True)
class Slice:
    """One part of a search; plain numbers, so that it can be sent anywhere.

    Parameters
    ----------
    radius, dihedral_radius : int
        Largest distance as it is, and of the seven variants; -1 to leave out. Bit.
    start, stop : int
        Rows of the left side; of the scan only.
    bands, band : int
        Number of bands, 0 for the scan, and which one.
    pair_ns : float
        What comparing a pair costs against sorting a row (:class:`Costs`): when a bucket is sorted once more.
    """

    radius: int
    dihedral_radius: int
    start: int = 0
    stop: int = 0
    bands: int = 0
    band: int = 0
    pair_ns: float = Costs.join_pair


def slices(
    left: int, right: int | None, radius: int, dihedral_radius: int | None, costs: Costs | None = None
) -> tuple[Slice, ...]:
    """Return the slices of a search, the longest of each kind first.

    Parameters
    ----------
    left : int
        Number of hashes searched for.
    right : int or None
        Number of hashes searched in; None for pairs among the first.
    radius : int
        Largest distance of a pair as it is. Bit.
    dihedral_radius : int or None
        Largest distance of a mirrored or rotated variant of the left picture; None to leave them out. Bit.
    """
    costs = costs or Costs()
    columns = left if right is None else right
    if left == 0 or columns == 0:
        return ()
    pairs = left * columns / (2 if right is None else 1)
    rows = left if right is None else left + columns
    scanned, found = [NONE, NONE], []
    # where the variants' radius is as large, one join by their bands finds the pictures as they are as well
    both = dihedral_radius is not None and dihedral_radius >= radius
    parts = [(radius, dihedral_radius)] if both else [(radius, None), (NONE, dihedral_radius)]
    for plain, mirrored in parts:
        if plain == NONE and mirrored is None:
            continue
        scan = pairs * ((costs.scan_pair if plain != NONE else 0) + (costs.scan_pair_variants if mirrored is not None else 0))  # fmt: skip
        limit = plain if mirrored is None else mirrored
        bands = max(limit + 2, 4 * WORD_BITS // _WIDEST)
        if bands <= _MOST_BANDS and _join_cost(pairs, rows + (left if mirrored is not None else 0), bands, mirrored is not None, costs) < scan:  # fmt: skip
            other = NONE if mirrored is None else mirrored
            found += [Slice(plain, other, bands=bands, band=k, pair_ns=costs.join_pair) for k in range(bands)]
        else:
            scanned = [max(scanned[0], plain), scanned[1] if mirrored is None else mirrored]
    if scanned != [NONE, NONE]:
        found += [
            Slice(scanned[0], scanned[1], start=k, stop=min(k + _ROWS, left)) for k in range(0, left, _ROWS)
        ]
    return tuple(found)


def run(left: Hashes, right: Hashes | None, part: Slice) -> Pairs:
    """Return the pairs of one slice, in order.

    Parameters
    ----------
    left : Hashes
        The hashes searched for.
    right : Hashes or None
        The hashes searched in; None for pairs among ``left``, each pair once with left < right.
    """
    # compiled on first use: importing the package must not cost it
    from curation_dagster.core.duplicates.kernels import join_band, scan_rows

    within = right is None
    rows = _read_only(left.words)
    columns = rows if right is None else _read_only(right.words)
    nothing = np.empty((4, 0), np.uint64)
    transposed = _read_only(left.transposed.words if part.dihedral_radius != NONE else nothing)
    if part.bands:
        found = join_band(
            rows, transposed, columns, within, part.radius, part.dihedral_radius,
            bands_of(part.bands), part.band, part.pair_ns,
        )  # fmt: skip
    else:
        found = scan_rows(
            rows, transposed, columns, part.start, part.stop, within, part.radius, part.dihedral_radius
        )
    return Pairs.of_rows(found)


def _read_only(words: Words) -> Words:
    """Return a view that can't be written: what comes from a cluster can't either, and would be compiled for anew."""
    view = words.view()
    view.flags.writeable = False
    return view


def near_pairs(
    left: Hashes,
    right: Hashes | None,
    radius: int,
    dihedral_radius: int | None,
    workers: int = 1,
    costs: Costs | None = None,
) -> Pairs:
    """Return all pairs within the radius: the slices in threads, the compiled loops work without the interpreter lock."""
    parts = slices(len(left), None if right is None else len(right), radius, dihedral_radius, costs)
    if dihedral_radius is not None:
        _ = left.transposed  # computed once, before the threads share it
    if workers == 1 or len(parts) == 1:
        return Pairs.joined([run(left, right, part) for part in parts])
    with ThreadPoolExecutor(workers) as pool:
        return Pairs.joined(list(pool.map(lambda part: run(left, right, part), parts)))


def bands_of(number: int) -> npt.NDArray[np.uint64]:
    """Return word, shift and mask of each band, shape (number, 3); no band reaches over two words."""
    rows = []
    for word in range(4):
        count = number // 4 + (word < number % 4)
        edges = [round(k * WORD_BITS / count) for k in range(count + 1)]
        rows += [(word, lo, (1 << (hi - lo)) - 1) for lo, hi in itertools.pairwise(edges)]
    return np.array(rows, np.uint64)


def _join_cost(pairs: float, rows: float, bands: int, mirrored: bool, costs: Costs) -> float:
    shares = [2.0 ** (mirrored and word > 0) / (mask + 1) for word, _, mask in bands_of(bands).tolist()]
    total = sum(shares)
    agreeing = (total * total - sum(s * s for s in shares)) / 2  # over all two bands
    compared = pairs * agreeing * (2 if mirrored else 1)
    return math.comb(bands, 2) * rows * costs.join_row + compared * costs.join_pair * (1 + mirrored)
