"""The eight ways to mirror and rotate a picture, and what each does to its 256-bit hash.

The hash is the sign pattern of the 16x16 low-frequency block of a DCT against its median, bit ``16 * row + column``,
packed with the most significant bit first. Mirroring a picture negates the DCT coefficients of odd columns (left to
right) or odd rows (upside down), transposing it transposes them. The median is close to zero against most
coefficients, so a mirrored picture's hash is the hash with those bits inverted, but for a few: 8 of 256 in the mean
and 16 at most on ten dermoscopic pictures. In return these variants are isometries: the distance of ``v(a)`` to
``b`` is exactly that of ``a`` to the inverse variant of ``b``, whichever of the two comes first, and no thumbnail
has to be read to search for them.

The bits are kept in four words of 64, by the parity of row and column. A mirror inverts whole words, so the
distances of four variants follow from the same four bit counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]

HASH_BYTES = 32
SIDE = 16
WORD_BITS = 64
# Neighbouring coefficients depend on each other; in this order, bits that lie side by side in a word come from afar.
_ORDER = np.arange(64) * 27 % 64
_BACK = np.argsort(_ORDER)
_CHUNK = 1 << 16  # hashes unpacked to one byte a bit at once: 16 MiB

# positions of the words: parity of row and of column, even or odd
EVEN_EVEN, EVEN_ODD, ODD_EVEN, ODD_ODD = range(4)


@dataclass(frozen=True)
class Variant:
    """A picture is transposed first, then its rows, then its columns are reversed."""

    index: int
    name: str
    transposed: bool
    rows_reversed: bool
    columns_reversed: bool

    @property
    def mirrored(self) -> bool:
        """True for a mirror image, False for a mere rotation."""
        return self.transposed ^ self.rows_reversed ^ self.columns_reversed

    @property
    def inverted_words(self) -> tuple[bool, bool, bool, bool]:
        """Which of the four words of a hash the variant inverts, after any transposition."""
        return (
            False,
            self.columns_reversed,
            self.rows_reversed,
            self.rows_reversed != self.columns_reversed,
        )

    def picture(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the variant of a picture of shape (height, width), contiguous."""
        changed = pixels.T if self.transposed else pixels
        changed = changed[::-1] if self.rows_reversed else changed
        changed = changed[:, ::-1] if self.columns_reversed else changed
        return np.ascontiguousarray(changed)


VARIANTS = (
    Variant(0, "as it is", False, False, False),
    Variant(1, "mirrored left to right", False, False, True),
    Variant(2, "mirrored upside down", False, True, False),
    Variant(3, "rotated by 180 degrees", False, True, True),
    Variant(4, "mirrored along the diagonal", True, False, False),
    Variant(5, "rotated by 90 degrees clockwise", True, False, True),
    Variant(6, "rotated by 90 degrees counterclockwise", True, True, False),
    Variant(7, "mirrored along the other diagonal", True, True, True),
)
IDENTITY = 0
# the variant that undoes a variant; only the two quarter turns differ from theirs
INVERSE = np.array([0, 1, 2, 3, 4, 6, 5, 7], dtype=np.uint8)


@dataclass(frozen=True)
class Hashes:
    """Perceptual hashes as four words of 64 bits each.

    Parameters
    ----------
    words : ndarray of uint64, shape (4, n)
        Bits by parity of row and column: even-even, even-odd, odd-even, odd-odd.
    """

    words: Words

    def __len__(self) -> int:
        return int(self.words.shape[1])

    @classmethod
    def of_bytes(cls, packed: npt.NDArray[np.uint8]) -> Hashes:
        """Return the hashes of an array of shape (n, 32)."""
        n = len(packed)
        words = np.empty((4, n), np.uint64)
        for start in range(0, n, _CHUNK):
            part = packed[start : start + _CHUNK]
            bits = np.unpackbits(part, axis=1).reshape(len(part), SIDE, SIDE)
            for word, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
                words[word, start : start + len(part)] = _to_words(bits[:, row::2, column::2])
        return cls(words)

    @cached_property
    def transposed(self) -> Hashes:
        """The hashes of the transposed pictures."""
        words = np.empty_like(self.words)
        # a transposition swaps even-odd with odd-even, and transposes each word's 8x8 bits
        for word, source in enumerate((EVEN_EVEN, ODD_EVEN, EVEN_ODD, ODD_ODD)):
            for start in range(0, len(self), _CHUNK):
                part = self.words[source, start : start + _CHUNK]
                bits = np.unpackbits(part.view(np.uint8).reshape(-1, 8), axis=1)[:, _BACK].reshape(-1, 8, 8)
                words[word, start : start + len(part)] = _to_words(bits.transpose(0, 2, 1))
        return Hashes(words)

    def variant(self, variant: Variant) -> Hashes:
        """Return the hashes of a variant of the pictures."""
        base = self.transposed if variant.transposed else self
        inverted = np.array(variant.inverted_words)[:, None]
        return Hashes(np.where(inverted, ~base.words, base.words))

    def take(self, rows: npt.NDArray[np.intp]) -> Hashes:
        """Return the hashes of some rows."""
        return Hashes(np.ascontiguousarray(self.words[:, rows]))


def _to_words(bits: npt.NDArray[np.uint8]) -> Words:
    packed = np.ascontiguousarray(np.packbits(bits.reshape(len(bits), WORD_BITS)[:, _ORDER], axis=1))
    return packed.view(np.uint64).reshape(-1)


def distances(left: Words, right: Words) -> npt.NDArray[np.int16]:
    """Return the Hamming distances of two arrays of words of shape (4, n), pair by pair."""
    return np.bitwise_count(left ^ right).astype(np.int16).sum(axis=0, dtype=np.int16)
