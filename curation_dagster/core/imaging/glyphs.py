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

from curation_dagster.core.imaging.detecting import Gate, Strokes

FEATURES = (
    "glyphs", "parts", "unlike_heights", "fill", "contrast", "over_texture", "peak", "unlike_peaks", "off_line",
    "height", "part_fill", "texture", "quiet", "density", "colorless",
)  # fmt: skip
_BORDER = 2
_CELL = 8


@dataclass(frozen=True)
class Row:
    """Strokes in a row: where (left, top, right, bottom in px of the picture), how high a stroke is, how sure.

    ``colorless`` says that the strokes were found by their lack of color.
    """

    box: tuple[int, int, int, int]
    height: float
    score: float
    colorless: bool = False


def rows_of_strokes(raster: np.ndarray, strokes: Strokes, gate: Gate) -> list[Row]:
    """Return the rows that are worth reading, the surest first.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey.
    """
    found = [
        Row(box, height, score, features["colorless"] > 0)
        for box, height, features in candidates(raster, strokes)
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
    raster: np.ndarray, strokes: Strokes
) -> Iterator[tuple[tuple[int, int, int, int], float, dict[str, float]]]:
    """Yield box, height of a stroke in px and features of each row of strokes."""
    if raster.ndim == 2:
        raster = cv2.cvtColor(raster, cv2.COLOR_GRAY2RGB)
    half = _shrunk(raster, 2)
    for scale, level in ((2, half), (8, _shrunk(half, 4))):
        if min(level.shape[:2]) < 24:
            continue
        for response, texture, mask, colorless in _masks(level, strokes):
            for x, y, part in _dense(mask, strokes.dense):
                window = response[y : y + part.shape[0], x : x + part.shape[1]]
                for box, height, features in _rows(window, part, texture, strokes):
                    edges = (box[0] + x, box[1] + y, box[2] + x, box[3] + y)
                    features["colorless"] = float(colorless)
                    yield tuple(scale * v for v in edges), scale * height, features  # type: ignore[misc]


def _shrunk(raster: np.ndarray, by: int) -> np.ndarray:
    width, height = max(1, raster.shape[1] // by), max(1, raster.shape[0] // by)
    return cv2.resize(raster[: height * by, : width * by], (width, height), interpolation=cv2.INTER_AREA)


def _masks(level: np.ndarray, strokes: Strokes) -> Iterator[tuple[np.ndarray, int, np.ndarray, bool]]:
    """Yield response, level of texture and mask of thin structures, and whether the response is of lacking color.

    Dark ink differs most from skin in red, light ink in blue; yellow and red ink in blue and green. White ink on light,
    rough skin differs in its lack of color alone: relief changes red and blue alike, ink takes their difference away.
    Each is cut at a
    level above the picture's own texture, on rough skin at twice that too; and what is black or white as only ink
    is, at a low one.
    """
    window = np.ones((strokes.window, strokes.window), np.uint8)
    red, green, blue = (np.ascontiguousarray(cv2.extractChannel(level, i)) for i in range(3))
    ways = (
        (red, cv2.MORPH_BLACKHAT, False, (red, strokes.dark, cv2.THRESH_BINARY_INV)),
        (blue, cv2.MORPH_BLACKHAT, False, None),
        (green, cv2.MORPH_TOPHAT, False, None),
        (blue, cv2.MORPH_TOPHAT, False, (blue, strokes.light, cv2.THRESH_BINARY)),
        (cv2.subtract(red, blue), cv2.MORPH_BLACKHAT, True, None),
    )
    for channel, way, colorless, plain in ways:
        response = cv2.morphologyEx(channel, way, window, borderType=cv2.BORDER_REPLICATE)
        counts = np.cumsum(cv2.calcHist([response[::2, ::2]], [0], None, [256], [0, 256]).ravel())
        common = int(np.searchsorted(counts, 0.9 * counts[-1]))
        texture = int(
            np.clip(strokes.over_texture * common + 2, strokes.least_contrast, strokes.most_contrast)
        )
        levels = (texture, 2 * texture) if texture >= strokes.second_level_from else (texture,)
        for threshold in levels:
            yield response, texture, _cut(response, threshold), colorless
        if plain is not None:
            ink = cv2.threshold(plain[0], plain[1], 255, plain[2])[1]
            mask = cv2.bitwise_and(_cut(response, strokes.plain_contrast), ink)
            yield response, texture, mask, colorless


def _dense(mask: np.ndarray, least: float) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield the corner and the mask of the part in which strokes stand close enough for a word, if there is one.

    Lone hairs and grains, most of what a close-up of skin has, are left out here for a tenth of what they cost later.
    """
    height, width = mask.shape[0] // _CELL, mask.shape[1] // _CELL
    if min(height, width) < 2:
        yield 0, 0, mask
        return
    cells = cv2.resize(mask[: height * _CELL, : width * _CELL], (width, height), interpolation=cv2.INTER_AREA)
    ink = cv2.boxFilter(cells, cv2.CV_32F, (3, 2), normalize=False, borderType=cv2.BORDER_CONSTANT)
    kept = cv2.dilate((ink >= least).astype(np.uint8), np.ones((5, 5), np.uint8))
    if not cv2.countNonZero(kept):
        return
    x, y, w, h = cv2.boundingRect(kept)
    right = mask.shape[1] if x + w == width else (x + w) * _CELL
    bottom = mask.shape[0] if y + h == height else (y + h) * _CELL
    part = mask[y * _CELL : bottom, x * _CELL : right]
    allowed = cv2.resize(kept[y : y + h, x : x + w], part.shape[::-1], interpolation=cv2.INTER_NEAREST)
    yield x * _CELL, y * _CELL, cv2.multiply(part, allowed)


def _cut(response: np.ndarray, threshold: int) -> np.ndarray:
    mask = cv2.threshold(response, threshold, 255, cv2.THRESH_BINARY)[1]
    mask[:_BORDER] = mask[-_BORDER:] = 0
    mask[:, :_BORDER] = mask[:, -_BORDER:] = 0
    return mask


def _rows(
    response: np.ndarray, mask: np.ndarray, texture: int, strokes: Strokes
) -> Iterator[tuple[tuple[int, int, int, int], float, dict[str, float]]]:
    labels, stats = _parts(mask)
    is_member = np.zeros(len(stats) + 1, bool)
    for members, glyphs in _chains(stats, strokes):
        x, y, w, h, area = stats[members].T.astype(np.float64)
        height = float(np.median(h))
        left, top, right, bottom = int(x.min()), int(y.min()), int((x + w).max()), int((y + h).max())
        is_member[members + 1] = True
        inked = is_member[labels[top:bottom, left:right]]
        is_member[members + 1] = False
        values = response[top:bottom, left:right]
        strength = float(values[inked].mean())
        quiet = values[~inked]
        peaks = np.array(
            [response[b : b + d, a : a + c].max() for a, b, c, d, _ in stats[members]], np.float64
        )
        around = mask[
            max(0, top - int(height)) : bottom + int(height), max(0, left - int(height)) : right + int(height)
        ]
        yield (left, top, right, bottom), height, {
            "glyphs": float(np.log(glyphs)),
            "parts": float(len(members)),
            "unlike_heights": float(h.std() / height) if len(members) > 1 else 0.0,
            "fill": float(area.sum() / ((right - left) * (bottom - top))),
            "contrast": float(np.log(strength)),
            "over_texture": float(np.log(strength / texture)),
            "peak": float(peaks.mean() / 255),
            "unlike_peaks": float(peaks.std() / peaks.mean()),
            "off_line": _off_line(x + w / 2, y + h / 2) / height,
            "height": float(np.log(height)),
            "part_fill": float((area / (w * h)).mean()),
            "texture": texture / 60,
            "quiet": float(quiet.mean() / strength) if quiet.size else 0.0,
            "density": float(around.mean() / 255),
        }  # fmt: skip


def _parts(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of connected parts, from 1, and left, top, width, height and area of each, (parts, 5).

    OpenCV's own statistics visit every pixel of the picture; here only those of the parts are visited, which are few.
    """
    kind = cv2.CV_16U if mask.size < 200_000 else cv2.CV_32S
    count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=kind)
    place = np.flatnonzero(mask != 0)
    label = labels.ravel()[place]
    order = np.argsort(label, kind="stable")  # so that places stay in the order of rows
    starts = np.searchsorted(label[order], np.arange(1, count))
    y, x = np.divmod(place[order], mask.shape[1])
    left, right = np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts) + 1
    top, bottom = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts) + 1
    area = np.diff(np.append(starts, len(place)))
    return labels, np.stack([left, top, right - left, bottom - top, area], axis=1)


def _off_line(x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean distance of points from the straight line through them, along y."""
    if len(x) < 3:
        return 0.0
    dx, dy = x - x.mean(), y - y.mean()
    spread = float(dx @ dx)
    slope = float(dx @ dy) / spread if spread else 0.0
    return float(np.abs(dy - slope * dx).mean())


def _chains(stats: np.ndarray, strokes: Strokes) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the members of each row, as indices into ``stats``, and how many letters they may be.

    Each part is linked with the nearest part to its right of like height that stands about level with it; a slope of
    a fifth is level. A part much wider than high counts for as many letters as fit: small letters run together.
    """
    x, y, w, h, area = stats.T.astype(np.float32)
    fill, diagonal = area / (w * h), np.hypot(w, h)
    is_strand = (diagonal >= 14) & (area < 2.6 * diagonal) & (fill < 0.35)
    is_dash = (w >= 3 * h) & (fill > 0.8)
    is_fit = (h >= strokes.height[0]) & (h <= strokes.height[1]) & (area >= 5) & (w <= 16 * h) & (w <= 250)
    chosen = np.flatnonzero(is_fit & ~is_strand & ~is_dash)
    if len(chosen) == 0:
        return
    if len(chosen) > strokes.most:
        chosen = np.sort(chosen[np.argsort(-area[chosen], kind="stable")[: strokes.most]])
    x, y, w, h, fill = (v[chosen] for v in (x, y, w, h, fill))
    letters = np.where(w > 1.6 * h, np.clip(w / (0.8 * h), 1, 40), 1.0)
    is_tick = (w <= 0.34 * h) & (fill > 0.6)
    for members in _linked(x, y, w, h):
        count = float(letters[members].sum())
        single = len(members) == 1
        if count < 3 or (not single and float((letters[members] * ~is_tick[members]).sum()) < 2):
            continue
        if (x + w)[members].max() - x[members].min() >= 1.3 * np.median(h[members]):
            yield chosen[members], count


def _linked(x: np.ndarray, y: np.ndarray, w: np.ndarray, h: np.ndarray) -> list[np.ndarray]:
    """Return the groups of parts that hang together by links to the nearest right neighbour."""
    n = len(x)
    centre_x, centre_y = x + w / 2, y + h / 2
    gap = np.maximum(x[None, :] - (x + w)[:, None], 0)
    high, low = np.maximum(h[:, None], h[None, :]), np.minimum(h[:, None], h[None, :])
    dx, dy = centre_x[None, :] - centre_x[:, None], np.abs(centre_y[None, :] - centre_y[:, None])
    is_near = (dx > 0) & (gap <= 1.1 * high) & (low >= 0.4 * high)
    is_level = (dy <= 0.3 * high + 0.22 * dx) & (dy <= 0.75 * high + 0.2 * dx)
    distance = np.where(is_near & is_level, gap + 0.5 * dy, np.inf)
    nearest = distance.argmin(axis=1)
    group = np.arange(n)
    for i in np.flatnonzero(np.isfinite(distance[np.arange(n), nearest])):
        a, b = group[i], group[nearest[i]]
        if a != b:
            group[group == b] = a
    order = np.argsort(group, kind="stable")
    ends = [*(np.flatnonzero(np.diff(group[order])) + 1).tolist(), n]
    return [order[a:b] for a, b in zip([0, *ends], ends, strict=False)]
