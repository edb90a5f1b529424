"""Which kinds of attributes a DICOM file carries beside its picture.

By allow-list: what the display of the picture needs is technical, all the rest has a kind. Deny-lists of
de-identification recipes leave out attributes such as the institution's name.
"""

from __future__ import annotations

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from curation_dagster.core.imaging.dicom import DicomError, read_dataset

# groups 0002 (file meta) and 0028 (image pixel) but for text, the pixel data, and a few of general use
_TECHNICAL = frozenset(
    {
        0x00080005,  # SpecificCharacterSet
        0x00080008,  # ImageType
        0x00080016,  # SOPClassUID
        0x00080060,  # Modality
        0x00080064,  # ConversionType
        0x00082218,  # AnatomicRegionSequence
        0x00180015,  # BodyPartExamined
        0x00200013,  # InstanceNumber
        0x00200020,  # PatientOrientation
        0x00200060,  # Laterality
        0x00200062,  # ImageLaterality
        0x20500020,  # PresentationLUTShape
        0x7FE00010,  # PixelData
        0xFFFCFFFC,  # DataSetTrailingPadding
    }
)
_BURNED_IN = 0x00280301
_ICC_PROFILE = 0x00282000
_ICON = 0x00880200
_INSTITUTION = frozenset({0x00080080, 0x00080081, 0x00080082, 0x00081010, 0x00081040, 0x00081041, 0x00380500})
_DEVICE = frozenset(
    {
        0x00080070,
        0x00081090,
        0x00181000,
        0x00181002,
        0x00181020,
        0x00181016,
        0x00181018,
        0x00181019,
        0x00181200,
    }
)
_IDENTIFIERS = frozenset({0x00080050, 0x00200010, 0x00401001, 0x00400253, 0x00402016, 0x00402017})
_DATES = {"DA", "TM", "DT"}
_TEXTS = {"LO", "LT", "SH", "ST", "UC", "UR", "UT"}


def dicom_kinds(data: bytes) -> tuple[set[str], int]:
    """Return the kinds of attributes in a DICOM file and the bytes of their values.

    A file that can't be parsed gives the single kind ``unreadable_metadata``.
    """
    try:
        dataset = read_dataset(data)
    except DicomError:
        return {"unreadable_metadata"}, 0
    kinds: set[str] = set()
    if data[128:132] == b"DICM" and data[:128].strip(b"\0"):
        kinds.add("dicom_preamble")
    size = _collect(dataset, kinds, depth=0)
    return kinds, size


def _collect(dataset: Dataset, kinds: set[str], depth: int) -> int:
    size = 0
    for tag in sorted(dataset.keys()):
        element = dataset.get_item(tag)
        if element is None:
            continue
        if isinstance(element, RawDataElement):
            raw, vr = element.value, element.VR
        else:
            raw, vr = None, element.VR
        if vr is None:
            vr = _dictionary_vr(tag)
        if raw is not None and not raw.strip(b"\0 "):
            continue
        kind = _kind(int(tag), vr)
        if kind == "burned_in":
            value = str(dataset.get("BurnedInAnnotation", "")).strip().upper()
            kind = "dicom_burned_in" if value == "YES" else None
        if kind is not None:
            kinds.add(kind)
            size += len(raw) if raw is not None else 0
        if vr == "SQ" and depth < 8:
            for item in dataset[tag].value:
                size += _collect(item, kinds, depth + 1)
    return size


def _dictionary_vr(tag: int) -> str:
    try:
        return dictionary_VR(Tag(tag))
    except KeyError:
        return "UN"


def _kind(tag: int, vr: str) -> str | None:
    group = tag >> 16
    if group % 2:
        return "dicom_private"
    if tag in _TECHNICAL or group == 0x0002:
        return None
    if tag == _BURNED_IN:
        return "burned_in"
    if tag == _ICC_PROFILE:
        return "icc"
    if tag == _ICON:
        return "dicom_icon"
    if 0x6000 <= group <= 0x60FF or group == 0x0070:
        return "dicom_overlay"
    if group == 0x0010:
        return "dicom_patient"
    if tag in _INSTITUTION:
        return "dicom_institution"
    if tag in _DEVICE:
        return "dicom_device"
    if vr == "PN":
        return "dicom_person"
    if vr in _DATES:
        return "dicom_date"
    if vr == "UI" or tag in _IDENTIFIERS:
        return "dicom_uid"
    if vr in _TEXTS:
        return "dicom_text"
    if group == 0x0028:
        return None
    return "dicom_other"
