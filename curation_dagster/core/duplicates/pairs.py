"""Pairs of hashes, as both search methods return them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Pairs:
    """Pairs within the radius, a row each, ordered by left, right and variant.

    Parameters
    ----------
    left, right : ndarray of int64
        Positions in the two sets of hashes.
    variant : ndarray of uint8
        Variant of the left picture whose hash lies near the right one's.
    distance : ndarray of int16
        Hamming distance. Bit.
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    variant: npt.NDArray[np.uint8]
    distance: npt.NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.left)

    @classmethod
    def of_rows(cls, rows: npt.NDArray[np.int32]) -> Pairs:
        """Return the pairs of an array with the columns left, right, variant and distance, in order."""
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))]
        left, right = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
        return cls(left, right, rows[:, 2].astype(np.uint8), rows[:, 3].astype(np.int16))

    @classmethod
    def joined(cls, parts: Iterable[Pairs]) -> Pairs:
        """Return the pairs of all parts, in order."""
        found = [p for p in parts if len(p)]
        if not found:
            return cls(
                np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.int16)
            )
        left = np.concatenate([p.left for p in found])
        right = np.concatenate([p.right for p in found])
        variant = np.concatenate([p.variant for p in found])
        order = np.lexsort((variant, right, left))
        distance = np.concatenate([p.distance for p in found])
        return cls(left[order], right[order], variant[order], distance[order])
