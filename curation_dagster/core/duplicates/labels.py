"""Whether the members of a group carry diagnoses that exclude each other.

The same picture under two diagnoses is wrong at least once. A wider and a narrower code for the same thing do not
contradict each other: "melanoma of skin" and "superficial spreading melanoma" may both be right. A pooled label means
any of the codes that it pools: ``akiec`` agrees with actinic keratosis and with Bowen disease, not with melanoma.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from curation_dagster.core.duplicates.representatives import Facts

Related = Callable[[str, str], str]
DIFFERENT = "different"


def labels_of(members: Iterable[Facts]) -> list[str]:
    """Return the ICD-11 codes of the members as ``archive:code``, each once, in order."""
    return sorted({f"{m.archive}:{m.icd11_code}" for m in members if m.icd11_code is not None})


def in_conflict(members: Iterable[Facts], related: Related) -> bool:
    """Return whether any two members carry codes that exclude each other.

    Parameters
    ----------
    members : iterable of Facts
        Members without a code or candidates contradict nobody.
    related : callable
        Of two ICD-11 codes; returns ``different`` where neither is the same as, wider or narrower than the other.
    """
    meant = {
        frozenset(c for c in (m.icd11_code, *(m.icd11_candidates or ())) if c is not None) for m in members
    }
    stated = sorted(sorted(codes) for codes in meant if codes)
    return any(
        all(related(x, y) == DIFFERENT for x in a for y in b) for a, b in itertools.combinations(stated, 2)
    )
