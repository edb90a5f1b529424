from __future__ import annotations

import io

import numpy as np
import piexif
import pydicom
import pytest
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from curation_dagster.samples import encodings, lesion

register_heif_opener()
PICTURE = lesion(2, (320, 240), 2, "dermoscopic", "nevus")

FORMATS = {
    "jpeg": (encodings.jpeg, "JPEG", "RGB"),
    "progressive": (lambda p: encodings.jpeg(p, progressive=True), "JPEG", "RGB"),
    "grey": (encodings.grey_jpeg, "JPEG", "L"),
    "cmyk": (encodings.cmyk_jpeg, "JPEG", "CMYK"),
    "secrets": (encodings.jpeg_with_secrets, "JPEG", "RGB"),
    "png": (encodings.png, "PNG", "RGB"),
    "png_16": (encodings.png_16_bit, "PNG", "RGB"),
    "png_palette": (encodings.png_palette, "PNG", "P"),
    "png_alpha": (encodings.png_alpha, "PNG", "RGBA"),
    "tiff": (encodings.tiff, "TIFF", "RGB"),
    "bmp": (encodings.bmp, "BMP", "RGB"),
    "webp": (encodings.webp, "WEBP", "RGB"),
    "gif": (encodings.gif, "GIF", "P"),
    "heic": (encodings.heic, "HEIF", "RGB"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_what_it_says_and_shows_the_picture(name):
    encode, kind, mode = FORMATS[name]
    data = encode(PICTURE)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == (kind, mode)
        shown = np.asarray(image.convert("RGB"), dtype=int)
    reference = PICTURE.astype(int) if mode != "L" else np.dstack([PICTURE.mean(axis=2)] * 3)
    assert np.abs(shown - reference).mean() < 12


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_the_same_bytes_again(name):
    encode = FORMATS[name][0]
    assert encode(PICTURE) == encode(PICTURE)


def test_sixteen_bits_are_sixteen_bits():
    assert encodings.png_16_bit(PICTURE)[24] == 16


@pytest.mark.parametrize("encapsulated", [True, False])
def test_dicom_is_read_by_pydicom_and_names_a_patient(encapsulated):
    data = encodings.dicom(PICTURE, encapsulated)
    assert data == encodings.dicom(PICTURE, encapsulated)
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.77.1.4"
    assert str(dataset.PatientName) == "Mustermann^Erika"
    assert dataset.file_meta.TransferSyntaxUID.is_encapsulated is encapsulated
    if encapsulated:
        frame = next(iter(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
        with Image.open(io.BytesIO(frame)) as image:
            shown = np.asarray(image.convert("RGB"), dtype=int)
    else:
        shown = dataset.pixel_array.astype(int)
    assert np.abs(shown - PICTURE).mean() < 4


def test_secrets_are_in_every_place():
    data = encodings.jpeg_with_secrets(PICTURE)
    tags = piexif.load(data)
    assert piexif.GPSIFD.GPSLatitude in tags["GPS"]
    assert tags["0th"][piexif.ImageIFD.Artist] == encodings.PERSON.encode()
    assert piexif.ImageIFD.DateTime in tags["0th"]
    assert piexif.ImageIFD.Model in tags["0th"]
    assert piexif.ExifIFD.MakerNote in tags["Exif"]
    assert b"http://ns.adobe.com/xap/1.0/" in data
    assert b"\xff\xfe" in data
    assert not data.endswith(b"\xff\xd9")
    assert data.count(encodings.PERSON.encode()) >= 5


def test_orientation_6_stands_upright_when_it_is_obeyed():
    data = encodings.oriented_6(PICTURE)
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (240, 320)
        upright = np.asarray(ImageOps.exif_transpose(image), dtype=int)
    assert np.abs(upright - PICTURE).mean() < 4


def test_a_png_can_carry_exif():
    with Image.open(io.BytesIO(encodings.png_with_exif(PICTURE, encodings.exif(gps=True)))) as image:
        assert image.getexif().get_ifd(0x8825)
