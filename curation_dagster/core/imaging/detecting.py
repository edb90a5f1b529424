"""The declared numbers of the search for text and faces, from ``vocabularies/detecting.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from curation_dagster.core.imaging.settings import VOCABULARIES, read_sections

FEATURES = (
    "glyphs", "parts", "unlike_heights", "fill", "contrast", "over_texture", "peak", "unlike_peaks", "off_line",
    "height", "part_fill", "texture", "quiet", "density", "colorless",
)  # fmt: skip
"""What is known of a row of strokes, in the order of ``chains.rows_of``."""


@dataclass(frozen=True)
class Strokes:
    """What may be a stroke of a letter, at half and an eighth of the picture's size."""

    window: int
    least_contrast: int
    most_contrast: int
    over_texture: float
    second_level_from: int
    plain_contrast: int
    dark: int
    light: int
    dense: float
    height: tuple[int, int]
    most: int


@dataclass(frozen=True)
class Gate:
    """Which rows of strokes are looked at again: a logistic score over features and their squares."""

    least: float
    features: dict[str, tuple[float, float, float, float]]
    offset: float

    @cached_property
    def weights(self) -> np.ndarray:
        """Mean, spread, weight and weight of the square, (4, features), in the order of ``FEATURES``."""
        return np.array([self.features[name] for name in FEATURES], np.float64).T.copy()


@dataclass(frozen=True)
class Letters:
    """Which of those look like letters: a network over directions of edges and the features."""

    sha256: str
    views: int
    least: float


@dataclass(frozen=True)
class Reading:
    """What of a reading is text."""

    places: int
    height: int
    long_side: int
    characters: int
    score: float
    doubtful: float


@dataclass(frozen=True)
class Faces:
    """Views that the network is shown, and what its scores mean."""

    sha256: str
    again: tuple[tuple[float, int], ...]
    parts: tuple[float, ...]
    plain: float
    closer: float
    scene: float
    other_color: int
    border: float
    dark: int
    demand: float
    near: float
    small: float
    room: float
    near_demand: float
    faint: float
    doubtful: float
    score: float
    overlap: float


@dataclass(frozen=True)
class Diagnostic:
    """Where the lesion is taken to be, and what may be filled without harming the picture."""

    core: float
    padding: float


@dataclass(frozen=True)
class Detecting:
    """All declared numbers of the search."""

    version: str
    strokes: Strokes
    gate: Gate
    letters: Letters
    reading: Reading
    faces: Faces
    diagnostic: Diagnostic


_PARTS = {
    "strokes": Strokes, "gate": Gate, "letters": Letters, "reading": Reading, "faces": Faces, "diagnostic": Diagnostic
}  # fmt: skip


def parse_detecting(text: str, name: str = "detecting.yaml") -> Detecting:
    """Return the declared numbers in ``text``.

    Raises
    ------
    ValueError
        If a section or key is missing or unknown; the message names it.
    """
    version, parts = read_sections(text, name, _PARTS)
    return Detecting(version=version, **parts)


@cache
def detecting() -> Detecting:
    """Return the declared numbers of this installation, read once per process."""
    return parse_detecting((VOCABULARIES / "detecting.yaml").read_text(encoding="utf-8"))
