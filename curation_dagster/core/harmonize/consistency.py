"""Records that contradict each other: one lesion or person with two answers, ages that run backwards, flags.

Each function looks over one archive version and gives each row the figure that a criterion is held against. A figure
depends on the rows of the same lesion or person alone. Null means that the question does not arise: no key, or
nothing stated.

Wider and narrower codes of ICD-11 do not contradict each other, nor does a pooled label contradict any of the codes
that it pools: ``akiec`` (actinic keratosis or Bowen disease) agrees with either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.vocabulary import rows

Meaning = frozenset[str]
"""What a label may mean: its code, or the codes that it pools."""


def meaning(code: str | None, candidates: Sequence[str] | None) -> Meaning:
    """Return the codes that a diagnosis may mean: the candidates with the code; empty where nothing is coded."""
    return frozenset(c for c in (code, *(candidates or ())) if c is not None)


def agree(a: Meaning, b: Meaning, related: Callable[[str, str], str] = icd11.related) -> bool:
    """Return whether two diagnoses may both be right: one code of each is the same, wider or narrower.

    Examples
    --------
    >>> agree(frozenset({"2C30"}), frozenset({"2C30.0"})), agree(frozenset({"EK90.0", "2E64.0"}), frozenset({"2C32"}))
    (True, False)
    """
    return any(related(x, y) != "different" for x in a for y in b)


def lesion_diagnoses(lesions: Sequence[Any], meanings: Sequence[Meaning]) -> np.ndarray:
    """Return for each row how many diagnoses of its lesion exclude each other: 1 where all agree, 0 without any."""

    def count(found: Collection[Meaning]) -> int:
        stated = sorted({m for m in found if m}, key=lambda m: (len(m), sorted(m)))
        if not stated:
            return 0
        apart = [m for m in stated if any(not agree(m, other) for other in stated)]
        return max(_largest_apart(apart), 1)

    return _per_key(lesions, meanings, count)


def _largest_apart(found: Sequence[Meaning]) -> int:
    """Return how many of the diagnoses exclude one another, taken in order: at least 2 if any two do."""
    best = 0
    for start in range(len(found)):
        chosen: list[Meaning] = []
        for m in found[start:]:
            if all(not agree(m, other) for other in chosen):
                chosen.append(m)
        best = max(best, len(chosen))
    return best


def distinct_values(keys: Sequence[Any], values: Sequence[Any]) -> np.ndarray:
    """Return for each row how many distinct values its lesion or person has; null without a key or any value."""
    found = _per_key(keys, values, lambda all_of: len({v for v in all_of if not _null(v)}))
    return np.array([n if n else None for n in found], dtype=object)


def ages_backwards(
    patients: Sequence[Any], lows: Sequence[Any], highs: Sequence[Any], order: Sequence[Any]
) -> np.ndarray:
    """Return for each row by how many years the person gets younger from one photograph to a later one.

    Parameters
    ----------
    lows, highs : sequences of float or None
        Ends of the age band; an open band ends nowhere. Years.
    order : sequence of float or None
        When the photograph was taken, growing with time: a visit, or the year.

    Returns
    -------
    numpy.ndarray of object
        The largest step back of the person; 0 where ages never run backwards; null where fewer than two of the
        person's photographs have an age and a place in the order. Bands that overlap are no step back.
    """
    triples = [
        None
        if _null(low) or _null(when)
        else (float(when), float(low), np.inf if _null(high) else float(high))
        for low, high, when in zip(lows, highs, order, strict=True)
    ]

    def step_back(found: Collection[tuple[float, float, float] | None]) -> float | None:
        stated = sorted({t for t in found if t is not None})
        if len(stated) < 2:
            return None
        steps = [a[1] - b[2] for a, b in combinations(stated, 2) if a[0] < b[0]]
        return max([0.0, *steps])

    return _per_key(patients, triples, step_back)


@lru_cache(maxsize=1)
def _behaviours() -> tuple[tuple[str, str, str], ...]:
    return tuple((r["code"], r["block"], r["behaviour"]) for r in rows("behaviour"))


@lru_cache(maxsize=4096)
def behaviour_of(code: str) -> str | None:
    """Return what a diagnosis is by ICD-11: ``benign``, ``malignant`` or ``either``; None if the vocabulary is silent.

    The nearest row of ``vocabularies/behaviour.csv`` holds: one of the code or of a code above it, else one of its
    chapter and block.

    Examples
    --------
    >>> behaviour_of("2C30.0"), behaviour_of("2F20"), behaviour_of("EK90.0"), behaviour_of("EA90.0")
    ('malignant', 'benign', 'either', 'benign')
    """
    line = (code, *icd11.ancestors(code))
    by_code = {c: b for c, _, b in _behaviours() if c}
    for at in line:
        if at in by_code:
            return by_code[at]
    known = icd11.codes()[code]
    place = f"{known.chapter} > {known.block}"
    fitting = [(block, b) for c, block, b in _behaviours() if not c and place.startswith(block)]
    return max(fitting, key=lambda f: len(f[0]))[1] if fitting else None


def flag_agrees(flags: Sequence[Any], meanings: Sequence[Meaning]) -> np.ndarray:
    """Return for each row whether the archive's flag benign or malignant fits the diagnosis; null where either lacks.

    A pooled label fits if one of its codes does.
    """
    known: dict[tuple[Any, Meaning], bool | None] = {}
    found = np.full(len(flags), None, dtype=object)
    for row, pair in enumerate(zip(flags, meanings, strict=True)):
        if pair not in known:
            flag, codes = pair
            behaviours = {behaviour_of(c) for c in codes} - {None}
            known[pair] = None if _null(flag) or not behaviours else bool({flag, "either"} & behaviours)
        found[row] = known[pair]
    return found


def _null(value: Any) -> bool:
    return value is None or value != value


def _per_key(keys: Sequence[Any], values: Sequence[Any], judge: Callable[[Any], Any]) -> np.ndarray:
    """Return for each row what ``judge`` says of all values of its key; null without a key.

    Keys whose rows all say the same are judged once for each distinct value.
    """
    codes, levels = pd.factorize(np.asarray(list(keys), dtype=object), use_na_sentinel=True)
    groups: list[dict[Any, None]] = [{} for _ in range(len(levels))]
    for code, value in zip(codes.tolist(), values, strict=True):
        if code >= 0:
            groups[code][value] = None
    said: dict[Any, Any] = {}
    pool = np.empty(len(levels) + 1, dtype=object)
    for number, group in enumerate(groups):
        distinct = frozenset(group)
        if distinct not in said:
            said[distinct] = judge(distinct)
        pool[number] = said[distinct]
    pool[-1] = None
    return pool[codes]


def order_of(visits: Iterable[Any], years: Iterable[Any]) -> list[Any]:
    """Return when each photograph was taken: by its visit, or, where no row has one, by its year."""
    visits = list(visits)
    return list(years) if all(_null(v) for v in visits) else visits
