from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.samples import ARCHIVES, SampleReport, write_samples


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SampleReport]:
    """The archives of the demonstration and one more, at its size, written once; every twin has its golden ledger."""
    landing = tmp_path_factory.mktemp("landing")
    overlays = tmp_path_factory.mktemp("overlays")
    report_file = tmp_path_factory.mktemp("report") / "planted.json"
    return landing, write_samples(
        landing, (*ARCHIVES, "passion"), overlay_dir=overlays, report_file=report_file
    )
