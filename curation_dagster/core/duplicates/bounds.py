"""When two images count as duplicates: the numbers, which stand in the criteria file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

HASH_BITS = 256


class BoundsError(ValueError):
    """The bounds are incomplete or contradict each other; the message lists every problem."""


@dataclass(frozen=True)
class SmallerRadii:
    """Radii that hold where more images than ``images`` are compared.

    A chance neighbour of each image within a wide radius is nothing among thousands and too much among millions: pairs
    grow with the square, and each has to be verified.
    """

    images: int
    candidate_radius: int
    dihedral_radius: int


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
    beyond : tuple of SmallerRadii
        Smaller radii for larger numbers of images, in the order of their limits.

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
    beyond: tuple[SmallerRadii, ...] = ()

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
        widest = (0, self.candidate_radius, self.dihedral_radius)
        for smaller in self.beyond:
            now = (smaller.images, smaller.candidate_radius, smaller.dihedral_radius)
            if not all(_is_integer(v) and v >= 0 for v in now):
                problems.append(f"beyond: expected integers from 0, got {now}")
            elif now[0] <= widest[0] or now[1] > widest[1] or now[2] > widest[2]:
                problems.append(f"beyond: expected more images and no larger radii than {widest}, got {now}")
            else:
                widest = now
        if problems:
            raise BoundsError("bounds of the duplicate search: " + "; ".join(problems))

    def radii(self, images: int) -> tuple[int, int]:
        """Return the radius of pictures as they are, and of their variants, among so many images. Bit."""
        holding = [s for s in self.beyond if images > s.images]
        last: DuplicateBounds | SmallerRadii = holding[-1] if holding else self
        return last.candidate_radius, last.dihedral_radius

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> DuplicateBounds:
        """Return the bounds of a criteria file's ``duplicates`` section; further keys are left alone.

        Raises
        ------
        BoundsError
            If a bound is missing or wrong.
        """
        names = [f.name for f in fields(cls)]
        missing = [n for n in names if n not in values and n != "beyond"]
        if missing:
            raise BoundsError(
                "bounds of the duplicate search: the section `duplicates` of the criteria file lacks "
                + ", ".join(missing)
            )
        beyond = tuple(SmallerRadii(**step) for step in values.get("beyond") or ())
        return cls(**{n: values[n] for n in names if n != "beyond"}, beyond=beyond)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
