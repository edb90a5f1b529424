from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.samples import SampleReport, write_samples
from curation_dagster.samples.write import WRITERS


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleReport]:
    """All archives at the size of the demonstration, written once."""
    landing = tmp_path_factory.mktemp("landing")
    overlays = tmp_path_factory.mktemp("overlays")
    report_file = tmp_path_factory.mktemp("report") / "planted.json"
    return landing, write_samples(landing, tuple(WRITERS), overlay_dir=overlays, report_file=report_file)
