"""Severity scales and skin tone scales: which values stand on them, and what sums up to what.

``vocabularies/severity_scales.csv`` holds one row for each scale: its lowest and highest score, the step between two
scores, and, for a total, the scales that it sums up. An image may have scores on several scales. A score off the
scale is never clipped: it is missing, with the reason ``out_of_range``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from curation_dagster.core.harmonize.parsing import Parsed, parse_number
from curation_dagster.core.harmonize.vocabulary import rows

# upper bound of the mean, excluded, to the total; the highest total has none
_ROUNDED = ((1.5, 1), (2.5, 2), (3.5, 3))


@dataclass(frozen=True)
class Scale:
    """One severity scale; ``total_of`` names the scales that it sums up, none for a scale by itself."""

    id: str
    label: str
    low: float
    high: float
    step: float
    total_of: tuple[str, ...]

    def holds(self, score: float) -> bool:
        """Return whether a score stands on the scale: inside of its range, and on one of its steps.

        Examples
        --------
        >>> scales()["gppga_total"].holds(4), scales()["gppga_total"].holds(2.5), scales()["gppga_total"].holds(5)
        (True, False, False)
        """
        return self.low <= score <= self.high and ((score - self.low) / self.step).is_integer()


@lru_cache(maxsize=1)
def scales() -> dict[str, Scale]:
    """Return all severity scales by id."""
    return {
        r["scale"]: Scale(
            r["scale"],
            r["label"],
            float(r["low"]),
            float(r["high"]),
            float(r["step"]),
            tuple(s for s in r["total_of"].split("|") if s),
        )
        for r in rows("severity_scales")
    }


def parse_score(text: str, scale: str) -> Parsed:
    """Parse a score on a scale: a number, or the number in front of its word (``3 - moderate``).

    Examples
    --------
    >>> parse_score("3", "gppga_total").value, parse_score("3 (moderate)", "gppga_total").value
    (3.0, 3.0)
    >>> parse_score("5", "gppga_total").reason, parse_score("severe", "gppga_total").reason
    ('out_of_range', 'unparsable')
    """
    number = parse_number(text)
    if number.value is None:
        first = text.replace("(", " ").replace(":", " ").replace("=", " ").split()
        words = [w for w in first[1:] if w not in ("-", "\u2013")]
        if first and all(w.strip(").,").replace("-", "").isalpha() for w in words):
            number = parse_number(first[0])
    if number.value is None:
        return number
    return number if scales()[scale].holds(float(number.value)) else Parsed(reason="out_of_range")


def total_agrees(scores: Mapping[str, float]) -> bool | None:
    """Return whether a stated total is what its subscores give; None where one of them is missing.

    The total is the mean of the subscores, rounded as the trial does (10.1056/NEJMoa2111563): 0 is 0, above 0 to
    below 1.5 is 1, to below 2.5 is 2, to below 3.5 is 3, else 4.

    Examples
    --------
    >>> total_agrees({"gppga_total": 1, "gppga_pustules": 0, "gppga_erythema": 1, "gppga_scaling": 0})
    True
    >>> total_agrees({"gppga_total": 4, "gppga_pustules": 0, "gppga_erythema": 1, "gppga_scaling": 0})
    False
    """
    found: bool | None = None
    for scale in scales().values():
        if not scale.total_of or scale.id not in scores or not all(s in scores for s in scale.total_of):
            continue
        mean = sum(scores[s] for s in scale.total_of) / len(scale.total_of)
        expected = 0 if mean == 0 else next((n for bound, n in _ROUNDED if mean < bound), 4)
        found = (found is not False) and scores[scale.id] == expected
    return found


@lru_cache(maxsize=1)
def skin_tones() -> dict[str, tuple[str, ...]]:
    """Return the values of each skin tone scale that is no Fitzpatrick phototype of one person."""
    found: dict[str, list[str]] = {}
    for row in rows("skin_tone_scales"):
        found.setdefault(row["scale"], []).append(row["value"])
    return {scale: tuple(values) for scale, values in found.items()}
