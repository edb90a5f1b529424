"""JPEG: what its header says, and its pixels by a strict decoder.

Only libjpeg's warnings tell of damage inside the compressed data, and of the Python decoders only simplejpeg in
strict mode raises on them: Pillow and OpenCV decode a file with 4 kB zeroed in the middle without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import simplejpeg

from curation_dagster.core.imaging import exif
from curation_dagster.core.imaging.picture import NotDecodedError, Picture, within_limits
from curation_dagster.core.imaging.segments import (
    APP0,
    APP1,
    APP2,
    APP14,
    DQT,
    SOF,
    SOS,
    Structure,
    jpeg_structure,
    marker,
)
from curation_dagster.core.imaging.settings import Limits

EXIF_HEAD = b"Exif\0"
ICC_HEAD = b"ICC_PROFILE\0"
_SOF_NAMES = [marker(c) for c in sorted(SOF)]
_SUBSAMPLING = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
_HUFFMAN = {0xC0, 0xC1, 0xC2}

# luminance table of ITU-T T.81, K.1, in zigzag order, which the IJG quality scales
_LUMINANCE = np.array(
    [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58,
     51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103,
     62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99]
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What the segments before the first scan say.

    ``process`` is the marker code of the frame header; ``components`` the number of channels; ``has_color_marker``
    is true where JFIF or Adobe segments state the colour space.
    """

    width: int
    height: int
    precision: int
    components: int
    process: int
    subsampling: str | None
    quality: int | None
    scans: int
    adobe_transform: int | None
    has_color_marker: bool
    orientation: int
    icc: bytes | None


def read_header(data: bytes, structure: Structure) -> Header | None:
    """Return the header of a JPEG, None if it has no frame header."""
    frame = next(structure.named(*_SOF_NAMES), None)
    if frame is None or frame.end - frame.body < 6:
        return None
    precision, components = data[frame.body], data[frame.body + 5]
    if components == 0 or frame.end - frame.body < 6 + 3 * components:
        return None
    factors = [data[frame.body + 7 + 3 * i] for i in range(components)]
    subsampling = None
    if components == 1:
        subsampling = "gray"
    elif all(f == 0x11 for f in factors[1:3]):
        subsampling = _SUBSAMPLING.get((factors[0] >> 4, factors[0] & 15))
    elif len(set(factors)) == 1:
        subsampling = "444"
    adobe = next((p for p in structure.named(marker(APP14)) if data.startswith(b"Adobe", p.body)), None)
    jfif = any(data.startswith(b"JFIF\0", p.body) for p in structure.named(marker(APP0)))
    return Header(
        width=int.from_bytes(data[frame.body + 3 : frame.body + 5], "big"),
        height=int.from_bytes(data[frame.body + 1 : frame.body + 3], "big"),
        precision=precision,
        components=components,
        process=frame.name[0],
        subsampling=subsampling,
        quality=_quality(data, structure),
        scans=sum(1 for _ in structure.named(marker(SOS))),
        adobe_transform=data[adobe.body + 11] if adobe and adobe.end - adobe.body >= 12 else None,
        has_color_marker=jfif or adobe is not None,
        orientation=_orientation(data, structure),
        icc=_profile(data, structure),
    )


def decode_jpeg(data: bytes, limits: Limits, structure: Structure | None = None) -> Picture:
    """Return the pixels of a JPEG and what the strict decoder says of them.

    A state of ``damaged`` keeps the decoder's message and the pixels of a second, lenient decode. CMYK and YCCK come
    as mode CMYK, whatever Adobe's inversion.
    """
    structure = structure or jpeg_structure(data)
    header = read_header(data, structure)
    picture = Picture("ok", format="JPEG", media_type="image/jpeg")
    if header is None:
        return picture.failed("unreadable", structure.problem or "the frame header is missing")
    picture = picture.but(
        width=header.width,
        height=header.height,
        orientation=header.orientation,
        frames=1,
        color_mode={1: "L", 3: "RGB", 4: "CMYK"}.get(header.components, str(header.components)),
        bit_depth=header.precision,
        has_alpha=False,
        is_lossless=header.process in (0xC3, 0xC7, 0xCB, 0xCF),
        icc=header.icc,
        jpeg_quality=header.quality,
        jpeg_subsampling=header.subsampling,
        jpeg_progressive=header.process in (0xC2, 0xC6, 0xCA, 0xCE),
    )
    try:
        _check(within_limits(picture, limits), header, limits)
    except NotDecodedError as refusal:
        return refusal.picture
    colorspace = {1: "GRAY", 3: "RGB", 4: "CMYK"}[header.components]
    detail = structure.problem
    try:
        raster = simplejpeg.decode_jpeg(data, colorspace, strict=True)
    except ValueError as error:
        detail = str(error)
        try:
            raster = simplejpeg.decode_jpeg(data, colorspace, strict=False)
        except ValueError as fatal:
            return picture.failed("unreadable", str(fatal))
    if header.components == 4 and header.adobe_transform is not None:
        raster = 255 - raster  # Adobe stores the complement of the ink
    return picture.but(
        state="damaged" if detail else "ok",
        detail=detail,
        raster=raster[..., 0] if header.components == 1 else raster,
        mode={1: "L", 3: "RGB", 4: "CMYK"}[header.components],
    )


def _check(picture: Picture, header: Header, limits: Limits) -> None:
    """Raise :class:`NotDecodedError` for what libjpeg-turbo does not decode, or not in bounded time."""
    if header.scans > limits.max_jpeg_scans:
        reason = f"{header.scans} scans; at most {limits.max_jpeg_scans} are decoded. Not decoded."
        raise NotDecodedError(picture, "too_large", reason)
    if header.process not in _HUFFMAN or header.precision != 8:
        reason = (
            f"JPEG process 0x{header.process:02x} with {header.precision} bits: only baseline, extended and "
            "progressive Huffman JPEG with 8 bits is read"
        )
        raise NotDecodedError(picture, "unsupported", reason)
    if header.components not in (1, 3, 4):
        raise NotDecodedError(picture, "unsupported", f"a JPEG with {header.components} channels")


def _orientation(data: bytes, structure: Structure) -> int:
    for part in structure.named(marker(APP1)):
        if data.startswith(EXIF_HEAD, part.body):
            return exif.read_tags(data[part.body + 6 : part.end]).orientation
    return 1


def _profile(data: bytes, structure: Structure) -> bytes | None:
    pieces = {
        data[p.body + 12]: data[p.body + 14 : p.end]
        for p in structure.named(marker(APP2))
        if data.startswith(ICC_HEAD, p.body) and p.end - p.body >= 14
    }
    return b"".join(pieces[k] for k in sorted(pieces)) or None


@cache
def _scaled_tables() -> np.ndarray:
    """Return (100, 64): the luminance table at quality 1 to 100, by jcparam.c of libjpeg."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return np.clip((_LUMINANCE[None] * scale[:, None] + 50) // 100, 1, 255)


def _quality(data: bytes, structure: Structure) -> int | None:
    """Return the IJG quality whose luminance table is nearest to the file's first table; exact for IJG encoders."""
    for part in structure.named(marker(DQT)):
        at = part.body
        while at < part.end:
            is_wide, table = data[at] >> 4, data[at] & 15
            size = 128 if is_wide else 64
            if at + 1 + size > part.end:
                return None
            if table == 0:
                values = np.frombuffer(data, ">u2" if is_wide else np.uint8, 64, at + 1).astype(np.int64)
                return int(np.abs(_scaled_tables() - values).sum(axis=1).argmin()) + 1
            at += 1 + size
    return None
