"""A decoded picture: its pixels as 8-bit samples, what was stored, and how to turn it into upright RGB."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from curation_dagster.core.imaging.formats import Sniffed
from curation_dagster.core.imaging.settings import Limits

# pool workers are one per core; OpenCV's own threads would only fight over them
cv2.setNumThreads(1)

MODES = ("L", "LA", "RGB", "RGBA", "CMYK")


@dataclass(frozen=True)
class Picture:
    """What decoding a file gave.

    Parameters
    ----------
    state : str
        One of ``schemas.DECODE_STATES``.
    detail : str or None
        What the decoder said, or why it was not asked.
    format, media_type : str or None
        By content.
    raster : numpy.ndarray or None
        uint8, as stored (not oriented): (height, width) for mode L, else (height, width, channels). None where
        nothing could be decoded.
    mode : str or None
        Layout of ``raster``: L, LA, RGB, RGBA or CMYK (0 is no ink).
    width, height : int or None
        Of ``raster``, in px.
    orientation : int
        EXIF orientation, 1 to 8, that is still to be applied.
    turned : int
        Orientation that the decoder has applied already (TIFF, HEIC).
    frames : int or None
        Frames or pages in the file.
    color_mode : str or None
        Colour mode as stored.
    bit_depth : int or None
        Bits a channel as stored.
    has_alpha, is_lossless : bool or None
        As stored.
    icc : bytes or None
        Colour profile.
    jpeg_quality, jpeg_subsampling, jpeg_progressive
        Of JPEG compression.
    technical : dict or None
        Technical attributes of a DICOM header, from an allow-list.
    """

    state: str
    detail: str | None = None
    format: str | None = None
    media_type: str | None = None
    raster: np.ndarray | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int = 1
    turned: int = 1
    frames: int | None = None
    color_mode: str | None = None
    bit_depth: int | None = None
    has_alpha: bool | None = None
    is_lossless: bool | None = None
    icc: bytes | None = None
    jpeg_quality: int | None = None
    jpeg_subsampling: str | None = None
    jpeg_progressive: bool | None = None
    technical: dict[str, str | int] | None = None

    def but(self, **changes: Any) -> Picture:
        """Return a copy with other values."""
        return replace(self, **changes)

    def failed(self, state: str, detail: str) -> Picture:
        """Return a copy without pixels."""
        return replace(self, state=state, detail=detail, raster=None, mode=None)

    @property
    def stated_orientation(self) -> int:
        """The orientation that the file states, whoever applies it."""
        return self.orientation if self.orientation != 1 else self.turned

    @property
    def oriented_size(self) -> tuple[int, int] | None:
        """Width and height after orientation."""
        if self.width is None or self.height is None:
            return None
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


class NotDecodedError(Exception):
    """Ends a decode; ``picture`` says why, and holds what was known by then."""

    def __init__(self, picture: Picture, state: str, reason: str) -> None:
        super().__init__(reason)
        self.picture = picture.failed(state, reason)


def within_limits(picture: Picture, limits: Limits) -> Picture:
    """Return the picture if it may be decoded: a size above zero, not too many pixels, one frame.

    Raises
    ------
    NotDecodedError
        If it may not.
    """
    width, height = picture.width or 0, picture.height or 0
    if width <= 0 or height <= 0:
        raise NotDecodedError(picture, "unreadable", f"the header states a size of {width}x{height} px")
    if width * height > limits.max_pixels:
        reason = f"{width}x{height} px; at most {limits.max_pixels} pixels are decoded. Not decoded."
        raise NotDecodedError(picture, "too_large", reason)
    if picture.frames is not None and picture.frames > 1:
        raise NotDecodedError(
            picture, "unsupported", f"{picture.frames} frames or pages: a photograph has one"
        )
    return picture


def named(sniffed: Sniffed, state: str = "ok", detail: str | None = None) -> Picture:
    """Return a picture of which only the format is known."""
    return Picture(state, detail, sniffed.format, sniffed.media_type)


def orient(raster: np.ndarray, orientation: int) -> np.ndarray:
    """Return the raster as it is meant to be seen, contiguous; EXIF 2.32, section 4.6.4, tag 0112."""
    if orientation == 1:
        return raster
    if orientation in (2, 3, 4):
        return cv2.flip(raster, {2: 1, 3: -1, 4: 0}[orientation])
    if orientation == 5:
        return cv2.transpose(raster)
    if orientation == 7:
        return cv2.flip(cv2.transpose(raster), -1)
    return cv2.rotate(raster, cv2.ROTATE_90_CLOCKWISE if orientation == 6 else cv2.ROTATE_90_COUNTERCLOCKWISE)


def to_rgb_or_grey(raster: np.ndarray, mode: str) -> np.ndarray:
    """Return (height, width, 3) RGB or (height, width) grey; alpha is flattened on white, CMYK multiplied out."""
    if mode in ("L", "RGB"):
        return raster
    if mode == "CMYK":
        ink = 255 - raster
        return cv2.multiply(ink[..., :3], cv2.merge([ink[..., 3]] * 3), scale=1 / 255)
    alpha = raster[..., -1]
    color = raster[..., 0] if mode == "LA" else raster[..., :3]
    if int(alpha.min()) == 255:
        return np.ascontiguousarray(color)
    return flatten(color, alpha)


def flatten(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return ``color`` (8-bit, one or three channels) over white, by ``alpha`` of the same height and width."""
    flat = np.empty_like(color)
    # in bands: the products need 16 bits, and a whole large picture would double the memory
    for top in range(0, len(color), 256):
        band = slice(top, top + 256)
        weight = alpha[band].astype(np.uint16)
        if color.ndim == 3:
            weight = weight[..., None]
        mixed = color[band] * weight + 255 * (255 - weight) + 127
        flat[band] = mixed // 255
    return flat
