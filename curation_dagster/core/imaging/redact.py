"""Redaction: boxes are filled with one colour. Nothing of what was there is left to be computed back, as from a blur."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
import yaml

from curation_dagster.core.imaging.settings import VOCABULARIES


def redact(
    pixels: np.ndarray, boxes: Iterable[tuple[int, int, int, int]], color: tuple[int, int, int]
) -> np.ndarray:
    """Return a copy of RGB pixels with the boxes (left, top, right, bottom in px) filled.

    Raises
    ------
    ValueError
        If a box lies outside the picture or is empty: it was measured on another one.
    """
    height, width = pixels.shape[:2]
    filled = pixels.copy()
    for left, top, right, bottom in boxes:
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ValueError(f"a box of {left}, {top}, {right}, {bottom} does not lie in {width}x{height} px")
        filled[top:bottom, left:right] = color
    return filled


@cache
def fill_color() -> tuple[int, int, int]:
    """Return the declared colour of ``vocabularies/publishing.yaml``, 8-bit sRGB."""
    data = yaml.safe_load((VOCABULARIES / "publishing.yaml").read_text(encoding="utf-8"))
    red, green, blue = data["redaction"]["fill"]
    return red, green, blue
