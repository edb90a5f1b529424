"""When two names are one person."""

from __future__ import annotations

import unicodedata


def person(name: str) -> str:
    """Return what tells one person from another.

    Case, blanks, compatible Unicode forms and characters that don't show don't make a second one.
    """
    shown = "".join(c for c in name if unicodedata.category(c) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", shown).casefold().split())


def same_person(a: str, b: str) -> bool:
    """Return whether two names may be one person's: another approver must be beyond doubt.

    Case, blanks, accents, punctuation and the order of the parts make no difference, nor does one name that is the other
    with parts left out, or with parts as initials. Two people whose names are that close write them out.

    >>> same_person("Anna Müller", "MUELLER, A."), same_person("José Núñez", "jose  nunez"), same_person("A. Ho", "B. Ho")
    (True, True, False)
    """
    if "".join(_parts(a)) == "".join(_parts(b)):
        return True
    first, second = sorted((_parts(a), _parts(b)), key=len)
    enough = len(first) == len(second) or len(first) >= 2
    return bool(first) and enough and _covered(first, second)


def _covered(few: list[str], many: list[str]) -> bool:
    """Return whether each part of ``few`` is a different part of ``many``, or its initial, or has it for an initial."""
    if not few:
        return True
    part, rest = few[0], few[1:]
    return any(
        _covered(rest, many[:i] + many[i + 1 :])
        for i, other in enumerate(many)
        if part == other or (len(part) == 1 and other[0] == part) or (len(other) == 1 and part[0] == other)
    )


def _parts(name: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", name).casefold()
    for pair, letter in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ø", "oe"), ("å", "aa"), ("æ", "ae")):
        folded = folded.replace(pair, letter)
    plain = "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
    # what is written ue for one person may be written u for the same
    for pair, letter in (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a")):
        plain = plain.replace(pair, letter)
    return "".join(c if c.isalnum() else " " for c in plain).split()
