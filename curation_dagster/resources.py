"""The one resource of the assets: the installation that they work in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from curation_dagster.launching import alive
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

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Curation]:
        """Show, for as long as a run works, that its process lives."""
        run, instance = context.run, context.instance
        with alive(instance, run.run_id) if run and instance else contextlib.nullcontext():
            yield self

    def open(self) -> Workspace:
        """Return the installation as it is now: descriptors and criteria are read anew in every run."""
        return Workspace(Settings.load(self.home, self.criteria))
