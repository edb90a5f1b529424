"""Whether two small pictures show the same thing: keypoints that agree on one similarity transform.

ORB keypoints (Rublee et al. 2011) of the equalized grey thumbnails are matched by Lowe's ratio, and RANSAC looks for
the shift, rotation and scale that most matches agree on. Unrelated lesions share at most 13 such keypoints, copies
mostly more than 32 (measured on ISIC 2017).

A logo, a ruler or a watermark is the same in pictures of different lesions, and has keypoints enough. So the first
picture is laid over the second by the transform, and their details, without the broad light and dark that all lesions
share, are correlated tile by tile: a low quantile tells whether the rest agrees as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import atan2, degrees, hypot
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

_METHOD = Path(__file__).resolve().parents[2] / "vocabularies" / "keypoints.yaml"
_SEED = 20  # any constant: the same pair gives the same figures, whatever was compared before


@dataclass(frozen=True)
class KeypointMethod:
    """How keypoints are found and matched; the file ``vocabularies/keypoints.yaml`` explains each number."""

    version: str
    features: int
    corner_contrast: int
    border: int
    equalizer_clip: float
    equalizer_tiles: int
    match_ratio: float
    inlier_px: float
    scale: tuple[float, float]
    detail_blur: tuple[float, float]
    detail_tile: int
    detail_quantile: float
    detail_agreement: float


@cache
def keypoint_method() -> KeypointMethod:
    """Return the declared method, read once per process.

    Raises
    ------
    ValueError
        If the file lacks a key or has one too many.
    """
    values = yaml.safe_load(_METHOD.read_text(encoding="utf-8"))
    try:
        return KeypointMethod(**values | {k: tuple(values[k]) for k in ("scale", "detail_blur")})
    except (TypeError, KeyError) as error:
        raise ValueError(f"{_METHOD.name}: {error}") from error


@dataclass(frozen=True)
class Features:
    """Keypoints of one picture.

    Parameters
    ----------
    points : ndarray of float32, shape (n, 2)
        Column and row. Pixel.
    descriptors : ndarray of uint8, shape (n, 32)
        ORB descriptors.
    detail : ndarray of int16, shape (height / 2, width / 2)
        What is left of the picture without its finest and its broadest structures. Level.
    """

    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.uint8]
    detail: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Agreement:
    """What two pictures have in common.

    Parameters
    ----------
    inliers : int
        Keypoints that agree on the transform.
    detail : float
        Declared quantile of the correlations of details, over the tiles that show most where both overlap, -1 to 1.
    scale, rotation : float
        The transform from the first picture to the second; the rotation in degrees.
    """

    inliers: int
    detail: float
    scale: float
    rotation: float


_NOTHING = Agreement(0, 0.0, 1.0, 0.0)


def features(picture: npt.NDArray[np.uint8], method: KeypointMethod) -> Features:
    """Return the keypoints of a grey picture of shape (height, width)."""
    tiles = (method.equalizer_tiles, method.equalizer_tiles)
    equalized = cv2.createCLAHE(clipLimit=method.equalizer_clip, tileGridSize=tiles).apply(picture)
    detector = cv2.ORB_create(  # type: ignore[attr-defined]
        nfeatures=method.features, edgeThreshold=method.border, fastThreshold=method.corner_contrast
    )
    found, descriptors = detector.detectAndCompute(equalized, None)
    detail = _detail(equalized, method.detail_blur)
    if descriptors is None:
        return Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8), detail)
    points = np.array([k.pt for k in found], np.float32).reshape(-1, 2)
    return Features(points, descriptors, detail)


def agreement(a: Features, b: Features, method: KeypointMethod) -> Agreement:
    """Return how far two pictures agree; the same for the same two, whatever was compared before.

    Pictures with fewer than two matches, or a transform out of the declared scale, have nothing in common.
    """
    start, end = _matched(a, b, method.match_ratio)
    if len(start) < 2:
        return _NOTHING
    cv2.setRNGSeed(_SEED)
    transform, mask = cv2.estimateAffinePartial2D(
        start, end, method=cv2.RANSAC, ransacReprojThreshold=method.inlier_px
    )
    if transform is None:
        return _NOTHING
    scale = hypot(transform[0, 0], transform[1, 0])
    if not method.scale[0] <= scale <= method.scale[1]:
        return _NOTHING
    rotation = degrees(atan2(transform[1, 0], transform[0, 0]))
    return Agreement(int(mask.sum()), _overlaid(a.detail, b.detail, transform, method), scale, rotation)


def _detail(picture: npt.NDArray[Any], blur: tuple[float, float]) -> npt.NDArray[np.int16]:
    half = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA).astype(np.float32)
    fine, broad = (cv2.GaussianBlur(half, (0, 0), sigma) for sigma in blur)
    # sixteenths of a level fit 16 bits, and halve the memory of a kept picture
    return ((fine - broad) * 16).astype(np.int16)


def _overlaid(
    a: npt.NDArray[np.int16], b: npt.NDArray[np.int16], transform: npt.NDArray[Any], method: KeypointMethod
) -> float:
    """Return how ``b`` correlates with ``a`` laid over it; 0 where they don't overlap."""
    halved = np.array(transform, np.float64)
    halved[:, 2] /= 2
    size = (b.shape[1], b.shape[0])
    seen = cv2.warpAffine(np.ones(a.shape, np.float32), halved, size, flags=cv2.INTER_NEAREST)
    left = cv2.warpAffine(a, halved, size, flags=cv2.INTER_LINEAR).astype(np.float32)
    right = b.astype(np.float32)
    tiles = (max(1, size[0] // method.detail_tile), max(1, size[1] // method.detail_tile))

    def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.resize(values, tiles, interpolation=cv2.INTER_AREA), np.float32)

    left_mean, right_mean = mean(left), mean(right)
    left_variance = mean(left * left) - left_mean**2
    right_variance = mean(right * right) - right_mean**2
    shown = np.sqrt(np.clip(left_variance * right_variance, 0, None))
    usable = (mean(seen) > 0.99) & (shown > 0)
    if not usable.any():
        return 0.0
    correlations = (mean(left * right) - left_mean * right_mean)[usable] / shown[usable]
    # the flatter half of the tiles shows noise and what compression left of it
    telling = correlations[shown[usable] >= np.median(shown[usable])]
    return float(np.quantile(telling, method.detail_quantile))


def _matched(
    a: Features, b: Features, ratio: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return matching points, each point of either picture at most once."""
    if len(a.points) < 2 or len(b.points) < 2:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    found = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(a.descriptors, b.descriptors, k=2)
    good = sorted(
        (first.distance, first.queryIdx, first.trainIdx)
        for first, second in found
        if first.distance < ratio * second.distance
    )
    # a tick of a ruler is like the next: many keypoints that match the same one are one piece of evidence
    chosen: dict[int, int] = {}
    for _, left, right in good:
        chosen.setdefault(right, left)
    left_rows = list(chosen.values())
    right_rows = list(chosen)
    return a.points[left_rows], b.points[right_rows]
