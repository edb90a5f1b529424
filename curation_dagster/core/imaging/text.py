"""Text in the picture: rows of strokes that look like letters are read, and what reads as a string is text.

Rulers, hairs and marks on the skin have strokes too, so the decision rests on what is recognized: letters or digits
in a row, with a score. The string itself is looked at here and never leaves.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from curation_dagster.core.imaging.detecting import Detecting, Reading
from curation_dagster.core.imaging.glyphs import Row, rows_of_strokes
from curation_dagster.core.imaging.halved import Halved
from curation_dagster.core.imaging.letters import score_of

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""


@functools.cache
def _reader() -> Any:
    """Return RapidOCR with the small models that its wheel holds, on one thread; loaded at the first need.

    It takes about a second and 150 MB, in those workers only that meet a picture worth reading. Nothing is fetched:
    the models are files of the installed package.
    """
    from rapidocr import RapidOCR

    one = {f"EngineConfig.onnxruntime.{n}_op_num_threads": 1 for n in ("intra", "inter")}
    return RapidOCR(
        params={
            **one,
            "Global.use_cls": False,
            "Global.log_level": "critical",
            "Det.limit_side_len": 32,
            "Det.limit_type": "min",
        }
    )


def find_text(
    raster: np.ndarray, settings: Detecting, halved: Halved | None = None
) -> list[tuple[Box, float]]:
    """Return the boxes of text, each with the score of its recognition, from ``reading.doubtful``.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey, upright.
    halved : Halved, optional
        The same picture, where it is halved already.
    """
    picture = halved or Halved(raster)
    rows = []
    for row in rows_of_strokes(picture, settings.strokes, settings.gate):
        score = score_of(picture, row, settings.letters)
        if score > settings.letters.least:
            rows.append(replace(row, score=score))
    rows.sort(key=lambda r: (-r.score, r.box))
    found: list[tuple[Box, float]] = []
    for place in _places(rows, settings.reading.places):
        found += _read(raster, place, settings.reading)
    return found


def _places(rows: list[Row], most: int) -> list[Row]:
    """Return the places to read, the surest first: rows with room around them, those that touch one another as one."""
    places: list[Row] = []
    for row in rows:
        left, top, right, bottom = row.box
        side, above = round(1.5 * row.height), round(0.6 * row.height)
        box = (left - side, top - above, right + side, bottom + above)
        for number, other in enumerate(places):
            if (
                box[0] < other.box[2]
                and box[2] > other.box[0]
                and box[1] < other.box[3]
                and box[3] > other.box[1]
            ):
                both = (
                    min(box[0], other.box[0]), min(box[1], other.box[1]),
                    max(box[2], other.box[2]), max(box[3], other.box[3]),
                )  # fmt: skip
                way = row.way if row.colorless else other.way
                places[number] = replace(other, box=both, way=way)
                break
        else:
            places.append(replace(row, box=box))
    return places[:most]


def _read(raster: np.ndarray, place: Row, reading: Reading) -> list[tuple[Box, float]]:
    height, width = raster.shape[:2]
    room = place.height
    left, top = max(0, int(place.box[0] - room)), max(0, int(place.box[1] - room / 2))
    right, bottom = min(width, int(place.box[2] + room)), min(height, int(place.box[3] + room / 2))
    part = raster[top:bottom, left:right]
    if part.ndim == 2:
        part = cv2.cvtColor(part, cv2.COLOR_GRAY2RGB)
    scale = min(3.0, reading.height / place.height, reading.long_side / max(part.shape[:2]))
    size = max(16, round(part.shape[1] * scale)), max(16, round(part.shape[0] * scale))
    part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR if scale > 1 else cv2.INTER_AREA)
    back = np.array([(right - left) / size[0], (bottom - top) / size[1]])
    found = _strings(part, back, (left, top), (width, height), reading)
    if place.colorless and all(score < reading.score for _, score in found):
        found += _strings(_without_relief(part), back, (left, top), (width, height), reading)
    return found


def _without_relief(part: np.ndarray) -> np.ndarray:
    """Return how colorless each pixel is, as dark on light: light and shade of rough skin are gone, ink stays."""
    color = cv2.subtract(np.ascontiguousarray(part[..., 0]), np.ascontiguousarray(part[..., 2]))
    blurred = cv2.GaussianBlur(color, (3, 3), 0)
    flat = cv2.normalize(blurred, np.empty_like(blurred), 0, 255, cv2.NORM_MINMAX)
    return cv2.cvtColor(flat, cv2.COLOR_GRAY2RGB)


def _strings(
    part: np.ndarray, back: np.ndarray, at: tuple[int, int], picture: tuple[int, int], reading: Reading
) -> list[tuple[Box, float]]:
    """Return the boxes, in px of the picture, and scores of the strings that are read in a part of it."""
    read = _reader()(np.ascontiguousarray(part[..., ::-1]))
    if read.txts is None or read.boxes is None:
        return []
    (left, top), (width, height) = at, picture
    found = []
    for corners, text, score in zip(read.boxes, read.txts, read.scores, strict=True):
        if sum(c.isalnum() for c in text) >= reading.characters and score >= reading.doubtful:
            points = np.asarray(corners, np.float64) * back + (left, top)
            x0, y0 = np.maximum(points.min(axis=0), 0)
            x1, y1 = np.minimum(points.max(axis=0), (width, height))
            found.append(((float(x0), float(y0), float(x1), float(y1)), float(score)))
    return found
