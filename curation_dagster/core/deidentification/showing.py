"""Texts of a publisher that leave the intake tables: a label or the name of a column, unless it looks like a person."""

from __future__ import annotations

import functools

from curation_dagster.core.deidentification.identifiers import RecordScanner

MOST_CHARACTERS = 120


@functools.lru_cache(maxsize=50_000)
def shown(text: str) -> str:
    """Return the text, or what kinds of identifiers it holds instead of them.

    >>> shown("seborrheic keratosis")
    'seborrheic keratosis'
    >>> shown("nevus of Erika Mustermann, 12.03.1957")
    '[held back: full_date, person_name]'
    """
    kinds = list(RecordScanner().kinds_in_cell(text))
    if len(text) > MOST_CHARACTERS and not kinds:
        kinds = ["free_text"]
    return f"[held back: {', '.join(kinds)}]" if kinds else text
