"""Colour profiles: which one it is, and whether it can be used."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms


def profile_kind(icc: bytes | None) -> str | None:
    """Return ``sRGB``, ``Display P3``, ``Adobe RGB``, ``grey``, ``CMYK`` or ``other``; None if there is no profile.

    By the profile's own description; one that can't be parsed is ``other``.
    """
    if not icc:
        return None
    space = icc[16:20]
    if space == b"GRAY":
        return "grey"
    if space == b"CMYK":
        return "CMYK"
    profile = open_profile(icc)
    if space != b"RGB " or profile is None:
        return "other"
    try:
        description = ImageCms.getProfileDescription(profile).strip().lower()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return "other"
    for mark, kind in (("srgb", "sRGB"), ("display p3", "Display P3"), ("adobe rgb", "Adobe RGB")):
        if mark in description:
            return kind
    return "other"


def open_profile(icc: bytes) -> ImageCms.ImageCmsProfile | None:
    """Return the parsed profile, None if littleCMS can't parse it."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (OSError, ImageCms.PyCMSError, ValueError, TypeError):
        return None


_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}


def to_srgb(raster: np.ndarray, mode: str, icc: bytes) -> tuple[np.ndarray | None, str | None]:
    """Return the raster in sRGB, uint8 (height, width, 3), and a note.

    The raster is None where nothing had to be or could be converted: with no note, the profile is sRGB already; with
    one, the profile is broken or meant for another colour model, and the colours are taken as they are.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, mode L, RGB or CMYK (0 is no ink).
    mode : str
        That mode.
    icc : bytes
        The embedded profile.
    """
    if profile_kind(icc) == "sRGB" and mode == "RGB":
        return None, None
    profile = open_profile(icc)
    if profile is None:
        return None, "the colour profile can't be parsed; colours are taken as sRGB"
    if profile.profile.xcolor_space.strip() != _SPACES[mode]:
        return None, "the colour profile is for another colour model; colours are taken as sRGB"
    try:
        converted = ImageCms.profileToProfile(
            Image.fromarray(raster, mode),
            profile,
            _srgb(),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None, "the colour profile can't be applied; colours are taken as sRGB"
    return (np.ascontiguousarray(np.asarray(converted)) if converted is not None else None), None


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
