"""The name of one archive version: ``<archive>@<version>``, as in ``pad_ufes_20@1``.

The key names folders and partitions, so both halves are limited to characters that are safe in a path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ARCHIVE = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class KeyFormatError(ValueError):
    """A text that can't be the key of an archive version."""


@dataclass(frozen=True, order=True)
class ArchiveVersionKey:
    """One version of one archive.

    Parameters
    ----------
    archive : str
        Identifier of the archive: lower-case letters, digits and ``_``, beginning with a letter.
    version : str
        Version as the publisher names it: letters, digits, ``.``, ``_`` and ``-``; no ``..``.

    Raises
    ------
    KeyFormatError
        If one of the two has another form.

    Examples
    --------
    >>> str(ArchiveVersionKey("pad_ufes_20", "1"))
    'pad_ufes_20@1'
    """

    archive: str
    version: str

    def __post_init__(self) -> None:
        if not _ARCHIVE.fullmatch(self.archive):
            raise KeyFormatError(
                f"{self.archive!r} can't be an archive: expected lower-case letters, digits and '_', "
                "beginning with a letter, such as pad_ufes_20"
            )
        if not _VERSION.fullmatch(self.version) or ".." in self.version:
            raise KeyFormatError(
                f"{self.version!r} can't be a version: expected letters, digits, '.', '_' and '-', "
                "beginning with a letter or digit and without '..', such as 2024-05-01"
            )

    def __str__(self) -> str:
        return f"{self.archive}@{self.version}"


def parse_key(text: str) -> ArchiveVersionKey:
    """Return the archive version that ``text`` names.

    Raises
    ------
    KeyFormatError
        If the text is not ``<archive>@<version>``, or one half has a form that it can't have.

    Examples
    --------
    >>> parse_key("ham10000@4.0")
    ArchiveVersionKey(archive='ham10000', version='4.0')
    """
    archive, at, version = text.partition("@")
    if not at or "@" in version:
        raise KeyFormatError(
            f"{text!r} is not the key of an archive version: expected <archive>@<version>, such as pad_ufes_20@1"
        )
    return ArchiveVersionKey(archive, version)
