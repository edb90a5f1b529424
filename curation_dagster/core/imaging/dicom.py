"""DICOM: one frame, as 8-bit samples.

The frame of an encapsulated JPEG is a JPEG: it goes to the same strict decoder as every other one, which is also
seven times as fast as pydicom's way. Everything else that is read needs no further library than pydicom and numpy.
"""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import (
    apply_color_lut,
    apply_modality_lut,
    apply_voi_lut,
    convert_color_space,
    pixel_array,
)
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from curation_dagster.core.imaging.jpeg import decode_jpeg, read_header
from curation_dagster.core.imaging.picture import NotDecodedError, Picture, within_limits
from curation_dagster.core.imaging.segments import jpeg_structure
from curation_dagster.core.imaging.settings import Limits

_PLAIN = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless}
# what is recorded of a header: numbers, and terms that the standard defines (PS3.3, C.7.3.1.1.1, C.7.6.3, C.7.6.1.1.5)
_NUMBERS = (
    "SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "PlanarConfiguration", "NumberOfFrames",
)  # fmt: skip
_TERMS = {
    "PhotometricInterpretation": frozenset(
        {"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "YBR_FULL", "YBR_FULL_422",
         "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"}
    ),
    "Modality": frozenset({"XC", "DMS", "GM", "ES", "OT", "SM", "OP", "CR", "DX", "MG", "CT", "MR", "US", "NM", "PT", "SR"}),
    "BurnedInAnnotation": frozenset({"YES", "NO"}),
    "LossyImageCompression": frozenset({"00", "01"}),
}  # fmt: skip
# an Adobe segment that says: three channels, not transformed
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"


class DicomError(ValueError):
    """A DICOM file that gives no picture; ``state`` is one of ``schemas.DECODE_STATES``."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state


def read_dataset(data: bytes) -> Dataset:
    """Return the dataset, its pixel data not decoded.

    Raises
    ------
    DicomError
        If the file can't be parsed. A deflated dataset is refused before it is inflated: its size is unbounded.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if _stated_syntax(data) == DeflatedExplicitVRLittleEndian:
                raise DicomError(
                    "unsupported", "a deflated dataset; its size is unknown before it is inflated"
                )
            return pydicom.dcmread(io.BytesIO(data), force=True)
        except (DicomError, MemoryError):
            raise
        except Exception as error:  # pydicom raises whatever a damaged file leads it to
            raise DicomError("unreadable", f"the dataset can't be parsed ({type(error).__name__})") from error


def _stated_syntax(data: bytes) -> str | None:
    """Return the transfer syntax that the file meta group states, read without pydicom, which would inflate first."""
    # element (0002,0010), always explicit little endian (PS3.10, 7.1)
    at = data.find(b"\x02\x00\x10\x00UI", 128, 8192)
    if at < 0:
        return None
    size = int.from_bytes(data[at + 6 : at + 8], "little")
    return data[at + 8 : at + 8 + size].rstrip(b"\0 ").decode("ascii", "replace")


def decode_dicom(data: bytes, limits: Limits) -> Picture:
    """Return the picture of a single-frame DICOM file.

    Modality and VOI look-up tables or windows are applied, MONOCHROME1 is inverted, YBR becomes RGB. Without a
    window the stored range (0 to 2^BitsStored - 1) is what is shown. Messages never quote the dataset's values.
    """
    picture = Picture("ok", format="DICOM", media_type="application/dicom")
    try:
        dataset = read_dataset(data)
        picture = _described(picture, dataset, limits)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decoded(picture, dataset, limits)
    except NotDecodedError as refusal:
        return refusal.picture
    except DicomError as error:
        return picture.failed(error.state, str(error))
    except MemoryError:
        raise
    except Exception as error:  # values of the wrong type surface wherever they are used
        return picture.failed("unreadable", f"the picture can't be decoded ({type(error).__name__})")


def _described(picture: Picture, dataset: Dataset, limits: Limits) -> Picture:
    if "PixelData" not in dataset:
        raise NotDecodedError(picture, "unsupported", "a DICOM object without pixel data, such as a report")
    width, height = int(dataset.Columns), int(dataset.Rows)
    samples = int(dataset.get("SamplesPerPixel", 1))
    frames = int(dataset.get("NumberOfFrames") or 1)
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored", dataset.BitsAllocated))
    syntax = transfer_syntax(dataset)
    profile = dataset.get("ICCProfile")
    picture = picture.but(
        width=width,
        height=height,
        frames=frames,
        color_mode=_photometric(dataset),
        technical=technical(dataset),
        bit_depth=stored,
        has_alpha=False,
        is_lossless=syntax != JPEGBaseline8Bit and str(dataset.get("LossyImageCompression", "00")) != "01",
        icc=bytes(profile) if profile else None,
    )
    within_limits(picture, limits)
    if syntax not in _PLAIN and syntax != JPEGBaseline8Bit:
        raise NotDecodedError(picture, "unsupported", f"the transfer syntax {_syntax_name(syntax)}")
    if allocated not in (8, 16) or samples not in (1, 3) or not 1 <= stored <= allocated:
        reason = f"{samples} samples of {allocated} bits allocated and {stored} bits stored"
        raise NotDecodedError(picture, "unsupported", reason)
    return picture


def technical(dataset: Dataset) -> dict[str, str | int]:
    """Return the technical attributes of the allow-list: how pixels are stored and shown, by numbers and defined terms.

    A value that is neither a number nor a term of the standard is ``other``: what stands there instead could be
    anything.
    """
    found: dict[str, str | int] = {"TransferSyntax": _syntax_name(transfer_syntax(dataset))}
    for keyword in _NUMBERS:
        try:
            if dataset.get(keyword) is not None:
                found[keyword] = int(dataset[keyword].value)
        except (TypeError, ValueError):
            found[keyword] = "other"
    for keyword, terms in _TERMS.items():
        stated = str(dataset.get(keyword, "")).strip().upper()
        if stated:
            found[keyword] = stated if stated in terms else "other"
    found["shown"] = (
        "by its VOI look-up table"
        if "VOILUTSequence" in dataset
        else "by its window"
        if "WindowCenter" in dataset
        else "by the range of its stored bits"
    )
    if any(0x6000 <= tag.group <= 0x60FF for tag in list(dataset.keys())):
        found["overlays"] = "not drawn"
    return found


def _photometric(dataset: Dataset) -> str | None:
    """Return the photometric interpretation if it is one of the standard (PS3.3, C.7.6.3.1.2)."""
    stated = str(dataset.get("PhotometricInterpretation", "")).strip()
    return stated if stated in _TERMS["PhotometricInterpretation"] else None


def _syntax_name(syntax: UID) -> str:
    """Return the name of a transfer syntax of the standard; a number of anybody's own could say anything."""
    return syntax.name if syntax.name != str(syntax) else "of no public name"


def transfer_syntax(dataset: Dataset) -> UID:
    """Return the transfer syntax, implicit little endian if the file does not say (PS3.5, 10.1)."""
    meta = getattr(dataset, "file_meta", None)
    stated = meta.get("TransferSyntaxUID") if meta is not None else None
    return UID(str(stated)) if stated else ImplicitVRLittleEndian


def _decoded(picture: Picture, dataset: Dataset, limits: Limits) -> Picture:
    photometric = picture.color_mode or ""
    if transfer_syntax(dataset) == JPEGBaseline8Bit:
        return _of_jpeg(picture, dataset, photometric, limits)
    raw = _stored_samples(dataset, picture)
    if photometric == "PALETTE COLOR":
        color = apply_color_lut(raw, dataset)
        if color.dtype != np.uint8:
            color = (color >> 8).astype(np.uint8)
        return picture.but(raster=np.ascontiguousarray(color), mode="RGB")
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return picture.but(raster=_shown(raw, dataset, photometric == "MONOCHROME1"), mode="L")
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        raw = convert_color_space(raw, "YBR_FULL", "RGB")
    elif photometric != "RGB":
        raise NotDecodedError(
            picture,
            "unsupported",
            f"the photometric interpretation {photometric or 'is missing, or none of the standard'}",
        )
    if raw.dtype != np.uint8:
        raw = (raw >> max(0, (picture.bit_depth or 8) - 8)).clip(0, 255).astype(np.uint8)
    return picture.but(raster=np.ascontiguousarray(raw), mode="RGB")


def _stored_samples(dataset: Dataset, picture: Picture) -> np.ndarray:
    """Return the samples as stored, (height, width) or (height, width, 3)."""
    expected = (picture.width or 0) * (picture.height or 0) * int(dataset.get("SamplesPerPixel", 1))
    expected *= int(dataset.BitsAllocated) // 8
    if picture.color_mode == "YBR_FULL_422":
        expected = expected * 2 // 3
    if transfer_syntax(dataset) != RLELossless and len(dataset.PixelData) < expected:
        reason = f"the pixel data has {len(dataset.PixelData)} bytes; its header states {expected}: cut off"
        raise NotDecodedError(picture, "unreadable", reason)
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    try:
        return pixel_array(_with_syntax(dataset), raw=True)
    finally:
        config.settings.reading_validation_mode = before


def _with_syntax(dataset: Dataset) -> Dataset:
    if getattr(dataset, "file_meta", None) is None:
        dataset.file_meta = pydicom.dataset.FileMetaDataset()
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _shown(raw: np.ndarray, dataset: Dataset, is_inverted: bool) -> np.ndarray:
    """Return grey samples as they are meant to be displayed, uint8."""
    stored = int(dataset.get("BitsStored", dataset.BitsAllocated))
    is_signed = bool(dataset.get("PixelRepresentation", 0))
    values: Any = apply_modality_lut(raw, dataset)
    has_window = "WindowCenter" in dataset or "VOILUTSequence" in dataset
    if has_window:
        values = np.asarray(apply_voi_lut(values, dataset), dtype=np.float64)
        low, high = _window_output(dataset, stored, is_signed)
    else:
        values = raw.astype(np.float64)
        low = -(2.0 ** (stored - 1)) if is_signed else 0.0
        high = low + 2.0**stored - 1
    grey = np.clip((values - low) / max(high - low, 1.0) * 255, 0, 255).round().astype(np.uint8)
    return 255 - grey if is_inverted else grey


def _window_output(dataset: Dataset, stored: int, is_signed: bool) -> tuple[float, float]:
    """Return the range that pydicom's windowing writes its output in (its ``apply_windowing``)."""
    if "VOILUTSequence" in dataset:
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return 0.0, 2.0**bits - 1
    low = -(2.0 ** (stored - 1)) if is_signed else 0.0
    high = low + 2.0**stored - 1
    slope, intercept = (
        float(dataset.get("RescaleSlope", 1) or 1),
        float(dataset.get("RescaleIntercept", 0) or 0),
    )
    if "ModalityLUTSequence" in dataset:
        return 0.0, 2.0 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    return low * slope + intercept, high * slope + intercept


def _of_jpeg(picture: Picture, dataset: Dataset, photometric: str, limits: Limits) -> Picture:
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    if photometric == "RGB" and not _states_color(frame):
        frame = frame[:2] + _ADOBE_RGB + frame[2:]  # without it, libjpeg takes three channels for YCbCr
    if frame.endswith(b"\xff\xd9\0"):
        frame = frame[:-1]  # frames are padded to even length
    inner = decode_jpeg(frame, limits)
    if inner.raster is None:
        return picture.failed(inner.state, f"frame 1: {inner.detail}")
    if (inner.width, inner.height) != (picture.width, picture.height):
        reason = f"the header states {picture.width}x{picture.height} px, the frame is {inner.width}x{inner.height} px"
        raise NotDecodedError(picture, "unreadable", reason)
    raster = inner.raster
    if photometric == "MONOCHROME1" and inner.mode == "L":
        raster = 255 - raster
    return picture.but(
        state=inner.state,
        detail=inner.detail,
        raster=raster,
        mode=inner.mode,
        jpeg_quality=inner.jpeg_quality,
        jpeg_subsampling=inner.jpeg_subsampling,
        jpeg_progressive=inner.jpeg_progressive,
    )


def _states_color(frame: bytes) -> bool:
    header = read_header(frame, jpeg_structure(frame))
    return header is not None and header.has_color_marker
