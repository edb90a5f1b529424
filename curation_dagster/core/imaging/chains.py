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
_BORDER = 2
_FEATURES = 7
_LEFT, _TOP, _RIGHT, _BOTTOM, _AREA, _SUM, _PEAK = range(7)


@compiled
def _common_level(response: Any, height: int, width: int, step: int) -> int:
    """Return the level that nine tenths of every ``step``-th pixel of every ``step``-th row do not exceed."""
    counts = np.zeros(256, np.int64)
    total = 0
    for y in range(0, height, step):
        for x in range(0, width, step):
            counts[response[y, x]] += 1
            total += 1
    below, level = counts[0], 0
    while below < 0.9 * total:
        level += 1
        below += counts[level]
    return int(level)


@compiled
def _cut(response: Any, level: int, mask: Any) -> None:
    """Set the mask where the response is above the level."""
    flat, cut, above = response.ravel(), mask.ravel(), np.uint8(min(level, 255))
    for i in range(flat.size):
        cut[i] = np.uint8(1) if flat[i] > above else np.uint8(0)


@compiled
def _cut_plain(response: Any, level: int, channel: Any, low: int, high: int, mask: Any) -> None:
    """Set the mask where the response is above the level and the channel from ``low`` to ``high``."""
    flat, cut, above = response.ravel(), mask.ravel(), np.uint8(level)
    values, least, most = channel.ravel(), np.uint8(low), np.uint8(high)
    for i in range(flat.size):
        cut[i] = np.uint8((flat[i] > above) & (values[i] >= least) & (values[i] <= most))


@compiled
def _keep_dense(words: Any, least: float, is_kept: Any) -> Any:
    """Clear the cells in which strokes stand too loosely for a word; return how many runs of ink are left at most.

    ``least`` is the mean ink in 3x2 cells; ``is_kept`` (height / 8,) is set where a row of cells has ink left. Lone hairs and
    grains, most of what a close-up of skin has, are left out here for a tenth of what they cost later.
    """
    rows, columns = words.shape[0] // CELL, words.shape[1]
    ink = np.zeros((rows + 1, columns + 2), np.uint64)
    sums = np.empty(columns, np.uint64)
    for row in range(rows):
        sums[:] = 0
        for y in range(row * CELL, row * CELL + CELL):
            for x in range(columns):
                sums[x] += words[y, x]  # each byte by itself, 8 at most
        for x in range(columns):
            ink[row + 1, x + 1] = (sums[x] * _ONES) >> np.uint64(56)
    kept = np.zeros((rows, columns), np.uint64)
    needed = np.uint64(np.ceil(least * CELL * CELL / 255))
    is_kept[:] = False
    for y in range(rows):
        for x in range(columns):
            total = np.uint64(0)
            for b in range(2):
                for a in range(3):
                    total += ink[y + b, x + a]
            if total >= needed:
                for b in range(max(0, y - 2), min(rows, y + 3)):
                    is_kept[b] = True
                    for a in range(max(0, x - 2), min(columns, x + 3)):
                        kept[b, a] = _ALL
    runs = np.uint64(0)
    for row in range(rows):
        if not is_kept[row]:
            continue
        sums[:] = 0
        for y in range(row * CELL, row * CELL + CELL):
            for x in range(columns):
                word = words[y, x] & kept[row, x]
                words[y, x] = word
                sums[x] += word & ~(word << np.uint64(CELL))
        for x in range(columns):
            runs += (sums[x] * _ONES) >> np.uint64(56)
    return np.int64(runs)


@compiled
def _root(parents: Any, run: int) -> int:
    while parents[run] != run:
        parents[run] = parents[parents[run]]
        run = parents[run]
    return run


@compiled
def _runs(mask: Any, words: Any, is_kept: Any, runs: Any) -> int:
    """Write row, start and end of each run of ink into ``runs``, (n, 3), in the order of rows; return how many.

    Rows of cells that are not kept are passed over.
    """
    count = 0
    width = mask.shape[1]
    for y in range(mask.shape[0]):
        if not is_kept[y // CELL]:
            continue
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
def _nearest(
    i: int, x: Any, y: Any, w: Any, h: Any, among: Any, centres: Any, widest: float
) -> tuple[int, float]:
    """Return the nearest of the parts ``among`` to the right of part ``i``, of like height and level with it, or -1.

    A slope of a fifth is level. The parts are in the order of their ``centres`` along x.
    """
    centre_x, centre_y = x[i] + w[i] / 2, y[i] + h[i] / 2
    reach = x[i] + w[i] + 2.75 * h[i] + widest / 2  # 1.1 times the height of a part 2.5 times as high
    nearest, least = -1, np.inf
    for k in range(np.searchsorted(centres, centre_x, "right"), len(among)):
        if centres[k] > reach:
            break
        j = among[k]
        tall = max(h[i], h[j])
        dx, dy = centres[k] - centre_x, abs(y[j] + h[j] / 2 - centre_y)
        if dy > 0.3 * tall + 0.22 * dx or dy > 0.75 * tall + 0.2 * dx or min(h[i], h[j]) < 0.4 * tall:
            continue
        gap = max(x[j] - x[i] - w[i], 0.0)
        distance = gap + 0.5 * dy
        if gap <= 1.1 * tall and (distance < least or (distance == least and j < nearest)):
            nearest, least = j, distance
    return nearest, least


@compiled
def _linked(x: Any, y: Any, w: Any, h: Any) -> Any:
    """Return the group of each part: each hangs on the nearest to its right."""
    n = len(x)
    group = np.arange(n)
    centre = x + w / 2
    order = np.argsort(centre, kind="mergesort")
    wide = w[order] > 1.6 * h[order]  # few, and they would widen the search for all
    narrow, joined = order[~wide], order[wide]
    narrow_centres, joined_centres = centre[narrow], centre[joined]
    narrow_widest = w[narrow].max() if len(narrow) else 0.0
    joined_widest = w[joined].max() if len(joined) else 0.0
    for i in range(n):
        nearest, least = _nearest(i, x, y, w, h, narrow, narrow_centres, narrow_widest)
        other, distance = _nearest(i, x, y, w, h, joined, joined_centres, joined_widest)
        if distance < least or (distance == least and 0 <= other < nearest):
            nearest = other
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
def _rows(
    mask: Any, words: Any, response: Any, texture: int, numbers: Any, weights: Any, colorless: bool, found: Any, count: int
) -> int:  # fmt: skip
    """Write the rows in one mask into ``found`` from ``count`` on; return the new count."""
    dense, low, high, most = numbers[5], int(numbers[6]), int(numbers[7]), int(numbers[8])
    offset, least = numbers[9], numbers[10]
    is_kept = np.empty(len(words) // CELL, np.bool_)
    most_runs = _keep_dense(words, dense, is_kept)
    if most_runs == 0:
        return count
    runs, parents = np.empty((most_runs, 3), np.int32), np.empty(most_runs, np.int32)
    runs = runs[: _runs(mask, words, is_kept, runs)]
    _joined(runs, parents)
    parts = np.empty((len(runs), 7), np.int64)
    parts = parts[: _parts(runs, parents, response, parts)]
    chosen = _chosen(parts, low, high, most)
    if len(chosen) == 0:
        return count
    parts = parts[chosen]
    x, y = parts[:, _LEFT].astype(np.float64), parts[:, _TOP].astype(np.float64)
    w, h = parts[:, _RIGHT] - x, parts[:, _BOTTOM] - y
    area = parts[:, _AREA].astype(np.float64)
    fill = area / (w * h)
    group = _linked(x, y, w, h)
    order = np.argsort(group, kind="mergesort")
    begin = 0
    while begin < len(order) and count < len(found):
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
        x0, y0, x1, y1 = int(left), int(top), int(right), int(below)
        slope, off_line = _line(x[m] + w[m] / 2, y[m] + h[m] / 2)
        inked, strength = np.sum(area[m]), 0.0
        peaks = np.empty(len(m))
        for k in range(len(m)):
            strength += parts[m[k], _SUM]
            peaks[k] = parts[m[k], _PEAK]
        total = 0
        for b in range(y0, y1):
            for a in range(x0, x1):
                total += response[b, a]
        box = (right - left) * (below - top)
        quiet = (total - strength) / max(box - inked, 1.0)
        strength /= inked
        room, around, seen = int(height), 0, 0
        for b in range(max(0, y0 - room), min(mask.shape[0], y1 + room)):
            for a in range(max(0, x0 - room), min(mask.shape[1], x1 + room)):
                around += mask[b, a] if is_kept[b // CELL] else 0
                seen += 1
        row = found[count]
        f = row[_FEATURES:]
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
        row[0], row[1], row[2], row[3], row[4], row[5] = left, top, right, below, height, slope
        row[6] = _score(f, weights, offset)
        if row[6] > least:
            count += 1
    return count


@compiled
def rows_of(
    response: Any, channel: Any, mask: Any, words: Any, numbers: Any, weights: Any, height: int, width: int,
    low: int, high: int, colorless: bool, found: Any,
) -> int:  # fmt: skip
    """Write the rows of strokes in a response into ``found``, and return how many there are.

    The response is cut at a level above the picture's own texture, on rough skin at twice that too; and where the channel
    is as black or white as only ink is, at a low one.

    Parameters
    ----------
    response, channel, mask : numpy.ndarray
        uint8, contiguous, sides multiples of 8; the mask is written over, and so is the border of the response.
    words : numpy.ndarray
        The mask's own memory as uint64, (height, width / 8).
    numbers : numpy.ndarray
        In this order: of the section strokes of ``vocabularies/detecting.yaml`` ``over_texture``, ``least_contrast``,
        ``most_contrast``, ``second_level_from``, ``plain_contrast``, ``dense``, both ends of ``height``, ``most``; of the
        section gate ``offset``, ``least``; and how many pixels a sample of the texture steps over.
    weights : numpy.ndarray
        Of the gate: mean, spread, weight and weight of the square of each feature, (4, 15).
    height, width : int
        What of the response is picture.
    low, high : int
        Levels of the channel that only ink has; none if ``low`` is above ``high``.
    colorless : bool
        Whether the response is of lacking color.
    found : numpy.ndarray
        Room for rows, (n, 22): left, top, right, bottom, height of a stroke, slope, score and 15 features.
    """
    for i in range(_BORDER):
        response[i] = 0
        response[:, i] = 0
    response[height - _BORDER :] = 0
    response[:, width - _BORDER :] = 0
    texture = int(numbers[0] * _common_level(response, height, width, int(numbers[11])) + 2)
    texture = min(max(texture, int(numbers[1])), int(numbers[2]))
    _cut(response, texture, mask)
    count = _rows(mask, words, response, texture, numbers, weights, colorless, found, 0)
    if texture >= numbers[3]:
        _cut(response, 2 * texture, mask)
        count = _rows(mask, words, response, texture, numbers, weights, colorless, found, count)
    if low <= high:
        _cut_plain(response, int(numbers[4]), channel, low, high, mask)
        count = _rows(mask, words, response, texture, numbers, weights, colorless, found, count)
    return count
