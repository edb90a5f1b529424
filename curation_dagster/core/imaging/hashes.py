"""What two files have in common: the same stream, the same pixels, or nearly the same picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import sqrt

import cv2
import numpy as np

from curation_dagster.core.imaging.segments import (
    APP0,
    APP14,
    COM,
    PNG_PIXEL_CHUNKS,
    PNG_SIGNATURE,
    Part,
    Structure,
    jpeg_structure,
    png_structure,
)

# words of 8 bytes: 32 rows of a prime number of lanes are summed, so that no shift of a usual size maps onto itself
_LANES, _ROWS = 509, 32
_JFIF_SIZE = 18  # marker, length and 14 bytes: no thumbnail


@dataclass(frozen=True)
class PerceptualHashes:
    """Columns of the table ``measurements`` of the same names."""

    phash: str
    phash256: bytes
    hash_is_degenerate: bool


def stream_sha256(
    data: bytes, kind: str | None, structure: Structure | None = None, file_sha256: str | None = None
) -> str | None:
    """Return the SHA-256 of a JPEG or PNG without its metadata, None for other formats.

    What is hashed is the stripped file: of a JPEG the plain JFIF header, the Adobe segment (it decides how colours are
    read) and all segments that are neither application segments nor comments; of a PNG the chunks that carry pixels.
    So it equals the SHA-256 of a file that carries nothing else, and ``file_sha256`` saves hashing it twice.
    """
    if kind == "JPEG":
        structure = structure or jpeg_structure(data)
        ranges = [(0, 2), *((p.start, p.end) for p in structure.parts if _is_kept(data, p))]
        if structure.problem is None:
            ranges.append((structure.end - 2, structure.end))
    elif kind == "PNG":
        structure = structure or png_structure(data)
        kept = ((p.start, p.end) for p in structure.parts if p.name in PNG_PIXEL_CHUNKS)
        ranges = [(0, len(PNG_SIGNATURE)), *kept]
    else:
        return None
    if file_sha256 is not None and sum(end - start for start, end in ranges) == len(data):
        return file_sha256
    view = memoryview(data)
    digest = hashlib.sha256()
    for start, end in ranges:
        digest.update(view[start:end])
    return digest.hexdigest()


def _is_kept(data: bytes, part: Part) -> bool:
    code = part.name[0]
    if code == APP0:
        return part.size == _JFIF_SIZE and data.startswith(b"JFIF\0", part.body)
    if code == APP14:
        return data.startswith(b"Adobe", part.body)
    return code != COM and not 0xE0 <= code <= 0xEF


def pixel_sha256(raster: np.ndarray) -> str:
    """Return a digest of size and pixels: equal for equal pictures, whatever their format.

    SHA-256 over the size and the sums (modulo 2^64) of every 32 words of 8 bytes that stand 509 words apart, block by
    block. It reads every byte, at the speed of memory; SHA-256 over all pixels would cost half a JPEG decode. It tells
    pictures apart as they occur, and is not made to withstand somebody who constructs two pictures of one digest: for
    that, there is the SHA-256 of the file.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, oriented: (height, width, 3) RGB, or (height, width) grey, which counts as RGB with equal channels.
    """
    if raster.ndim == 2:
        raster = cv2.cvtColor(raster, cv2.COLOR_GRAY2RGB)
    flat = np.ascontiguousarray(raster).reshape(-1)
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    digest = hashlib.sha256(f"RGB8 {raster.shape[1]}x{raster.shape[0]}\n".encode())
    whole = words.size // (_LANES * _ROWS) * _LANES * _ROWS
    sums = np.add.reduce(words[:whole].reshape(-1, _ROWS, _LANES), axis=1)
    digest.update(sums.astype("<u8").tobytes())
    digest.update(words[whole:].astype("<u8").tobytes())
    digest.update(flat[words.size * 8 :].tobytes())
    return digest.hexdigest()


def perceptual_hashes(grey_64: np.ndarray, min_median_coefficient: float) -> PerceptualHashes:
    """Return hashes of the low frequencies of a picture.

    Parameters
    ----------
    grey_64 : numpy.ndarray
        uint8 luma, 64x64, oriented.
    min_median_coefficient : float
        Median magnitude of the low coefficients (levels, orthonormal DCT) below which the hash means nothing.

    Notes
    -----
    The layout is that of ``imagehash.phash`` (hash_size 8, and 16 for the long one): the low block of the DCT,
    compared with its median, row by row. imagehash's DCT is not orthonormal: its first row and column are larger by
    the square root of 2 relative to the others, and without that 14 % of the hashes differ.
    """
    long_block = _low_block(grey_64, 16)
    short_block = _low_block(cv2.resize(grey_64, (32, 32), interpolation=cv2.INTER_AREA), 8)
    return PerceptualHashes(
        phash=np.packbits(short_block > _median(short_block)).tobytes().hex(),
        phash256=np.packbits(long_block > _median(long_block)).tobytes(),
        hash_is_degenerate=_median(np.abs(long_block[1:])) < min_median_coefficient,
    )


def _median(values: np.ndarray) -> float:
    """Return the median of an even number of values; a tenth of the cost of ``numpy.median`` on so few."""
    half = values.size // 2
    middle = np.partition(values, (half - 1, half), axis=None)[half - 1 : half + 1]
    return float(middle[0] + middle[1]) / 2


def _low_block(grey: np.ndarray, size: int) -> np.ndarray:
    block = np.array(cv2.dct(grey.astype(np.float64))[:size, :size], dtype=np.float64)
    block[0] *= sqrt(2)
    block[:, 0] *= sqrt(2)
    return block
