"""The generated pages are those of the criteria in the package, and name everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.criteria.protocol import load_protocol
from curation_dagster.core.criteria.reference import BEGIN, END, FILES, filled, pages

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", pages())
def test_page_is_not_stale(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert filled(page, pages()[name]) == page, (
        f"docs/{name} is stale: python -m curation_dagster.core.criteria.reference docs"
    )


def test_every_clause_criterion_and_check_is_in_the_map() -> None:
    page = (ROOT / "docs/protocol.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs/criteria.md").read_text(encoding="utf-8")
    for clause in load_protocol().clauses.values():
        assert f"### {clause.id} {clause.title}" in page
    for name in FILES:
        for c in load_criteria(name).criteria:
            assert f"`{c.id}`" in page
            assert f"`{c.check}`" in page
            assert f"`{c.id}`" in reference


def test_every_test_of_a_step_exists() -> None:
    for clause in load_protocol().clauses.values():
        assert not clause.is_step or clause.carried_out_by
        for proof in clause.carried_out_by:
            assert proof.test is None or (ROOT / proof.test).is_file(), proof.test


def test_filled() -> None:
    assert filled(f"a {BEGIN} old {END} b", ["new"]) == f"a {BEGIN}\n\nnew\n\n{END} b"
    with pytest.raises(ValueError, match="expected 2 places"):
        filled(f"{BEGIN}{END}", ["a", "b"])
