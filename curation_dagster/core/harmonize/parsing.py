"""Text to typed values: ages, phototypes, numbers, years, truth values.

Each parser takes one piece of text that is neither blank nor a spelling of unknown, and returns a value or the
reason why there is none; it never guesses.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

from curation_dagster.core.harmonize.vocabulary import spelled, spellings
from curation_dagster.core.retrieval.limits import TableLimits
from curation_dagster.schemas import HARMONIZED


@dataclass(frozen=True)
class Parsed:
    """A value, or None with the reason why there is none."""

    value: Any = None
    reason: str | None = None


@dataclass(frozen=True)
class Age:
    """An age as the unified schema holds it.

    Parameters
    ----------
    years : float or None
        Where the source gives one year or the centre of a band.
    low, high : float or None
        The band; ``high`` is None if it is open. An exact age is a band of one.
    reason : str or None
        Why ``years``, or ``high``, is None.
    """

    years: float | None
    low: float
    high: float | None
    reason: str | None = None


# the highest age that may stand in a table; ages above are one class (HIPAA safe harbour, 45 CFR 164.514(b)(2)(i)(C))
_OLDEST = float(HARMONIZED.column("age_years").le or 0)
_OLDEST_CLASS = _OLDEST + 1
_LONGEST_LIFE = float(HARMONIZED.column("age_low").le or 0)
_HALF_BIN = 2.5

# no lesion is longer than a person; the figure is a bound against slips of units, not a clinical one
_LONGEST_LESION = 2000.0
_UNITS = {"mm": 1.0, "millimetre": 1.0, "millimeter": 1.0, "cm": 10.0, "centimetre": 10.0, "centimeter": 10.0}
_UNITS |= {"inch": 25.4, "in": 25.4}
_UNIT = re.compile(r"(?<![a-z])(mm|cm|millimet(?:re|er)|centimet(?:re|er)|inch|in)(?:s|es)?\b\.?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6}
_TYPE = r"[1-6]|vi|iv|v|i{1,3}"
# what may stand behind the type is its description, with no other type in it
_PHOTOTYPE = re.compile(
    rf"(?:fst|(?:fitzpatrick |photo ?)?(?:skin )?(?:photo ?)?type|fitzpatrick)? ?({_TYPE})"
    rf"(?: (?!.*\b(?:{_TYPE})\b)[a-z].*\bskin\b.*)?"
)
_CLOSED_BAND = re.compile(r"(\d+)\s*(?:-|–|to)\s*(\d+)")
_OPEN_BAND = re.compile(r"(?:>=|≥)\s*(\d+)|(\d+)\s*(?:\+|(?:or|and)\s+(?:above|older|over|more))")
_YOUNG_BAND = re.compile(r"(?:<|under|below)\s*(\d+)")
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d|2100)(?!\d)")


def parse_number(text: str) -> Parsed:
    """Parse a decimal number with point or comma.

    ``1,234`` is *unparsable*: thousands and decimals can't be told apart. With both signs the last one is decimal.
    """
    text = text.strip().replace("\u00a0", "").replace("\u2212", "-")
    if "," in text and "." in text:
        decimal = max(text.rfind(","), text.rfind("."))
        thousands = "," if text[decimal] == "." else "."
        text = text.replace(thousands, "").replace(",", ".")
    elif "," in text:
        if text.count(",") > 1 or re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
            return Parsed(reason="unparsable")
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return Parsed(reason="unparsable")
    value = float(text)
    return Parsed(value) if abs(value) < float("inf") else Parsed(reason="out_of_range")


def parse_length(text: str, unit: str = "mm") -> Parsed:
    """Parse a length to millimetres: the largest diameter where two are given, the middle of a range.

    ``1.2 cm``, ``12mm``, ``5 x 3 mm``, ``4-6 mm``, ``~8``; a number without a unit is in ``unit``. An open range such
    as ``<5 mm`` or ``>20 mm`` is no length: *unparsable*. Zero and less is *out of range*.

    Examples
    --------
    >>> parse_length("1,5 cm").value, parse_length("5 x 3").value, parse_length("0.4 - 0.6 cm").value
    (15.0, 5.0, 5.0)
    """
    words = text.casefold().replace("\u00a0", " ").strip().lstrip("~").strip()
    words = re.sub(r"^(?:about|approx\.?|ca\.?)\s*", "", words)
    units = {_UNITS[u] for u in _UNIT.findall(words)} or {_UNITS[unit]}
    if len(units) > 1:
        return Parsed(reason="unparsable")
    words = _UNIT.sub(" ", words).strip()
    lengths = []
    for diameter in re.split(r"\s*[x\u00d7*]\s*|\s+by\s+", words):
        ends = [parse_number(end) for end in re.split(r"\s*(?:\u2013|\bto\b|(?<=[\d\s])-)\s*", diameter)]
        values = [e.value for e in ends]
        if len(values) > 2 or any(v is None for v in values) or values != sorted(values):
            return Parsed(reason="unparsable")
        lengths.append(sum(values) / len(values))
    if min(lengths) <= 0:
        return Parsed(reason="out_of_range")
    largest = round(max(lengths) * units.pop(), 6)
    return Parsed(largest) if largest <= _LONGEST_LESION else Parsed(reason="out_of_range")


def parse_boolean(text: str) -> Parsed:
    """Parse a truth value in the spellings of the vocabulary: TRUE, yes, 1, 1.0, ..."""
    value = spellings("boolean").get(spelled(text))
    return Parsed(value == "true") if value is not None else Parsed(reason="unmapped_value")


def parse_fitzpatrick(text: str) -> Parsed:
    """Parse a phototype: 1 to 6, ``3.0``, I to VI, ``FST3``, "type III", "iv light brown skin", or words alone.

    Pairs of types (``12``, ``I-II``) and other scales (0 to 5, Monk 1 to 10) are no phototype of one person.
    """
    words = spelled(text)
    found = _PHOTOTYPE.fullmatch(words)
    if found:
        return Parsed(_ROMAN.get(found.group(1)) or int(found.group(1)))
    listed = spellings("fitzpatrick").get(words)
    return Parsed(int(listed)) if listed is not None else Parsed(reason="unmapped_value")


def parse_year(text: str) -> Parsed:
    """Parse a year, or the year of a date; nothing finer than the year is kept."""
    found = set(_YEAR.findall(text))
    if len(found) != 1:
        return Parsed(reason="unparsable")
    year, bounds = int(found.pop()), HARMONIZED.column("acquired_year")
    if not (bounds.ge or 0) <= year <= (bounds.le or year):
        return Parsed(reason="out_of_range")
    return Parsed(year)


def parse_weighted_label(text: str, min_share: float) -> Parsed:
    """Parse a Python literal of labels to weights: the heaviest label, if it has ``min_share`` of all weights.

    Below that share the cell is *ambiguous*: a differential diagnosis is not a diagnosis. An empty literal is *blank*.
    The literal is never run, and neither a longer nor a deeper one than such cells have is looked at.

    Examples
    --------
    >>> parse_weighted_label("{'Eczema': 0.75, 'Tinea': 0.25}", 0.6).value
    'Eczema'
    >>> parse_weighted_label("{'Eczema': 0.5, 'Tinea': 0.5}", 0.6).reason
    'ambiguous'
    """
    if len(text) > TableLimits.load().max_literal_characters:
        return Parsed(reason="unparsable")
    try:
        weights = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return Parsed(reason="unparsable")
    if not isinstance(weights, dict):
        return Parsed(reason="unparsable")
    if not weights:
        return Parsed(reason="blank")
    for label, weight in weights.items():
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not isinstance(label, str) or not label.strip() or not is_number:
            return Parsed(reason="unparsable")
        if not 0 <= weight < float("inf"):
            return Parsed(reason="out_of_range")
    total = sum(weights.values())
    label = max(weights, key=lambda name: weights[name])
    if total <= 0 or weights[label] / total < min_share:
        return Parsed(reason="ambiguous")
    return Parsed(label.strip())


def parse_age_years(text: str, clamp_at: float | None = None) -> Parsed:
    """Parse an age in years; from ``clamp_at`` on it stands for every larger one as well.

    Over 89 the age is withheld: the band begins at 90 and is open.
    """
    number = parse_number(text)
    if number.value is None:
        # "90+" says by itself that it stands for every larger age
        return parse_age_band(text) if _OPEN_BAND.fullmatch(_band_words(text)) else number
    age = float(number.value)
    if not 0 <= age <= _LONGEST_LIFE:
        return Parsed(reason="out_of_range")
    if clamp_at is not None and age >= clamp_at:
        return Parsed(Age(None, min(clamp_at, _OLDEST_CLASS), None, "withheld"))
    if _OLDEST < age < _OLDEST_CLASS:
        age = _OLDEST  # 89 and a half: 89 completed years
    return Parsed(_withheld_over_89(Age(age, age, age)))


def parse_age_centre_5(text: str, clamp_at: float | None = None) -> Parsed:
    """Parse the centre of a five-year bin: 45 stands for 42.5 to 47.5, and 0 for 0 to 2.5.

    At ``clamp_at`` the publisher has cut off: the bin begins 2.5 below and is open, and the year is withheld. A number
    that is not a multiple of 5 is no centre of such a bin.
    """
    number = parse_number(text)
    if number.value is None:
        return number
    centre = float(number.value)
    if not 0 <= centre <= _LONGEST_LIFE or centre % (2 * _HALF_BIN):
        return Parsed(reason="out_of_range")
    if clamp_at is not None and centre >= clamp_at:
        return Parsed(Age(None, min(clamp_at - _HALF_BIN, _OLDEST_CLASS), None, "withheld"))
    return Parsed(_withheld_over_89(Age(centre, max(centre - _HALF_BIN, 0.0), centre + _HALF_BIN)))


def parse_age_band(text: str) -> Parsed:
    """Parse a band: ``30-39``, ``30 to 39``, ``80+``, ``AGE_18_TO_29``, ``AGE_80_OR_ABOVE``, ``<18``.

    A band gives no single year. One that ends over 89 is open.
    """
    words = _band_words(text)
    if found := _CLOSED_BAND.fullmatch(words):
        return band(float(found.group(1)), float(found.group(2)))
    if found := _OPEN_BAND.fullmatch(words):
        return band(float(found.group(1) or found.group(2)), None)
    if found := _YOUNG_BAND.fullmatch(words):
        return band(0.0, float(found.group(1)))
    return Parsed(reason="unparsable")


def _band_words(text: str) -> str:
    words = text.casefold().replace("_", " ")
    return " ".join(re.sub(r"\b(age|aged|years?|yrs?|old)\b", " ", words).split())


def band(low: float, high: float | None) -> Parsed:
    """Return an age band as the unified schema may hold it; ``high`` is None for an open one."""
    if not 0 <= low <= _LONGEST_LIFE or (high is not None and not low <= high <= _LONGEST_LIFE):
        return Parsed(reason="out_of_range")
    if low > _OLDEST or (high is not None and high > _OLDEST):
        return Parsed(Age(None, min(low, _OLDEST_CLASS), None, "withheld"))
    return Parsed(Age(None, low, high, "band_only"))


def _withheld_over_89(age: Age) -> Age:
    """Return the age with everything over 89 as one open class."""
    if age.years is not None and age.years > _OLDEST:
        return Age(None, min(age.low, _OLDEST_CLASS), None, "withheld")
    return age
