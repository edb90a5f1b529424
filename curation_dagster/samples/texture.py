"""Random textures that skin is made of: clouds, cells, spots and strands.

Every function takes its own generator and returns a float32 array of shape (height, width). Sizes are in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

_SUBPIXEL = 4  # bits of the fraction in drawn coordinates, so that thin curves don't jump from pixel to pixel


def smoothstep(low: float, high: float, values: Field) -> Field:
    """Return 0 below ``low``, 1 above ``high`` and a smooth ramp between; ``low`` may exceed ``high``."""
    ramp = (values - np.float32(low)) * np.float32(1.0 / (high - low))
    np.clip(ramp, 0.0, 1.0, out=ramp)
    return ramp * ramp * (np.float32(3.0) - np.float32(2.0) * ramp)


def clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> Field:
    """Return smooth noise of mean 0 and variance 1 whose blobs are about ``cell`` pixels wide."""
    rows, columns = (max(3, round(side / max(cell, 1.0)) + 2) for side in (height, width))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    coarse -= coarse.mean()
    coarse *= np.float32(1.25) / coarse.std()  # cubic interpolation takes about a fifth of the deviation
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)


def cells(
    rng: np.random.Generator,
    height: int,
    width: int,
    spacing: float,
    stretch: float = 1.0,
    jitter: float = 0.42,
) -> Field:
    """Return the distance to the nearest of many scattered centres, in units of their ``spacing``.

    The ridges between the centres (about 0.5 and more) form a honeycomb: the pigment network of a naevus, or the
    furrows between skin lines. ``stretch`` above 1 makes the cells that much wider than high.
    """
    work_height = max(8, round(height * stretch))
    margin = 2 * spacing
    y, x = np.mgrid[-margin : work_height + margin : spacing, -margin : width + margin : spacing].astype(
        np.float32
    )
    x[1::2] += spacing / 2  # a shifted grid has six neighbours a cell, as skin has
    # each centre strays, and neighbours stray together: a grid that kept its beat over the picture would be a ruler
    drift = np.float32(0.7 * spacing)
    y += rng.uniform(-jitter, jitter, y.shape).astype(np.float32) * np.float32(spacing)
    x += rng.uniform(-jitter, jitter, x.shape).astype(np.float32) * np.float32(spacing)
    rows, columns = y.shape
    y += drift * clouds(rng, rows, columns, 4)
    x += drift * clouds(rng, rows, columns, 4)
    inside = (y >= 0) & (y < work_height) & (x >= 0) & (x < width)
    centres = np.full((work_height, width), 255, np.uint8)
    centres[y[inside].astype(int), x[inside].astype(int)] = 0
    distance = cv2.distanceTransform(centres, cv2.DIST_L2, 5)
    if work_height != height:
        distance = cv2.resize(distance, (width, height), interpolation=cv2.INTER_AREA)
    return distance * np.float32(1.0 / spacing)


def spots(
    rng: np.random.Generator,
    height: int,
    width: int,
    count: int,
    radius: tuple[float, float],
    where: Field | None = None,
    soften: float = 0.8,
) -> Field:
    """Return ``count`` round to oval spots between 0 and 1; with ``where``, only at places drawn in proportion to it."""
    canvas = np.zeros((height, width), np.uint8)
    for x, y in _places(rng, height, width, count, where):
        size = rng.uniform(*radius)
        axes = (
            max(1, round(size * 2**_SUBPIXEL)),
            max(1, round(size * rng.uniform(0.7, 1.0) * 2**_SUBPIXEL)),
        )
        outline = cv2.ellipse2Poly((0, 0), axes, int(rng.integers(180)), 0, 360, 30)
        placed = np.array(outline, np.int32) + np.array([x * 2**_SUBPIXEL, y * 2**_SUBPIXEL], np.int32)
        cv2.fillPoly(canvas, [placed], int(rng.uniform(140, 255)), cv2.LINE_AA, _SUBPIXEL)
    return _soft(canvas, soften)


def strands(
    rng: np.random.Generator,
    height: int,
    width: int,
    count: int,
    length: tuple[float, float],
    thickness: int = 1,
    bend: float = 0.25,
    soften: float = 0.6,
    where: Field | None = None,
    direction: float | None = None,
) -> Field:
    """Return ``count`` curved strands between 0 and 1: hairs, or vessels.

    ``bend`` is the sagitta of a strand as a share of its length; ``direction`` in radians combs them one way.
    """
    canvas = np.zeros((height, width), np.uint8)
    t = np.linspace(0.0, 1.0, 24)[:, None]
    for x, y in _places(rng, height, width, count, where):
        angle = rng.uniform(0, 2 * np.pi) if direction is None else direction + rng.normal(0, 0.25)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        reach = rng.uniform(*length)
        start, end = np.array([x, y]) - along * reach / 2, np.array([x, y]) + along * reach / 2
        middle = np.array([x, y]) + across * rng.normal(0, bend) * 2 * reach
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        points = np.round(curve * 2**_SUBPIXEL).astype(np.int32)
        cv2.polylines(canvas, [points], False, int(rng.uniform(150, 255)), thickness, cv2.LINE_AA, _SUBPIXEL)
    return _soft(canvas, soften)


def vessels(
    rng: np.random.Generator,
    height: int,
    width: int,
    count: int,
    step: float,
    where: Field,
    thickness: int = 2,
) -> Field:
    """Return ``count`` branching, wandering vessels that thin out, between 0 and 1."""
    canvas = np.zeros((height, width), np.uint8)
    stack = [
        (np.array([x, y], float), rng.uniform(0, 2 * np.pi), thickness, 14)
        for x, y in _places(rng, height, width, count, where)
    ]
    while stack:
        point, angle, weight, steps = stack.pop()
        path = [point]
        for left in range(steps, 0, -1):
            angle += rng.normal(0, 0.35)
            point = point + step * np.array([np.cos(angle), np.sin(angle)])
            path.append(point)
            if weight > 0 and left > 4 and rng.random() < 0.22:
                stack.append((point, angle + rng.choice((-0.8, 0.8)), weight - 1, left - 2))
        points = np.round(np.array(path) * 2**_SUBPIXEL).astype(np.int32)
        cv2.polylines(
            canvas, [points], False, 235 - 50 * (thickness - weight), max(weight, 1), cv2.LINE_AA, _SUBPIXEL
        )
    return _soft(canvas, 0.7)


def relief(surface: Field, azimuth: float) -> Field:
    """Return the slope of ``surface`` towards a light at ``azimuth`` radians: positive where it is lit."""
    right = cv2.Sobel(surface, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    down = cv2.Sobel(surface, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    return -(right * np.float32(np.cos(azimuth)) + down * np.float32(np.sin(azimuth)))


def _places(
    rng: np.random.Generator, height: int, width: int, count: int, where: Field | None
) -> list[tuple[float, float]]:
    if count <= 0:
        return []
    if where is None:
        return list(zip(rng.uniform(0, width, count), rng.uniform(0, height, count), strict=True))
    # a coarse grid is enough to choose a place, and a hundredth of the work
    scale = 8
    coarse = cv2.resize(
        where, (max(1, width // scale), max(1, height // scale)), interpolation=cv2.INTER_AREA
    )
    weights = np.clip(coarse.astype(np.float64).ravel(), 0, None)
    if weights.sum() <= 0:
        return []
    chosen = rng.choice(weights.size, count, p=weights / weights.sum())
    y, x = np.divmod(chosen, coarse.shape[1])
    return list(
        zip(
            (x + rng.random(count)) * width / coarse.shape[1],
            (y + rng.random(count)) * height / coarse.shape[0],
            strict=True,
        )
    )


def _soft(canvas: NDArray[np.uint8], sigma: float) -> Field:
    return cv2.GaussianBlur(canvas, (0, 0), sigma).astype(np.float32) * np.float32(1 / 255)
