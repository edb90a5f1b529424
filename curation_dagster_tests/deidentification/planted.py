"""An archive in which every carrier of every format holds something of one invented person."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import quopri
import struct
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import piexif
import pillow_heif
import pydicom
import skimage.data
import yaml
from PIL import Image, ImageCms, PngImagePlugin, TiffImagePlugin

from curation_dagster.samples import encodings, skin

ARCHIVE, VERSION = "planted", "1"
KEY = f"{ARCHIVE}@{VERSION}"
HOSTILE = f"{ARCHIVE}@2"
NAME = "Quirrelstein"
SECRETS = {
    "name": NAME,
    "given name": "Theodwyna",
    "born": "1957-03-12",
    "born, digits": "19570312",
    "born, EXIF": "1957:03:12",
    "born, words": "12 March 1957",
    "record number": "MRN-7734521",
    "e-mail": "t.quirrel@hidden.example",
    "telephone": "+49 30 99887766",
    "national id": "12345678Z",
    "serial number": "SNQX-55512",
    "place": "Xylophonstadt",
}
ALL = " | ".join(SECRETS.values())
RAW = ALL.encode()
_LABELS = ("nevus", "melanoma", "basal cell carcinoma", "seborrheic keratosis", "squamous cell carcinoma")


def needles() -> dict[str, bytes]:
    """Return every secret in every spelling that the search looks for."""
    found: dict[str, bytes] = {}
    for what, text in SECRETS.items():
        plain = text.encode()
        spellings = {
            "plain": plain,
            "lower": text.lower().encode(),
            "upper": text.upper().encode(),
            "UTF-16LE": text.encode("utf-16-le"),
            "UTF-16BE": text.encode("utf-16-be"),
            "hex": binascii.hexlify(plain),
            "HEX": binascii.hexlify(plain).upper(),
            "reversed": plain[::-1],
            "quoted-printable": quopri.encodestring(plain, quotetabs=True),
            "URL": urllib.parse.quote(text, safe="").encode(),
            "JSON": json.dumps(text)[1:-1].encode(),
        }
        for shift in range(3):  # what of its base64 doesn't depend on what stands around it
            coded = base64.b64encode(b"\0" * shift + plain)
            spellings[f"base64+{shift}"] = coded[4 if shift else 0 :][: (len(plain) + shift) // 3 * 4 - 4]
        found |= {f"{what}, {how}": n for how, n in spellings.items() if len(n) >= 7}
    return found


def picture(number: int) -> np.ndarray:
    """Return a sharp picture of a lesion, another for each number."""
    return skin.lesion(7000 + number, (640, 480), 1 + number % 6, "clinical", "nevus")


# -- carriers ---------------------------------------------------------------------------------------


def exif_block(orientation: int = 1) -> bytes:
    """Return an EXIF block that tells everything, with a thumbnail."""
    wide = ALL.encode("utf-16-le")
    thumbnail = encodings.jpeg(np.zeros((64, 64, 3), np.uint8), 70, comment=RAW)
    return piexif.dump(
        {
            "0th": {
                piexif.ImageIFD.Orientation: orientation,
                piexif.ImageIFD.Artist: RAW,
                piexif.ImageIFD.Copyright: RAW,
                piexif.ImageIFD.ImageDescription: RAW,
                piexif.ImageIFD.HostComputer: RAW,
                piexif.ImageIFD.DateTime: SECRETS["born, EXIF"] + " 10:32:07",
                piexif.ImageIFD.XPAuthor: wide,
                piexif.ImageIFD.XPComment: wide,
                piexif.ImageIFD.CameraSerialNumber: SECRETS["serial number"].encode(),
            },
            "Exif": {
                piexif.ExifIFD.UserComment: b"ASCII\0\0\0" + RAW,
                piexif.ExifIFD.MakerNote: RAW * 2,
                piexif.ExifIFD.CameraOwnerName: RAW,
                piexif.ExifIFD.BodySerialNumber: RAW,
                piexif.ExifIFD.LensSerialNumber: RAW,
                piexif.ExifIFD.DateTimeOriginal: SECRETS["born, EXIF"] + " 10:32:07",
            },
            "GPS": {
                piexif.GPSIFD.GPSLatitude: ((48, 1), (52, 1), (3168, 0)),  # a zero denominator, too
                piexif.GPSIFD.GPSAreaInformation: RAW,
                piexif.GPSIFD.GPSProcessingMethod: RAW,
                piexif.GPSIFD.GPSDateStamp: SECRETS["born, EXIF"],
            },
            "1st": {piexif.ImageIFD.Make: RAW},
            "thumbnail": thumbnail,
        }
    )


def xmp() -> bytes:
    """Return an XMP packet that tells everything."""
    return encodings.xmp().replace(encodings.PERSON.encode(), RAW.replace(b"|", b"/"))


def icc() -> bytes:
    """Return an sRGB profile whose texts tell a name: as wide characters, where the description stands."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    wide = NAME.encode("utf-16-be")
    at = bytes(profile).find("No copyright".encode("utf-16-be"))
    assert at > 0
    profile[at : at + len(wide)] = wide
    return bytes(profile)


def _app(code: int, body: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def jpeg_segments() -> bytes:
    """Return a segment of each kind that a JPEG may carry."""
    iptc = b"\x1c\x02\x50" + struct.pack(">H", len(RAW)) + RAW
    return b"".join(
        [
            _app(0xE0, b"JFXX\0\x10" + RAW),
            _app(0xE1, exif_block()),
            _app(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()),
            _app(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + b"\0" * 8 + RAW),
            _app(0xE2, b"ICC_PROFILE\0\x01\x01" + icc()),
            _app(0xE2, b"MPF\0" + RAW),
            _app(0xE5, RAW),
            _app(0xEB, b"JP\0\x01" + RAW),
            _app(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc),
            _app(0xEF, RAW),
            _app(0xFE, RAW),
            _app(0xDB, b"\x03" + (RAW * 2)[:64]),
        ]
    )


def jpeg_of(data: bytes) -> bytes:
    """Return a JPEG with everything planted, and a second picture and a text behind its end."""
    behind = encodings.jpeg(np.zeros((64, 64, 3), np.uint8), 70, comment=RAW)
    return encodings.with_segments(data, jpeg_segments()) + behind + RAW


def png_of(data: bytes) -> bytes:
    """Return a PNG with everything planted."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    planted = [
        chunk(b"iCCP", NAME.encode() + b"\0\0" + zlib.compress(icc())),
        chunk(b"tEXt", b"Author\0" + RAW),
        chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  1\n" + binascii.hexlify(RAW)),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(RAW)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp()),
        chunk(b"eXIf", exif_block()[6:]),
        chunk(b"tIME", struct.pack(">HBBBBB", 1957, 3, 12, 10, 32, 7)),
        chunk(b"quRR", RAW),
    ]
    return data[:33] + b"".join(planted) + data[33:-12] + chunk(b"tEXt", b"Late\0" + RAW) + data[-12:] + RAW


def _tiff(pixels: np.ndarray) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for number in (270, 271, 305, 315, 316, 33432, 65000, 65001):
        tags[number] = ALL
        tags.tagtype[number] = 2
    tags[700] = xmp()
    tags.tagtype[700] = 1
    tags[33723] = RAW
    tags.tagtype[33723] = 7
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, "TIFF", tiffinfo=tags, compression="tiff_lzw", exif=_exif_for_tiff(), icc_profile=icc()
    )
    return buffer.getvalue() + RAW


def _exif_for_tiff() -> Image.Exif:
    block = Image.Exif()
    block[315] = ALL
    block.get_ifd(0x8769)[0x9286] = RAW
    block.get_ifd(0x8825)[0x001C] = RAW
    return block


def _webp(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", exif=exif_block(), xmp=xmp(), icc_profile=icc(), **options)
    data = bytearray(buffer.getvalue())
    data += b"quRR" + struct.pack("<I", len(RAW)) + RAW + b"\0" * (len(RAW) % 2)
    data[4:8] = struct.pack("<I", len(data) - 8)
    return bytes(data) + RAW


def _gif(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(256).save(buffer, "GIF", comment=RAW)
    data = buffer.getvalue()
    at = data.index(b"\x2c", 13 + 768)
    blocks = b"\x21\xff\x0bXMP DataXMP" + bytes([len(RAW)]) + RAW + b"\0"
    blocks += b"\x21\xffQUIRRELAPP1"[:2] + b"\x0bQUIRRELAPP1" + bytes([len(RAW)]) + RAW + b"\0"
    comment = data.find(b"\x21\xfe")
    at = comment if comment > 0 else at
    return data[:at] + blocks + data[at:] + RAW


def _heic(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.fromarray(pixels))
    heif.save(buffer, quality=90, exif=exif_block(), xmp=xmp())
    data = buffer.getvalue()
    return data + struct.pack(">I4s", 8 + len(RAW), b"free") + RAW


def _bmp(pixels: np.ndarray) -> bytes:
    data = encodings.bmp(pixels)
    start = struct.unpack_from("<I", data, 10)[0]
    gapped = data[:start] + RAW + data[start:] + RAW
    size = len(data) + len(RAW)
    return (
        gapped[:2]
        + struct.pack("<I", size)
        + gapped[6:10]
        + struct.pack("<I", start + len(RAW))
        + gapped[14:]
    )


def _dicom(pixels: np.ndarray, encapsulated: bool, **changes: str) -> bytes:
    data = pydicom.dcmread(io.BytesIO(encodings.dicom(pixels, encapsulated)))
    data.preamble = (RAW * 2)[:128]
    data.PatientName, data.PatientID = f"{NAME}^{SECRETS['given name']}", SECRETS["record number"]
    data.PatientBirthDate, data.StudyDate = SECRETS["born, digits"], SECRETS["born, digits"]
    data.InstitutionName = data.StationName = SECRETS["place"]
    data.StudyDescription = data.ImageComments = data.DerivationDescription = ALL[:60]
    data.DeviceSerialNumber = SECRETS["serial number"]
    data.OperatorsName = data.ReferringPhysicianName = NAME
    block = data.private_block(0x0019, "QUIRREL", create=True)
    block.add_new(0x01, "LT", ALL)
    data.add_new(0x60000010, "US", 8)
    data.add_new(0x60000011, "US", 8 * len(RAW))
    data.add_new(0x60000022, "LO", NAME)
    data.add_new(0x60003000, "OB", RAW + b"\0" * (len(RAW) % 2))
    for name, value in changes.items():
        setattr(data, name, value)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data)
    return buffer.getvalue()


def _with_text(pixels: np.ndarray) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("Comment", ALL, zip=True)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


FILES: dict[str, Callable[[np.ndarray], bytes]] = {
    "baseline.jpg": lambda p: jpeg_of(encodings.jpeg(p)),
    "420.jpeg": lambda p: jpeg_of(encodings.jpeg(p, 90, subsampling=2)),
    "progressive.jpg": lambda p: jpeg_of(encodings.jpeg(p, 90, progressive=True)),
    "grey.jpg": lambda p: jpeg_of(encodings.grey_jpeg(p)),
    "cmyk.jpg": lambda p: jpeg_of(encodings.cmyk_jpeg(p)),
    "turned.jpg": lambda p: encodings.jpeg(np.ascontiguousarray(np.rot90(p)), exif=exif_block(6)) + RAW,
    "plain.png": lambda p: png_of(encodings.png(p)),
    "16bit.png": lambda p: png_of(encodings.png_16_bit(p)),
    "palette.png": lambda p: png_of(encodings.png_palette(p)),
    "alpha.png": lambda p: png_of(encodings.png_alpha(p)),
    "text.png": _with_text,
    "tags.tif": _tiff,
    "lossy.webp": lambda p: _webp(p, quality=92),
    "lossless.webp": lambda p: _webp(p, lossless=True),
    "blocks.gif": _gif,
    "boxes.heic": _heic,
    "gap.bmp": _bmp,
    "jpeg.dcm": lambda p: _dicom(p, True),
    "raw.dcm": lambda p: _dicom(p, False),
    # these are refused; what says so must not quote them
    "burned.dcm": lambda p: _dicom(p, True, BurnedInAnnotation="YES"),
    "colours.dcm": lambda p: _dicom(p, False, PhotometricInterpretation="QUIRRELSTEIN"),
    "cut.jpg": lambda p: jpeg_of(encodings.jpeg(p))[:9000],
    "text.jpg": lambda p: RAW * 40,
    "chunk.png": lambda p: encodings.png(p)[:33] + struct.pack(">I", 99999999) + b"Quir" + RAW,
    "page.html.jpg": lambda p: b"<html><title>" + RAW + b"</title></html>",
}  # fmt: skip
REFUSED = {"burned.dcm", "colours.dcm", "cut.jpg", "text.jpg", "chunk.png", "page.html.jpg"}
# columns of the table that a mapping reads; each holds something planted in one row
MAPPED = ("finding", "proof", "age", "sex", "site", "skin_type", "size", "taken", "device", "manipulation")


def write_archive(landing: Path, descriptors: Path) -> None:
    """Write the delivery and the descriptor of the planted archive."""
    photos = landing / KEY / f"{NAME}_{SECRETS['born']}" / "photos"
    photos.mkdir(parents=True)
    rows = []
    for number, (suffix, make) in enumerate(FILES.items()):
        stem = f"{NAME}_{SECRETS['record number']}_{number:03d}_{suffix.split('.')[0]}"
        (photos / f"{stem}.{suffix.rsplit('.', 1)[1]}").write_bytes(make(picture(number)))
        rows.append(_row(stem, number))
    for number, column in enumerate(MAPPED, start=len(FILES)):
        stem = f"{NAME}_{SECRETS['record number']}_{number:03d}_column"
        (photos / f"{stem}.jpg").write_bytes(encodings.jpeg(picture(number)))
        rows.append(_row(stem, number) | {column: ALL})
    for number, (suffix, pixels) in enumerate(shown().items(), start=len(FILES) + len(MAPPED)):
        stem = f"{NAME}_{SECRETS['record number']}_{number:03d}_{suffix}"
        (photos / f"{stem}.jpg").write_bytes(encodings.jpeg(pixels))
        rows.append(_row(stem, number))
    rows.append(_row(f"{NAME}_without_file", 999))
    with (photos.parent / f"{NAME}_table.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (photos.parent / f"{NAME}.txt").write_text(ALL)
    descriptors.mkdir(parents=True, exist_ok=True)
    (descriptors / f"{ARCHIVE}.yaml").write_text(yaml.safe_dump(_descriptor(), sort_keys=False))


def shown() -> dict[str, np.ndarray]:
    """Return pictures that show what may identify: a name beside the lesion, one across it, and a face."""
    beside, across = picture(400), picture(401)
    for pixels, place, size in ((beside, (8, 40), 1.0), (across, (60, 250), 2.2)):
        cv2.putText(
            pixels, f"{NAME} 12.03.1957", place, cv2.FONT_HERSHEY_SIMPLEX, size, (10, 10, 10), 2, cv2.LINE_AA
        )
    return {"beside": beside, "across": across, "face": np.ascontiguousarray(skimage.data.astronaut()[:480])}


def write_hostile(landing: Path) -> None:
    """Write a delivery that is refused: a container whose members, called after a person, lie outside of it."""
    folder = landing / HOSTILE
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / f"{NAME}_{SECRETS['born']}.zip", "w") as container:
        container.writestr(f"../../{NAME}_{SECRETS['record number']}.jpg", b"x" * 64)


def _row(stem: str, number: int) -> dict[str, str]:
    return {
        "image": stem,
        "person": f"{NAME}-{number}",
        "lesion": f"{SECRETS['record number']}-{number}",
        "finding": _LABELS[number % len(_LABELS)],
        "proof": "histology",
        "age": "61",
        "sex": "f",
        "site": "back",
        "skin_type": "2",
        "size": "4.5",
        "taken": SECRETS["born"],
        "device": "phone",
        "manipulation": "none",
        "notes": ALL,
        "patient_name": NAME,
        "contact": SECRETS["e-mail"],
        ALL: "turned on its side",
    }


def _descriptor() -> dict[str, object]:
    accepted = {"outcome": "accepted", "reason": "Made up for a test."}
    return {
        "id": ARCHIVE,
        "technical_file": {
            "name": "Planted", "publisher": "Nobody", "country": "Nowhere", "access": "public", "access_method": "None.",
            "sample_size": {}, "diagnostic_coverage": "Five labels.", "demographics": "Invented.", "modality": "Clinical.",
            "validation_method": "Histopathology, invented.",
            "selection": {k: dict(accepted) for k in ("diagnostic_quality", "licence", "diversity", "governance")},
        },
        "licence": {"default": "CC0-1.0", "evidence": "Made up for a test."},
        "retrieval": {"instructions": "None."},
        "versions": {VERSION: {}, "2": {}},
        "layout": {
            "container": "any",
            "images": ["**/photos/*.*"],
            "metadata": [{"name": "table", "files": ["**/*_table.csv"], "key": "image"}],
        },
        "columns": {
            "modality": {"constant": "clinical"},
            "diagnosis": {"from": "finding", "parse": "label"},
            "confirmation": {"from": "proof", "values": {"histology": "histopathology"}},
            "patient": {"from": "person"},
            "lesion": {"from": "lesion"},
            "age": {"from": "age", "parse": "age_years"},
            "sex": {"from": "sex", "values": {"f": "female", "m": "male"}},
            "anatomy": {"from": "site"},
            "fitzpatrick": {"from": "skin_type", "parse": "fitzpatrick"},
            "lesion_size_mm": {"from": "size", "parse": "number"},
        },
    }  # fmt: skip
