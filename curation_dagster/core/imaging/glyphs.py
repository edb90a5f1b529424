"""Rows of strokes that may be letters: the cheap look that decides which places of a picture are read.

Letters are thin, and differ from what they stand on by a nearly constant amount; several of them of like height stand
in a row, with quiet between the strokes. Hairs are longer, ticks of a ruler narrower, pores and scales of unlike
height and not in rows. So the picture is halved (which keeps strokes of letters of 16 px), thin dark and light
structures are cut out in the channels in which ink differs most from skin, their connected parts are chained into
rows, and each row gets a score from its features. Letters of 70 px and more are looked for at an eighth of the size.
"""

from __future__ import annotations

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
HALVINGS = (1, 3)
_BORDER = 2
_SAMPLES = 16_384


@dataclass(frozen=True)
class Row:
    """Strokes in a row: where (left, top, right, bottom in px of the picture), how high a stroke is, how sure.

    ``colorless`` says that the strokes were found by their lack of color.
    """

    box: tuple[int, int, int, int]
    height: float
    score: float
    colorless: bool = False


def rows_of_strokes(picture: Halved, strokes: Strokes, gate: Gate) -> list[Row]:
    """Return the rows that are worth reading, the surest first."""
    found = [
        Row(box, height, score, features["colorless"] > 0)
        for box, height, features in candidates(picture, strokes)
        if (score := score_of(features, gate)) > gate.least
    ]
    return sorted(found, key=lambda r: (-r.score, r.box))


def score_of(features: dict[str, float], gate: Gate) -> float:
    """Return the logistic score: above 0 more likely letters than not."""
    total = gate.offset
    for name, (mean, spread, linear, squared) in gate.features.items():
        z = (features[name] - mean) / spread
        total += linear * z + squared * z * z
    return total


def candidates(
    picture: Halved, strokes: Strokes
) -> Iterator[tuple[tuple[int, int, int, int], float, dict[str, float]]]:
    """Yield box, height of a stroke in px and features of each row of strokes."""
    for halvings in HALVINGS:
        level, inside = _whole_cells(picture.at(halvings))
        scale = 2**halvings
        for response, texture, mask, colorless in _masks(level, inside, strokes):
            edges, heights, features = rows_of(
                mask, mask.view(np.uint64), response, texture, strokes.dense, *strokes.height, strokes.most
            )
            for box, height, values in zip(edges.tolist(), heights.tolist(), features.tolist(), strict=True):
                named = dict(zip(FEATURES, (*values, float(colorless)), strict=True))
                yield tuple(scale * v for v in box), scale * height, named  # type: ignore[misc]


def _whole_cells(level: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the level continued to whole cells, and the height and width in px of what of it is picture.

    A level that is too small for a row of letters has none.
    """
    height, width = level.shape[:2]
    below, right = -height % CELL, -width % CELL
    if below or right:
        level = cv2.copyMakeBorder(level, 0, below, 0, right, cv2.BORDER_REPLICATE)
    return level, (height, width) if min(height, width) >= 24 else (0, 0)


def _masks(
    level: np.ndarray, inside: tuple[int, int], strokes: Strokes
) -> Iterator[tuple[np.ndarray, int, np.ndarray, bool]]:
    """Yield response, level of texture and mask of thin structures, and whether the response is of lacking color.

    Dark ink differs most from skin in red, light ink in blue; yellow and red ink in blue and green. White ink on light,
    rough skin differs in its lack of color alone: relief changes red and blue alike, ink takes their difference away.
    Each is cut at a
    level above the picture's own texture, on rough skin at twice that too; and what is black or white as only ink
    is, at a low one.
    """
    if not inside[0]:
        return
    window = np.ones((strokes.window, strokes.window), np.uint8)
    red, green, blue = cv2.split(level)
    step = max(2, int((level.shape[0] * level.shape[1] / _SAMPLES) ** 0.5))
    ways = (
        (red, cv2.MORPH_BLACKHAT, False, (red, strokes.dark, cv2.THRESH_BINARY_INV)),
        (blue, cv2.MORPH_BLACKHAT, False, None),
        (green, cv2.MORPH_TOPHAT, False, None),
        (blue, cv2.MORPH_TOPHAT, False, (blue, strokes.light, cv2.THRESH_BINARY)),
        (cv2.subtract(red, blue), cv2.MORPH_BLACKHAT, True, None),
    )
    for channel, way, colorless, plain in ways:
        response = cv2.morphologyEx(channel, way, window, borderType=cv2.BORDER_REPLICATE)
        common = common_level(response[: inside[0], : inside[1]], step, 0.9)
        texture = int(
            np.clip(strokes.over_texture * common + 2, strokes.least_contrast, strokes.most_contrast)
        )
        levels = (texture, 2 * texture) if texture >= strokes.second_level_from else (texture,)
        for threshold in levels:
            yield response, texture, _cut(response, threshold, inside), colorless
        if plain is not None:
            ink = cv2.threshold(plain[0], plain[1], 255, plain[2])[1]
            mask = cv2.bitwise_and(_cut(response, strokes.plain_contrast, inside), ink)
            yield response, texture, mask, colorless


def _cut(response: np.ndarray, threshold: int, inside: tuple[int, int]) -> np.ndarray:
    mask = cv2.threshold(response, threshold, 255, cv2.THRESH_BINARY)[1]
    mask[:_BORDER] = mask[inside[0] - _BORDER :] = 0
    mask[:, :_BORDER] = mask[:, inside[1] - _BORDER :] = 0
    return mask
