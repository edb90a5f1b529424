"""What all tests share: the real data, if it is there, and installations in temporary folders."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from curation_dagster.samples.write import write_samples
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation, open_installation


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where xdist forgets its groups, as it does with a pytest that it does not know."""
    if not getattr(session.config.option, "loadgroup", False):
        return
    parted = [i.nodeid for i in session.items if i.get_closest_marker("xdist_group") and "@" not in i.nodeid]
    if parted:
        raise pytest.UsageError(
            f"pytest {pytest.__version__} and pytest-xdist don't fit: {len(parted)} tests that build on one another would be "
            f"dealt out to several workers, such as {parted[0]}. Install requirements.lock."
        )


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the installation of whoever runs it."""
    for name in [
        n
        for n in os.environ
        if n.startswith("CURATION_") and n not in ("CURATION_REAL_DATA", "CURATION_WORKERS")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.fixture
def real_data() -> Path:
    """The folder of real metadata and CC0 images; tests that need it are skipped without it."""
    named = os.environ.get("CURATION_REAL_DATA")
    if not named:
        pytest.skip(
            "CURATION_REAL_DATA is not set: the folder with isic_cc0/, pad_ufes_20/, isic_schema/, agppga/"
        )
    return Path(named)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty installation in a temporary folder."""
    return Workspace(Settings.load(home=tmp_path / "home"))


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An empty installation with a real Dagster instance."""
    return open_installation(tmp_path / "home", monkeypatch)


@pytest.fixture(scope="session")
def curated_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation in which four synthetic archives went all the way to a release; to be copied before it is changed."""
    home = tmp_path_factory.mktemp("curated") / "home"
    with pytest.MonkeyPatch.context() as patch:
        made = open_installation(home, patch)
        settings = made.workspace.settings
        write_samples(settings.landing, images=30, overlay_dir=settings.archives[0])
        made.all_the_way(*sorted(p.name for p in settings.landing.iterdir()))
        made.release()
    return home


@pytest.fixture
def curated(curated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """A copy of the curated installation, to read and to damage."""
    shutil.copytree(curated_home, tmp_path / "home", symlinks=True)
    return open_installation(tmp_path / "home", monkeypatch)


ONE_ARCHIVE = "pad_ufes_20@synthetic"


@pytest.fixture(scope="session")
def one_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One archive that went all the way to the corpus, on this machine's processes and disk; copies are planted in it."""
    home = tmp_path_factory.mktemp("one_archive") / "home"
    with pytest.MonkeyPatch.context() as patch:
        made = open_installation(home, patch)
        settings = made.workspace.settings
        write_samples(settings.landing, ["pad_ufes_20"], images=30, overlay_dir=settings.archives[0])
        made.all_the_way(ONE_ARCHIVE)
    return home


@pytest.fixture
def same_delivery(one_archive: Path, tmp_path: Path) -> Path:
    """A home with the delivery, the descriptors and the secret of ``one_archive``, in which nothing was done yet."""
    home = tmp_path / "same_delivery"
    home.mkdir()
    shutil.copy(one_archive / "secret", home / "secret")
    for part in ("archives", "landing"):
        shutil.copytree(one_archive / part, home / part)
    return home
