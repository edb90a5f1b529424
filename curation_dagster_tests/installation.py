"""An installation in a temporary folder, driven as the data team drives one: jobs, verdicts, approvals."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from curation_dagster.cli_installation import prepare_instance
from curation_dagster.demo import judge_everything
from curation_dagster.releasing import approve_release
from curation_dagster.runs import approve_archive_version, approve_criteria, curate_keys, rebuild, release
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace


@dataclass
class Installation:
    """Folders, tables and a real Dagster instance (SQLite) below ``home``."""

    home: Path
    instance: dg.DagsterInstance

    @property
    def workspace(self) -> Workspace:
        """The installation as it is now."""
        return Workspace(Settings.load(self.home))

    def curate(self, *keys: str) -> dict[str, bool]:
        """Run the job of one archive version for each key."""
        return curate_keys(self.instance, keys)

    def rebuild(self) -> bool:
        """Run the job over all archives."""
        return rebuild(self.instance)

    def people(self, *keys: str) -> None:
        """Let people pass every queued image, and approve criteria and files."""
        approve_criteria(self.workspace, "author", "approver", None)
        for key in keys:
            judge_everything(self.workspace, key)
            approve_archive_version(self.workspace, key, "author", "approver", None)

    def all_the_way(self, *keys: str) -> None:
        """Curate, judge, approve and rebuild; everything must succeed."""
        assert all(self.curate(*keys).values())
        self.people(*keys)
        assert self.rebuild()

    def release(self) -> None:
        """Approve the next release and seal it; both must succeed."""
        approve_release(self.workspace, "author", "approver", "for the tests")
        assert release(self.instance)

    def copy_to(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
        """Return a copy of the installation that may be damaged."""
        shutil.copytree(self.home, home, symlinks=True)
        return open_installation(home, monkeypatch)


def open_installation(home: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Open the installation at ``home`` and make it the one that the environment names."""
    folder = prepare_instance(home)
    monkeypatch.setenv("CURATION_HOME", str(home))
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    monkeypatch.setenv("CURATION_OFFLINE", "1")
    return Installation(home, dg.DagsterInstance.from_config(str(folder)))
