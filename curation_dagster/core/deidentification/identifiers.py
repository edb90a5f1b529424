"""Identifiers in file names and records: found by declared patterns, recorded by kind and never by value."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import yaml


@dataclass(frozen=True)
class Pattern:
    """One declared pattern: the kind of identifier and where it is looked for."""

    kind: str
    carriers: frozenset[str]
    expression: re.Pattern[str]


@functools.cache
def patterns() -> tuple[Pattern, ...]:
    """Return the patterns of ``vocabularies/identifiers.yaml``."""
    text = (
        resources.files("curation_dagster")
        .joinpath("vocabularies/identifiers.yaml")
        .read_text(encoding="utf-8")
    )
    return tuple(
        Pattern(p["kind"], frozenset(p["carriers"]), re.compile(p["pattern"], re.IGNORECASE))
        for p in yaml.safe_load(text)["patterns"]
    )


def kinds_in_name(path: str) -> list[str]:
    """Return the kinds of identifiers in a path, sorted; containers and folders are part of it.

    >>> kinds_in_name("MRN_00123/2019-03-04_Erika_Mustermann.jpg")
    ['full_date', 'record_number', 'two_part_name']
    """
    parts = path.replace("!/", "/")
    return sorted({p.kind for p in patterns() if "name" in p.carriers and p.expression.search(parts)})


def kinds_in_record(source_values: str | None, ignored: Iterable[str] = ()) -> list[str]:
    """Return ``column:kind`` for the identifiers in a record's cells, sorted.

    Parameters
    ----------
    source_values : str or None
        The record as a JSON object of column to text.
    ignored : iterable of str
        Columns that are known to hold something else, such as a licence's address.
    """
    if not source_values:
        return []
    skip = set(ignored)
    found: set[str] = set()
    for column, cell in json.loads(source_values).items():
        if cell and column not in skip:
            found.update(
                f"{column}:{p.kind}"
                for p in patterns()
                if "record" in p.carriers and p.expression.search(cell)
            )
    return sorted(found)
