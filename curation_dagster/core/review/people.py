"""When two names are one person."""

from __future__ import annotations

import unicodedata


def person(name: str) -> str:
    """Return what tells one person from another: case, blanks and compatible Unicode forms don't make a second one."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
