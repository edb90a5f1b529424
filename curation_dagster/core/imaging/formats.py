"""What a file is, by its first bytes and never by its name."""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_DIB_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


@dataclass(frozen=True)
class Sniffed:
    """What the first bytes say.

    Parameters
    ----------
    format : str or None
        JPEG, PNG, TIFF, BMP, WEBP, GIF, HEIF or DICOM; None if the pipeline does not read it.
    media_type : str or None
        Registered media type, where the content is known.
    detail : str or None
        In words what it is, where ``format`` is None.
    """

    format: str | None
    media_type: str | None
    detail: str | None = None


def sniff(data: bytes) -> Sniffed:
    """Return what ``data`` is; a result for any bytes, the empty ones included."""
    if not data:
        return Sniffed(None, None, "an empty file")
    readable = _readable(data)
    if readable is not None:
        return readable
    other = _unsupported_image(data) or _not_an_image(data)
    return other or Sniffed(None, "application/octet-stream", "no known image format")


def _readable(data: bytes) -> Sniffed | None:
    if data.startswith(b"\xff\xd8\xff"):
        return Sniffed("JPEG", "image/jpeg")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Sniffed("PNG", "image/png")
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return Sniffed("TIFF", "image/tiff")
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _DIB_HEADERS:
        return Sniffed("BMP", "image/bmp")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return Sniffed("WEBP", "image/webp")
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return Sniffed("GIF", "image/gif")
    if data[4:8] == b"ftyp" and _brands(data) & _HEIF_BRANDS and data[8:12] not in (b"avif", b"avis"):
        return Sniffed("HEIF", "image/heic")
    # a file without preamble starts with group 0002 or 0008, little endian, and a value representation
    if data[128:132] == b"DICM" or re.match(rb"[\x02\x08]\0[\x00-\x20]\0(?:UL|OB|UI|CS|SH|DA)", data):
        return Sniffed("DICOM", "application/dicom")
    return None


def _brands(data: bytes) -> set[bytes]:
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    return {data[8:12]} | {data[i : i + 4] for i in range(16, end, 4)}


def _unsupported_image(data: bytes) -> Sniffed | None:
    if data[4:8] == b"ftyp":
        if _brands(data) & {b"avif", b"avis"}:
            return Sniffed(None, "image/avif", "an AVIF image; convert it to PNG")
        return Sniffed(None, "video/mp4", "a video")
    if data.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")):
        return Sniffed(None, "image/jp2", "a JPEG 2000 image; convert it to PNG")
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return Sniffed(None, "image/jxl", "a JPEG XL image; convert it to PNG")
    if data.startswith(b"8BPS"):
        return Sniffed(None, "image/vnd.adobe.photoshop", "a Photoshop document")
    if data.startswith((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6")) and data[2:3].isspace():
        return Sniffed(None, "image/x-portable-anymap", "a PNM image; convert it to PNG")
    return None


def _not_an_image(data: bytes) -> Sniffed | None:
    for magic, media_type, detail in (
        (b"%PDF", "application/pdf", "a PDF document"),
        (b"PK\x03\x04", "application/zip", "a zip archive or an Office document"),
        (b"\x1f\x8b", "application/gzip", "a gzip archive"),
        (b"Rar!", "application/vnd.rar", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed", "a 7z archive"),
        (b"\x1aE\xdf\xa3", "video/webm", "a video"),
        (b"version https://git-lfs", "text/plain", "a Git LFS pointer: the content was not downloaded"),
    ):
        if data.startswith(magic):
            return Sniffed(None, media_type, detail)
    if not data[:4096].strip(b"\0"):
        return Sniffed(None, "application/octet-stream", "zero bytes only: the content was never written")
    head = data[:4096]
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if head.startswith(mark):
            head = head[len(mark) :].decode(encoding, "ignore").encode()
            break
    text = head.lstrip().lower()
    if re.match(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+html|<html|<head|<body)", text, re.DOTALL):
        return Sniffed(None, "text/html", "an HTML page, probably an error page of the server it came from")
    if re.match(rb"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+svg[^>]*>\s*)?<svg", text, re.DOTALL):
        return Sniffed(None, "image/svg+xml", "an SVG drawing")
    if text.startswith(b"<?xml"):
        return Sniffed(None, "application/xml", "an XML document")
    if text.startswith((b"{", b"[")) and _is_text(head):
        return Sniffed(
            None, "application/json", "a JSON document, probably an error message of the server it came from"
        )
    if _is_text(head):
        return Sniffed(None, "text/plain", "a text file")
    return None


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character cut by the window is no sign of binary content
            return False
        text = head[: error.start].decode("utf-8")
    return bool(text) and all(c.isprintable() or c in "\t\r\n\f" for c in text)
