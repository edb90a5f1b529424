"""Pictures and files that the tests of this folder make."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import piexif
import pillow_heif
import pydicom
import simplejpeg
from PIL import Image, ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

from curation_dagster.core.items import FileItem

# CIE-plausible sRGB skin tones of phototypes I to VI
PHOTOTYPES = {
    1: (244, 208, 177),
    2: (231, 180, 143),
    3: (210, 158, 124),
    4: (186, 120, 81),
    5: (110, 66, 42),
    6: (62, 38, 28),
}


def skin(
    width: int = 480, height: int = 360, tone: tuple[int, int, int] = PHOTOTYPES[3], seed: int = 0
) -> np.ndarray:
    """Return a sharp picture of skin with a lesion: texture at all scales, little contrast (uint8 RGB)."""
    rng = np.random.default_rng(seed)
    relative = np.zeros((height, width), np.float32)
    for cells, strength in ((5, 0.06), (30, 0.025), (120, 0.02), (width, 0.012)):
        grain = rng.normal(0, strength, (max(2, cells * height // width), cells)).astype(np.float32)
        relative += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.array(tone, np.float32) * (1 + relative[..., None])
    lesion = np.zeros((height, width), np.float32)
    cv2.ellipse(
        lesion, (width * 5 // 9, height // 2), (width // 7, height // 6), 20, 0, 360, 1.0, -1, cv2.LINE_AA
    )
    picture *= 1 - 0.45 * lesion[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpeg(pixels: np.ndarray, quality: int = 92, subsampling: str = "420") -> bytes:
    """Return a baseline JPEG of RGB pixels."""
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality, "RGB", subsampling)


def saved(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    """Return the file that Pillow writes."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def heic(pixels: np.ndarray, **options: Any) -> bytes:
    """Return a HEIC file."""
    target = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(target, quality=90, **options)
    return target.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    """Return a PNG of 16 bits a channel; grey or RGB."""
    wide = pixels.astype(np.uint16) * 257
    return cv2.imencode(".png", wide[..., ::-1] if wide.ndim == 3 else wide)[1].tobytes()


def every_format(pixels: np.ndarray) -> dict[str, tuple[bytes, float]]:
    """Return a file of each format, and the mean difference to ``pixels`` in levels that its compression may leave."""
    image = Image.fromarray(pixels)
    grey = image.convert("L")
    return {
        "jpeg": (jpeg(pixels), 4),
        "jpeg_progressive": (saved(image, "JPEG", quality=92, progressive=True), 4),
        "jpeg_grey": (saved(grey, "JPEG", quality=92), 4),
        "jpeg_cmyk": (saved(image.convert("CMYK"), "JPEG", quality=92), 6),
        "png": (saved(image, "PNG"), 0),
        "png_grey": (saved(grey, "PNG"), 0),
        "png_palette": (saved(image.quantize(128), "PNG"), 8),
        "png_alpha": (saved(image.convert("RGBA"), "PNG"), 0),
        "png_16": (png16(pixels), 0),
        "png_16_grey": (png16(np.asarray(grey)), 0),
        "tiff": (saved(image, "TIFF"), 0),
        "tiff_lzw": (saved(image, "TIFF", compression="tiff_lzw"), 0),
        "tiff_jpeg": (saved(image, "TIFF", compression="jpeg", quality=92), 4),
        "tiff_cmyk": (saved(image.convert("CMYK"), "TIFF"), 1),
        "bmp": (saved(image, "BMP"), 0),
        "bmp_palette": (saved(image.quantize(128), "BMP"), 8),
        "webp": (saved(image, "WEBP", quality=92), 6),
        "webp_lossless": (saved(image, "WEBP", lossless=True), 0),
        "gif": (saved(image, "GIF"), 12),
        "heic": (heic(pixels), 6),
        "dicom_rgb": (dicom(pixels), 0),
        "dicom_jpeg": (dicom_jpeg(pixels), 4),
    }


def dicom(
    pixels: np.ndarray, photometric: str | None = None, syntax: str = ExplicitVRLittleEndian, **tags: Any
) -> bytes:
    """Return a DICOM file of the samples as given, uncompressed unless ``syntax`` is one that pydicom encodes."""
    data = dataset_of(pixels.shape, pixels.dtype.itemsize * 8, photometric)
    data.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for name, value in tags.items():
        setattr(data, name, value)
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax != ExplicitVRLittleEndian:
        data.compress(syntax)
    return written(data)


def dicom_jpeg(pixels: np.ndarray, photometric: str = "YBR_FULL_422", frame: bytes | None = None) -> bytes:
    """Return a DICOM file with a baseline JPEG frame."""
    data = dataset_of(pixels.shape, 8, photometric)
    data.LossyImageCompression = "01"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([frame if frame is not None else jpeg(pixels, subsampling="422")])
    data["PixelData"].VR = "OB"
    return written(data)


def dataset_of(shape: tuple[int, ...], bits: int, photometric: str | None) -> Dataset:
    """Return a dataset without pixel data."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    data.SOPClassUID = SecondaryCaptureImageStorage
    data.Rows, data.Columns = shape[:2]
    data.SamplesPerPixel = 3 if len(shape) == 3 else 1
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = photometric or ("RGB" if len(shape) == 3 else "MONOCHROME2")
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = 0
    return data


def written(data: Dataset) -> bytes:
    """Return the DICOM file of a dataset."""
    target = io.BytesIO()
    pydicom.dcmwrite(target, data, enforce_file_format=True)
    return target.getvalue()


def with_segment(file: bytes, code: int, body: bytes) -> bytes:
    """Return a JPEG with one more segment right behind its start."""
    return file[:2] + bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body + file[2:]


def with_chunk(file: bytes, name: bytes, body: bytes) -> bytes:
    """Return a PNG with one more chunk behind its header."""
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return file[:33] + chunk + file[33:]


def exif(**tags: Any) -> bytes:
    """Return an EXIF block (``Exif``, two zeros, TIFF) as piexif writes it; keys ``zeroth``, ``exif``, ``gps``, ``first``, ``thumbnail``."""
    names = {"zeroth": "0th", "exif": "Exif", "gps": "GPS", "first": "1st", "thumbnail": "thumbnail"}
    return piexif.dump({names[k]: v for k, v in tags.items()})


def display_p3_like() -> bytes:
    """Return an RGB profile that is not sRGB: sRGB's with red and green primaries exchanged in place."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.find(b"rXYZ", 128), profile.find(b"gXYZ", 128)
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    text = profile.find(b"s\0R\0G\0B")
    while text >= 0:
        profile[text : text + 7] = b"o\0d\0d\0 "[:7]
        text = profile.find(b"s\0R\0G\0B")
    return bytes(profile)


def item_of(folder: Path, data: bytes, name: str = "file") -> FileItem:
    """Write the bytes to a file and return it as staged."""
    path = folder / name
    path.write_bytes(data)
    return FileItem(hashlib.sha256(data).hexdigest(), str(path), None, len(data))
