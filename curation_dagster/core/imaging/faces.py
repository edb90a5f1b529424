"""Faces: the short-range BlazeFace network over views of the picture.

The network looks at 128x128 pixels and finds faces of about a fifth of a view and more, upright or nearly so. So a
picture is shown to it as a whole; where something faintly like a face is in it, also turned and smaller, and in
overlapping parts, since a face that is small in the whole is large in a part. Source of network and anchors:
Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"; the file is that of
MediaPipe 0.10.21, see ``models/README.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from curation_dagster.core.imaging.detecting import Faces, ModelError

MODEL = Path(__file__).resolve().parents[2] / "models" / "face_detection_short_range.tflite"
_SIDE = 128

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in px."""


@cache
def _network(sha256: str) -> cv2.dnn.Net:
    """Return the network, loaded once per process; its file must have the declared digest."""
    data = MODEL.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{MODEL.name} has SHA-256 {found}, but vocabularies/detecting.yaml declares {sha256}. No picture is searched "
            "with a network that nobody has declared. Install the package again."
        )
    return cv2.dnn.readNetFromTFLite(np.frombuffer(data, np.uint8))


def check_model(settings: Faces) -> None:
    """Raise ``ModelError`` unless the network's file is the declared one: better before a pass than in each worker."""
    _network(settings.sha256)


@cache
def _anchors() -> np.ndarray:
    """Return the centres of the network's 896 boxes in shares of the view, (896, 2)."""
    found = []
    for cells, repeats in ((16, 2), (8, 6)):
        centres = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), repeats, axis=0))
    return np.concatenate(found).astype(np.float32)


def _look(view: np.ndarray, settings: Faces) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes (n, 4) in shares of the view and their scores (n,), those from the lowest score of interest."""
    network = _network(settings.sha256)
    network.setInput(cv2.dnn.blobFromImage(view, 1 / 127.5, (_SIDE, _SIDE), (127.5, 127.5, 127.5)))
    logits, values = network.forward(("classificators", "regressors"))
    scores = 1 / (1 + np.exp(-np.clip(logits.ravel(), -50, 50)))
    chosen = np.flatnonzero(scores >= settings.faint)
    values = values.reshape(-1, 16)[chosen, :4] / _SIDE
    centre, half = values[:, :2] + _anchors()[chosen], values[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], 1), scores[chosen]


def _square(picture: np.ndarray, share: float) -> tuple[np.ndarray, float, float, float]:
    """Return the picture inside a 128 px square of which it takes ``share``, the scale, and where its corner is."""
    height, width = picture.shape[:2]
    scale = _SIDE * share / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2
    view = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    view[top : top + size[1], left : left + size[0]] = small
    return view, scale, left, top


def _search(
    picture: np.ndarray, share: float, turns: int, settings: Faces, at: tuple[int, int] = (0, 0)
) -> Iterator[tuple[Box, float]]:
    """Yield boxes, in px of the whole picture, and scores of one view turned by ``turns`` quarter turns."""
    view, scale, left, top = _square(picture, share)
    boxes, scores = _look(np.ascontiguousarray(np.rot90(view, turns)), settings)
    for (x0, y0, x1, y1), score in zip(boxes.tolist(), scores.tolist(), strict=True):
        for _ in range(turns):  # np.rot90 turns anticlockwise: undo it
            x0, y0, x1, y1 = 1 - y1, x0, 1 - y0, x1
        edges = (
            (x0 * _SIDE - left) / scale + at[0],
            (y0 * _SIDE - top) / scale + at[1],
            (x1 * _SIDE - left) / scale + at[0],
            (y1 * _SIDE - top) / scale + at[1],
        )
        yield edges, score


def find_faces(raster: np.ndarray, settings: Faces) -> tuple[list[tuple[Box, float]], float]:
    """Return the faces as boxes with scores, and the highest score of anything that was looked at.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey, upright.
    """
    small = _reduced(raster, settings.long_side)
    scale = max(raster.shape[:2]) / max(small.shape[:2])
    found = list(_search(small, 1.0, 0, settings))
    best = max((score for _, score in found), default=0.0)
    if best >= settings.closer or _is_scene(small, settings):
        again = [hit for share, turns in settings.again for hit in _search(small, share, turns, settings)]
        for left, top, part in _parts(small, settings):
            again += _search(part, 1.0, 0, settings, (left, top))
        # many looks find many chance likenesses: they are held to more
        found += [(box, score - settings.demand) for box, score in again]
    best = max((score for _, score in found), default=0.0)
    kept = _distinct([hit for hit in found if hit[1] >= settings.doubtful], settings.overlap)
    height, width = raster.shape[:2]
    return [(_inside(tuple(scale * v for v in box), width, height), score) for box, score in kept], best


def _is_scene(small: np.ndarray, settings: Faces) -> bool:
    """Return whether the picture's edge has several colours, as a room or clothes have, and a close-up of skin has not."""
    view = cv2.resize(small, (64, 64), interpolation=cv2.INTER_AREA)
    luma, cr, cb = (c.astype(np.int16) for c in cv2.split(cv2.cvtColor(view, cv2.COLOR_RGB2YCrCb)))
    edge = luma > settings.dark
    depth = max(1, round(64 * settings.border))
    edge[depth:-depth, depth:-depth] = False
    if edge.sum() < 64:
        return False
    cr, cb = cr[edge], cb[edge]
    other = np.abs(cr - np.median(cr)) + np.abs(cb - np.median(cb)) > settings.other_color
    return bool(other.mean() >= settings.scene)


def _reduced(raster: np.ndarray, long_side: int) -> np.ndarray:
    if raster.ndim == 2:
        raster = cv2.cvtColor(raster, cv2.COLOR_GRAY2RGB)
    # whole halves first: the mean of 2x2 pixels is the cheapest honest reduction
    step = max(1, max(raster.shape[:2]) // long_side)
    if step == 1:
        return raster
    size = max(1, raster.shape[1] // step), max(1, raster.shape[0] // step)
    return cv2.resize(raster[: size[1] * step, : size[0] * step], size, interpolation=cv2.INTER_AREA)


def _parts(small: np.ndarray, settings: Faces) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield overlapping square parts of the picture with their corners, without those that are all but plain."""
    height, width = small.shape[:2]
    for share in settings.parts:
        side = max(16, round(min(height, width) * share))
        for top in _starts(height, side):
            for left in _starts(width, side):
                part = small[top : top + side, left : left + side]
                if float(part[::4, ::4].std()) >= settings.plain:
                    yield left, top, part


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
