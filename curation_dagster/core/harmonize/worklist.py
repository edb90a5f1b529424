"""The worklist of a coder: labels that no vocabulary knows, with the nearest known ones as suggestions.

A suggestion is never applied. A coder adds a row to ``vocabularies/diagnoses.csv``, or to
``diagnoses_by_archive.csv`` where the label means something of its own in one archive; the change of the vocabulary
makes what is materialized out of date, and the next materialization takes it up.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

import pyarrow as pa
from rapidfuzz import fuzz, process, utils

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.diagnosis import diagnoses, diagnosis_of, normalized
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.schemas import LABEL_WORKLIST

SUGGESTIONS = 5
_ALIKE = 70.0  # a score below is no better than chance: 0 nothing in common, 100 the same words


def label_worklist(harmonized: pa.Table, descriptor: Descriptor) -> pa.Table:
    """Return the labels of an archive version that wait for a coder, the most frequent first.

    Parameters
    ----------
    harmonized : pyarrow.Table
        With ``archive``, ``version``, ``diagnosis_source_label`` and ``diagnosis_relation``.
    descriptor : Descriptor
        Of the archive, with its aliases.

    Returns
    -------
    pyarrow.Table
        Schema ``label_worklist`` without run_id: ``unmapped`` labels, which no vocabulary has, and ``pooled`` ones,
        whose code is to be confirmed or for which none is given. A record with several labels counts for each of them
        that is unknown.
    """
    counted: Counter[tuple[str, str, str, str]] = Counter()
    names = ["archive", "version", "diagnosis_source_label", "diagnosis_relation"]
    for row in harmonized.group_by(names).aggregate([([], "count_all")]).to_pylist():
        label, relation = row["diagnosis_source_label"], row["diagnosis_relation"]
        if label is None or relation not in ("unmapped", "narrower", "nonspecific"):
            continue
        for part in _labels_in(label, relation, descriptor):
            counted[row["archive"], row["version"], *part] += row["count_all"]
    rows = [
        {
            "archive": archive,
            "version": version,
            "label": label,
            "kind": kind,
            "images": n,
            "suggestions": suggestions(label) if kind == "unmapped" else _candidates(label, descriptor),
        }
        for (archive, version, label, kind), n in sorted(counted.items(), key=lambda i: (-i[1], i[0]))
    ]
    return pa.Table.from_pylist(
        rows, schema=pa.schema([f for f in LABEL_WORKLIST.arrow_schema if f.name != "run_id"])
    )


def _labels_in(label: str, relation: str, descriptor: Descriptor) -> list[tuple[str, str]]:
    """Return the labels in a record's text that wait for a coder, with the kind of each."""
    if relation == "narrower":
        return [(label, "pooled")]
    if _known(label, descriptor):
        return []
    return [(p, "unmapped") for p in label.split("; ") if not _known(p, descriptor)]


def _known(label: str, descriptor: Descriptor) -> bool:
    mapping = descriptor.columns.diagnosis
    if mapping is not None and label.casefold() in {m.casefold() for m in mapping.missing}:
        return True
    return diagnosis_of(label, descriptor.diagnosis_aliases, descriptor.id).relation != "unmapped"


def _candidates(label: str, descriptor: Descriptor) -> list[str]:
    found = diagnosis_of(label, descriptor.diagnosis_aliases, descriptor.id)
    return [f"{code} {icd11.title(code)}" for code in found.candidates]


def suggestions(label: str, limit: int = SUGGESTIONS) -> list[str]:
    """Return the codes whose labels or titles are most alike, as ``code title (known label, score)``, the best first.

    The score is the token-set ratio of the words, 0 to 100 (rapidfuzz, WRatio): it knows nothing of medicine.

    Examples
    --------
    >>> suggestions("seborrhoic keratosys")[0]
    '2F21.0 Seborrhoeic keratosis (seborrhoeic keratosis, 93)'
    >>> suggestions("qqqq")
    []
    """
    known = _choices()
    found: dict[str, str] = {}
    for text, score, _ in process.extract(
        normalized(label),
        known.keys(),
        scorer=fuzz.WRatio,
        processor=utils.default_process,
        limit=8 * limit,
        score_cutoff=_ALIKE,
    ):
        code = known[text]
        found.setdefault(code, f"{code} {icd11.title(code)} ({text}, {score:.0f})")
        if len(found) == limit:
            break
    return list(found.values())


@lru_cache(maxsize=1)
def _choices() -> dict[str, Any]:
    """Return each known label that has a code, and WHO's titles, to the code."""
    titles = {normalized(c.title): c.code for c in icd11.codes().values()}
    return titles | {label: d.icd11_code for label, d in diagnoses().items() if d.icd11_code is not None}
