"""Which kinds of hidden metadata a file carries, by kind and never by value.

The kinds are those of ``vocabularies/hidden_metadata.csv``. This is the inventory of the source; the proof that a
published file carries nothing is ``rescan.py``, which shares no code with this module.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pillow_heif

from curation_dagster.core.imaging.exif import Tags, read_tags
from curation_dagster.core.imaging.hidden_dicom import dicom_kinds
from curation_dagster.core.imaging.segments import (
    APP0,
    APP1,
    APP2,
    APP11,
    APP13,
    APP14,
    COM,
    Part,
    Structure,
    gif_structure,
    iso_boxes,
    jpeg_structure,
    png_structure,
    webp_structure,
)
from curation_dagster.core.imaging.settings import VOCABULARIES

_XMP_HEADS = (b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0")
_XMP_PNG_KEYWORD = b"XML:com.adobe.xmp\0"
_8BIM_HEAD = b"Photoshop 3.0\0"
_8BIM_IPTC = b"8BIM\x04\x04"
# chunks of PNG that serve the display of the picture: colour space, density, background, suggested palettes
_PNG_PLAIN = {
    b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"bKGD", b"hIST",
    b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT",
}  # fmt: skip
_WEBP_PLAIN = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"}

# Tag numbers of EXIF 2.32, TIFF 6.0 and DCF by what they tell; IFD pointers and the tags that lay out pixels tell nothing
_TAG_KINDS: dict[str, frozenset[int]] = {
    "exif_datetime": frozenset(
        {0x0132, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292, 0x882A, 0x9213}
    ),
    "exif_device": frozenset(
        {0x010F, 0x0110, 0x0131, 0x013C, 0xA432, 0xA433, 0xA434, 0x000B, 0xC614, 0xC615}
    ),
    "exif_owner": frozenset({0x013B, 0x8298, 0xA430, 0x9C9D}),
    "exif_serial": frozenset({0xA431, 0xA435, 0xA420, 0xC62F, 0xC65D, 0xC68B}),
    "exif_maker_note": frozenset({0x927C, 0xC634}),
    "exif_user_comment": frozenset({0x9286, 0x9C9C}),
    "exif_description": frozenset(
        {0x010D, 0x010E, 0x011D, 0x0151, 0x9C9B, 0x9C9E, 0x9C9F, 0xA40B, 0xA436, 0x4746, 0x4749}
    ),
    "xmp": frozenset({0x02BC}),
    "iptc": frozenset({0x83BB}),
    "photoshop": frozenset({0x8649, 0x935C}),
    "icc": frozenset({0x8773}),
}
_FIRST_STANDARD_PRIVATE = 0x8000
_KNOWN_HIGH_TAGS = frozenset(
    {0x8298, 0x829A, 0x829D, 0x83BB, 0x8649, 0x8769, 0x8773, 0x8822, 0x8824, 0x8825, 0x8827, 0x8828, 0x882A}
    | set(range(0x8830, 0x8836))
    | set(range(0x9000, 0x9300))
    | set(range(0x9400, 0x9406))
    | set(range(0x9C9B, 0x9CA0))
    | set(range(0xA000, 0xA006))
    | set(range(0xA20B, 0xA218))
    | set(range(0xA300, 0xA303))
    | set(range(0xA401, 0xA40D))
    | {0xA420, 0xA500}
    | set(range(0xA430, 0xA437))
    | {0xEA1C, 0xEA1D}
)
_PADDING = {0xEA1C, 0xEA1D}


@dataclass(frozen=True)
class Inventory:
    """Kinds of hidden metadata in a file, sorted, and the bytes they take."""

    kinds: tuple[str, ...]
    bytes: int
    trailing_bytes: int


@dataclass
class _Found:
    kinds: set[str] = field(default_factory=set)
    size: int = 0

    def add(self, size: int, *kinds: str) -> None:
        self.kinds.update(kinds)
        self.size += size


@cache
def known_kinds() -> dict[str, str]:
    """Return each kind of the vocabulary and whether it identifies a person: yes, possible or no."""
    with (VOCABULARIES / "hidden_metadata.csv").open(encoding="utf-8", newline="") as lines:
        return {row["kind"]: row["identifying"] for row in csv.DictReader(lines)}


def inventory(data: bytes, kind: str | None, structure: Structure | None = None) -> Inventory:
    """Return what a file carries beside its picture.

    Parameters
    ----------
    data : bytes
        The file.
    kind : str or None
        Its format as :func:`formats.sniff` gives it; None has no inventory.
    structure : Structure, optional
        That of a JPEG, if it has been walked already.
    """
    walk = _WALKS.get(kind or "")
    if walk is None:
        return Inventory((), 0, 0)
    found = _Found()
    try:
        trailing = walk(data, structure, found)
    except MemoryError:
        raise
    except Exception:  # an inventory that stops half way says so, and never loses what it has found
        found.add(0, "unreadable_metadata")
        trailing = 0
    if trailing:
        found.add(trailing, "trailing_bytes")
    return Inventory(tuple(sorted(found.kinds)), found.size, trailing)


def _jpeg(data: bytes, structure: Structure | None, found: _Found) -> int:
    structure = structure or jpeg_structure(data)
    for part in structure.parts:
        code = part.name[0]
        if code == COM:
            found.add(part.size, "jpeg_comment")
        elif 0xE0 <= code <= 0xEF:
            _application_segment(data, part, code, found)
    return len(data) - structure.end


def _application_segment(data: bytes, part: Part, code: int, found: _Found) -> None:
    body = data[part.body : part.end]
    if code == APP0 and body.startswith(b"JFIF\0"):
        if len(body) > 14:
            found.add(len(body) - 14, "jfif_thumbnail")
    elif code == APP0 and body.startswith(b"JFXX\0"):
        found.add(part.size, "jfif_thumbnail")
    elif code == APP1 and body.startswith(b"Exif\0"):
        found.add(part.size, *_exif_kinds(body[6:]))
    elif code == APP1 and body.startswith(_XMP_HEADS):
        found.add(part.size, "xmp")
    elif code == APP2 and body.startswith(b"ICC_PROFILE\0"):
        found.add(part.size, "icc")
    elif code == APP2 and body.startswith(b"MPF\0"):
        found.add(part.size, "jpeg_mpf")
    elif code == APP11 and body.startswith(b"JP"):
        found.add(part.size, "jpeg_jumbf")
    elif code == APP13 and body.startswith(_8BIM_HEAD):
        found.add(part.size, *_photoshop_kinds(body))
    elif code == APP14 and body.startswith(b"Adobe") and len(body) <= 12:
        pass  # how colours are stored
    else:
        found.add(part.size, "jpeg_app_other")


def _photoshop_kinds(body: bytes) -> list[str]:
    has_iptc = _8BIM_IPTC in body
    return (["iptc"] if has_iptc else []) + (["photoshop"] if body.count(b"8BIM") > int(has_iptc) else [])


def _exif_kinds(block: bytes) -> set[str]:
    tags = read_tags(block)
    kinds = {"exif"} | tag_kinds(tags)
    if not tags.is_sound:
        kinds.add("exif_unreadable")
    if "1" in {t.directory for t in tags.entries}:
        kinds.add("exif_thumbnail")
    return kinds


def tag_kinds(tags: Tags) -> set[str]:
    """Return what the tags of an EXIF block or TIFF file tell."""
    present = tags.numbers("0", "1", "exif", "sub")
    kinds = {kind for kind, numbers in _TAG_KINDS.items() if present & numbers}
    if tags.numbers("gps") - {0}:  # tag 0 is the version of the GPS directory
        kinds.add("exif_gps")
    unknown = {n for n in present if n >= _FIRST_STANDARD_PRIVATE} - _KNOWN_HIGH_TAGS
    if unknown - frozenset().union(*_TAG_KINDS.values()) or present & _PADDING:
        kinds.add("exif_private_tags")
    return kinds


def _png(data: bytes, structure: Structure | None, found: _Found) -> int:
    structure = structure or png_structure(data)
    for part in structure.parts:
        if part.name in (b"tEXt", b"zTXt", b"iTXt"):
            is_xmp = data.startswith(_XMP_PNG_KEYWORD, part.body)
            found.add(part.size, "xmp" if is_xmp else "png_text")
            keyword = data[part.body : part.body + 80].split(b"\0")[0].lower()
            if keyword.startswith(b"raw profile type"):  # ImageMagick's carriers
                name = keyword.rpartition(b" ")[2]
                found.add(
                    0, {b"iptc": "iptc", b"xmp": "xmp", b"8bim": "photoshop", b"icc": "icc"}.get(name, "exif")
                )
        elif part.name == b"eXIf":
            found.add(part.size, *_exif_kinds(data[part.body : part.end - 4]))
        elif part.name == b"tIME":
            found.add(part.size, "png_time")
        elif part.name == b"iCCP":
            found.add(part.size, "icc")
        elif part.name not in _PNG_PLAIN:
            found.add(part.size, "png_other_chunk")
    return len(data) - structure.end


def _gif(data: bytes, structure: Structure | None, found: _Found) -> int:
    structure = structure or gif_structure(data)
    kinds = {b"comment": "gif_comment", b"text": "gif_plain_text", b"other": "gif_application"}
    for part in structure.parts:
        if part.name == b"application":
            name = data[part.body + 1 : part.body + 12]
            found.add(part.size, {b"XMP DataXMP": "xmp", b"ICCRGBG1012": "icc"}.get(name, "gif_application"))
        elif part.name in kinds:
            found.add(part.size, kinds[part.name])
    return len(data) - structure.end


def _webp(data: bytes, structure: Structure | None, found: _Found) -> int:
    structure = structure or webp_structure(data)
    for part in structure.parts:
        body = data[part.body : part.end]
        if part.name == b"EXIF":
            found.add(part.size, *_exif_kinds(body[6:] if body.startswith(b"Exif\0\0") else body))
        elif part.name == b"XMP ":
            found.add(part.size, "xmp")
        elif part.name == b"ICCP":
            found.add(part.size, "icc")
        elif part.name not in _WEBP_PLAIN:
            found.add(part.size, "webp_other_chunk")
    return len(data) - structure.end


def _tiff(data: bytes, structure: Structure | None, found: _Found) -> int:
    tags = read_tags(data)
    kinds = tag_kinds(tags)
    if not tags.is_sound:
        kinds.add("exif_unreadable")
    if tags.directories > 1 or any(t.directory == "sub" for t in tags.entries):
        kinds.add("exif_thumbnail")
    hidden = frozenset().union(*_TAG_KINDS.values())
    size = sum(t.size for t in tags.entries if t.number in hidden or t.directory in ("gps", "exif"))
    found.add(size, *kinds)
    return 0  # a TIFF has no end: its parts may lie anywhere


def _bmp(data: bytes, structure: Structure | None, found: _Found) -> int:
    stated = int.from_bytes(data[2:6], "little")
    pixels_at = int.from_bytes(data[10:14], "little")
    header = int.from_bytes(data[14:18], "little")
    depth = int.from_bytes(data[28:30], "little") if header >= 40 else int.from_bytes(data[24:26], "little")
    colors = int.from_bytes(data[46:50], "little") if header >= 40 else 0
    palette = (colors or (1 << depth if depth <= 8 else 0)) * (4 if header >= 40 else 3)
    masks = int.from_bytes(data[30:34], "little") in (3, 6) and header == 40
    gap = pixels_at - 14 - header - palette - (16 if masks else 0)
    if gap > 0:
        found.add(gap, "bmp_gap")
    if header == 124 and data[70:74] in (b"KNIL", b"LINK"):  # the name of a profile's file on somebody's disk
        found.add(int.from_bytes(data[130:134], "little"), "bmp_gap")
    elif header == 124 and data[70:74] in (b"DEBM", b"MBED"):
        found.add(int.from_bytes(data[130:134], "little"), "icc")
    return max(0, len(data) - stated) if stated > 14 else 0


def _heif(data: bytes, structure: Structure | None, found: _Found) -> int:
    structure = structure or iso_boxes(data)
    meta = next(structure.named(b"meta"), None)
    if meta is not None:
        _heif_items(data, meta, found)
    for part in structure.named(b"uuid", b"free", b"skip", b"udta"):
        if data[part.body : part.end].strip(b"\0"):
            found.add(part.size, "heif_metadata")
    return len(data) - structure.end


def _heif_items(data: bytes, meta: Part, found: _Found) -> None:
    """Add what the item list of a HEIF names (ISO/IEC 23008-12): EXIF, XMP, thumbnails, auxiliary pictures."""
    boxes = iso_boxes(data, meta.body + 4, meta.end)
    items = next(boxes.named(b"iinf"), None)
    names = data[items.body : items.end] if items else b""
    heif = pillow_heif.open_heif(data)
    if b"Exif" in names:
        exif_block = heif.info.get("exif") or b""
        start = exif_block.find(b"Exif\0\0")
        block = exif_block[start + 6 :] if start >= 0 else exif_block
        found.add(len(exif_block), *_exif_kinds(block))
    if b"application/rdf+xml" in names:
        found.add(len(heif.info.get("xmp") or b""), "xmp")
    elif b"mime" in names or b"uri " in names:
        found.add(0, "heif_metadata")
    references = next(boxes.named(b"iref"), None)
    body = data[references.body : references.end] if references else b""
    if b"thmb" in body:
        found.add(0, "heif_thumbnail")
    if b"auxl" in body:
        found.add(0, "heif_auxiliary")
    if heif.info.get("icc_profile"):
        found.add(len(heif.info["icc_profile"]), "icc")


def _dicom(data: bytes, structure: Structure | None, found: _Found) -> int:
    kinds, size = dicom_kinds(data)
    found.add(size, *kinds)
    return 0


_WALKS: dict[str, Callable[[bytes, Structure | None, _Found], int]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "HEIF": _heif,
    "DICOM": _dicom,
}
