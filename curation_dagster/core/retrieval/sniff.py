"""Media types by content: what the first bytes of a file say that it is.

Names lie (PNG files called ``.jpg`` are common, and a login page saved as ``images.zip`` is too), so they are asked
only where content can't tell: a gzip may hold a tar or a single table.
"""

from __future__ import annotations

import bz2
import zlib
from pathlib import PurePosixPath

from curation_dagster.core.imaging.formats import sniff

HEAD = 4096
"""Bytes from the start of a file that :func:`media_type` looks at."""

UNKNOWN = "application/octet-stream"

# (bytes at the start, media type) of containers, documents and tables; images are known to imaging.formats
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"%PDF-", "application/pdf"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\x00\x05\x16\x07", "application/applefile"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
)
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_OFFICE = "application/vnd.openxmlformats-officedocument"
_TAR_SUFFIXES = {
    ".tar": "application/x-tar",
    ".tar.gz": "application/gzip",
    ".tgz": "application/gzip",
    ".tar.bz2": "application/x-bzip2",
    ".tbz2": "application/x-bzip2",
    ".tbz": "application/x-bzip2",
    ".tar.xz": "application/x-xz",
    ".txz": "application/x-xz",
    ".tar.zst": "application/zstd",
}
UNREAD_CONTAINERS = {
    "application/x-7z-compressed": "7z",
    "application/vnd.rar": "RAR",
}


def media_type(head: bytes) -> str:
    """Return the media type of a file by its first bytes, at most :data:`HEAD` of them.

    >>> media_type(b"GIF89a..."), media_type(b"image_id,dx"), media_type(b"")
    ('image/gif', 'text/plain', 'application/x-empty')
    """
    head = head[:HEAD]
    if not head:
        return "application/x-empty"
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return _kind_of_zip(head) if found == "application/zip" else found
    image = sniff(head)
    if image.format is None and head.startswith(b"ustar", 257):
        return "application/x-tar"
    if image.media_type is None or image.media_type == UNKNOWN:
        return "text/plain" if _is_legacy_text(head) else UNKNOWN
    return image.media_type


def _kind_of_zip(head: bytes) -> str:
    """Tell documents that are zips inside by their first member, which their standards prescribe."""
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype":
        start = 38 + int.from_bytes(head[28:30], "little")
        return head[start : start + 80].split(b"PK")[0].decode("ascii", "replace") or "application/zip"
    if first in (b"[Content_Types].xml", b"_rels/.rels", b"docProps/app.xml") or first.startswith(
        (b"xl/", b"word/", b"ppt/")
    ):
        return _SHEET if b"xl/" in head else _OFFICE
    return "application/zip"


def _is_legacy_text(head: bytes) -> bool:
    """Return whether this may be text in a code page or in UTF-16: tables of publishers often are."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head)


def claims_to_be(name: str) -> str | None:
    """Return the media type of the container that a file's name promises, or None.

    >>> claims_to_be("images/part_1.TAR.GZ"), claims_to_be("table.csv.gz")
    ('application/gzip', None)
    """
    lower = PurePosixPath(name).name.lower()
    if lower.endswith(".zip"):
        return "application/zip"
    return next((t for suffix, t in _TAR_SUFFIXES.items() if lower.endswith(suffix)), None)


def holds_tar(head: bytes, name: str) -> bool:
    """Return whether the file is a tar, plain or packed by gzip or bzip2, going by its first bytes.

    Tars older than POSIX carry no signature: the name decides for those.
    """
    kind = media_type(head)
    if kind == "application/x-tar":
        return True
    try:
        if kind == "application/gzip":
            inside = zlib.decompressobj(31).decompress(head, 512)
        elif kind == "application/x-bzip2":
            inside = bz2.BZ2Decompressor().decompress(head, 512)
        else:
            return False
    except (zlib.error, OSError, EOFError):
        inside = b""
    return media_type(inside) == "application/x-tar" or claims_to_be(name) == kind
