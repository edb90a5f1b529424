"""Whether strokes in a row look like letters: the second look, before anything is read.

The row is drawn level, with letters 12 px high, in the channel and with the sign in which its strokes were found. What
is known of it then is the direction of its edges in cells of 6x6 px (histograms of oriented gradients: Dalal and Triggs
2005) and the features of the row. A network of one hidden layer makes a score of these; its weights are made by
``benchmarks/fit_letters.py``.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import cv2
import numpy as np

from curation_dagster.core.compiling import compiled
from curation_dagster.core.imaging.declared import declared_file
from curation_dagster.core.imaging.detecting import Letters
from curation_dagster.core.imaging.glyphs import WAYS, Row
from curation_dagster.core.imaging.halved import Halved

LETTER, HIGH, WIDE = 12, 24, 96
"""Height of a letter and of a view, width of a view, in px; a view holds eight letter heights."""
_CELL, _DIRECTIONS = 6, 8


@cache
def _weights(sha256: str) -> tuple[np.ndarray, ...]:
    """Return mean and spread of what is known of a row, and the weights and offsets of both layers."""
    with np.load(io.BytesIO(declared_file("letters.npz", sha256)), allow_pickle=False) as file:
        names = ("mean", "spread", "inner", "inner_offset", "outer", "outer_offset")
        return tuple(file[name].astype(np.float32) for name in names)


def check_letters(settings: Letters) -> None:
    """Raise ``ModelError`` unless the file of the weights is the declared one."""
    _weights(settings.sha256)


def compile_letters() -> None:
    """Compile the loops, or load what was kept of that."""
    _histograms(np.zeros((HIGH - 2, WIDE - 2), np.float32), np.zeros((HIGH - 2, WIDE - 2), np.float32))


def score_of(picture: Halved, row: Row, settings: Letters) -> float:
    """Return how much a row looks like letters: above 0 more likely than not."""
    return score_with(_weights(settings.sha256), np.stack(list(known(picture, row, settings.views))))


def score_with(weights: tuple[np.ndarray, ...], seen: np.ndarray) -> float:
    """Return the best score of several views (n, 532) of a row."""
    mean, spread, inner, inner_offset, outer, outer_offset = weights
    hidden = np.maximum((seen - mean) / spread @ inner + inner_offset, 0)
    return float((hidden @ outer + outer_offset).max())


def known(picture: Halved, row: Row, most: int) -> Any:
    """Yield what is known of a row in each of at most ``most`` views along it: 512 of its edges, 20 of the row."""
    way = np.zeros(len(WAYS))
    way[row.way] = 1
    features = np.concatenate([row.features, way])
    for view in _views(picture, row, most):
        channel = _ink(view, row.way)
        across = channel[1:-1, 2:] - channel[1:-1, :-2]
        down = channel[2:, 1:-1] - channel[:-2, 1:-1]
        edges = _histograms(*cv2.cartToPolar(across, down)).ravel()
        yield np.concatenate([np.sqrt(edges / (edges.sum() + 1e-6)), features]).astype(np.float32)


def _views(picture: Halved, row: Row, most: int) -> list[np.ndarray]:
    """Return pieces (24, 96, 3) along the row, level and with letters 12 px high."""
    left, top, right, bottom = row.box
    halvings = max(0, int(row.height / LETTER).bit_length() - 1)
    level, step = picture.at(halvings), 2**halvings
    scale = max(row.height, 1.0) / step / LETTER  # px of the level for one of the view
    stretch = (1 + row.slope**2) ** 0.5
    length = (right - left) * stretch / step / scale
    along, across = scale / stretch, scale * row.slope / stretch
    x, y = (left + right) / 2 / step, (top + bottom) / 2 / step
    count = min(most, max(1, int(np.ceil((length - 2 * LETTER) / WIDE))))
    found = []
    for number in range(count):
        at = (number / (count - 1) - 0.5) * max(length - WIDE, 0) if count > 1 else 0.0
        a, b = at - WIDE / 2, HIGH / 2
        turn = np.array(
            [[along, -across, x + along * a + across * b], [across, along, y + across * a - along * b]]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found.append(cv2.warpAffine(level, turn, (WIDE, HIGH), flags=flags, borderMode=cv2.BORDER_REPLICATE))
    return found


def _ink(view: np.ndarray, way: int) -> np.ndarray:
    """Return the channel in which the strokes were found, so that they are lighter than what they stand on."""
    red, green, blue = (view[..., i].astype(np.float32) for i in range(3))
    return (-red, -blue, green, blue, -np.maximum(red - blue, 0))[way]


@compiled
def _histograms(strength: Any, direction: Any) -> Any:
    """Return the strength of edges by cell and direction, (4, 16, 8), each shared among the nearest of both."""
    rows, columns = (strength.shape[0] + 2) // _CELL, (strength.shape[1] + 2) // _CELL
    found = np.zeros((rows, columns, _DIRECTIONS), np.float32)
    for y in range(strength.shape[0]):
        at_y = (y + 1.5) / _CELL - 0.5
        top = int(np.floor(at_y))
        for x in range(strength.shape[1]):
            if strength[y, x] <= 0:
                continue
            at_x = (x + 1.5) / _CELL - 0.5
            left = int(np.floor(at_x))
            turn = direction[y, x] * (_DIRECTIONS / (2 * np.pi))
            first = int(turn)
            later = turn - first
            for b in range(2):
                row = top + b
                if row < 0 or row >= rows:
                    continue
                share_y = at_y - top if b else 1 - at_y + top
                for a in range(2):
                    column = left + a
                    if column < 0 or column >= columns:
                        continue
                    share = strength[y, x] * share_y * (at_x - left if a else 1 - at_x + left)
                    found[row, column, first % _DIRECTIONS] += share * (1 - later)
                    found[row, column, (first + 1) % _DIRECTIONS] += share * later
    return found
