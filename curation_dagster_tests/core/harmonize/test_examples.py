"""The examples in the docstrings hold."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

from curation_dagster.core.harmonize import anatomy, diagnosis, icd11, vocabulary
from curation_dagster.core.records import identity


@pytest.mark.parametrize(
    "module", [anatomy, diagnosis, icd11, vocabulary, identity], ids=lambda m: m.__name__
)
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
