"""The declared numbers of the one pass, from ``vocabularies/measuring.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

VOCABULARIES = Path(__file__).resolve().parents[2] / "vocabularies"


@dataclass(frozen=True)
class Limits:
    """What is refused before it is read or decoded."""

    max_bytes: int
    max_pixels: int
    max_jpeg_scans: int


@dataclass(frozen=True)
class Focus:
    """Share of the long side that is left out along each edge."""

    margin: float


@dataclass(frozen=True)
class Light:
    """Luma up to which a pixel is dark, and from which it is bright (0 to 255)."""

    dark_luma: int
    bright_luma: int


@dataclass(frozen=True)
class Skin:
    """Inclusive ranges of 8-bit Cr and Cb."""

    cr: tuple[int, int]
    cb: tuple[int, int]


@dataclass(frozen=True)
class Ink:
    """Inclusive ranges in OpenCV's 8-bit HSV (hue 0 to 179), and blue minus red over the picture's median."""

    hue: tuple[int, int]
    saturation_min: int
    value: tuple[int, int]
    blue_over_cast: int


@dataclass(frozen=True)
class Hair:
    """What is a strand at 256 px: lengths and thickness in px, contrast in levels, area over length in px."""

    window: int
    contrast: int
    thickness: int
    strand_length: int
    area_per_length: float


@dataclass(frozen=True)
class Vignette:
    """Darkness of a corner at 64 px: absolute, in levels, and relative to a high percentile of luma."""

    luma_max: int
    bright_percentile: int
    share_of_bright: float


@dataclass(frozen=True)
class Ruler:
    """Depth of the strip along each edge, and the range of tick distances in px at up to 256 px."""

    strip_share: float
    lag: tuple[int, int]


@dataclass(frozen=True)
class Hash:
    """Median magnitude of DCT coefficients below which a hash means nothing, in levels."""

    min_median_coefficient: float


@dataclass(frozen=True)
class Thumbnail:
    """Quality of the stored 256 px thumbnail."""

    jpeg_quality: int


@dataclass(frozen=True)
class Measuring:
    """All declared numbers of the one pass."""

    version: str
    limits: Limits
    sharpness: Focus
    light: Light
    skin: Skin
    ink: Ink
    hair: Hair
    vignette: Vignette
    ruler: Ruler
    hash: Hash
    thumbnail: Thumbnail


_PARTS = {
    "limits": Limits,
    "sharpness": Focus,
    "light": Light,
    "skin": Skin,
    "ink": Ink,
    "hair": Hair,
    "vignette": Vignette,
    "ruler": Ruler,
    "hash": Hash,
    "thumbnail": Thumbnail,
}


def parse_measuring(text: str, name: str = "measuring.yaml") -> Measuring:
    """Return the declared numbers in ``text``.

    Raises
    ------
    ValueError
        If a section or key is missing or unknown; the message names it.
    """
    version, parts = read_sections(text, name, _PARTS)
    return Measuring(version=version, **parts)


def read_sections(
    text: str, name: str, kinds: Mapping[str, Callable[..., Any]]
) -> tuple[str, dict[str, Any]]:
    """Return the version that stands in ``text``, and each section as its kind; lists become tuples.

    Raises
    ------
    ValueError
        If a section or key is missing or unknown; the message names it.
    """
    data = yaml.safe_load(text)
    if not isinstance(data, dict) or set(data) != {"version", *kinds}:
        found = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{name}: expected the sections version, {', '.join(kinds)}; found {found}")
    parts = {}
    for section, kind in kinds.items():
        values = {k: _frozen(v) for k, v in data[section].items()}
        try:
            parts[section] = kind(**values)
        except TypeError as error:
            raise ValueError(f"{name} > {section}: {error}") from error
    return str(data["version"]), parts


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


@cache
def measuring() -> Measuring:
    """Return the declared numbers of this installation, read once per process."""
    return parse_measuring((VOCABULARIES / "measuring.yaml").read_text(encoding="utf-8"))
