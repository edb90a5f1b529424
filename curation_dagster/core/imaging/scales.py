"""Working copies of luma at fixed scales, made once and shared by all measures."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_BAND_BYTES = 1 << 19


@dataclass(frozen=True)
class Scales:
    """Luma at three scales and a sample of colours.

    Parameters
    ----------
    grey_512, grey_256 : numpy.ndarray
        uint8, at most 512 and 256 px on the long side; the same array as the larger one where that is no larger.
    grey_64 : numpy.ndarray
        uint8, 64x64 whatever the aspect ratio.
    colors : numpy.ndarray
        uint8 RGB, pixels taken from the picture as they are, at most 128 px on the long side: some ten thousand
        pixels, enough for shares of a few per mille.
    """

    grey_512: np.ndarray
    grey_256: np.ndarray
    grey_64: np.ndarray
    colors: np.ndarray


def make_scales(raster: np.ndarray) -> Scales:
    """Return the working copies of an RGB or grey raster (uint8).

    Luma is computed first and only luma is reduced. Reduction is by exact halvings (mean of 2x2) and then one linear
    step of less than 2, which has little aliasing and costs a tenth of an area resize by a fraction.
    """
    grey = raster if raster.ndim == 2 else _luma(raster)
    grey_512 = _reduce(grey, _fit(raster.shape[1], raster.shape[0], 512), 512)
    grey_256 = _reduce(grey_512, _fit(grey_512.shape[1], grey_512.shape[0], 256), 256)
    small = _halve(grey_256, 128)
    grey_64 = cv2.resize(small, (64, 64), interpolation=cv2.INTER_LINEAR)
    width, height = _fit(raster.shape[1], raster.shape[0], 128)
    colors = cv2.resize(raster, (width, height), interpolation=cv2.INTER_NEAREST)
    if colors.ndim == 2:
        colors = cv2.cvtColor(colors, cv2.COLOR_GRAY2RGB)
    return Scales(grey_512, grey_256, grey_64, colors)


def _fit(width: int, height: int, limit: int) -> tuple[int, int]:
    long_side = max(width, height)
    if long_side <= limit:
        return width, height
    return max(1, round(width * limit / long_side)), max(1, round(height * limit / long_side))


def _halve(grey: np.ndarray, limit: int) -> np.ndarray:
    """Return ``grey`` halved as long as its long side stays at least ``limit``; an odd last row or column is left out."""
    while max(grey.shape) >= 2 * limit and min(grey.shape) >= 2:
        height, width = grey.shape[0] // 2, grey.shape[1] // 2
        grey = cv2.resize(grey[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    return grey


def _luma(raster: np.ndarray) -> np.ndarray:
    """Return luma, already halved once where the long side is at least 1024 px.

    In bands that fit a core's cache, luma of the full size never goes to memory and back.
    """
    if max(raster.shape) < 1024:
        return cv2.cvtColor(raster, cv2.COLOR_RGB2GRAY)
    height, width = raster.shape[0] // 2, raster.shape[1] // 2
    if min(height, width) == 0:
        return cv2.cvtColor(raster, cv2.COLOR_RGB2GRAY)
    half = np.empty((height, width), np.uint8)
    rows = max(2, _BAND_BYTES // (raster.shape[1] * 3) // 2 * 2)
    for top in range(0, 2 * height, rows):
        band = cv2.cvtColor(raster[top : min(top + rows, 2 * height), : 2 * width], cv2.COLOR_RGB2GRAY)
        size = (width, band.shape[0] // 2)
        half[top // 2 : top // 2 + size[1]] = cv2.resize(band, size, interpolation=cv2.INTER_AREA)
    return half


def _reduce(grey: np.ndarray, size: tuple[int, int], limit: int) -> np.ndarray:
    grey = _halve(grey, limit)
    if (grey.shape[1], grey.shape[0]) == size:
        return grey
    return cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
