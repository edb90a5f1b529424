import doctest

import pytest

from curation_dagster.core.registry import keys, loading, paths, problems


@pytest.mark.parametrize(
    "module", [keys, loading, paths, problems], ids=lambda m: m.__name__.rpartition(".")[2]
)
def test_the_examples_of_the_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
