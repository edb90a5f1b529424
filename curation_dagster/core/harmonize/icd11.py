"""ICD-11 MMS as a hierarchy: titles, ancestors, and how two codes relate.

Codes and titles are WHO's, verbatim, from ``vocabularies/icd11.csv``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

from curation_dagster.core.harmonize.vocabulary import VocabularyError, rows

Relation = Literal["same", "broader", "narrower", "different"]


@dataclass(frozen=True)
class Code:
    """One code of ICD-11 MMS: the parent is None where the code stands directly below a block."""

    code: str
    title: str
    parent: str | None
    chapter: str
    block: str
    is_leaf: bool


@lru_cache(maxsize=1)
def codes() -> dict[str, Code]:
    """Return all codes of the vocabulary."""
    return {
        r["code"]: Code(
            r["code"], r["title"], r["parent_code"] or None, r["chapter"], r["block"], r["is_leaf"] == "True"
        )
        for r in rows("icd11")
    }


@lru_cache(maxsize=1)
def release() -> str:
    """Return the release of ICD-11 MMS that the vocabulary was taken from, such as ``2025-01``.

    Raises
    ------
    VocabularyError
        If the rows do not all state one release.
    """
    found = {
        m.group(1) if (m := re.search(r"release (\d{4}-\d{2})", r["source"])) else "none"
        for r in rows("icd11")
    }
    if len(found) != 1 or "none" in found:
        raise VocabularyError(
            f"vocabularies/icd11.csv: expected one release in the column source, got {sorted(found)}"
        )
    return found.pop()


def title(code: str) -> str:
    """Return WHO's title of a code."""
    return _known(code).title


def ancestors(code: str) -> tuple[str, ...]:
    """Return the codes above a code, the nearest first."""
    found: list[str] = []
    parent = _known(code).parent
    while parent is not None:
        found.append(parent)
        # a few parents lie outside of the vocabulary's part of the classification: the way up ends there
        above = codes().get(parent)
        parent = above.parent if above else None
    return tuple(found)


def related(code_a: str, code_b: str) -> Relation:
    """Return how ``code_a`` relates to ``code_b``.

    Returns
    -------
    {"same", "broader", "narrower", "different"}
        ``broader``: ``code_a`` is wider and holds ``code_b``. "Unspecified" (``.Z``) says no more than its parent and
        counts as the parent; "other specified" (``.Y``) excludes its siblings and counts as one of them.

    Raises
    ------
    VocabularyError
        If a code is not in the vocabulary.

    Examples
    --------
    >>> related("2F20", "2F20.1"), related("2F20.Z", "2F20"), related("2C30", "2F20")
    ('broader', 'same', 'different')
    """
    a, b = _meant(code_a), _meant(code_b)
    if a == b:
        return "same"
    if a in _ancestors_of(b):
        return "broader"
    if b in _ancestors_of(a):
        return "narrower"
    return "different"


def _meant(code: str) -> str:
    """Return the parent of an "unspecified" residual, and any other code as it is."""
    known = _known(code)
    return known.parent if known.parent is not None and code.endswith("Z") else code


@cache
def _ancestors_of(code: str) -> tuple[str, ...]:
    return ancestors(code) if code in codes() else ()


def _known(code: str) -> Code:
    found = codes().get(code)
    if found is None:
        raise VocabularyError(f"{code!r} is not a code of vocabularies/icd11.csv (release {release()})")
    return found
