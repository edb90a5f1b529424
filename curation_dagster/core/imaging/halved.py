"""A picture and its halves, made once and shared by those that look at it small."""

from __future__ import annotations

import cv2
import numpy as np


class Halved:
    """A picture in RGB at its own size, at half of it, at a quarter, and so on.

    The mean of 2x2 pixels is the cheapest honest reduction. A last odd row or column is left out.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey, upright.
    """

    def __init__(self, raster: np.ndarray) -> None:
        self._steps = [raster if raster.ndim == 3 else cv2.cvtColor(raster, cv2.COLOR_GRAY2RGB)]

    def at(self, halvings: int) -> np.ndarray:
        """Return the picture after so many halvings; a side of 1 px stays."""
        while len(self._steps) <= halvings:
            last = self._steps[-1]
            width, height = max(1, last.shape[1] // 2), max(1, last.shape[0] // 2)
            part = last[: 2 * height, : 2 * width]
            self._steps.append(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA))
        return self._steps[halvings]

    def down_to(self, long_side: int) -> int:
        """Return how many halvings leave at least ``long_side`` px of the longer side, where it has them."""
        return max(0, (max(self._steps[0].shape[:2]) // long_side).bit_length() - 1)
