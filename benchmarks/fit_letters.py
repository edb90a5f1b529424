"""Fit the second look at rows of strokes, and write it to ``curation_dagster/models/letters.npz``.

Rows on drawn text are letters; rows elsewhere, and on synthetic lesions as they are, enlarged and with grain, are not.
Fonts, seeds and pictures are others than those of ``benchmarks/detectors.py``, and no photograph is among them. A part of
the examples is held out of a first fit to print what a threshold costs; the written weights are fitted on all.
The digest that is printed belongs into ``vocabularies/detecting.yaml``.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

import cv2
import numpy as np
from drawn import FITTED_LETTERS, drawn_text, lesions, stored
from fit_text_gate import common_area

from curation_dagster.core.imaging.declared import MODELS
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.glyphs import Row, rows_of_strokes
from curation_dagster.core.imaging.halved import Halved
from curation_dagster.core.imaging.letters import known, score_with

TEXT_SEEDS = (11000, 12000, 13000, 14000, 15000, 16000)
SKIN_SEEDS = (21000, 22000, 23000, 24000, 25000, 26000)
LOOSER = -1.0  # of the gate, for more examples than it lets through
HIDDEN, EPOCHS, BATCH, RATE, DECAY, DROPPED = 96, 60, 256, 2e-3, 1e-3, 0.5

Example = tuple[int, bool, int, np.ndarray]
"""Number of the picture, whether letters, size of the text (0 where there is none), what is known of each view."""


def rows(picture: np.ndarray) -> Iterator[tuple[Row, np.ndarray]]:
    """Yield the rows of strokes in a picture and what is known of each."""
    settings, halved = detecting(), Halved(picture)
    gate = dataclasses.replace(settings.gate, least=LOOSER)
    for row in rows_of_strokes(halved, settings.strokes, gate):
        yield row, np.stack(list(known(halved, row, settings.letters.views)))


def of_text(seed: int) -> Iterator[Example]:
    """Yield rows on and beside drawn text."""
    for number, drawn in enumerate(drawn_text(seed, FITTED_LETTERS, 2)):
        size = drawn.box[2] * drawn.box[3]
        for row, seen in rows(drawn.picture):
            common = common_area(row.box, drawn.box)
            mine = (row.box[2] - row.box[0]) * (row.box[3] - row.box[1])
            if common > 0.4 * size and common > 0.3 * mine:
                yield seed + number, True, drawn.size, seen
            elif common < 0.02 * size:
                yield seed + number, False, 0, seen


def of_skin(seed: int) -> Iterator[Example]:
    """Yield rows on lesions without text, each lesion as it is and enlarged with grain."""
    for number, (_, _, picture) in enumerate(lesions(seed, 6)):
        rng = np.random.default_rng(seed + number)
        larger = float(rng.uniform(1.0, 2.2))
        grainy = cv2.resize(picture, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC)
        grainy = np.clip(grainy + rng.normal(0, rng.uniform(2, 6), grainy.shape), 0, 255).astype(np.uint8)
        for again, one in enumerate((picture, grainy)):
            for _, seen in rows(stored(one, int(rng.integers(80, 97)))):
                yield seed + 2 * number + again, False, 0, seen


def fit(examples: list[Example]) -> dict[str, np.ndarray]:
    """Return the weights of a network with one hidden layer: Adam, dropout, both sides with equal weight."""
    x = np.concatenate([seen for *_, seen in examples])
    y = np.concatenate([np.full(len(seen), is_text, np.float32) for _, is_text, _, seen in examples])
    weight = np.where(y == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean())).astype(np.float32)
    mean, spread = np.zeros(x.shape[1], np.float32), np.full(x.shape[1], 1 / 8, np.float32)
    mean[512:], spread[512:] = x[:, 512:].mean(0), 2 * x[:, 512:].std(0) + 1e-6
    z, rng = (x - mean) / spread, np.random.default_rng(0)
    layers = [
        rng.normal(0, (2 / z.shape[1]) ** 0.5, (z.shape[1], HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN, np.float32),
        rng.normal(0, (1 / HIDDEN) ** 0.5, HIDDEN).astype(np.float32),
        np.zeros(1, np.float32),
    ]
    first, second, step = [np.zeros_like(p) for p in layers], [np.zeros_like(p) for p in layers], 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(z))
        for start in range(0, len(z), BATCH):
            batch = order[start : start + BATCH]
            inner = z[batch] @ layers[0] + layers[1]
            kept = (inner > 0) & (rng.random(inner.shape) > DROPPED)
            hidden = inner * kept / (1 - DROPPED)
            p = 1 / (1 + np.exp(-(hidden @ layers[2] + layers[3])))
            wrong = (weight[batch] * (p - y[batch]))[:, None] / len(batch)
            back = wrong * layers[2][None] * kept / (1 - DROPPED)
            slopes = (
                z[batch].T @ back + DECAY * layers[0], back.sum(0),
                (hidden * wrong).sum(0) + DECAY * layers[2], wrong.sum(0),
            )  # fmt: skip
            step += 1
            for i, slope in enumerate(slopes):
                first[i] = 0.9 * first[i] + 0.1 * slope
                second[i] = 0.999 * second[i] + 0.001 * slope**2
                move = rate * first[i] / (1 - 0.9**step)
                layers[i] -= (move / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)).astype(np.float32)
    inner, inner_offset, outer, outer_offset = (p.astype(np.float16) for p in layers)
    return {
        "mean": mean, "spread": spread, "inner": inner, "inner_offset": inner_offset,
        "outer": outer, "outer_offset": outer_offset,
    }  # fmt: skip


def judge(weights: dict[str, np.ndarray], examples: list[Example]) -> None:
    """Print how many pictures of text and of skin pass thresholds; a picture passes by its best row."""
    layers = tuple(w.astype(np.float32) for w in weights.values())
    text: dict[int, float] = defaultdict(lambda: -99.0)
    skin: dict[int, float] = defaultdict(lambda: -99.0)
    for number, _, size, seen in examples:
        side = text if size >= 16 else skin if number >= SKIN_SEEDS[0] else None
        if side is not None:
            side[number] = max(side[number], score_with(layers, seen))
    for least in (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0):
        passing = [sum(v > least for v in side.values()) for side in (text, skin)]
        print(
            f"above {least:4.1f}: {passing[0]} of {len(text)} with text from 16 px, {passing[1]} of {len(skin)} skin with rows"
        )


def main() -> None:
    """Collect examples, fit, judge, fit on all, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    texts = [list(of_text(seed)) for seed in TEXT_SEEDS]
    skins = [list(of_skin(seed)) for seed in SKIN_SEEDS]
    judge(fit([*chain(*texts[:-1], *skins[:-1])]), texts[-1] + skins[-1])
    everything = [*chain(*texts, *skins)]
    weights = fit(everything)
    np.savez(MODELS / "letters.npz", **weights)
    digest = hashlib.sha256((MODELS / "letters.npz").read_bytes()).hexdigest()
    print(
        f"{sum(e[1] for e in everything)} rows of letters, {sum(not e[1] for e in everything)} others\nsha256: {digest}"
    )


if __name__ == "__main__":
    main()
