"""The first release of the curated installation, and its documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation_dagster.core.release.reading import papers_of, read_paper
from curation_dagster.core.report.paper import Points, Say


@pytest.fixture(scope="module")
def bundle(curated_home: Path) -> Path:
    return curated_home / "releases" / "1"


@pytest.fixture(scope="module")
def papers(bundle: Path) -> dict[str, Any]:
    return {name: read_paper(path) for name, path in papers_of(bundle).items()}


def sentences_of(paper: Any) -> list[Say]:
    """Return the sentences of a document, those in its lists last."""
    alone = [b for b in paper.blocks if isinstance(b, Say)]
    return alone + [i for b in paper.blocks if isinstance(b, Points) for i in b.items]
