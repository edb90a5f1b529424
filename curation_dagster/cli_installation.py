"""The installation that a command works on: its workspace, its Dagster instance, and how a command ends with a problem."""

from __future__ import annotations

import os
from pathlib import Path

import click

from curation_dagster.settings import Settings

# variables that would lead a command from one installation into another
OF_ONE_INSTALLATION = ("DAGSTER_HOME", "CURATION_LAKE", "CURATION_LANDING", "CURATION_ARCHIVES")


class Problem(click.ClickException):
    """An error that the user can do something about: the message says what."""


def open_workspace():  # type: ignore[no-untyped-def]
    """Open the installation that the environment names."""
    from curation_dagster.workspace import Workspace

    return Workspace(Settings.load())


def resolve(workspace, key: str):  # type: ignore[no-untyped-def]
    """Return the archive version of a key, or end with what is wrong about it."""
    from curation_dagster.core.registry.keys import KeyFormatError
    from curation_dagster.core.registry.loading import RegistryError

    try:
        return workspace.resolve(key)
    except (KeyFormatError, RegistryError) as error:
        raise Problem(str(error)) from error


def prepare_instance(home: Path) -> Path:
    """Create the folder of the Dagster instance with its configuration; return it."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).parents[1] / "dagster.yaml"
    target = folder / "dagster.yaml"
    if source.exists() and (not target.exists() or target.read_bytes() != source.read_bytes()):
        target.write_bytes(source.read_bytes())
    return folder


def instance_of(home: Path):  # type: ignore[no-untyped-def]
    """Open the Dagster instance of an installation; without DAGSTER_HOME, the one below CURATION_HOME."""
    import dagster as dg

    folder = os.environ.get("DAGSTER_HOME") or str(prepare_instance(home))
    return dg.DagsterInstance.from_config(folder)
