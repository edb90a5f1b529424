"""What a descriptor says, held against the vocabularies: the checks that types alone can't make.

The checks work on the plain document, not on the models, and pass over whatever has the wrong type: so they find
their problems in a file that has others as well, and one look mends all of them.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation_dagster.core.harmonize.severity import scales
from curation_dagster.core.registry.layout import IMAGE_COLUMN, IMAGE_ID_COLUMN
from curation_dagster.core.registry.licences import licences, unknown_licence
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.registry.problems import (
    Crumb,
    DescriptorError,
    Problem,
    breadcrumb,
    near,
    problems_of,
    shown,
)
from curation_dagster.schemas import HARMONIZED

ANATOMY = Path(__file__).parents[2] / "vocabularies" / "anatomy.csv"

# fields whose declared values stand in the schema of the table that they go into
_LISTED = ("modality", "confirmation", "sex", "skin_tone_scale", "derivation")

# how the text of a field may be read; a field that is not here may be read in any way. Harmonization knows the type
# of all but the age, which has to be stated: exact years and centres of bins look alike
_PARSES: dict[str, tuple[str, ...]] = {
    "age": ("age_years", "age_centre_5", "age_band"),
    "fitzpatrick": ("fitzpatrick",),
    "lesion_size_mm": ("number", "length_mm", "length_cm"),
    "severity_value": ("number",),
    "acquired_year": ("year",),
    "visit": ("number",),
    "is_control": ("boolean",),
}

_Found = Iterator[tuple[tuple[Crumb, ...], str]]


@lru_cache(maxsize=1)
def anatomy_codes() -> tuple[str, ...]:
    """Return the codes of ``vocabularies/anatomy.csv``.

    Raises
    ------
    DescriptorError
        If the file can't be read or has no column ``code``.
    """
    try:
        with ANATOMY.open(encoding="utf-8", newline="") as handle:
            return tuple(row["code"] for row in csv.DictReader(handle))
    except (OSError, KeyError) as error:
        raise DescriptorError(
            f"vocabularies/{ANATOMY.name}: expected a table with the column code: {error!r}"
        ) from error


def check(data: Mapping[str, Any], file: str) -> tuple[Descriptor | None, list[Problem]]:
    """Return the descriptor that a plain document holds, and everything that is wrong with it.

    Parameters
    ----------
    data : mapping
        The effective document: what is extended is merged in.
    file : str
        The file with its folder, for the breadcrumbs.

    Returns
    -------
    descriptor : Descriptor or None
        None if there is any problem.
    problems : list of Problem
        In the order of types first, then vocabularies, then what does not fit together.
    """
    problems: list[Problem] = []
    descriptor: Descriptor | None = None
    try:
        descriptor = Descriptor.model_validate(dict(data))
    except ValidationError as error:
        problems = problems_of(error, file, Descriptor)
    for checks in (_licence_ids, _field_values, _field_parsing, _severities, _columns_exist):
        problems += [Problem(file, breadcrumb(crumbs), message) for crumbs, message in checks(data)]
    return (None if problems else descriptor), problems


def _mapping(data: Any, *keys: str) -> Mapping[str, Any]:
    """Return a part of the document, or an empty mapping where it is absent or something else."""
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _texts(value: Any) -> list[str]:
    """Return a text or a list of texts as a list."""
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _licence_ids(data: Mapping[str, Any]) -> _Found:
    terms, known = _mapping(data, "licence"), licences().by_id
    default = terms.get("default")
    if isinstance(default, str) and default and default not in known:
        yield ("licence", "default"), unknown_licence(default, known)
    for id in _mapping(terms, "images"):
        if id not in known:
            yield ("licence", "images", id), unknown_licence(id, known)
    for stated, id in _mapping(terms, "values").items():
        if isinstance(id, str) and id not in known:
            yield ("licence", "values", stated), unknown_licence(id, known)


def _field_values(data: Mapping[str, Any]) -> _Found:
    for field, mapping in _mapping(data, "columns").items():
        if not isinstance(mapping, Mapping):
            continue
        if mapping.get("constant") is not None:
            message = _not_a_value(field, mapping["constant"])
            if message:
                yield ("columns", field, "constant"), message
        missing = {m.strip().casefold() for m in _texts(mapping.get("missing"))}
        seen: dict[str, str] = {}
        for key, value in _mapping(mapping, "values").items():
            place = ("columns", field, "values", key)
            message = _not_a_value(field, value)
            if message:
                yield place, message
            folded = key.strip().casefold()
            if folded in missing:
                yield place, "is listed in missing as well; it can't be both"
            if folded in seen:
                yield (
                    place,
                    f'is the same as "{seen[folded]}", because values compare without case and outer blanks',
                )
            seen[folded] = key


def _not_a_value(field: str, value: Any) -> str | None:
    """Return why a value can't stand in a field of the unified schema, or None if it can."""
    if value is None:
        return "null is not a value; list the spellings of missing in missing"
    if field == "age" and isinstance(value, list):
        return None if _is_band(value) else f"expected a band as [low, high] in years, got {value}"
    if isinstance(value, Mapping | list):
        return f"expected one value, got {shown(value)}"
    vocabulary: Collection[str] | None = None
    if field in _LISTED:
        vocabulary = HARMONIZED.column(field).isin
    elif field == "anatomy":
        vocabulary = anatomy_codes()
    if vocabulary is not None:
        if value in vocabulary:
            return None
        hint = near(str(value), vocabulary) if len(vocabulary) > 10 else ""
        return f"{shown(value)} is not a value of the vocabulary {field} ({hint or ', '.join(vocabulary)})"
    if field == "fitzpatrick":
        low, high = HARMONIZED.column(field).ge, HARMONIZED.column(field).le
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not (low or 0) <= value <= (high or 0):
            return f"{shown(value)} is not a Fitzpatrick phototype (a whole number from {low} to {high})"
    if field == "is_control" and not isinstance(value, bool):
        return f"expected true or false, got {shown(value)}"
    return None


def _is_band(value: list[Any]) -> bool:
    """Return whether a list is a band of ages: two numbers in order, the second one null if the band is open."""
    if len(value) != 2 or not all(isinstance(v, int | float) or v is None for v in value):
        return False
    low, high = value
    return low is not None and (high is None or low <= high)


def _field_parsing(data: Mapping[str, Any]) -> _Found:
    for field, mapping in _mapping(data, "columns").items():
        if field not in _PARSES or not isinstance(mapping, Mapping):
            continue
        parse = mapping.get("parse", "text" if field == "age" else _PARSES[field][0])
        # a constant, or a translation by `values`, is in terms of the unified schema already
        if not mapping.get("from") or _mapping(mapping, "values"):
            continue
        if isinstance(parse, str) and parse not in _PARSES[field]:
            expected = " or ".join(_PARSES[field])
            yield (
                ("columns", field, "parse"),
                f"the field {field} must be parsed as {expected}, not as {parse}",
            )


def _severities(data: Mapping[str, Any]) -> _Found:
    for scale, mapping in _mapping(data, "severities").items():
        if scale not in scales():
            yield (
                ("severities", scale),
                f"is no scale of vocabularies/severity_scales.csv ({', '.join(scales())})",
            )
        elif isinstance(mapping, Mapping) and mapping.get("constant") is not None:
            number = mapping["constant"]
            if not isinstance(number, int | float) or not scales()[scale].holds(number):
                yield ("severities", scale, "constant"), f"{shown(number)} is not on the scale {scale}"


def _columns_exist(data: Mapping[str, Any]) -> _Found:
    """Columns that are used need a table, and where all tables list their columns, they must be listed."""
    tables = _mapping(data, "layout").get("metadata") or []
    if not isinstance(tables, list) or not all(isinstance(t, Mapping) for t in tables):
        return
    listed: set[str] | None = set()
    for table in tables:
        if listed is None or table.get("optional_columns") is None:
            listed = None
            continue
        listed |= {*_texts(table.get("required_columns")), *_texts(table["optional_columns"])}
        listed |= {*_texts(table.get("key")), *_texts(table.get("join_on")), *_texts(table.get("row_number"))}
        if table.get("image_columns"):
            listed |= {*_texts(table["image_columns"]), IMAGE_ID_COLUMN, IMAGE_COLUMN}
    by_path = set(_texts(_mapping(data, "layout").get("path_columns")))
    used: list[tuple[tuple[Crumb, ...], str]] = [
        (("columns", field, "from"), column)
        for field, mapping in _mapping(data, "columns").items()
        if isinstance(mapping, Mapping)
        for column in _texts(mapping.get("from"))
    ]
    used += [
        (("severities", scale, "from"), column)
        for scale, mapping in _mapping(data, "severities").items()
        if isinstance(mapping, Mapping)
        for column in _texts(mapping.get("from"))
    ]
    terms = _mapping(data, "licence")
    used += [
        (("licence", key), c) for key in ("column", "attribution_column") for c in _texts(terms.get(key))
    ]
    for place, column in used:
        if column in by_path:
            continue
        if not tables:
            yield (
                place,
                f'the column "{column}" needs a table, but layout > metadata lists none; use constant',
            )
        elif listed is not None and column not in listed:
            yield place, f'no table lists the column "{column}"; {near(column, sorted(listed))}'
