"""Connected parts of a mask, chained into rows, with the features of each row: compiled.

A picture of skin has a few hundred parts in each of a dozen masks, and rows of a few parts each. In arrays that is
thousands of small operations; as loops over the runs of ink it is a fifth of a millisecond a picture.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curation_dagster.core.compiling import compiled

CELL = 8
"""Side of a cell in px: eight pixels of a mask are one word."""

_ONES = np.uint64(0x0101010101010101)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_LEFT, _TOP, _RIGHT, _BOTTOM, _AREA, _SUM, _PEAK = range(7)


@compiled
def common_level(response: Any, step: int, share: float) -> int:
    """Return the level that ``share`` of every ``step``-th pixel of every ``step``-th row does not exceed."""
    counts = np.zeros(256, np.int64)
    height, width = response.shape
    total = 0
    for y in range(0, height, step):
        for x in range(0, width, step):
            counts[response[y, x]] += 1
            total += 1
    below = 0
    for level in range(256):
        below += counts[level]
        if below >= share * total:
            return level
    return 255


@compiled
def _keep_dense(words: Any, least: float) -> int:
    """Clear the cells in which strokes stand too loosely for a word; return how many runs of ink are left at most.

    ``least`` is the mean ink in 3x2 cells. Lone hairs and grains, most of what a close-up of skin has, are left out here
    for a tenth of what they cost later.
    """
    rows, columns = words.shape[0] // CELL, words.shape[1]
    ink = np.zeros((rows + 1, columns + 2), np.int64)
    for row in range(rows):
        for y in range(row * CELL, row * CELL + CELL):
            for x in range(columns):
                ones = words[y, x] & _ONES
                ink[row + 1, x + 1] += np.int64((ones * _ONES) >> np.uint64(56))
    kept = np.zeros((rows, columns), np.uint64)
    needed = least * CELL * CELL / 255
    found = False
    for y in range(rows):
        for x in range(columns):
            total = np.int64(0)
            for b in range(2):
                for a in range(3):
                    total += ink[y + b, x + a]
            if total >= needed:
                found = True
                for b in range(max(0, y - 2), min(rows, y + 3)):
                    for a in range(max(0, x - 2), min(columns, x + 3)):
                        kept[b, a] = _ALL
    if not found:
        return 0
    runs = np.uint64(0)
    for y in range(words.shape[0]):
        for x in range(columns):
            word = words[y, x] & kept[y // CELL, x]
            words[y, x] = word
            starts = word & ~(word << np.uint64(CELL)) & _ONES
            runs += (starts * _ONES) >> np.uint64(56)
    return np.int64(runs)


@compiled
def _root(parents: Any, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _runs(mask: Any, words: Any, runs: Any) -> int:
    """Write row, start and end of each run of ink into ``runs``, (n, 3), in the order of rows; return how many."""
    count = 0
    width = mask.shape[1]
    for y in range(mask.shape[0]):
        ahead = 0  # what lies to the left of it is done
        for cell in range(words.shape[1]):
            if words[y, cell] == 0:
                continue
            x = max(ahead, cell * CELL)
            while x < cell * CELL + CELL:
                if mask[y, x] == 0:
                    x += 1
                    continue
                start = x
                while x < width and mask[y, x]:
                    x += 1
                runs[count, 0], runs[count, 1], runs[count, 2] = y, start, x
                count += 1
            ahead = x
    return count


@compiled
def _joined(runs: Any, parents: Any) -> None:
    """Join the runs that touch one in the row above, by a corner too; a part is named by its first run."""
    count = len(runs)
    for run in range(count):
        parents[run] = run
    above, above_end, end = 0, 0, 0
    while end < count:
        first, y = end, runs[end, 0]
        while end < count and runs[end, 0] == y:
            end += 1
        if above_end > above and runs[above, 0] == y - 1:
            other = above
            for run in range(first, end):
                while other < above_end and runs[other, 2] < runs[run, 1]:
                    other += 1
                touching = other
                while touching < above_end and runs[touching, 1] <= runs[run, 2]:
                    a, b = _root(parents, run), _root(parents, touching)
                    if a != b:
                        parents[max(a, b)] = min(a, b)
                    touching += 1
        above, above_end = first, end


@compiled
def _parts(runs: Any, parents: Any, response: Any, parts: Any) -> int:
    """Write edges, area, sum and peak of the response of each part into ``parts``, (n, 7); return how many."""
    number = 0
    for run in range(len(runs)):
        y, start, end = runs[run, 0], runs[run, 1], runs[run, 2]
        total, peak = np.int64(0), np.int64(0)
        for x in range(start, end):
            value = np.int64(response[y, x])
            total += value
            peak = max(peak, value)
        root = _root(parents, run)
        if root == run:
            i = number
            number += 1
            runs[run, 0] = i  # later runs of the part look here
            parts[i, _LEFT], parts[i, _TOP], parts[i, _RIGHT], parts[i, _BOTTOM] = start, y, end, y + 1
            parts[i, _AREA], parts[i, _SUM], parts[i, _PEAK] = end - start, total, peak
        else:
            i = runs[root, 0]
            parts[i, _LEFT], parts[i, _RIGHT] = min(parts[i, _LEFT], start), max(parts[i, _RIGHT], end)
            parts[i, _BOTTOM] = y + 1
            parts[i, _AREA] += end - start
            parts[i, _SUM] += total
            parts[i, _PEAK] = max(parts[i, _PEAK], peak)
    return number


@compiled
def _chosen(parts: Any, low: int, high: int, most: int) -> Any:
    """Return which parts may be letters or joined ones: no strands and no dashes; of too many the largest."""
    fits = np.zeros(len(parts), np.bool_)
    count = 0
    for i in range(len(parts)):
        w, h = parts[i, _RIGHT] - parts[i, _LEFT], parts[i, _BOTTOM] - parts[i, _TOP]
        area = parts[i, _AREA]
        if h < low or h > high or area < 5 or w > 16 * h or w > 250:
            continue
        fill, diagonal = area / (w * h), np.sqrt(float(w * w + h * h))
        if (diagonal >= 14 and area < 2.6 * diagonal and fill < 0.35) or (w >= 3 * h and fill > 0.8):
            continue
        fits[i] = True
        count += 1
    chosen = np.flatnonzero(fits)
    if count > most:
        chosen = np.sort(chosen[np.argsort(-parts[chosen, _AREA], kind="mergesort")[:most]])
    return chosen


@compiled
def _linked(x: Any, y: Any, w: Any, h: Any) -> Any:
    """Return the group of each part: each hangs on the nearest part to its right of like height, level with it.

    A slope of a fifth is level.
    """
    n = len(x)
    group = np.arange(n)
    centre_x, centre_y = x + w / 2, y + h / 2
    order = np.argsort(centre_x, kind="mergesort")
    widest = w.max()
    for rank in range(n):
        i = order[rank]
        reach = x[i] + w[i] + 2.75 * h[i] + widest / 2  # a part of 2.5 times the height has its gap in that
        nearest, least = -1, np.inf
        for later in range(rank + 1, n):
            j = order[later]
            if centre_x[j] > reach:
                break
            dx = centre_x[j] - centre_x[i]
            tall = max(h[i], h[j])
            gap = max(x[j] - x[i] - w[i], 0.0)
            if dx <= 0 or gap > 1.1 * tall or min(h[i], h[j]) < 0.4 * tall:
                continue
            dy = abs(centre_y[j] - centre_y[i])
            if dy > 0.3 * tall + 0.22 * dx or dy > 0.75 * tall + 0.2 * dx:
                continue
            distance = gap + 0.5 * dy
            if distance < least or (distance == least and j < nearest):
                nearest, least = j, distance
        if nearest >= 0:
            a, b = _root(group, i), _root(group, nearest)
            group[max(a, b)] = min(a, b)
    for i in range(n):
        group[i] = _root(group, i)
    return group


@compiled
def _spread(values: Any) -> float:
    return np.sqrt(np.mean((values - np.mean(values)) ** 2))


@compiled
def _line(x: Any, y: Any) -> tuple[float, float]:
    """Return the slope of the straight line through points, and their mean distance from it, along y."""
    if len(x) < 3:
        return 0.0, 0.0
    dx, dy = x - np.mean(x), y - np.mean(y)
    spread = np.sum(dx * dx)
    slope = np.sum(dx * dy) / spread if spread else 0.0
    return slope, np.mean(np.abs(dy - slope * dx))


@compiled
def _score(features: Any, weights: Any, offset: float) -> float:
    """Return the logistic score of a row: above 0 more likely letters than not."""
    total = offset
    for i in range(len(features)):
        z = (features[i] - weights[0, i]) / weights[1, i]
        total += weights[2, i] * z + weights[3, i] * z * z
    return total


@compiled
def rows_of(
    mask: Any, words: Any, response: Any, texture: int, dense: float, low: int, high: int, most: int,
    colorless: bool, weights: Any, offset: float, least: float,
) -> Any:  # fmt: skip
    """Return the rows in a mask whose score is above ``least``.

    Parameters
    ----------
    mask, response : numpy.ndarray
        uint8, (height, width), multiples of 8; the mask has 0 and 255.
    words : numpy.ndarray
        The mask's own memory as uint64, (height, width / 8); what is no row is cleared in it.
    texture : int
        Level of the response above which the mask was cut.
    dense, low, high, most
        Of ``vocabularies/detecting.yaml``, section strokes.
    colorless : bool
        Whether the response is of lacking color.
    weights, offset, least
        Of the section gate: mean, spread, weight and weight of the square, (4, 15).

    Returns
    -------
    edges : numpy.ndarray
        Left, top, right, bottom, (rows, 4).
    lines : numpy.ndarray
        Height of a stroke, slope, and score, (rows, 3).
    features : numpy.ndarray
        (rows, 15).
    """
    edges, lines, features = np.empty((0, 4), np.int64), np.empty((0, 3)), np.empty((0, 15))
    most_runs = _keep_dense(words, dense)
    if most_runs == 0:
        return edges, lines, features
    runs, parents = np.empty((most_runs, 3), np.int32), np.empty(most_runs, np.int32)
    runs = runs[: _runs(mask, words, runs)]
    _joined(runs, parents)
    parts = np.empty((len(runs), 7), np.int64)
    parts = parts[: _parts(runs, parents, response, parts)]
    chosen = _chosen(parts, low, high, most)
    if len(chosen) == 0:
        return edges, lines, features
    parts = parts[chosen]
    x, y = parts[:, _LEFT].astype(np.float64), parts[:, _TOP].astype(np.float64)
    w, h = parts[:, _RIGHT] - x, parts[:, _BOTTOM] - y
    area = parts[:, _AREA].astype(np.float64)
    fill = area / (w * h)
    group = _linked(x, y, w, h)
    order = np.argsort(group, kind="mergesort")
    edges, lines, features = np.empty((len(x), 4), np.int64), np.empty((len(x), 3)), np.empty((len(x), 15))
    count, begin = 0, 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and group[order[end]] == group[order[begin]]:
            end += 1
        m = order[begin:end]
        begin = end
        # a part much wider than high counts for as many letters as fit: small letters run together
        letters, upright, right, below = 0.0, 0.0, 0.0, 0.0
        for i in m:
            own = min(max(w[i] / (0.8 * h[i]), 1.0), 40.0) if w[i] > 1.6 * h[i] else 1.0
            letters += own
            if w[i] > 0.34 * h[i] or fill[i] <= 0.6:  # no tick of a ruler
                upright += own
            right, below = max(right, x[i] + w[i]), max(below, y[i] + h[i])
        if letters < 3 or (len(m) > 1 and upright < 2):
            continue
        height = np.median(h[m])
        left, top = np.min(x[m]), np.min(y[m])
        if right - left < 1.3 * height:
            continue
        edges[count, 0], edges[count, 1], edges[count, 2], edges[count, 3] = left, top, right, below
        slope, off_line = _line(x[m] + w[m] / 2, y[m] + h[m] / 2)
        lines[count, 0], lines[count, 1] = height, slope
        inked, strength = np.sum(area[m]), 0.0
        peaks = np.empty(len(m))
        for k in range(len(m)):
            strength += parts[m[k], _SUM]
            peaks[k] = parts[m[k], _PEAK]
        total = 0
        for b in range(edges[count, 1], edges[count, 3]):
            for a in range(edges[count, 0], edges[count, 2]):
                total += response[b, a]
        box = (right - left) * (below - top)
        quiet = (total - strength) / max(box - inked, 1.0)
        strength /= inked
        room, around, seen = np.int64(height), 0, 0
        for b in range(max(0, edges[count, 1] - room), min(mask.shape[0], edges[count, 3] + room)):
            for a in range(max(0, edges[count, 0] - room), min(mask.shape[1], edges[count, 2] + room)):
                around += mask[b, a] > 0
                seen += 1
        f = features[count]
        f[0] = np.log(letters)
        f[1] = len(m)
        f[2] = _spread(h[m]) / height
        f[3] = inked / box
        f[4] = np.log(strength)
        f[5] = np.log(strength / texture)
        f[6] = np.mean(peaks) / 255
        f[7] = _spread(peaks) / np.mean(peaks)
        f[8] = off_line / height
        f[9] = np.log(height)
        f[10] = np.mean(fill[m])
        f[11] = texture / 60
        f[12] = quiet / strength
        f[13] = around / seen
        f[14] = colorless
        lines[count, 2] = _score(f, weights, offset)
        if lines[count, 2] > least:
            count += 1
    return edges[:count], lines[:count], features[:count]
