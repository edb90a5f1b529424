"""Fit the weights of the gate before the text reader, and print them as YAML for ``vocabularies/detecting.yaml``.

Rows of strokes on drawn text are examples of what is to be read; rows elsewhere, on synthetic lesions and on any
photographs without text given by ``--real``, are examples of what is not. A logistic regression over the features and
their squares, both sides with equal weight. ``benchmarks/detectors.py`` judges it on other seeds and other fonts.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import numpy as np
import simplejpeg
from drawn import FITTED, drawn_text, lesions, stored

from curation_dagster.core.imaging.detecting import FEATURES, detecting
from curation_dagster.core.imaging.glyphs import rows_of_strokes
from curation_dagster.core.imaging.halved import Halved


def main() -> None:
    """Collect examples, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, help="folder of JPEG photographs of lesions without text")
    parser.add_argument("--each", type=int, default=3)
    arguments = parser.parse_args()
    strokes, gate = detecting().strokes, dataclasses.replace(detecting().gate, least=-math.inf)
    letters: list[list[float]] = []
    others: list[list[float]] = []
    for d in drawn_text(1000, FITTED, arguments.each):
        for found in rows_of_strokes(Halved(d.picture), strokes, gate):
            box, row = found.box, list(found.features)
            common, mine = common_area(box, d.box), (box[2] - box[0]) * (box[3] - box[1])
            if common > 0.4 * d.box[2] * d.box[3] and common > 0.3 * mine:
                letters.append(row)
            elif common < 0.02 * d.box[2] * d.box[3]:
                others.append(row)
    for _, _, picture in lesions(1000, 2):
        others += [list(r.features) for r in rows_of_strokes(Halved(stored(picture)), strokes, gate)]
    for path in sorted(arguments.real.rglob("*.jpg"))[::2] if arguments.real else ():
        picture = simplejpeg.decode_jpeg(path.read_bytes(), "RGB")
        # photographs count more than drawings
        others += 3 * [list(r.features) for r in rows_of_strokes(Halved(picture), strokes, gate)]
    x = np.array(letters + others)
    y = np.r_[np.ones(len(letters)), np.zeros(len(others))]
    weight = np.where(y == 1, 0.5 / len(letters), 0.5 / len(others))
    mean, spread = x.mean(0), x.std(0) + 1e-9
    z = (x - mean) / spread
    z = np.c_[z, z * z, np.ones(len(z))]
    w = np.zeros(z.shape[1])
    for _ in range(2500):
        p = 1 / (1 + np.exp(-z @ w))
        w -= z.T @ (weight * (p - y)) + 1e-4 * w
    print(f"# {len(letters)} rows on text, {len(others)} elsewhere")
    print("  features:")
    for number, name in enumerate(FEATURES):
        values = (mean[number], spread[number], w[number], w[number + len(FEATURES)])
        print(f"    {name}: [{', '.join(f'{v:.4f}' for v in values)}]")
    print(f"  offset: {w[-1]:.4f}")


def common_area(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """Return the area common to a box by its edges and a box by its corner and size."""
    width = max(0, min(a[2], b[0] + b[2]) - max(a[0], b[0]))
    return width * max(0, min(a[3], b[1] + b[3]) - max(a[1], b[1]))


if __name__ == "__main__":
    main()
