"""One installation that all twins go through, each when it is first asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster_tests.installation import Installation, open_installation


@pytest.fixture(scope="session")
def twins_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the installation with the twins; nothing in it is changed once it is there."""
    return tmp_path_factory.mktemp("twins") / "home"


@pytest.fixture
def made(twins_home: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The installation with the twins."""
    return open_installation(twins_home, monkeypatch)
