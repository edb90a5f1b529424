"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from curation_dagster.core.harmonize import (
    anatomy,
    coded,
    consistency,
    diagnosis,
    icd11,
    parsing,
    severity,
    vocabulary,
    worklist,
)
from curation_dagster.core.records import identity


@pytest.mark.parametrize(
    "module",
    [anatomy, coded, consistency, diagnosis, icd11, parsing, severity, vocabulary, worklist, identity],
    ids=lambda m: m.__name__,
)
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
