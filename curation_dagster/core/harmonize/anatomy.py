"""Sites: codes, spellings, the way up from part to region, and whether a site is skin.

``vocabularies/anatomy.csv`` holds the sites. The codes are our own: no terminology of anatomy is at hand whose licence
lets its codes stand in a published table.  ``scope`` says whether a picture of the site belongs into a corpus of
skin: ``in``, ``out`` (mouth, genitals, eye), or ``review`` where the name may mean either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from curation_dagster.core.harmonize.vocabulary import VocabularyError, rows

_SIDE = re.compile(r"^(?:l|r|left|right)\.? ")
_WITH_FACE = frozenset({"head_neck", "eye", "oral", "oral_genital"})
_STRICTNESS = ("in", "review", "out")


@dataclass(frozen=True)
class Site:
    """One site; ``parent`` is None for a region of the body."""

    code: str
    label: str
    parent: str | None
    scope: str


@lru_cache(maxsize=1)
def sites() -> dict[str, Site]:
    """Return all sites by code."""
    return {r["code"]: Site(r["code"], r["label"], r["parent"] or None, r["scope"]) for r in rows("anatomy")}


def _normal(text: str) -> str:
    return " ".join(re.sub(r"[_/\-]", " ", text.casefold()).split())


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows("anatomy"):
        names = [row["code"], row["label"], *row["synonyms"].split("|")]
        for name in {_normal(n) for n in names if n}:
            if found.setdefault(name, row["code"]) != row["code"]:
                raise VocabularyError(
                    f"vocabularies/anatomy.csv: {name!r} names both {found[name]} and {row['code']}"
                )
    return found


def site_of(text: str) -> str | None:
    """Return the code of a site as archives spell it, or None if no site is called so.

    Case, ``_``, ``-`` and ``/`` don't matter, nor does a side in front ("left", "r").

    Examples
    --------
    >>> site_of("Palms/soles"), site_of("LOWER_EXTREMITY"), site_of("l cheek"), site_of("attic")
    ('palms_soles', 'lower_extremity', 'face', None)
    """
    name = _normal(text)
    return _synonyms().get(name) or _synonyms().get(_SIDE.sub("", name))


def scope_of(codes: Iterable[str]) -> str:
    """Return the scope of one or several sites shown together: the strictest of them and of what holds them.

    So that whatever lies in the genitals is out by its parent, whether or not its own row says so.
    """
    scopes = (sites()[at].scope for code in codes for at in _line(code))
    return max(scopes, key=_STRICTNESS.index)


def may_show_face(code: str) -> bool:
    """Return whether a photograph of the site may show a face or part of one: a site on head or neck, or beside it.

    Examples
    --------
    >>> may_show_face("nose"), may_show_face("scalp"), may_show_face("back")
    (True, True, False)
    """
    return any(site in _WITH_FACE for site in _line(code))


def common_site(codes: Iterable[str]) -> str | None:
    """Return the smallest site that holds all the given ones, or None if they share none.

    Examples
    --------
    >>> common_site(["nose", "scalp"]), common_site(["back", "chest"]), common_site(["hand", "foot"])
    ('head_neck', 'trunk', None)
    """
    lines = [_line(code) for code in codes]
    return next((code for code in lines[0] if all(code in line for line in lines)), None)


def _line(code: str) -> list[str]:
    """Return the site and everything that holds it, the nearest first."""
    line: list[str] = []
    at: str | None = code
    while at is not None:
        line.append(at)
        at = sites()[at].parent
    return line
