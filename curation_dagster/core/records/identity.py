"""The identity of an image: a UUID of archive, source id and content, the same in every run and every version."""

from __future__ import annotations

import uuid
from collections import Counter

# a constant of the project: another namespace would give every image another identity
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://curation-dagster/image")


def image_id(archive: str, source_id: str, sha256: str | None, ordinal: int = 1) -> str:
    """Return the identity of one image.

    Parameters
    ----------
    archive : str
        Identifier of the archive; its version plays no part.
    source_id : str
        The publisher's identifier of the image.
    sha256 : str or None
        SHA-256 of the file; None for a record without a file.
    ordinal : int
        2, 3, ... for further rows of the same source id and content.

    Returns
    -------
    str
        UUIDv5, 36 characters.

    Examples
    --------
    >>> image_id("a", "x", None) == image_id("a", "x", None, 2)
    False
    """
    text = f"{archive}\n{source_id}\n{sha256 or ''}"
    return str(uuid.uuid5(NAMESPACE, text if ordinal == 1 else f"{text}\n#{ordinal}"))


def image_ids(archive: str, rows: list[tuple[str, str | None]]) -> list[str]:
    """Return the identities of rows of (source id, sha256), in order; further equal rows are numbered from 2."""
    seen: Counter[tuple[str, str | None]] = Counter()
    found = []
    for row in rows:
        seen[row] += 1
        found.append(image_id(archive, row[0], row[1], seen[row]))
    return found
