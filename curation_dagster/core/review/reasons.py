"""Why a reviewer fails an image: the reasons that the review page offers on one key each."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml
from pydantic import Field

from curation_dagster.core.criteria.models import Criterion, Model, Text

REASONS = Path(__file__).parents[2] / "vocabularies" / "review_reasons.yaml"
_KEYS = 9


class ReasonsFile(Model):
    """``vocabularies/review_reasons.yaml`` as it is written."""

    version: Text
    clauses: dict[str, tuple[Text, ...]]
    always: tuple[Text, ...] = Field(min_length=1)


@functools.cache
def load_reasons(path: Path = REASONS) -> ReasonsFile:
    """Load the reasons.

    Raises
    ------
    pydantic.ValidationError
        If the file does not have the declared form.
    """
    return ReasonsFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def reasons_for(criterion: Criterion) -> tuple[str, ...]:
    """Return the reasons that the page offers for a criterion, at most nine, in the order of their keys 1 to 9."""
    declared = load_reasons()
    own = declared.clauses.get(criterion.clause_id, ())
    return tuple(dict.fromkeys((*own, *declared.always)))[:_KEYS]
