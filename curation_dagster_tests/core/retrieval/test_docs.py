from __future__ import annotations

import inspect
from pathlib import Path

import yaml

import curation_dagster
from curation_dagster.core.retrieval import errors

TEXT = (Path(__file__).parents[3] / "docs/retrieval.md").read_text(encoding="utf-8")
LIMITS = Path(curation_dagster.__file__).parent / "vocabularies/limits.yaml"


def test_every_error_is_documented():
    named = [
        n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.RetrievalError)
    ]
    assert [n for n in named if f"`{n}`" not in TEXT] == []


def test_every_limit_is_documented_and_says_why():
    limits = yaml.safe_load(LIMITS.read_text(encoding="utf-8"))["limits"]
    assert [n for n in limits if f"`{n}`" not in TEXT] == []
    assert all(limit["rationale"] and limit["unit"] for limit in limits.values())
