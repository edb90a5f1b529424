"""Sorting hashes into buckets by a band of their bits, compiled.

The compiler's cache looks at the file of the function that is called, not at those that it calls in turn: who changes
this module changes ``kernels.py`` as well, or deletes ``__pycache__``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curation_dagster.core.compiling import compiled

STEP = 32  # pairs of one turn of the compiled loop; a list is compared in whole turns


@compiled
def key_of(word: Any, shift: Any, mask: Any, folded: bool) -> Any:
    """Return a band of a word; folded, a band and its inverse have one key."""
    value = (word >> shift) & mask
    if folded and value > mask >> np.uint64(1):
        value ^= mask
    return value


@compiled
def sorted_by(words: Any, word: int, shift: Any, mask: Any, folded: bool) -> Any:
    """Return rows in the order of their keys, equal keys by position: words, positions and where each key starts."""
    count = words.shape[1]
    starts = np.zeros(np.int64(mask) + 2, np.int64)
    for row in range(count):
        starts[key_of(words[word, row], shift, mask, folded) + np.uint64(1)] += 1
    for key in range(1, len(starts)):
        starts[key] += starts[key - 1]
    heads = starts[:-1].copy()
    ordered, positions = np.zeros((4, count + STEP), np.uint64), np.empty(count, np.int32)
    for row in range(count):
        key = key_of(words[word, row], shift, mask, folded)
        place = heads[key]
        heads[key] += 1
        positions[place] = row
        for k in range(4):
            ordered[k, place] = words[k, row]
    return ordered, positions, starts


@compiled
def sorted_again(
    words: Any, lo: int, hi: int, word: int, shift: Any, mask: Any, folded: bool,
    keys: Any, starts: Any, w1: Any, w3: Any, places: Any,
) -> None:  # fmt: skip
    """Sort one bucket by a second band into scratch space: two words, and each row's place in the first order."""
    starts[: np.int64(mask) + 2] = 0
    for row in range(lo, hi):
        key = key_of(words[word, row], shift, mask, folded)
        keys[row - lo] = key
        starts[key + np.uint64(1)] += 1
    for key in range(1, np.int64(mask) + 2):
        starts[key] += starts[key - 1]
    for row in range(lo, hi):
        key = keys[row - lo]
        place = starts[key]
        starts[key] += 1
        w1[place], w3[place], places[place] = words[1, row], words[3, row], row
    # every start has moved to the start of the next key
    for key in range(np.int64(mask) + 1, 0, -1):
        starts[key] = starts[key - 1]
    starts[0] = 0
