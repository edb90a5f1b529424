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

from curation_dagster.core.imaging.chains import CELL, common_level, rows_of
from curation_dagster.core.imaging.detecting import Gate, Strokes
from curation_dagster.core.imaging.halved import Halved

FEATURES = (
    "glyphs", "parts", "unlike_heights", "fill", "contrast", "over_texture", "peak", "unlike_peaks", "off_line",
    "height", "part_fill", "texture", "quiet", "density", "colorless",
)  # fmt: skip
WAYS = ("dark in red", "dark in blue", "light in green", "light in blue", "colorless")
HALVINGS = (1, 3)
_DARK, _LIGHT = WAYS.index("dark in red"), WAYS.index("light in blue")
_BORDER = 2
_SAMPLES = 16_384
_KEPT_BYTES = 32 * 2**20
_MEMORY = threading.local()


@dataclass(frozen=True)
class Row:
    """Strokes in a row: where (left, top, right, bottom in px of the picture), how high a stroke is, how sure.

    ``slope`` is of the line through the strokes; ``way`` is the number in ``WAYS`` in which they were found.
    """

    box: tuple[int, int, int, int]
    height: float
    score: float
    slope: float = 0.0
    way: int = 0

    @property
    def colorless(self) -> bool:
        """Whether the strokes were found by their lack of color."""
        return self.way == WAYS.index("colorless")


def rows_of_strokes(picture: Halved, strokes: Strokes, gate: Gate) -> list[Row]:
    """Return the rows that are worth a second look, the surest first."""
    found = [row for row, _ in candidates(picture, strokes, gate)]
    return sorted(found, key=lambda r: (-r.score, r.box))


def candidates(picture: Halved, strokes: Strokes, gate: Gate) -> Iterator[tuple[Row, list[float]]]:
    """Yield the rows of strokes that score above ``gate.least``, and their features in the order of ``FEATURES``."""
    weights = np.array([gate.features[name] for name in FEATURES]).T.copy()
    for halvings in HALVINGS:
        level, inside = _whole_cells(picture.at(halvings))
        scale = 2**halvings
        for response, texture, mask, way in _masks(level, inside, strokes):
            edges, lines, features = rows_of(
                mask, mask.view(np.uint64), response, texture, strokes.dense, *strokes.height, strokes.most,
                WAYS[way] == "colorless", weights, gate.offset, gate.least,
            )  # fmt: skip
            for i in range(len(edges)):
                left, top, right, bottom = (scale * edges[i]).tolist()
                height, slope, score = lines[i].tolist()
                yield Row((left, top, right, bottom), scale * height, score, slope, way), features[i].tolist()


def _whole_cells(level: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the level continued to whole cells, and the height and width in px of what of it is picture.

    A level that is too small for a row of letters has none.
    """
    height, width = level.shape[:2]
    below, right = -height % CELL, -width % CELL
    if below or right:
        level = cv2.copyMakeBorder(level, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return level, (height, width) if min(height, width) >= 24 else (0, 0)


def _planes(count: int, height: int, width: int) -> np.ndarray:
    """Return uint8 planes, whatever is in them: the same memory in every call of a thread.

    Fresh memory costs more than what is computed in it. That for a huge picture is not kept.
    """
    needed = count * height * width
    memory = getattr(_MEMORY, "planes", None)
    if memory is None or memory.size < needed:
        memory = np.empty(needed, np.uint8)
        if needed <= _KEPT_BYTES:
            _MEMORY.planes = memory
    planes: np.ndarray = memory[:needed].reshape(count, height, width)
    return planes


def _masks(
    level: np.ndarray, inside: tuple[int, int], strokes: Strokes
) -> Iterator[tuple[np.ndarray, int, np.ndarray, int]]:
    """Yield response, level of texture and mask of thin structures, and the number of the way they were found in.

    Dark ink differs most from skin in red, light ink in blue; yellow and red ink in blue and green. White ink on light,
    rough skin differs in its lack of color alone: relief changes red and blue alike, ink takes their difference away.
    Each is cut at a level above the picture's own texture, on rough skin at twice that too; and what is black or white
    as only ink is, at a low one. Response and mask are written over by the next.
    """
    if not inside[0]:
        return
    window = np.ones((strokes.window, strokes.window), np.uint8)
    red, green, blue, difference, first, response, mask, ink = _planes(8, level.shape[0], level.shape[1])
    cv2.split(level, (red, green, blue))
    cv2.subtract(red, blue, difference)
    step = max(2, int((red.size / _SAMPLES) ** 0.5))
    for way, channel in enumerate((red, blue, green, blue, difference)):
        if WAYS[way].startswith("light"):
            cv2.erode(channel, window, first, borderType=cv2.BORDER_REPLICATE)
            cv2.dilate(first, window, response, borderType=cv2.BORDER_REPLICATE)
            cv2.subtract(channel, response, response)
        else:
            cv2.dilate(channel, window, first, borderType=cv2.BORDER_REPLICATE)
            cv2.erode(first, window, response, borderType=cv2.BORDER_REPLICATE)
            cv2.subtract(response, channel, response)
        response[:_BORDER] = response[inside[0] - _BORDER :] = 0
        response[:, :_BORDER] = response[:, inside[1] - _BORDER :] = 0
        common = common_level(response[: inside[0], : inside[1]], step, 0.9)
        texture = int(strokes.over_texture * common + 2)
        texture = min(max(texture, strokes.least_contrast), strokes.most_contrast)
        levels = (texture, 2 * texture) if texture >= strokes.second_level_from else (texture,)
        for threshold in levels:
            cv2.threshold(response, threshold, 255, cv2.THRESH_BINARY, mask)
            yield response, texture, mask, way
        if way in (_DARK, _LIGHT):
            if way == _DARK:
                cv2.threshold(red, strokes.dark, 255, cv2.THRESH_BINARY_INV, ink)
            else:
                cv2.threshold(blue, strokes.light, 255, cv2.THRESH_BINARY, ink)
            cv2.threshold(response, strokes.plain_contrast, 255, cv2.THRESH_BINARY, mask)
            cv2.bitwise_and(mask, ink, mask)
            yield response, texture, mask, way
