"""Exposure and colour, from one histogram and one small sample of colours.

Exposure is described by percentiles and clipping, not by the mean: a mean calls well exposed dark skin dark.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curation_dagster.core.imaging.settings import Ink, Light, Skin

_LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True)
class Exposure:
    """Columns of the table ``measurements`` of the same names."""

    luma_p01: float
    luma_p05: float
    luma_p50: float
    luma_p95: float
    luma_p99: float
    luma_std: float
    dark_share: float
    bright_share: float
    luma_entropy: float


@dataclass(frozen=True)
class Color:
    """Columns of the table ``measurements`` of the same names."""

    saturation_mean: float
    skin_share: float
    ink_share: float


def exposure(grey: np.ndarray, light: Light) -> Exposure:
    """Return the exposure of luma (uint8, (height, width)), from every fourth line of it."""
    counts = cv2.calcHist([grey[::4]], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    share = counts / counts.sum()
    cumulated = np.cumsum(share)
    # the level at which the cumulated share first reaches the percentile; the tolerance absorbs summation error
    p01, p05, p50, p95, p99 = np.searchsorted(
        cumulated, np.array([0.01, 0.05, 0.5, 0.95, 0.99]) - 1e-9
    ).tolist()
    mean = float(share @ _LEVELS)
    seen = share[share > 0]
    return Exposure(
        luma_p01=float(p01),
        luma_p05=float(p05),
        luma_p50=float(p50),
        luma_p95=float(p95),
        luma_p99=float(p99),
        luma_std=float(max(0.0, share @ (_LEVELS * _LEVELS) - mean * mean)) ** 0.5,
        dark_share=_unit(share[: light.dark_luma + 1].sum()),
        bright_share=_unit(share[light.bright_luma :].sum()),
        luma_entropy=float(max(0.0, -(seen @ np.log2(seen)))),
    )


def color(sample: np.ndarray, skin: Skin, ink: Ink) -> Color:
    """Return colour shares of a sample of pixels (uint8 RGB, (height, width, 3)); all zero but for chance in grey."""
    hsv = cv2.cvtColor(sample, cv2.COLOR_RGB2HSV)
    ycrcb = cv2.cvtColor(sample, cv2.COLOR_RGB2YCrCb)
    pixels = sample.shape[0] * sample.shape[1]
    is_skin = cv2.inRange(ycrcb, (0, skin.cr[0], skin.cb[0]), (255, skin.cr[1], skin.cb[1]))
    is_ink = cv2.inRange(hsv, (ink.hue[0], ink.saturation_min, ink.value[0]), (ink.hue[1], 255, ink.value[1]))
    blue_over_red = cv2.subtract(
        sample[..., 2], sample[..., 0]
    )  # saturates at 0: warm pictures have no blue cast
    cast = int(np.median(blue_over_red[::2, ::2]))
    is_ink = cv2.bitwise_and(is_ink, cv2.inRange(blue_over_red, (cast + ink.blue_over_cast,), (255,)))
    return Color(
        saturation_mean=_unit(cv2.sumElems(hsv)[1] / pixels / 255),
        skin_share=cv2.countNonZero(is_skin) / pixels,
        ink_share=cv2.countNonZero(is_ink) / pixels,
    )


def _unit(value: float) -> float:
    return float(min(1.0, max(0.0, value)))
