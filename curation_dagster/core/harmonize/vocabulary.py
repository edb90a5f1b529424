"""The vocabularies of harmonization: CSV files of the package, read once."""

from __future__ import annotations

import csv
import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "vocabularies"
NAMES = (
    "diagnoses",
    "diagnoses_by_archive",
    "icd11",
    "icd11_drift",
    "icd10_to_icd11",
    "icd10_refused",
    "anatomy",
    "behaviour",
    "severity_scales",
    "skin_tone_scales",
    "spellings",
    "missing_reasons",
)

_WHOLE_NUMBER = re.compile(r"([+-]?\d+)\.0+")


class VocabularyError(ValueError):
    """A vocabulary file contradicts itself, or something asks it for what it does not hold."""


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of ``vocabularies/<name>.csv``, all cells as text."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


@lru_cache(maxsize=1)
def digest() -> str:
    """Return the SHA-256 of all vocabularies of harmonization: it changes when any of them does."""
    found = hashlib.sha256()
    for name in NAMES:
        content = (FOLDER / f"{name}.csv").read_bytes()
        found.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return found.hexdigest()


def folded(text: str) -> str:
    """Return a value as value maps compare it: without case and outer blanks, and ``3.0`` as ``3``.

    A spreadsheet that re-saves a table writes ``TRUE`` for ``True`` and ``3`` for ``3.0``; both must mean the same.

    Examples
    --------
    >>> folded(" TRUE "), folded("3.0"), folded("007"), folded("3.5")
    ('true', '3', '007', '3.5')
    """
    text = text.strip().casefold()
    whole = _WHOLE_NUMBER.fullmatch(text)
    return whole.group(1) if whole else text


def spelled(text: str) -> str:
    """Return a value as the list of spellings compares it: folded, with ``_``, ``-`` and blanks all one blank.

    A leading minus stays: ``-1`` is a number.

    Examples
    --------
    >>> spelled("follow-up"), spelled("AGE_UNKNOWN"), spelled("-1.0")
    ('follow up', 'age unknown', '-1')
    """
    text = folded(text)
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", text):
        return text
    return " ".join(text.replace("_", " ").replace("-", " ").split())


@cache
def spellings(field: str) -> dict[str, str | None]:
    """Return the known spellings of one field; None stands for the spellings of unknown.

    The spellings under ``*`` hold for every field.
    """
    found: dict[str, str | None] = {}
    for name in ("*", field):
        for row in rows("spellings"):
            if row["field"] == name:
                found[spelled(row["spelling"])] = row["value"] or None
    return found


@lru_cache(maxsize=1)
def closed_fields() -> frozenset[str]:
    """Return the fields whose values all stand in the list of spellings; free text never enters them."""
    return frozenset(row["field"] for row in rows("spellings") if row["value"])


@lru_cache(maxsize=1)
def missing_reasons() -> dict[str, str]:
    """Return every reason why a column of the unified schema may be null, with its description."""
    return {row["reason"]: row["description"] for row in rows("missing_reasons")}
