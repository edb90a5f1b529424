"""Faces: the short-range BlazeFace network over views of the picture.

The network looks at 128x128 pixels and finds faces of about a fifth of a view and more, upright or nearly so. So a
picture is shown to it as a whole. Where that is faintly like a small face somewhere, the place is shown once more,
enlarged: a face scores high there and a lesion as low as before. Where the picture is a scene, or much like a face, it is
also shown turned and smaller, and in overlapping parts. Source of network and anchors:
Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"; the file is that of
MediaPipe 0.10.21, see ``models/README.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from curation_dagster.core.compiling import compiled
from curation_dagster.core.imaging.declared import declared_file
from curation_dagster.core.imaging.detecting import Faces
from curation_dagster.core.imaging.halved import Halved

_SIDE = 128

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""

Place = tuple[int, int, int, int]
"""Left, top, width, height in px."""


class _Network:
    """The loaded network and its tensors."""

    def __init__(self, data: bytes) -> None:
        self._interpreter = Interpreter(model_content=data, num_threads=1)
        self._interpreter.allocate_tensors()
        self._view = self._interpreter.get_input_details()[0]["index"]
        outputs = {o["name"]: o["index"] for o in self._interpreter.get_output_details()}
        self._boxes, self._logits = outputs["regressors"], outputs["classificators"]
        centres = []
        for cells, repeats in ((16, 2), (8, 6)):
            steps = (np.arange(cells) + 0.5) / cells
            x, y = np.meshgrid(steps, steps)
            centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), repeats, axis=0))
        self._anchors = np.concatenate(centres).astype(np.float32)

    def look(self, view: np.ndarray, faint: float) -> tuple[np.ndarray, np.ndarray]:
        """Return boxes (n, 4) in shares of a view (128, 128, 3) and their scores (n,), from the lowest of interest."""
        levels = view * np.float32(1 / 127.5) - np.float32(1)
        self._interpreter.set_tensor(self._view, levels[None])
        self._interpreter.invoke()
        logits = self._interpreter.get_tensor(self._logits).ravel()
        chosen = np.flatnonzero(logits >= math.log(faint / (1 - faint)))
        scores = 1 / (1 + np.exp(-np.minimum(logits[chosen], 50)))
        values = self._interpreter.get_tensor(self._boxes)[0, chosen, :4] / _SIDE
        centre, half = values[:, :2] + self._anchors[chosen], values[:, 2:] / 2
        return np.concatenate([centre - half, centre + half], 1), scores


@cache
def _network(sha256: str) -> _Network:
    """Return the network, loaded once per process; its file must have the declared digest."""
    return _Network(declared_file("face_detection_short_range.tflite", sha256))


def check_faces(settings: Faces) -> None:
    """Raise ``ModelError`` unless the network's file is the declared one; compile what no run has compiled yet."""
    _network(settings.sha256)
    _is_scene(np.zeros((_SIDE, _SIDE, 3), np.uint8), settings)


def _shown(picture: Halved, place: Place, share: float) -> tuple[np.ndarray, float, tuple[float, float]]:
    """Return a place of the picture as large as ``share`` of a view, px of the view per px, and where its corner was.

    The halving nearest above that size is taken: less than a factor of two is left, which needs no more than
    interpolation.
    """
    left, top, width, height = place
    side = round(_SIDE * share)
    halvings = max(0, (max(width, height) // side).bit_length() - 1)
    step = 2**halvings
    part = picture.at(halvings)[top // step : (top + height) // step, left // step : (left + width) // step]
    scale = side / max(part.shape[:2])
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    shown = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    return shown, scale / step, (left // step * step, top // step * step)


def _search(
    picture: Halved, place: Place, settings: Faces, share: float = 1.0, turns: int = 0
) -> list[tuple[Box, float]]:
    """Return boxes, in px of the whole picture, and scores in one view of a place, turned by ``turns`` quarter turns."""
    shown, scale, corner = _shown(picture, place, share)
    return _seen(shown, scale, corner, settings, turns)


def _seen(
    shown: np.ndarray, scale: float, corner: tuple[float, float], settings: Faces, turns: int = 0
) -> list[tuple[Box, float]]:
    left, top = (_SIDE - shown.shape[1]) // 2, (_SIDE - shown.shape[0]) // 2
    view = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    view[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    if turns:
        view = np.ascontiguousarray(np.rot90(view, turns))
    boxes, scores = _network(settings.sha256).look(view, settings.faint)
    found = []
    for (x0, y0, x1, y1), score in zip(boxes.tolist(), scores.tolist(), strict=True):
        for _ in range(turns):  # np.rot90 turns anticlockwise: undo it
            x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        edges = (
            (x0 * _SIDE - left) / scale + corner[0],
            (y0 * _SIDE - top) / scale + corner[1],
            (x1 * _SIDE - left) / scale + corner[0],
            (y1 * _SIDE - top) / scale + corner[1],
        )
        found.append((edges, score))
    return found


def find_faces(
    raster: np.ndarray, settings: Faces, halved: Halved | None = None
) -> tuple[list[tuple[Box, float]], float]:
    """Return the faces as boxes with scores, and the highest score of anything that was looked at.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey, upright.
    halved : Halved, optional
        The same picture, where it is halved already.
    """
    picture = halved or Halved(raster)
    height, width = raster.shape[:2]
    whole = (0, 0, width, height)
    shown, scale, corner = _shown(picture, whole, 1.0)
    found = _seen(shown, scale, corner, settings)
    best = max((score for _, score in found), default=0.0)
    further: list[tuple[Box, float]] = []
    # many looks find many chance likenesses: they are held to more
    if best >= settings.closer or _is_scene(shown, settings):
        for share, turns in settings.again:
            further += _search(picture, whole, settings, share, turns)
        for place in _parts(picture, width, height, settings):
            further += _search(picture, place, settings)
        found += [(box, score - settings.demand) for box, score in further]
    else:
        near = _small(found, max(width, height), settings)
        if near is not None:
            further = _search(picture, _around(near, width, height, settings), settings)
            found += [(box, score - settings.near_demand) for box, score in further]
    best = max((score for _, score in found), default=0.0)
    kept = _distinct([hit for hit in found if hit[1] >= settings.doubtful], settings.overlap)
    return [(_inside(box, width, height), score) for box, score in kept], best


def _small(found: list[tuple[Box, float]], long_side: int, settings: Faces) -> Box | None:
    """Return the likeliest small face: what is small in a view scores low, however clear it is."""
    small = [(s, b) for b, s in found if s >= settings.near and b[2] - b[0] < settings.small * long_side]
    return max(small)[1] if small else None


def _around(box: Box, width: int, height: int, settings: Faces) -> Place:
    """Return the square in the picture around a box in which a face of its size fills the view."""
    side = settings.room * max(box[2] - box[0], box[3] - box[1])
    side = round(min(max(side, 16), width, height))
    left, top = round((box[0] + box[2] - side) / 2), round((box[1] + box[3] - side) / 2)
    return min(max(left, 0), width - side), min(max(top, 0), height - side), side, side


def _is_scene(shown: np.ndarray, settings: Faces) -> bool:
    """Return whether the picture's edge has several colours, as a room or clothes have, and a close-up of skin has not."""
    view = cv2.cvtColor(cv2.resize(shown, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb)
    depth = max(1, round(64 * settings.border))
    return float(_other_share(view, depth, settings.dark, settings.other_color)) >= settings.scene


@compiled
def _other_share(view: Any, depth: int, dark: int, other: int) -> float:
    """Return the share of an edge of so many px, without what is dark, whose colour is not the edge's median.

    0 if hardly any of it is not dark. The view is YCrCb, uint8.
    """
    height, width = view.shape[:2]
    counts = np.zeros((2, 256), np.int64)
    seen = 0
    for y in range(height):
        for x in range(width):
            inner = depth <= y < height - depth and depth <= x < width - depth
            if not inner and view[y, x, 0] > dark:
                counts[0, view[y, x, 1]] += 1
                counts[1, view[y, x, 2]] += 1
                seen += 1
    if seen < 64:
        return 0.0
    middle = np.zeros(2, np.int64)
    for channel in range(2):
        below = counts[channel, 0]
        while 2 * below < seen:
            middle[channel] += 1
            below += counts[channel, middle[channel]]
    others = 0
    for y in range(height):
        for x in range(width):
            inner = depth <= y < height - depth and depth <= x < width - depth
            if not inner and view[y, x, 0] > dark:
                far = abs(view[y, x, 1] - middle[0]) + abs(view[y, x, 2] - middle[1])
                others += far > other
    return others / seen


def _parts(picture: Halved, width: int, height: int, settings: Faces) -> Iterator[Place]:
    """Yield overlapping square parts of the picture, without those that are all but plain."""
    halvings = picture.down_to(256)
    coarse, step = picture.at(halvings), 2**halvings
    for share in settings.parts:
        side = min(max(16, round(min(height, width) * share)), width, height)
        for top in _starts(height, side):
            for left in _starts(width, side):
                part = coarse[top // step : (top + side) // step, left // step : (left + side) // step]
                if float(part[::2, ::2].std()) >= settings.plain:
                    yield left, top, side, side


def _starts(length: int, side: int) -> list[int]:
    if side >= length:
        return [0]
    count = int(np.ceil((length - side) / (side / 2))) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _distinct(found: list[tuple[Box, float]], overlap: float) -> list[tuple[Box, float]]:
    """Return the best of boxes that lie on one another."""
    kept: list[tuple[Box, float]] = []
    for box, score in sorted(found, key=lambda f: (-f[1], f[0])):
        if all(_shared(box, other) < overlap for other, _ in kept):
            kept.append((box, score))
    return kept


def _shared(a: Box, b: Box) -> float:
    """Return the common area over that of the smaller box."""
    common = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return common / smaller if smaller > 0 else 0.0


def _inside(box: tuple[float, ...], width: int, height: int) -> Box:
    return (
        min(max(box[0], 0.0), width - 1.0),
        min(max(box[1], 0.0), height - 1.0),
        max(min(box[2], float(width)), 1.0),
        max(min(box[3], float(height)), 1.0),
    )
