"""What goes wrong with pictures and files, done on purpose: one function per defect.

Functions on pictures take and return RGB arrays of shape (height, width, 3), 0 to 255. Functions on files take and
return bytes. All are deterministic.
"""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from curation_dagster.samples import texture
from curation_dagster.samples.skin import Picture

# -- focus and light -------------------------------------------------------------------------------


def blurred(picture: Picture, sigma_at_1024: float = 9.0) -> Picture:
    """Return the picture out of focus; ``sigma_at_1024`` is in pixels where the long side has 1024."""
    soft = cv2.GaussianBlur(picture, (0, 0), sigma_at_1024 * max(picture.shape[:2]) / 1024)
    return soft.astype(np.uint8)


def motion_blurred(picture: Picture, length_at_1024: float = 70.0, degrees: float = 4.0) -> Picture:
    """Return the picture of a camera that moved ``length_at_1024`` pixels (at a long side of 1024)."""
    scale = max(picture.shape[:2]) / 1024
    length = max(3, round(length_at_1024 * scale)) | 1
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), degrees, 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    # no lens is perfectly in focus while it moves
    soft = cv2.GaussianBlur(picture, (0, 0), 2.5 * scale)
    return cv2.filter2D(soft, -1, kernel / kernel.sum()).astype(np.uint8)


def underexposed(picture: Picture, gain: float = 0.16) -> Picture:
    """Return the picture with too little light."""
    return np.clip(picture.astype(np.float32) * gain, 0, 255).astype(np.uint8)


def overexposed(picture: Picture, gain: float = 3.4) -> Picture:
    """Return the picture with so much light that most of it is clipped."""
    return np.clip(picture.astype(np.float32) * gain + 40, 0, 255).astype(np.uint8)


def no_information(picture: Picture) -> Picture:
    """Return a picture of the same shape in one colour, as a covered lens takes it."""
    return np.full_like(picture, 118)


# -- size and copies -------------------------------------------------------------------------------


def resized(picture: Picture, factor: float) -> Picture:
    """Return the picture at ``factor`` times its size."""
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=interpolation).astype(np.uint8)


def half_size(picture: Picture) -> Picture:
    """Return a copy at half the size."""
    return resized(picture, 0.5)


def tiny(picture: Picture, short_side: int = 120) -> Picture:
    """Return the picture with a short side of ``short_side`` pixels, too small for any modality by default."""
    return resized(picture, short_side / min(picture.shape[:2]))


def mirrored(picture: Picture) -> Picture:
    """Return the mirror image, left for right."""
    return np.ascontiguousarray(picture[:, ::-1])


def cropped(picture: Picture, share: float = 0.05) -> Picture:
    """Return the picture without ``share`` of its width and height at each side."""
    height, width = picture.shape[:2]
    top, left = round(height * share), round(width * share)
    return np.ascontiguousarray(picture[top : height - top, left : width - left])


# -- artifacts -------------------------------------------------------------------------------------


def with_hair(picture: Picture, seed: int = 0, count: int = 18) -> Picture:
    """Return the picture with long dark hairs over it."""
    rng = np.random.default_rng([seed, 11])
    height, width = picture.shape[:2]
    lengths = (0.45 * width, 0.95 * width)
    direction = rng.uniform(0, np.pi)
    thin = max(1, round(width / 600))
    hair = texture.strands(
        rng, height, width, count - count // 6, lengths, thin, bend=0.07, direction=direction
    )
    # a few are coarse
    coarse = texture.strands(
        rng, height, width, count // 6, lengths, thin + 1, bend=0.10, direction=direction
    )
    hair = np.maximum(hair, coarse)
    colour = np.array([38, 26, 20], np.float32)
    cover = np.minimum(hair * 1.6, 0.96)[..., None]
    return (picture + cover * (colour - picture)).astype(np.uint8)


def with_ruler(picture: Picture, millimetres: int = 24) -> Picture:
    """Return the picture with the scale of a ruler along its lower edge; no digits, so nothing to read."""
    marked = picture.copy()
    height, width = picture.shape[:2]
    step = width / millimetres
    base = round(height * 0.93)
    ink = (28, 28, 34)
    cv2.line(marked, (0, base), (width, base), ink, max(1, round(width / 500)), cv2.LINE_AA)
    for mark in range(millimetres + 1):
        x = round(mark * step)
        length = height * (0.075 if mark % 10 == 0 else 0.055 if mark % 5 == 0 else 0.035)
        cv2.line(marked, (x, base), (x, round(base - length)), ink, max(1, round(width / 420)), cv2.LINE_AA)
    return marked


def with_vignette(picture: Picture, radius: float = 0.50) -> Picture:
    """Return the picture seen through a round lens: black outside ``radius`` of the width."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot(x - width / 2, y - height / 2) / width
    light = texture.smoothstep(radius, radius * 0.88, away)
    return (picture * light[..., None] + 4 * (1 - light[..., None])).astype(np.uint8)


# -- damaged files ---------------------------------------------------------------------------------


def truncated(data: bytes, share: float = 0.6) -> bytes:
    """Return the first ``share`` of a file: a download that was cut off."""
    return data[: round(len(data) * share)]


def zeroed_block(data: bytes, share: float = 0.06) -> bytes:
    """Return the file with a block of zeros in its middle: a bad sector, or a lost part of an upload."""
    length = max(64, round(len(data) * share))
    start = len(data) // 2
    return data[:start] + bytes(length) + data[start + length :]


def html_page() -> bytes:
    """Return the error page that a web server sends instead of a picture."""
    return (
        b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>\n"
        b"<body><h1>Not Found</h1><p>The requested image is not on this server.</p></body></html>\n"
    )


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a well-formed PNG of a few bytes that claims ``width`` times ``height`` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(4096), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
