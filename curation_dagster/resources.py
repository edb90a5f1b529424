"""The one resource of the assets: the installation that they work in."""

from __future__ import annotations

import dagster as dg
from pydantic import Field

from curation_dagster.launching import show_alive
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace


class Curation(dg.ConfigurableResource):
    """An installation. Without settings here, the environment says where it is (``CURATION_HOME`` and others)."""

    home: str | None = Field(
        None, description="Folder below which everything is written; CURATION_HOME without it."
    )
    criteria: str | None = Field(
        None, description="Name or path of the criteria file; CURATION_CRITERIA without it."
    )

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Show from now on that the run's process lives."""
        if context.run and context.instance:
            show_alive(context.instance, context.run.run_id)

    def open(self) -> Workspace:
        """Return the installation as it is now: descriptors and criteria are read anew in every run."""
        return Workspace(Settings.load(self.home, self.criteria))
