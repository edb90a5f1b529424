"""Hair, dark corners and rulers: measured for review, never a reason to exclude on its own.

Ink is measured with the colours (``light.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curation_dagster.core.imaging.settings import Hair, Measuring, Ruler, Vignette


@dataclass(frozen=True)
class Artifacts:
    """Columns of the table ``measurements`` of the same names."""

    hair_share: float
    hair_strands: int
    vignette_share: float
    ruler_score: float


def hair(grey_256: np.ndarray, settings: Hair) -> tuple[float, int]:
    """Return the share of pixels on dark strands, and the number of strands.

    A black-hat (the idea of DullRazor, Lee et al. 1997, with a square in place of its three lines, at a quarter of the
    cost), thresholded; what is thicker than a hair is opened away, and of the connected components those that are
    long and slender count. Without the last two steps, pigment networks and rough skin count as hair.

    Parameters
    ----------
    grey_256 : numpy.ndarray
        uint8 luma at up to 256 px on the long side.
    """
    window = np.ones((settings.window, settings.window), np.uint8)
    # beyond the border the picture goes on: with OpenCV's default, dark corners would respond
    response = cv2.morphologyEx(grey_256, cv2.MORPH_BLACKHAT, window, borderType=cv2.BORDER_REPLICATE)
    _, mask = cv2.threshold(response, settings.contrast - 1, 255, cv2.THRESH_BINARY)
    thick = cv2.morphologyEx(
        mask, cv2.MORPH_OPEN, np.ones((settings.thickness, settings.thickness), np.uint8)
    )
    mask = cv2.subtract(mask, thick)
    if not cv2.countNonZero(mask):
        return 0.0, 0
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=cv2.CV_16U)
    width, height, area = boxes[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA]].T.astype(
        np.float64
    )
    length = np.hypot(width, height)
    is_strand = (length >= settings.strand_length) & (area <= settings.area_per_length * length)
    return float(area[is_strand].sum() / mask.size), int(is_strand.sum())


def vignette(grey_64: np.ndarray, settings: Vignette) -> float:
    """Return the share of pixels in dark components that touch a corner (uint8 luma, 64x64)."""
    # the median would fail where the dark surround is most of the picture
    rank = grey_64.size * settings.bright_percentile // 100
    bright = float(np.partition(grey_64, rank, axis=None)[rank])
    limit = min(settings.luma_max, settings.share_of_bright * bright)
    height, width = grey_64.shape
    corners = ((0, 0), (0, width - 1), (height - 1, 0), (height - 1, width - 1))
    if all(grey_64[c] > limit for c in corners):
        return 0.0
    mask = (grey_64 <= limit).astype(np.uint8)
    _, labels = cv2.connectedComponents(mask, connectivity=4)
    touched = {int(labels[c]) for c in corners} - {0}
    return float(np.isin(labels, list(touched)).mean()) if touched else 0.0


def ruler(grey_256: np.ndarray, settings: Ruler) -> float:
    """Return the strength of periodic ticks along an edge: 0 none, near 1 strictly periodic.

    In a strip along each edge, the mean magnitude of the derivative along the edge is a profile in which the ticks
    of a ruler stand at equal distances. The score is the highest peak of the profile's normalized autocorrelation
    in the declared range of distances, over the four edges. Hair and skin texture have no such peak.
    """
    height, width = grey_256.shape
    rows, columns = max(1, round(height * settings.strip_share)), max(1, round(width * settings.strip_share))
    turned = cv2.transpose(grey_256)
    return max(
        _periodicity(np.concatenate([_profile(strip) for strip in strips]), settings.lag)
        for strips in (
            (grey_256[:rows], grey_256[-rows:]),
            (turned[:columns], turned[-columns:]),
        )
    )


def _profile(strip: np.ndarray) -> np.ndarray:
    """Return the mean magnitude of the derivative along the rows, (1, width - 1)."""
    if strip.shape[1] < 2:
        return np.zeros((1, 1), np.float32)
    return cv2.reduce(cv2.absdiff(strip[:, 1:], strip[:, :-1]), 0, cv2.REDUCE_AVG, dtype=cv2.CV_32F)


def _periodicity(profiles: np.ndarray, lag: tuple[int, int]) -> float:
    """Return the highest peak of the normalized autocorrelations of the rows of ``profiles``."""
    size = profiles.shape[1]
    low, high = lag[0], min(lag[1], size // 3)
    if high <= low + 1:
        return 0.0
    # without the slow change of texture along the edge, only what repeats is left
    centred = profiles - cv2.blur(profiles, (2 * lag[1] + 1, 1), borderType=cv2.BORDER_REFLECT)
    best = 0.0
    for row in centred:
        products = np.correlate(row, row[: size - high - 1], "valid")  # by lag, 0 to high + 1
        if products[0] <= 1e-6 * size:
            continue
        inner = products[low : high + 1]
        is_peak = (inner >= products[low - 1 : high]) & (inner >= products[low + 1 : high + 2])
        best = max(best, float(inner[is_peak].max(initial=0.0) / products[0]))
    return min(best, 1.0)


def artifacts(grey_256: np.ndarray, grey_64: np.ndarray, settings: Measuring) -> Artifacts:
    """Return all measures of artifacts from luma (uint8) at up to 256 px and at 64x64."""
    share, strands = hair(grey_256, settings.hair)
    return Artifacts(
        hair_share=share,
        hair_strands=strands,
        vignette_share=vignette(grey_64, settings.vignette),
        ruler_score=ruler(grey_256, settings.ruler),
    )
