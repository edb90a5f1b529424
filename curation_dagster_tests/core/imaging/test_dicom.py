"""DICOM: photometric interpretations, windows, transfer syntaxes, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.measure import upright
from curation_dagster_tests.core.imaging.pictures import dataset_of, dicom, dicom_jpeg, jpeg, skin, written

PIXELS = skin(160, 120)
GREY = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2GRAY)


def test_monochrome_1_is_inverted_and_2_is_not() -> None:
    assert np.array_equal(upright(decode(dicom(GREY))), GREY)
    assert np.array_equal(upright(decode(dicom(GREY, "MONOCHROME1"))), 255 - GREY)


def test_ybr_full_becomes_rgb() -> None:
    ybr = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    found = upright(decode(dicom(np.ascontiguousarray(ybr), "YBR_FULL")))
    assert np.abs(found.astype(int) - PIXELS).max() <= 3


def test_uncompressed_ybr_full_422_becomes_rgb() -> None:
    pairs = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]].reshape(-1, 2, 3)
    data = dataset_of(PIXELS.shape, 8, "YBR_FULL_422")
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PixelData = np.stack(
        [pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1
    ).tobytes()
    found = upright(decode(written(data)))
    assert np.abs(found.astype(int) - PIXELS).mean() < 2


def test_palette_colours_are_looked_up() -> None:
    image = Image.fromarray(PIXELS).quantize(64)
    table = np.asarray(image.getpalette()[: 64 * 3], np.uint16).reshape(-1, 3) * 257
    tags = {}
    for channel, name in enumerate(("Red", "Green", "Blue")):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [len(table), 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = table[:, channel].astype("<u2").tobytes()
    found = upright(decode(dicom(np.asarray(image), "PALETTE COLOR", **tags)))
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


def test_rle_is_read() -> None:
    picture = decode(dicom(PIXELS, syntax=RLELossless))
    assert (picture.state, picture.is_lossless) == ("ok", True)
    assert np.array_equal(upright(picture), PIXELS)


def test_sixteen_bits_without_a_window_show_the_stored_range() -> None:
    wide = GREY.astype(np.uint16) * 16
    found = upright(decode(dicom(wide, BitsStored=12, HighBit=11)))
    assert np.abs(found.astype(int) - GREY).max() <= 1


def test_a_window_is_applied() -> None:
    wide = GREY.astype(np.uint16) + 1000
    found = upright(decode(dicom(wide, WindowCenter=1128, WindowWidth=256)))
    assert np.abs(found.astype(int) - GREY).max() <= 1
    narrow = upright(decode(dicom(wide, WindowCenter=1128, WindowWidth=2)))
    assert set(np.unique(narrow)) <= {0, 127, 128, 255}


def test_a_rescale_and_signed_samples_are_honoured() -> None:
    signed = GREY.astype(np.int16) - 128
    found = upright(
        decode(
            dicom(
                signed,
                PixelRepresentation=1,
                RescaleSlope=2,
                RescaleIntercept=100,
                WindowCenter=100,
                WindowWidth=512,
            )
        )
    )
    assert np.abs(found.astype(int) - GREY).max() <= 2


def test_a_jpeg_frame_is_decoded_strictly() -> None:
    frame = jpeg(PIXELS, subsampling="422")
    whole = decode(dicom_jpeg(PIXELS))
    assert (whole.state, whole.jpeg_quality, whole.jpeg_subsampling) == ("ok", 92, "422")
    cut = decode(dicom_jpeg(PIXELS, frame=frame[: len(frame) * 2 // 3]))
    assert cut.state == "damaged"
    assert cut.raster is not None


def test_a_jpeg_frame_of_rgb_without_markers_keeps_its_colours() -> None:
    # channels stored as they are: encode RGB as if it were YCbCr's three channels, and drop the JFIF header
    planes = cv2.cvtColor(PIXELS, cv2.COLOR_YCrCb2RGB)[..., :]
    frame = jpeg(planes, 97, "444")
    frame = frame[:2] + frame[20:]
    picture = decode(dicom_jpeg(PIXELS, "RGB", frame))
    found = upright(picture)[..., [0, 2, 1]]
    assert np.abs(found.astype(int) - PIXELS).mean() < 4


@pytest.mark.parametrize(
    ("tags", "state", "said"),
    [
        ({"NumberOfFrames": 3}, "unsupported", "3 frames"),
        ({"Rows": 60000, "Columns": 60000}, "too_large", "pixels are decoded"),
        ({"Rows": 0}, "unreadable", "size"),
        ({"Rows": 500}, "unreadable", "cut off"),
        ({"PhotometricInterpretation": "CMYK"}, "unsupported", "photometric"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "unsupported", "32 bits"),
    ],
)
def test_what_is_refused_says_why(tags: dict, state: str, said: str) -> None:
    picture = decode(dicom(PIXELS, **tags))
    assert picture.state == state
    assert said in (picture.detail or "")
    assert picture.raster is None


def test_an_unsupported_transfer_syntax_is_named() -> None:
    data = dicom_jpeg(PIXELS).replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.90")
    picture = decode(data)
    assert picture.state == "unsupported"
    assert "JPEG 2000" in (picture.detail or "")


def test_a_deflated_dataset_is_not_inflated() -> None:
    dataset = dataset_of(PIXELS.shape, 8, None)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = PIXELS.tobytes()
    picture = decode(written(dataset))
    assert picture.state == "unsupported"
    assert "deflated" in (picture.detail or "")


def test_messages_never_quote_values() -> None:
    data = dicom(PIXELS, PatientName="Doe^Jane", Rows=500)
    assert "Doe" not in (decode(data).detail or "")
