"""From bytes to a picture, whatever the format."""

from __future__ import annotations

from curation_dagster.core.imaging.dicom import decode_dicom
from curation_dagster.core.imaging.formats import Sniffed, sniff
from curation_dagster.core.imaging.jpeg import decode_jpeg
from curation_dagster.core.imaging.picture import Picture, named
from curation_dagster.core.imaging.segments import Structure
from curation_dagster.core.imaging.settings import Limits, measuring
from curation_dagster.core.imaging.stills import decode_still


def decode(
    data: bytes,
    limits: Limits | None = None,
    sniffed: Sniffed | None = None,
    structure: Structure | None = None,
) -> Picture:
    """Return the picture in ``data``; content of any kind gives a state and a reason, never an exception.

    ``sniffed`` and, of a JPEG or PNG, ``structure`` save work where they are known. Only ``MemoryError`` may leave this
    function.
    """
    limits = limits or measuring().limits
    sniffed = sniffed or sniff(data)
    if sniffed.format is None:
        return named(sniffed, "unsupported" if data else "unreadable", sniffed.detail)
    if len(data) > limits.max_bytes:
        reason = f"{len(data)} bytes; at most {limits.max_bytes} are read. Not decoded."
        return named(sniffed, "too_large", reason)
    if sniffed.format == "JPEG":
        return decode_jpeg(data, limits, structure)
    if sniffed.format == "DICOM":
        return decode_dicom(data, limits)
    return decode_still(data, sniffed.format, limits, structure)
