"""Fields that the representative of a group lacks, from other members of the same picture, with their sources.

Only what was true of the person or the lesion when the picture was taken may be passed on, in the units that the
criteria file declares: an age goes with its band, a code with its label. What the representative states stays, and a
unit that it states in part is left alone. Where donors contradict each other nothing is filled, whoever they are:
choosing one would be a guess. Of ages that agree (34, and 30 to 39) the narrowest is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

AGE = ("age_years", "age_low", "age_high")
Row = Mapping[str, Any]


def complete(
    representative: Row, donors: Iterable[Row], units: Sequence[Sequence[str]]
) -> tuple[dict[str, Any], list[str]]:
    """Return the values that a representative takes over, and ``field: archive image_id`` for each of them.

    Parameters
    ----------
    representative : mapping
        Unified columns of the image.
    donors : iterable of mapping
        The same of the other members, with ``archive`` and ``image_id``. Their order does not matter.
    units : sequence of sequence of str
        Columns that are filled together or not at all.
    """
    members = sorted(donors, key=lambda row: (row["archive"], row["image_id"]))
    values: dict[str, Any] = {}
    sources = []
    for unit in units:
        if any(representative.get(field) is not None for field in unit):
            continue
        offers = [row for row in members if any(row.get(field) is not None for field in unit)]
        donor = _agreed(offers, tuple(unit))
        if donor is None:
            continue
        for field in unit:
            if donor.get(field) is not None:
                values[field] = donor[field]
                sources.append(f"{field}: {donor['archive']} {donor['image_id']}")
    return values, sources


def _agreed(offers: Sequence[Row], unit: tuple[str, ...]) -> Row | None:
    """Return the donor whose values all others agree with, the first of equal ones; None without one."""
    if not offers:
        return None
    if unit == AGE:
        bands = [_band(row) for row in offers]
        narrowest = min(range(len(offers)), key=lambda k: bands[k][1] - bands[k][0])
        low, high = bands[narrowest]
        return offers[narrowest] if all(lo <= low and high <= hi for lo, hi in bands) else None
    stated = {tuple(row.get(field) for field in unit) for row in offers}
    return offers[0] if len(stated) == 1 else None


def _band(row: Row) -> tuple[float, float]:
    """Return the ages that a row allows, closed."""
    exact, low, high = (row.get(field) for field in AGE)
    if exact is not None:
        return exact, exact
    return (-math.inf if low is None else low), (math.inf if high is None else high)
