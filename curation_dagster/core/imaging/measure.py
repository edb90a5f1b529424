"""The one pass: one read and one full decode of a file, and everything that any criterion could ask of it."""

from __future__ import annotations

import hashlib
import json
import zipfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from curation_dagster.core.imaging.artifacts import artifacts
from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.formats import sniff
from curation_dagster.core.imaging.hashes import perceptual_hashes, pixel_sha256, stream_sha256
from curation_dagster.core.imaging.hidden import inventory
from curation_dagster.core.imaging.light import color, exposure
from curation_dagster.core.imaging.picture import Picture, orient, to_rgb_or_grey
from curation_dagster.core.imaging.profiles import profile_kind
from curation_dagster.core.imaging.regions import find_regions
from curation_dagster.core.imaging.scales import Scales, make_scales
from curation_dagster.core.imaging.segments import Structure, jpeg_structure, png_structure
from curation_dagster.core.imaging.settings import VOCABULARIES, Measuring, measuring
from curation_dagster.core.imaging.sharpness import sharpness
from curation_dagster.core.items import FileItem, read_item

DECODERS = (
    "simplejpeg",
    "opencv-python-headless",
    "pillow",
    "pillow-heif",
    "pydicom",
    "numpy",
    "rapidocr",
    "onnxruntime",
    "ai-edge-litert",
)
# modules of this folder that measure nothing
_WRITING = frozenset({"publish.py", "lossless.py", "redact.py", "rescan.py"})
_DATA = ("measuring.yaml", "detecting.yaml", "hidden_metadata.csv")


@cache
def measured_by() -> str:
    """Return the version of the measuring code.

    SHA-256 over the source of the measuring modules, of how files are read, the data files they use, and the
    versions of the decoders. A row of ``measurements`` is reused only under the same version.
    """
    folder = Path(__file__).parent
    sources = sorted(p for p in folder.glob("*.py") if p.name not in _WRITING)
    return digest_of([*sources, folder.parent / "items.py", *(VOCABULARIES / name for name in _DATA)])


def digest_of(files: list[Path]) -> str:
    """Return the SHA-256 over names and content of ``files`` and the versions of the decoders."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    for package in DECODERS:
        digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()


def measure(item: FileItem) -> dict[str, Any]:
    """Return the row of the table ``measurements`` for one distinct file.

    Content never raises: whatever can't be measured is a ``decode_state`` with its reason and nulls in the columns
    that need pixels. ``changed`` means that other bytes than the staged ones lie there now, or none; such a row says
    nothing about the file of that digest and is not to be reused. Only ``MemoryError``, and the death of the process
    inside a decoder, leave this function.
    """
    settings = measuring()
    row: dict[str, Any] = {"sha256": item.sha256, "measured_by": measured_by(), "bytes": item.bytes}
    if item.bytes > settings.limits.max_bytes:
        reason = f"{item.bytes} bytes; at most {settings.limits.max_bytes} are read. Not read."
        return row | {"decode_state": "too_large", "decode_detail": reason}
    try:
        data = read_item(item)
    except OSError as error:  # its text would quote the path
        reason = f"can't be read since it was staged: {error.strerror or type(error).__name__}"
        return row | {"decode_state": "changed", "decode_detail": reason}
    except (KeyError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        reason = f"can't be read from its container since it was staged ({type(error).__name__})"
        return row | {"decode_state": "changed", "decode_detail": reason}
    found = hashlib.sha256(data).hexdigest()
    if found != item.sha256:
        reason = (
            f"staged with SHA-256 {item.sha256} and {item.bytes} bytes, now {found} and {len(data)} bytes"
        )
        return row | {"decode_state": "changed", "decode_detail": reason}
    try:
        return row | measure_bytes(data, settings, found)
    except MemoryError:
        raise
    except Exception as error:  # whatever the content is, it becomes a row
        reason = f"could not be measured ({type(error).__name__})"
        return row | {"decode_state": "unreadable", "decode_detail": reason}


def measure_bytes(data: bytes, settings: Measuring, sha256: str | None = None) -> dict[str, Any]:
    """Return all columns that follow from the content alone; its digest saves work where it is known."""
    sniffed = sniff(data)
    structure: Structure | None = None
    if sniffed.format == "JPEG":
        structure = jpeg_structure(data)
    elif sniffed.format == "PNG":
        structure = png_structure(data)
    picture = decode(data, settings.limits, sniffed, structure)
    hidden = inventory(data, sniffed.format, structure)
    row = _stored(picture, len(data))
    row |= {
        "stream_sha256": stream_sha256(data, sniffed.format, structure)
        if picture.raster is not None
        else None,
        "hidden_kinds": list(hidden.kinds) if sniffed.format else None,
        "hidden_bytes": hidden.bytes if sniffed.format else None,
        "trailing_bytes": hidden.trailing_bytes if sniffed.format else None,
    }
    if picture.raster is not None and picture.mode is not None:
        raster = upright(picture)
        row |= measure_pixels(raster, settings)
        row |= {"pixels_searched": True} | find_regions(raster, detecting())
    return row


def upright(picture: Picture) -> np.ndarray:
    """Return the oriented pixels, uint8 RGB (height, width, 3) or grey (height, width)."""
    assert picture.raster is not None
    assert picture.mode is not None
    return orient(to_rgb_or_grey(picture.raster, picture.mode), picture.orientation)


def measure_pixels(raster: np.ndarray, settings: Measuring) -> dict[str, Any]:
    """Return the columns that need pixels, from an oriented uint8 raster, RGB or grey."""
    scales = make_scales(raster)
    seen = color(scales.colors, settings.skin, settings.ink)
    hashes = perceptual_hashes(scales.grey_64, settings.hash.min_median_coefficient)
    return {
        **vars(sharpness(scales.grey_512, scales.grey_256, settings.sharpness)),
        **vars(exposure(scales.grey_512, settings.light)),
        **vars(seen),
        **vars(artifacts(scales.grey_256, scales.grey_64, settings)),
        **vars(hashes),
        "pixel_sha256": pixel_sha256(raster),
        **_thumbnails(scales, settings.thumbnail.jpeg_quality),
    }


def _thumbnails(scales: Scales, quality: int) -> dict[str, bytes]:
    grey = np.ascontiguousarray(scales.grey_256)[..., None]
    return {
        "thumbnail_64": scales.grey_64.tobytes(),
        "thumbnail_256": simplejpeg.encode_jpeg(grey, quality, "GRAY", "Gray", fastdct=True),
    }


def _stored(picture: Picture, size: int) -> dict[str, Any]:
    """Return the columns that say what is stored."""
    row: dict[str, Any] = {
        "decode_state": picture.state,
        "decode_detail": picture.detail,
        "media_type": picture.media_type,
        "format": picture.format,
        "color_mode": picture.color_mode,
        "bit_depth": picture.bit_depth,
        "frames": picture.frames,
        "is_lossless": picture.is_lossless,
        "has_alpha": picture.has_alpha,
        "icc_profile": profile_kind(picture.icc),
        "jpeg_quality": picture.jpeg_quality,
        "jpeg_subsampling": picture.jpeg_subsampling,
        "jpeg_progressive": picture.jpeg_progressive,
        "dicom_technical": json.dumps(picture.technical) if picture.technical else None,
    }
    oriented = picture.oriented_size
    if oriented is not None and min(oriented) > 0:
        width, height = oriented
        row |= {
            "width": width,
            "height": height,
            "short_side": min(oriented),
            "long_side": max(oriented),
            "megapixels": width * height / 1e6,
            "bits_per_pixel": size * 8 / (width * height),
            "orientation": picture.stated_orientation,
        }
    return row
