"""Diagnoses that an archive states as codes: ICD-10 by WHO's table, ICD-11 of another release by what changed.

WHO's two tables (``vocabularies/icd10_to_icd11.csv``, verbatim) give for each code of ICD-10 the one code of ICD-11
that stands for it, and all codes that its content went to. How well the one code fits is our reading of them, stated
here and nowhere in that file:

- of the same title: ``exact``;
- of another title, and all content went to it or to codes that it holds: it is at least as wide, ``broader``;
- some content went elsewhere: it covers a part, ``narrower``: the code is given for a person to confirm;
- a whole block, or a code outside of the vocabulary: none is given.

Rows that we don't follow stand with their reasons in ``icd10_refused.csv``. The table is of an older release than our
codes: ``icd11_drift.csv`` says which codes were retitled or removed since, and a removed one becomes what held it.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Literal

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.diagnosis import UNMAPPED, Diagnosis
from curation_dagster.core.harmonize.vocabulary import rows

Drift = Literal["same", "added", "retitled", "removed", "unknown"]

_TO_ONE = "10To11MapToOneCategory"
_ICD10 = re.compile(r"([A-Z]\d[0-9A-Z])\.?([0-9]{0,2})")
_SPELLINGS = (
    (re.compile(r"[\[(].*?[\])]"), " "),
    (re.compile(r"is(e|ed|ation)\b"), r"iz\1"),
    (re.compile(r"ae|oe"), "e"),
    (re.compile(r"\b(and|of|the)\b|[^a-z0-9 ]"), " "),
)


def drift(code: str) -> Drift:
    """Return what became of a code between the release of WHO's ICD-10 table and the one of the vocabulary."""
    changed = _drift().get(code)
    if changed is not None:
        return changed
    return "same" if code in icd11.codes() else "unknown"


@lru_cache(maxsize=1)
def _drift() -> dict[str, Drift]:
    return {row["code"]: row["change"] for row in rows("icd11_drift")}  # type: ignore[misc]


def icd10_code(text: str) -> str | None:
    """Return a code of ICD-10 as WHO writes it, or None where the text is none.

    Examples
    --------
    >>> icd10_code(" l401 "), icd10_code("C43"), icd10_code("L40.1†"), icd10_code("psoriasis")
    ('L40.1', 'C43', 'L40.1', None)
    """
    found = _ICD10.fullmatch(text.strip().upper().rstrip("†*+-."))
    if found is None:
        return None
    return f"{found.group(1)}.{found.group(2)}" if found.group(2) else found.group(1)


def diagnosis_of_icd10(text: str) -> Diagnosis:
    """Return what a code of ICD-10 means in ICD-11; a further digit of a national version counts as the code above.

    Examples
    --------
    >>> found = diagnosis_of_icd10("L40.1")
    >>> found.icd11_code, found.relation, diagnosis_of_icd10("L08.0").icd11_code
    ('EA90.40', 'exact', None)
    """
    code = icd10_code(text)
    if code is None:
        return UNMAPPED
    if code in _targets():
        return _of_icd10(code)
    shorter = code[:-1].rstrip(".")
    if len(code) == 6 and shorter in _targets():
        # ICD-10-GM and -CM split codes of WHO's further: what holds for the code holds for its parts, as the wider one
        whole = _of_icd10(shorter)
        if whole.icd11_code is None:
            return whole
        return Diagnosis(
            whole.icd11_code, whole.icd11_title, "broader", whole.granularity, "medium", (),
            f"a national part of {shorter}",
        )  # fmt: skip
    return UNMAPPED


@cache
def _of_icd10(code: str) -> Diagnosis:
    refused = next((r["reason"] for r in rows("icd10_refused") if r["icd10_code"] == code), None)
    title, one, stated, targets = _targets()[code]
    if refused is not None:
        return Diagnosis(None, None, "nonspecific", "group", "high", (), refused)
    found = tuple(dict.fromkeys(c for c in map(_surviving, targets) if c is not None))
    meant = _surviving(one)
    if meant is None:
        why = f"WHO's table leads ICD-10 {code} to {one or 'none'}: a block, or a code outside of the vocabulary."
        return Diagnosis(None, None, "nonspecific", "group", "high", found, why)
    if meant == one and _words(title) == _words(stated):
        return _coded(meant, "exact", "high", f"WHO's table for ICD-10 {code}")
    everywhere = all(_surviving(t) is not None for t in targets)
    if everywhere and all(icd11.related(meant, c) in ("same", "broader") for c in found):
        return _coded(meant, "broader", "medium", f"WHO's table for ICD-10 {code}")
    why = f"WHO's tables spread ICD-10 {code} over {len(targets)} codes, of which {one} stands for it"
    return Diagnosis(
        meant,
        icd11.title(meant),
        "narrower",
        "composite",
        "medium",
        tuple(dict.fromkeys((meant, *found))),
        why,
    )


def diagnosis_of_icd11(text: str) -> Diagnosis:
    """Return what a code of ICD-11 means that an archive states, of whatever release.

    Examples
    --------
    >>> diagnosis_of_icd11("EA90.40").relation, diagnosis_of_icd11("EK02.12").icd11_code
    ('exact', 'EK02')
    """
    code = text.strip().upper()
    stem = re.split(r"[&/]", code)[0]
    found = _surviving(stem)
    if found is None:
        return UNMAPPED
    if found == code:
        return _coded(found, "exact", "high", "stated by the archive")
    why = (
        f"stated as {code}"
        if found == stem
        else f"stated as {code}, which release {icd11.release()} has no more"
    )
    return _coded(found, "broader", "high" if found == stem else "medium", why)


def _coded(code: str, relation: str, confidence: str, note: str) -> Diagnosis:
    known = icd11.codes()[code]
    # a residual directly below a block stands for the whole block
    whole_block = known.parent is None and code[-1] in "YZ"
    return Diagnosis(
        icd11_code=code,
        icd11_title=known.title,
        relation=relation,
        granularity="group" if whole_block else "disease",
        confidence=confidence,
        note=note,
    )


@lru_cache(maxsize=1)
def _targets() -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    """Return for each code of ICD-10: its title, the one code that stands for it with its title, and all its codes."""
    one: dict[str, tuple[str, str, str]] = {}
    all_of: dict[str, list[str]] = {}
    for row in rows("icd10_to_icd11"):
        all_of.setdefault(row["icd10_code"], []).append(row["icd11_code"])
        if row["table"] == _TO_ONE:
            one[row["icd10_code"]] = (row["icd10_title"], row["icd11_code"], row["icd11_title"])
    titles = {row["icd10_code"]: row["icd10_title"] for row in rows("icd10_to_icd11")}
    # the excerpt has no row of the one code where that code has nothing to do with skin
    return {
        code: (*one.get(code, (titles[code], "", "")), tuple(dict.fromkeys(targets)))
        for code, targets in all_of.items()
    }


def _surviving(code: str) -> str | None:
    """Return the code, or for a combined one its stem, in our release; for a removed one what held it; else None."""
    stem = re.split(r"[&/]", code)[0]
    if stem in icd11.codes():
        return stem
    while stem in _drift():
        stem = stem[:-1].rstrip(".")
        if stem in icd11.codes():
            return stem
    return None


def _words(title: str) -> str:
    text = title.casefold()
    for pattern, replacement in _SPELLINGS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())
