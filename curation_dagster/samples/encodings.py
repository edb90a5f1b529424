"""Pictures as files: every format that archives deliver, and what cameras hide in them.

The person in the planted metadata is invented: Erika Mustermann is the specimen name of German identity cards. The
coordinates are those of the point in the Pacific that is farthest from any land.
"""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import piexif
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from curation_dagster.samples.skin import Picture

PERSON = "Erika Mustermann"
BORN = "1957-03-12"
TAKEN = "2019:08:14 10:32:07"
_VL_PHOTOGRAPHIC = UID("1.2.840.10008.5.1.4.1.1.77.1.4")


def jpeg(picture: Picture, quality: int = 93, **options: Any) -> bytes:
    """Return a JPEG; ``options`` are those of Pillow, such as ``progressive`` or ``subsampling``."""
    return _saved(Image.fromarray(picture), "JPEG", **{"quality": quality, "subsampling": 0, **options})


def grey_jpeg(picture: Picture) -> bytes:
    """Return a JPEG with one channel."""
    return _saved(Image.fromarray(picture).convert("L"), "JPEG", quality=93)


def cmyk_jpeg(picture: Picture) -> bytes:
    """Return a JPEG in CMYK, with the Adobe marker that says so."""
    return _saved(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=93)


def png(picture: Picture) -> bytes:
    """Return an 8-bit RGB PNG, compressed lightly, as phones and converters do it."""
    return _cv2(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), cv2.IMWRITE_PNG_COMPRESSION, 1)


def png_16_bit(picture: Picture) -> bytes:
    """Return a PNG with 16 bits a channel."""
    deep = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    return _cv2(".png", deep, cv2.IMWRITE_PNG_COMPRESSION, 1)


def png_palette(picture: Picture) -> bytes:
    """Return a PNG of 256 colours."""
    return _saved(Image.fromarray(picture).quantize(256), "PNG")


def png_alpha(picture: Picture) -> bytes:
    """Return a PNG with a fully opaque alpha channel, as screenshots have."""
    opaque = np.dstack([cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.full(picture.shape[:2], 255, np.uint8)])
    return _cv2(".png", opaque, cv2.IMWRITE_PNG_COMPRESSION, 1)


def tiff(picture: Picture) -> bytes:
    """Return a TIFF with LZW compression."""
    return _saved(Image.fromarray(picture), "TIFF", compression="tiff_lzw")


def bmp(picture: Picture) -> bytes:
    """Return a 24-bit BMP."""
    return _saved(Image.fromarray(picture), "BMP")


def webp(picture: Picture) -> bytes:
    """Return a lossy WebP."""
    return _saved(Image.fromarray(picture), "WEBP", quality=92)


def gif(picture: Picture) -> bytes:
    """Return a GIF with a single frame."""
    return _saved(Image.fromarray(picture).quantize(256), "GIF")


def heic(picture: Picture) -> bytes:
    """Return a HEIC, as iPhones write it."""
    import pillow_heif  # loads a codec of several megabytes: only when one is wanted

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(picture)).save(buffer, quality=92)
    return buffer.getvalue()


def dicom(picture: Picture, encapsulated: bool = True) -> bytes:
    """Return a VL Photographic Image, as a baseline JPEG frame or uncompressed, with a patient's data in its header."""
    height, width = picture.shape[:2]
    entropy = [str(width), str(height), str(int(picture[::7, ::7].astype(np.int64).sum())), str(encapsulated)]
    instance = generate_uid(entropy_srcs=entropy)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = _VL_PHOTOGRAPHIC
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = JPEGBaseline8Bit if encapsulated else ExplicitVRLittleEndian
    header = Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = _VL_PHOTOGRAPHIC, instance
    header.StudyInstanceUID = generate_uid(entropy_srcs=[*entropy, "study"])
    header.SeriesInstanceUID = generate_uid(entropy_srcs=[*entropy, "series"])
    header.PatientName, header.PatientID = "Mustermann^Erika", "MRN-0012345"
    header.PatientBirthDate, header.PatientSex, header.PatientAge = BORN.replace("-", ""), "F", "062Y"
    header.StudyDate, header.StudyTime, header.Modality = "20190814", "103207", "XC"
    header.InstitutionName, header.StudyDescription = "Hautklinik Beispielstadt", f"Kontrolle {PERSON}"
    header.ReferringPhysicianName, header.AccessionNumber = "Muster^Max", "A-77001"
    header.SamplesPerPixel, header.PlanarConfiguration = 3, 0
    header.Rows, header.Columns = height, width
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
    if encapsulated:
        header.PhotometricInterpretation = "YBR_FULL_422"
        header.LossyImageCompression = "01"
        header.PixelData = encapsulate([jpeg(picture, 93, subsampling=1)])
        header["PixelData"].VR = "OB"
    else:
        header.PhotometricInterpretation = "RGB"
        raw = picture.tobytes()
        header.PixelData = raw + b"\0" * (len(raw) % 2)
        header["PixelData"].VR = "OB"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()


# -- what cameras and people leave in files --------------------------------------------------------


def exif(
    orientation: int = 1,
    gps: bool = False,
    taken: bool = True,
    model: str | None = "Phone Model 11",
    name: bool = False,
    maker_note: bool = False,
) -> bytes:
    """Return an EXIF block with what is asked for, beginning with ``Exif``."""
    first: dict[int, Any] = {piexif.ImageIFD.Orientation: orientation}
    further: dict[int, Any] = {}
    place: dict[int, Any] = {}
    if model:
        first[piexif.ImageIFD.Make], first[piexif.ImageIFD.Model] = "Example", model
    if taken:
        first[piexif.ImageIFD.DateTime] = further[piexif.ExifIFD.DateTimeOriginal] = TAKEN
    if name:
        first[piexif.ImageIFD.Artist] = PERSON
        first[piexif.ImageIFD.ImageDescription] = f"{PERSON}, born {BORN}"
        further[piexif.ExifIFD.CameraOwnerName] = PERSON
    if maker_note:
        further[piexif.ExifIFD.MakerNote] = b"Example\0" + bytes(range(256)) * 2
    if gps:
        place = {
            piexif.GPSIFD.GPSLatitudeRef: "S",
            piexif.GPSIFD.GPSLatitude: ((48, 1), (52, 1), (3168, 100)),
            piexif.GPSIFD.GPSLongitudeRef: "W",
            piexif.GPSIFD.GPSLongitude: ((123, 1), (23, 1), (3348, 100)),
            piexif.GPSIFD.GPSAltitudeRef: 0,
            piexif.GPSIFD.GPSAltitude: (4, 1),
            piexif.GPSIFD.GPSDateStamp: "2019:08:14",
        }
    return piexif.dump({"0th": first, "Exif": further, "GPS": place})


def xmp() -> bytes:
    """Return an XMP packet with a creator and a document id."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/"'
        ' xmpMM:InstanceID="xmp.iid:00000000-0000-4000-8000-000000000001">'
        f"<dc:creator><rdf:Seq><rdf:li>{PERSON}</rdf:li></rdf:Seq></dc:creator>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def jpeg_with_secrets(picture: Picture, quality: int = 93, **asked: Any) -> bytes:
    """Return a JPEG with EXIF (all of :func:`exif` unless ``asked`` says otherwise), XMP, a comment and a tail."""
    block = exif(**{"gps": True, "name": True, "maker_note": True, **asked})
    data = jpeg(picture, quality, exif=block)
    segments = _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp())
    segments += _segment(0xFE, f"Patient: {PERSON}, {BORN}".encode())
    return with_segments(data, segments) + f"\nexported for {PERSON}\n".encode() + bytes(64)


def with_segments(data: bytes, segments: bytes) -> bytes:
    """Return a JPEG with further marker segments before its first table."""
    position = 2
    while data[position] == 0xFF and 0xE0 <= data[position + 1] <= 0xEF:
        position += 2 + int(struct.unpack(">H", data[position + 2 : position + 4])[0])
    return data[:position] + segments + data[position:]


def png_with_exif(picture: Picture, block: bytes) -> bytes:
    """Return a PNG that carries an EXIF block."""
    return _saved(Image.fromarray(picture), "PNG", compress_level=1, exif=block)


def oriented_6(picture: Picture, gps: bool = False, **asked: Any) -> bytes:
    """Return a JPEG whose pixels lie on their side and whose EXIF says to turn them clockwise."""
    lying = np.ascontiguousarray(np.rot90(picture))
    return jpeg(lying, 90, exif=exif(orientation=6, gps=gps, **asked))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _cv2(suffix: str, array: np.ndarray, *options: int) -> bytes:
    done, data = cv2.imencode(suffix, array, list(options))
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of shape {array.shape} as {suffix}")
    return data.tobytes()
