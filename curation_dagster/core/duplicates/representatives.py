"""Which image stands for a group, by a declared order of rules, and why.

Whatever the order says, an image that may enter the corpus stands before one that may not: a copy that is excluded for
its licence must not displace one that is free to use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

ELIGIBLE = "eligible"


@dataclass(frozen=True)
class Facts:
    """What the choice and the comparison of labels look at; None where it is not known.

    Parameters
    ----------
    image_id : str
        UUID of the image.
    eligible : bool
        False where another criterion excludes the image.
    confirmation : str or None
        How the diagnosis was confirmed.
    pixels : int or None
        Width times height.
    sharpness : float or None
        Higher is sharper, measured at one scale for all.
    archive : str or None
        Archive, for the list of labels.
    icd11_code : str or None
        Diagnosis.
    icd11_candidates : sequence of str or None
        Codes that a pooled label may mean.
    """

    image_id: str
    eligible: bool = True
    confirmation: str | None = None
    pixels: int | None = None
    sharpness: float | None = None
    archive: str | None = None
    icd11_code: str | None = None
    icd11_candidates: Sequence[str] | None = None


@dataclass(frozen=True)
class _Rule:
    """``place``: smaller comes first. ``words``: of the winner's and the runner-up's facts."""

    place: Callable[[Facts], tuple[float, ...] | str]
    words: Callable[[Facts, Facts], str]


class RuleError(ValueError):
    """A rule of the order is unknown, or the order never ends."""


class RepresentativeRule:
    """The declared order of rules.

    Parameters
    ----------
    order : sequence of {"eligible", "confirmation", "pixels", "sharpness", "image_id"}
        The first rule that tells two images apart decides. ``eligible`` counts as the first where it is not, and
        ``image_id`` as the last.
    confirmation_rank : sequence of str
        Ways of confirmation, the strongest first; others come last.

    Raises
    ------
    RuleError
        If a rule is unknown.
    """

    def __init__(self, order: Sequence[str], confirmation_rank: Sequence[str]) -> None:
        rules = _rules(confirmation_rank)
        unknown = [name for name in order if name not in rules]
        if unknown:
            raise RuleError(
                f"order of representatives: unknown rule {', '.join(unknown)}; expected some of {', '.join(rules)}"
            )
        middle = [name for name in order if name not in (ELIGIBLE, "image_id")]
        self._rules = [(name, rules[name]) for name in (ELIGIBLE, *middle, "image_id")]

    def choose(self, members: Iterable[Facts]) -> tuple[Facts, str]:
        """Return the representative of at least two members, and the reason: the rule that told it from the next.

        The reason states both values, such as ``pixels: 1920000 against 480000 of <image_id>``.
        """
        first, second = sorted(members, key=lambda m: [rule.place(m) for _, rule in self._rules])[:2]
        for name, rule in self._rules:
            if rule.place(first) != rule.place(second):
                return first, f"{name}: {rule.words(first, second)} of {second.image_id}"
        raise RuleError(f"image_id {first.image_id} occurs twice in a group")


def _rules(confirmation_rank: Sequence[str]) -> dict[str, _Rule]:
    places = {name: float(k) for k, name in enumerate(confirmation_rank)}
    last = float(len(places))

    def value(of: Callable[[Facts], object]) -> Callable[[Facts, Facts], str]:
        return lambda a, b: f"{_text(of(a))} against {_text(of(b))}"

    return {
        ELIGIBLE: _Rule(
            lambda m: (not m.eligible,),
            lambda a, b: (
                f"{'may' if a.eligible else 'may not'} enter against {'may' if b.eligible else 'may not'} enter"
            ),
        ),
        "confirmation": _Rule(
            lambda m: (places.get(m.confirmation or "", last),),
            value(lambda m: m.confirmation),
        ),
        "pixels": _Rule(lambda m: _largest(m.pixels), value(lambda m: m.pixels)),
        "sharpness": _Rule(lambda m: _largest(m.sharpness), value(lambda m: m.sharpness)),
        "image_id": _Rule(lambda m: m.image_id, lambda a, b: f"{a.image_id} comes before the id"),
    }


def _largest(value: float | None) -> tuple[float, ...]:
    """Return a place in which larger values come first, and unknown ones (null or not a number) last."""
    return (1.0, 0.0) if value is None or value != value else (0.0, -value)


def _text(value: object) -> str:
    if value is None or value != value:
        return "unknown"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
