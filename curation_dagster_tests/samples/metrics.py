"""Focus and light as the literature defines them, written apart from the pipeline's own, to judge the samples by."""

from __future__ import annotations

import cv2
import imagehash
import numpy as np
from PIL import Image


def luma(picture: np.ndarray, long_side: int = 512) -> np.ndarray:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    scale = long_side / max(grey.shape)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def laplacian_variance(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(luma(picture), cv2.CV_32F).var())


def reblur(picture: np.ndarray) -> float:
    """Crete et al. 2007: how little a picture changes when it is blurred; 0 sharp, 1 blurred."""
    grey = luma(picture).astype(np.float32)
    worst = 0.0
    for axis, kernel in ((0, (1, 9)), (1, (9, 1))):
        blurred = cv2.blur(grey, kernel)
        sharp, soft = np.abs(np.diff(grey, axis=axis)), np.abs(np.diff(blurred, axis=axis))
        lost = np.maximum(0, sharp - soft).sum()
        worst = max(worst, float((sharp.sum() - lost) / sharp.sum()))
    return worst


def percentile(picture: np.ndarray, share: float) -> float:
    return float(np.percentile(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), share))


def hash_of(picture: np.ndarray) -> imagehash.ImageHash:
    return imagehash.phash(Image.fromarray(picture), hash_size=16)
