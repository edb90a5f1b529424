"""Rows of strokes that may be letters: the cheap look that decides which places of a picture are read.

Letters are thin, and differ from what they stand on by a nearly constant amount; several of them of like height stand
in a row, with quiet between the strokes. Hairs are longer, ticks of a ruler narrower, pores and scales of unlike
height and not in rows. So the picture is halved (which keeps strokes of letters of 16 px), thin dark and light
structures are cut out in the channels in which ink differs most from skin, their connected parts are chained into
rows, and each row gets a score from its features. Letters of 70 px and more are looked for at an eighth of the size.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from curation_dagster.core.imaging.chains import CELL, rows_of
from curation_dagster.core.imaging.detecting import FEATURES, Gate, Strokes
from curation_dagster.core.imaging.halved import Halved

WAYS = ("dark in red", "dark in blue", "light in green", "light in blue", "colorless")
HALVINGS = (1, 3)
_DARK, _LIGHT = WAYS.index("dark in red"), WAYS.index("light in blue")
_SAMPLES = 4096
_MOST_ROWS = 4096
_KEPT_BYTES = 32 * 2**20
_KEPT = threading.local()


@dataclass(frozen=True)
class Row:
    """Strokes in a row: where (left, top, right, bottom in px of the picture), how high a stroke is, how sure.

    ``slope`` is of the line through the strokes, ``way`` the number in ``WAYS`` in which they were found, ``features``
    are in the order of ``FEATURES``.
    """

    box: tuple[int, int, int, int]
    height: float
    score: float
    slope: float = 0.0
    way: int = 0
    features: tuple[float, ...] = ()

    @property
    def colorless(self) -> bool:
        """Whether the strokes were found by their lack of color."""
        return self.way == WAYS.index("colorless")


def rows_of_strokes(picture: Halved, strokes: Strokes, gate: Gate) -> list[Row]:
    """Return the rows of strokes that score above ``gate.least``: those that are worth a second look."""
    numbers = np.array(
        [
            strokes.over_texture, strokes.least_contrast, strokes.most_contrast, strokes.second_level_from,
            strokes.plain_contrast, strokes.dense, *strokes.height, strokes.most, gate.offset, gate.least, 0,
        ]
    )  # fmt: skip
    found = _memory("rows", _MOST_ROWS * (7 + len(FEATURES)) * 8).view(np.float64).reshape(_MOST_ROWS, -1)
    rows = []
    for halvings in HALVINGS:
        level, (height, width) = _whole_cells(picture.at(halvings))
        if min(height, width) < 24:  # too small for a row of letters
            continue
        numbers[-1] = max(2, int((height * width / _SAMPLES) ** 0.5))
        for way, response, channel, mask, (low, high) in _responses(level, strokes):
            count = rows_of(
                response, channel, mask, mask.view(np.uint64), numbers, gate.weights, height, width,
                low, high, WAYS[way] == "colorless", found,
            )  # fmt: skip
            rows += [_row(values, 2**halvings, way) for values in found[:count].tolist()]
    return rows


def _row(values: list[float], scale: int, way: int) -> Row:
    left, top, right, bottom = (scale * int(v) for v in values[:4])
    height, slope, score = values[4:7]
    return Row((left, top, right, bottom), scale * height, score, slope, way, tuple(values[7:]))


def compile_rows(strokes: Strokes, gate: Gate) -> None:
    """Compile the loops, which takes half a minute, or load what was kept of that."""
    line = np.zeros((64, 128, 3), np.uint8)
    line[30:34, 20:100:2] = 255
    rows_of_strokes(Halved(line), strokes, gate)


def _whole_cells(level: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the level continued to whole cells, and the height and width in px of what of it is picture."""
    height, width = level.shape[:2]
    below, right = -height % CELL, -width % CELL
    if below or right:
        level = cv2.copyMakeBorder(level, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return level, (height, width)


def _memory(name: str, size: int) -> np.ndarray:
    """Return so many bytes, whatever is in them: the same in every call of a thread.

    Fresh memory costs more than what is computed in it. That for a huge picture is not kept.
    """
    memory = getattr(_KEPT, name, None)
    if memory is None or memory.size < size:
        memory = np.empty(size, np.uint8)
        if size <= _KEPT_BYTES:
            setattr(_KEPT, name, memory)
    kept: np.ndarray = memory[:size]
    return kept


def _responses(
    level: np.ndarray, strokes: Strokes
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]]:
    """Yield the number of each way, how thin structures respond in it, its channel, room for a mask, levels of ink.

    Dark ink differs most from skin in red, light ink in blue; yellow and red ink in blue and green. White ink on light,
    rough skin differs in its lack of color alone: relief changes red and blue alike, ink takes their difference away.
    Each response is written over by the next.
    """
    window = np.ones((strokes.window, strokes.window), np.uint8)
    height, width = level.shape[:2]
    planes = _memory("planes", 7 * height * width).reshape(7, height, width)
    red, green, blue, difference, first, response, mask = planes
    cv2.split(level, (red, green, blue))
    cv2.subtract(red, blue, difference)
    for way, channel in enumerate((red, blue, green, blue, difference)):
        ink = (1, 0)
        if WAYS[way].startswith("light"):
            cv2.erode(channel, window, first, borderType=cv2.BORDER_REPLICATE)
            cv2.dilate(first, window, response, borderType=cv2.BORDER_REPLICATE)
            cv2.subtract(channel, response, response)
            ink = (strokes.light + 1, 255) if way == _LIGHT else ink
        else:
            cv2.dilate(channel, window, first, borderType=cv2.BORDER_REPLICATE)
            cv2.erode(first, window, response, borderType=cv2.BORDER_REPLICATE)
            cv2.subtract(response, channel, response)
            ink = (0, strokes.dark) if way == _DARK else ink
        yield way, response, channel, mask, ink
