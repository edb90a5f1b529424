"""Every descriptor curates its synthetic twin with exactly the expected ledger.

Each twin goes through the real job of its archive version. ``golden.py`` says how the expected files are written.
"""

from __future__ import annotations

import pytest

from curation_dagster.core.registry.loading import load_registry
from curation_dagster.samples.write import WRITERS, archive_of
from curation_dagster_tests.archives.golden import FOLDER, curated_once, golden_file, ledger_of
from curation_dagster_tests.installation import Installation


@pytest.mark.parametrize("twin", sorted(WRITERS))
def test_a_twin_has_exactly_the_expected_ledger(twin: str, made: Installation) -> None:
    key = curated_once(made, twin)
    assert ledger_of(made.workspace, key).splitlines() == golden_file(twin).read_text().splitlines()


def test_every_packaged_archive_has_a_twin() -> None:
    assert sorted({archive_of(t) for t in WRITERS}) == sorted(load_registry().descriptors)


def test_no_golden_file_is_left_over() -> None:
    assert sorted(p.stem for p in FOLDER.glob("*.csv")) == sorted(WRITERS)
