"""What several reviewers together say of an image: settled, still open, or in dispute.

A criterion asks for one reviewer or for two (``reviewers`` in the criteria file). Only the newest verdict of each
person counts, and a verdict that was taken back counts as none. Where one reviewer is asked for, one ``fail`` is
enough, however many others passed the image. Where two are asked for, they judge without seeing each other's verdict;
if they agree, that settles it, and if not, a third person decides by majority. As many against as for is never a
decision: it waits for one more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from curation_dagster.core.review.people import person

WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Verdict:
    """The verdict of one person that counts."""

    reviewer: str
    outcome: str  # pass or fail
    comment: str | None
    reviewed_at: datetime


@dataclass(frozen=True)
class Panel:
    """All verdicts that count on one image and criterion, the oldest first."""

    verdicts: tuple[Verdict, ...]
    needed: int = 1

    @property
    def passes(self) -> int:
        """How many passed the image."""
        return sum(v.outcome == "pass" for v in self.verdicts)

    @property
    def fails(self) -> int:
        """How many failed the image."""
        return len(self.verdicts) - self.passes

    @property
    def settled(self) -> bool:
        """Whether nobody else has to look."""
        if self.needed == 1:
            return bool(self.verdicts)
        return len(self.verdicts) >= self.needed and not self.disputed

    @property
    def disputed(self) -> bool:
        """Whether the reviewers who were asked disagree and one more has to decide."""
        return self.needed > 1 and self.passes == self.fails > 0

    @property
    def failed(self) -> bool:
        """Whether the image is failed: by a settled panel, or, for one reviewer, by anybody."""
        return self.settled and (self.fails > self.passes if self.needed > 1 else self.fails > 0)

    @property
    def prevailing(self) -> tuple[Verdict, ...]:
        """The verdicts that decided; none while it is not settled."""
        outcome = "fail" if self.failed else "pass"
        return tuple(v for v in self.verdicts if v.outcome == outcome) if self.settled else ()

    def waits_for(self, reviewer: str) -> bool:
        """Whether this person may judge the image: it is not settled, and they have not judged it."""
        return not self.settled and all(person(v.reviewer) != person(reviewer) for v in self.verdicts)


def panels(
    reviews: Iterable[Mapping[str, Any]], needed: Mapping[str, int] | None = None
) -> dict[tuple[str, str], Panel]:
    """Return the panel of each (criterion, image_id) on which somebody said something.

    Parameters
    ----------
    reviews : iterable of mapping
        Rows of ``reviews``, in any order.
    needed : mapping of str to int, optional
        Reviewers that each criterion asks for; one where it is not named.
    """
    newest: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for row in reviews:
        key = (row["criterion"], row["image_id"], person(row["reviewer"]))
        if key not in newest or _age(row) >= _age(newest[key]):
            newest[key] = row
    found: dict[tuple[str, str], list[Verdict]] = {}
    for (criterion, image_id, _), row in newest.items():
        if row["outcome"] != WITHDRAWN:
            found.setdefault((criterion, image_id), []).append(
                Verdict(row["reviewer"], row["outcome"], row["comment"], row["reviewed_at"])
            )
    asked = needed or {}
    return {
        key: Panel(tuple(sorted(said, key=lambda v: (v.reviewed_at, v.reviewer))), asked.get(key[0], 1))
        for key, said in found.items()
    }


@dataclass(frozen=True)
class Agreement:
    """How far two readers agree, beyond what chance would give.

    ``kappa`` is Cohen's (1960), from -1 to 1; None where it is not defined, because both said the same of every image.
    """

    first: str
    second: str
    images: int
    agreed: int
    kappa: float | None


def agreement(said: Iterable[Panel]) -> list[Agreement]:
    """Return the agreement of each two people who judged the same images, in the order of their names.

    Panels of one criterion, or of several. Third readers count with each of the two before them: they judge just as
    blindly.
    """
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for panel in said:
        verdicts = sorted(panel.verdicts, key=lambda v: v.reviewer)
        for a, b in combinations(verdicts, 2):
            pairs.setdefault((a.reviewer, b.reviewer), []).append((a.outcome, b.outcome))
    return [
        Agreement(first, second, len(both), sum(a == b for a, b in both), cohens_kappa(both))
        for (first, second), both in sorted(pairs.items())
    ]


def cohens_kappa(both: list[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa of pairs of outcomes, or None where chance alone would agree always or there is no pair."""
    n = len(both)
    if not n:
        return None
    observed = sum(a == b for a, b in both) / n
    outcomes = {o for pair in both for o in pair}
    chance = sum(sum(a == o for a, _ in both) * sum(b == o for _, b in both) for o in outcomes) / n**2
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _age(row: Mapping[str, Any]) -> tuple[Any, str, str]:
    # of two verdicts in the same moment the stricter one counts, whatever the order of the rows
    return row["reviewed_at"], {"pass": "0", "withdrawn": "1", "fail": "2"}[row["outcome"]], row["review_id"]
