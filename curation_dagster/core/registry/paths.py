"""Paths inside an archive: which globs they match, what part they play, and which image they are.

Paths are those of the inventory: POSIX and relative, with ``outer.zip!/inner.png`` for a member of a container. One
and the same delivery comes as a folder, as a zip, or as zips inside a zip; the globs of a descriptor shall match
all three. So the border of a container counts as the border of a folder, and letters compare without case. Names
compare in Unicode's composed form (NFC), because macOS writes the decomposed one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.models import Descriptor

Role = Literal["image", "metadata", "ignored", "other"]

# what operating systems leave behind in folders and zips: never part of an archive
_LITTER_FOLDERS = frozenset({"__macosx", ".spotlight-v100", ".trashes", "@eadir"})
_LITTER_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store"})

# an extension begins with a letter: the digits after the last dot of a DICOM UID belong to the id
_EXTENSION = re.compile(r"(?<=[^/])\.[A-Za-z][A-Za-z0-9]{0,4}$")


def _plain(path: str) -> str:
    return unicodedata.normalize("NFC", path).replace("!/", "/")


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    *folders, name = _plain(glob).split("/")
    pattern = "".join("(?:[^/]+/)*" if folder == "**" else _name(folder) + "/" for folder in folders)
    pattern += ".*" if name == "**" else _name(name)
    return re.compile(pattern, re.IGNORECASE | re.DOTALL)


def _name(glob: str) -> str:
    """Return the pattern of one name of a path; inside it several asterisks mean what one does."""
    tokens = re.findall(r"\*+|\?|[^*?]+", glob)
    return "".join("[^/]*" if t[0] == "*" else "[^/]" if t == "?" else re.escape(t) for t in tokens)


def matches(path: str, globs: Iterable[str]) -> bool:
    """Return whether a path matches one of the globs.

    Parameters
    ----------
    path : str
        Path of the inventory, such as ``a.zip!/images/x.png``.
    globs : iterable of str
        ``**`` as a whole name stands for any folders, none included; ``*`` for any text and ``?`` for one character
        inside one name. All other characters stand for themselves, ``[`` and ``]`` included.

    Examples
    --------
    >>> matches("zr7vgbcyr2-1.zip!/images/imgs_part_1.zip!/imgs_part_1/PAT_8_15_820.png", ["**/PAT_*.png"])
    True
    >>> matches("images/pat_8_15_820.PNG", ["**/PAT_*.png"])
    True
    >>> matches("images/PAT_8_15_820.png", ["PAT_*.png"])
    False
    """
    plain = _plain(path)
    return any(_compiled(glob).fullmatch(plain) for glob in globs)


def is_litter(path: str) -> bool:
    """Return whether an operating system left the file behind: ``__MACOSX/``, ``._*``, ``Thumbs.db``, ``.DS_Store``."""
    *folders, name = _plain(path).lower().split("/")
    return (
        name in _LITTER_FILES or name.startswith("._") or any(folder in _LITTER_FOLDERS for folder in folders)
    )


def classify(path: str, descriptor: Descriptor) -> Role:
    """Return what part the file plays in the archive.

    Returns
    -------
    {"image", "metadata", "ignored", "other"}
        ``ignored`` for litter and for what ``layout.ignore`` names; then ``metadata``; then ``image``, so that a wide
        glob of images never swallows a table; ``other`` for what the descriptor does not mention, such as a licence
        text or the container of the images.
    """
    layout = descriptor.layout
    if is_litter(path) or matches(path, layout.ignore):
        return "ignored"
    if any(matches(path, table.files) for table in layout.metadata):
        return "metadata"
    return "image" if matches(path, layout.images) else "other"


def source_groups(path: str, layout: Layout) -> dict[str, str] | None:
    """Return the named groups of ``layout.source_id`` in the path, or None where it does not match.

    Groups are in lower case if ``layout.case_sensitive_ids`` is false. A group that took no part in the match is left
    out. Tables with a ``key_group`` other than ``id`` are joined by one of these.
    """
    stem = _EXTENSION.sub("", _plain(path))
    found = re.search(layout.source_id, stem)
    if found is None:
        return None
    groups = {name: text for name, text in found.groupdict().items() if text}
    if not layout.case_sensitive_ids:
        groups = {name: text.lower() for name, text in groups.items()}
    return groups


def source_id_of(path: str, layout: Layout) -> str | None:
    """Return the publisher's id of the image at ``path``, or None where the path does not hold one.

    The id is the group ``id`` of ``layout.source_id``, searched in the path without its extension.
    """
    groups = source_groups(path, layout)
    return None if groups is None else groups.get("id")
