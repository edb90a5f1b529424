"""Publishers' labels to ICD-11, by ``vocabularies/diagnoses.csv``.

The mapping says for each label how well a code fits. Only a code that says nothing false of the label is given:
``exact``, and ``broader`` where the code is wider than the label. ``narrower`` marks a label that pools several
diseases of which the nearest code covers one: it would be a false statement about the others, so no code is given
and the candidates stay in the vocabulary for the people who look at it.

The same word means different things in different archives: ``mel`` of HAM10000 pools invasive melanoma and melanoma
in situ, ``melanoma`` of DDI does not. ``vocabularies/diagnoses_by_archive.csv`` holds what an archive means by a
label, and comes before the shared vocabulary. There a pooled label may name the code that holds for most of what it
pools (``to_confirm``): the image carries that code with the relation ``narrower`` and waits for a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, lru_cache

from curation_dagster.core.deidentification.showing import shown
from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.vocabulary import VocabularyError, missing_reasons, rows

_CODED = frozenset({"exact", "broader"})


@dataclass(frozen=True)
class Diagnosis:
    """What a label means.

    Parameters
    ----------
    icd11_code, icd11_title : str or None
        Given where the relation is ``exact`` or ``broader``; where it is ``narrower``, the code that a person is asked
        to confirm.
    relation : str
        ``exact``, ``broader``, ``narrower``, ``nonspecific``, ``not_a_diagnosis`` or ``unmapped``.
    granularity : str or None
        ``disease``, ``subtype``, ``group`` or ``composite``; None if unmapped.
    confidence : str or None
        ``high``, ``medium`` or ``low``; None if unmapped.
    candidates : tuple of str
        Codes that a person may choose from: the nearest one and the alternatives, where no code is given or the
        given one is to be confirmed.
    note : str or None
        Why the mapping is as it is, in the words of the vocabulary.
    """

    icd11_code: str | None
    icd11_title: str | None
    relation: str
    granularity: str | None
    confidence: str | None
    candidates: tuple[str, ...] = ()
    note: str | None = field(default=None, compare=False)

    @property
    def refusal(self) -> str | None:
        """Why no code is given; None where one is."""
        if self.icd11_code is not None:
            return None
        general = missing_reasons()["unmapped_value" if self.relation == "unmapped" else self.relation]
        return f"{general} {self.note}" if self.note else general


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
    """Return all labels of the shared vocabulary, normalized, with what they mean."""
    return {row["label_normalized"]: _meaning(row) for row in rows("diagnoses")}


@cache
def diagnoses_of_archive(archive: str) -> dict[str, Diagnosis]:
    """Return the labels, normalized, that mean something of their own in an archive, with what they mean there.

    Raises
    ------
    VocabularyError
        If a row means a label that the shared vocabulary lacks, or two rows speak of one label of the archive.
    """
    found: dict[str, Diagnosis] = {}
    for row in rows("diagnoses_by_archive"):
        if not fnmatchcase(archive, row["archive"]):
            continue
        where = f"vocabularies/diagnoses_by_archive.csv: {row['archive']} > {row['label_normalized']!r}"
        if row["label_normalized"] in found:
            raise VocabularyError(f"{where}: another row speaks of the same label of {archive}")
        if row["means"]:
            if row["means"] not in diagnoses():
                raise VocabularyError(f"{where}: means {row['means']!r}, which diagnoses.csv lacks")
            found[row["label_normalized"]] = diagnoses()[row["means"]]
        else:
            found[row["label_normalized"]] = _meaning(row)
    return found


def _meaning(row: Mapping[str, str]) -> Diagnosis:
    asked = row["relation"] == "narrower" and row.get("to_confirm") == "yes"
    coded = row["relation"] in _CODED or asked
    code = row["icd11_code"] or None
    alternatives = tuple(c for c in row["alt_codes"].split(";") if c)
    return Diagnosis(
        icd11_code=code if coded else None,
        icd11_title=icd11.title(code) if coded and code else None,
        relation=row["relation"],
        granularity=row["granularity"] or None,
        confidence=row["confidence"] or None,
        candidates=() if coded and not asked else (*((code,) if code else ()), *alternatives),
        note=row["note"] or None,
    )


def diagnosis_of(
    label: str, aliases: Mapping[str, str] | None = None, archive: str | None = None
) -> Diagnosis:
    """Return what one label means.

    Parameters
    ----------
    label : str
        The publisher's label.
    aliases : mapping of str to str, optional
        Labels that mean something else in this archive, to the label of the vocabulary that says what.
    archive : str, optional
        Whose label it is; without it the shared vocabulary alone decides.
    """
    key = normalized(label)
    for alias, meant in (aliases or {}).items():
        if normalized(alias) == key:
            key = normalized(meant)
            break
    own = diagnoses_of_archive(archive) if archive is not None else {}
    return own.get(key) or diagnoses().get(key, UNMAPPED)


def shown_label(text: str | None) -> str | None:
    """Return a publisher's label as later tables hold it: one of the vocabulary, or one that names no person."""
    if text is None or normalized(text) in diagnoses() or normalized(text) in _labels_of_archives():
        return text
    return shown(text)


@lru_cache(maxsize=1)
def _labels_of_archives() -> frozenset[str]:
    return frozenset(row["label_normalized"] for row in rows("diagnoses_by_archive"))


def combined(
    labels: Sequence[str], aliases: Mapping[str, str] | None = None, archive: str | None = None
) -> Diagnosis:
    """Return what several labels of one record mean together.

    Labels that mean the same count once. If they differ, the image shows more than one disease, or the record does
    not decide: that is no specific diagnosis, whatever its parts are.
    """
    return together([diagnosis_of(label, aliases, archive) for label in labels])


def together(found: Sequence[Diagnosis]) -> Diagnosis:
    """Return what several diagnoses of one record mean together; see :func:`combined`."""
    first = found[0]
    if all(d == first for d in found) and (len(found) == 1 or first.icd11_code is not None):
        return first
    candidates = dict.fromkeys(c for d in found for c in ((d.icd11_code,) if d.icd11_code else d.candidates))
    return Diagnosis(None, None, "nonspecific", "composite", None, tuple(candidates))
