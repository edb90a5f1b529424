"""Files in which hidden metadata was planted, carrier by carrier, for the inventory, the re-scan and the writer."""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from curation_dagster_tests.core.imaging.pictures import (
    dicom,
    display_p3_like,
    exif,
    heic,
    jpeg,
    saved,
    skin,
    with_chunk,
    with_segment,
)

# whatever carrier it is planted in, no output may hold this
SECRET = "Jane-Q-Doe-4711"
S = SECRET.encode()
PIXELS = skin(160, 120)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:creator>' + S + b"</dc:creator></x:xmpmeta>"
IPTC = (
    b"Photoshop 3.0\0"
    + b"8BIM\x04\x04\0\0"
    + struct.pack(">I", 5 + len(S))
    + b"\x1c\x02\x50"
    + struct.pack(">H", len(S))
    + S
)
THUMBNAIL = jpeg(skin(32, 24))

EXIF_TAGS: dict[str, dict[str, Any]] = {
    "exif_gps": {"gps": {1: b"N", 2: ((48, 1), (8, 1), (1, 1)), 29: b"2020:01:01", 28: S}},
    "exif_datetime": {"exif": {0x9003: b"2020:01:01 10:00:00"}},
    "exif_device": {"zeroth": {0x010F: S, 0x0110: b"Model"}},
    "exif_owner": {"zeroth": {0x013B: S, 0x8298: S}},
    "exif_serial": {"exif": {0xA431: S}},
    "exif_maker_note": {"exif": {0x927C: b"MAKER\0" + S}},
    "exif_user_comment": {"exif": {0x9286: b"ASCII\0\0\0" + S}},
    "exif_description": {"zeroth": {0x010E: S}},
    "exif_thumbnail": {"first": {0x0201: 0, 0x0202: 0}, "thumbnail": THUMBNAIL},
}


def planted_jpegs() -> dict[str, bytes]:
    """Return a JPEG per kind that JPEG files can carry."""
    plain = jpeg(PIXELS)
    files = {kind: with_segment(plain, 0xE1, exif(**tags)) for kind, tags in EXIF_TAGS.items()}
    files |= {
        "exif": with_segment(plain, 0xE1, exif(exif={0x829A: (1, 60)})),
        "exif_unreadable": with_segment(plain, 0xE1, b"Exif\0\0II*\0\xff\xff\0\0" + S),
        "xmp": with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        "iptc": with_segment(plain, 0xED, IPTC),
        "photoshop": with_segment(
            plain, 0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0" + struct.pack(">I", len(S)) + S
        ),
        "icc": saved(PIXELS, "JPEG", icc_profile=display_p3_like()),
        "jfif_thumbnail": with_segment(plain, 0xE0, b"JFXX\0\x10" + THUMBNAIL),
        "jpeg_comment": with_segment(plain, 0xFE, S),
        "jpeg_mpf": with_segment(plain, 0xE2, b"MPF\0II*\0\x08\0\0\0" + S),
        "jpeg_jumbf": with_segment(plain, 0xEB, b"JP\0\x01" + S),
        "jpeg_app_other": with_segment(plain, 0xE4, b"VENDOR\0" + S),
        "trailing_bytes": plain + THUMBNAIL + S,
    }
    return files


def planted_pngs() -> dict[str, bytes]:
    """Return a PNG per kind that PNG files can carry."""
    plain = saved(PIXELS, "PNG")
    return {
        "png_text": with_chunk(plain, b"tEXt", b"Author\0" + S),
        "png_time": with_chunk(plain, b"tIME", b"\x07\xe4\x01\x01\x0a\0\0"),
        "png_other_chunk": with_chunk(plain, b"prVt", S),
        "exif": with_chunk(plain, b"eXIf", exif(zeroth={0x013B: S})[6:]),
        "xmp": with_chunk(plain, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        "icc": saved(PIXELS, "PNG", icc_profile=display_p3_like()),
        "trailing_bytes": plain + S,
    }


def kitchen_sink() -> dict[str, bytes]:
    """Return a file of each format with as much hidden metadata as it can carry."""
    sink = planted_jpegs()
    block = exif(
        zeroth={0x010E: S, 0x013B: S, 0x010F: S, 0x0112: 6},
        exif={0x9286: b"ASCII\0\0\0" + S, 0x927C: S, 0xA430: S},
        gps={1: b"N", 2: ((48, 1), (8, 1), (1, 1))},
    )
    whole = jpeg(PIXELS)
    for code, body in (
        (0xE1, block),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        (0xED, IPTC),
        (0xFE, S),
        (0xE4, b"VENDOR\0" + S),
        (0xEB, b"JP\0\x01" + S),
    ):
        whole = with_segment(whole, code, body)
    image = Image.fromarray(PIXELS)
    tags = Image.Exif()
    tags[0x010E], tags[0x013B], tags[0x0112] = SECRET, SECRET, 6
    png = with_chunk(saved(PIXELS, "PNG", exif=tags), b"tEXt", b"Author\0" + S)
    gif = saved(image, "GIF", comment=S)
    return {
        "jpeg": whole + sink["trailing_bytes"][-200:],
        "png": png + S,
        "tiff": saved(image, "TIFF", exif=tags),
        "webp": saved(image, "WEBP", lossless=True, exif=tags, xmp=XMP),
        "gif": gif + S,
        "heic": heic(PIXELS, exif=tags.tobytes(), xmp=XMP),
        "bmp": saved(image, "BMP") + S,
        "dicom": dicom(PIXELS, **DICOM_TAGS),
    }


DICOM_TAGS: dict[str, Any] = {
    "PatientName": "Doe^" + SECRET,
    "PatientID": SECRET,
    "PatientBirthDate": "19700101",
    "ReferringPhysicianName": SECRET,
    "StudyDate": "20200101",
    "InstitutionName": SECRET,
    "Manufacturer": SECRET,
    "StudyInstanceUID": "1.2.3.4.5",
    "StudyDescription": SECRET,
    "ImageComments": SECRET,
    "BurnedInAnnotation": "YES",
}
