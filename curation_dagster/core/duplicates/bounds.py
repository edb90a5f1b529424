"""When two images count as duplicates: the numbers, which stand in the criteria file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

HASH_BITS = 256


class BoundsError(ValueError):
    """The bounds are incomplete or contradict each other; the message lists every problem."""


@dataclass(frozen=True)
class DuplicateBounds:
    """Bounds of the search and of the verification.

    Parameters
    ----------
    candidate_radius : int
        Hamming distance of the 256-bit hashes up to which a pair is looked at. Bit.
    accept_radius : int
        Distance up to which a pair counts as near-duplicates without a look at the thumbnails. Bit.
    dihedral_radius : int
        The same as ``candidate_radius`` for the seven mirrored and rotated variants. They are always verified.
    keypoint_accept : int
        Keypoints that agree on one similarity transform, from which a pair counts as near-duplicates.
    keypoint_review : int
        The same, from which a person decides.
    correlation_accept : float
        Correlation of the 64x64 thumbnails from which a pair counts as near-duplicates, 0 to 1.

    Raises
    ------
    BoundsError
        If a value is out of range, or one bound contradicts another.
    """

    candidate_radius: int
    accept_radius: int
    dihedral_radius: int
    keypoint_accept: int
    keypoint_review: int
    correlation_accept: float

    def __post_init__(self) -> None:
        problems = []
        for name in ("candidate_radius", "accept_radius", "dihedral_radius"):
            value = getattr(self, name)
            if not _is_integer(value) or not 0 <= value <= HASH_BITS:
                problems.append(f"{name}: expected an integer from 0 to {HASH_BITS}, got {value!r}")
        for name in ("keypoint_accept", "keypoint_review"):
            value = getattr(self, name)
            if not _is_integer(value) or value < 1:
                problems.append(f"{name}: expected an integer from 1, got {value!r}")
        value = self.correlation_accept
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            problems.append(f"correlation_accept: expected a number above 0 and up to 1, got {value!r}")
        if not problems:
            if self.accept_radius > self.candidate_radius:
                problems.append(
                    f"accept_radius: expected at most candidate_radius {self.candidate_radius}, "
                    f"got {self.accept_radius}"
                )
            if self.keypoint_review > self.keypoint_accept:
                problems.append(
                    f"keypoint_review: expected at most keypoint_accept {self.keypoint_accept}, "
                    f"got {self.keypoint_review}"
                )
        if problems:
            raise BoundsError("bounds of the duplicate search: " + "; ".join(problems))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> DuplicateBounds:
        """Return the bounds of a criteria file's ``duplicates`` section; further keys are left alone.

        Raises
        ------
        BoundsError
            If a bound is missing or wrong.
        """
        names = [f.name for f in fields(cls)]
        missing = [n for n in names if n not in values]
        if missing:
            raise BoundsError(
                "bounds of the duplicate search: the section `duplicates` of the criteria file lacks "
                + ", ".join(missing)
            )
        return cls(**{n: values[n] for n in names})


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
