"""Publishers' labels to ICD-11, by ``vocabularies/diagnoses.csv``.

The mapping says for each label how well a code fits. Only a code that says nothing false of the label is given:
``exact``, and ``broader`` where the code is wider than the label. ``narrower`` marks a label that pools several
diseases of which the nearest code covers one: it would be a false statement about the others, so no code is given
and the candidates stay in the vocabulary for the people who look at it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from curation_dagster.core.deidentification.showing import shown
from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.vocabulary import rows

_CODED = frozenset({"exact", "broader"})


@dataclass(frozen=True)
class Diagnosis:
    """What a label means.

    Parameters
    ----------
    icd11_code, icd11_title : str or None
        Given where the relation is ``exact`` or ``broader``.
    relation : str
        ``exact``, ``broader``, ``narrower``, ``nonspecific``, ``not_a_diagnosis`` or ``unmapped``.
    granularity : str or None
        ``disease``, ``subtype``, ``group`` or ``composite``; None if unmapped.
    confidence : str or None
        ``high``, ``medium`` or ``low``; None if unmapped.
    candidates : tuple of str
        Codes that a person may choose from: the nearest one and the alternatives, where no code is given.
    """

    icd11_code: str | None
    icd11_title: str | None
    relation: str
    granularity: str | None
    confidence: str | None
    candidates: tuple[str, ...] = ()


UNMAPPED = Diagnosis(None, None, "unmapped", None, None)


def normalized(label: str) -> str:
    """Return a label as the vocabulary compares it: lower case, with ``_``, ``-`` and blanks all one blank.

    Examples
    --------
    >>> normalized("Benign adnexal epithelial proliferations - Follicular")
    'benign adnexal epithelial proliferations follicular'
    """
    return " ".join(label.lower().replace("_", " ").replace("-", " ").split())


@lru_cache(maxsize=1)
def diagnoses() -> dict[str, Diagnosis]:
    """Return all labels of the vocabulary, normalized, with what they mean."""
    found = {}
    for row in rows("diagnoses"):
        coded = row["relation"] in _CODED
        code = row["icd11_code"] or None
        alternatives = tuple(c for c in row["alt_codes"].split(";") if c)
        found[row["label_normalized"]] = Diagnosis(
            icd11_code=code if coded else None,
            icd11_title=icd11.title(code) if coded and code else None,
            relation=row["relation"],
            granularity=row["granularity"] or None,
            confidence=row["confidence"] or None,
            candidates=() if coded else (*((code,) if code else ()), *alternatives),
        )
    return found


def diagnosis_of(label: str, aliases: Mapping[str, str] | None = None) -> Diagnosis:
    """Return what one label means.

    Parameters
    ----------
    label : str
        The publisher's label.
    aliases : mapping of str to str, optional
        Labels that mean something else in this archive, to the label of the vocabulary that says what.
    """
    key = normalized(label)
    for alias, meant in (aliases or {}).items():
        if normalized(alias) == key:
            key = normalized(meant)
            break
    return diagnoses().get(key, UNMAPPED)


def shown_label(text: str | None) -> str | None:
    """Return a publisher's label as later tables hold it: one of the vocabulary, or one that names no person."""
    if text is None or normalized(text) in diagnoses():
        return text
    return shown(text)


def combined(labels: Sequence[str], aliases: Mapping[str, str] | None = None) -> Diagnosis:
    """Return what several labels of one record mean together.

    Labels that mean the same count once. If they differ, the image shows more than one disease, or the record does
    not decide: that is no specific diagnosis, whatever its parts are.
    """
    found = [diagnosis_of(label, aliases) for label in labels]
    first = found[0]
    if all(d == first for d in found) and (len(found) == 1 or first.icd11_code is not None):
        return first
    candidates = dict.fromkeys(c for d in found for c in ((d.icd11_code,) if d.icd11_code else d.candidates))
    return Diagnosis(None, None, "nonspecific", "composite", None, tuple(candidates))
