"""Commands for what is declared: descriptors, and the versions of criteria, vocabularies and descriptors.

:mod:`curation_dagster.cli` takes them up.
"""

from __future__ import annotations

import click

from curation_dagster.cli_installation import Problem, open_workspace


@click.group()
def archives() -> None:
    """Look at the archives' descriptors."""


@archives.command("check")
def check_archives() -> None:
    """Validate all descriptors and print every problem."""
    registry = open_workspace().registry
    for name, descriptor in sorted(registry.descriptors.items()):
        click.echo(f"ok  {name}: versions {', '.join(descriptor.versions)}")
    if registry.problems:
        raise Problem("\n" + registry.report())


@archives.command("admissible")
def count_admissible() -> None:
    """Count the officially stated images that the licence gate of `device` could admit, each once."""
    from curation_dagster.core.registry.admissible import admissible, as_markdown

    registry = open_workspace().registry
    click.echo(as_markdown(admissible(registry.descriptors.values())))
    if registry.problems:
        raise Problem("archives with problems are not in the count:\n" + registry.report())


@click.group()
def versions() -> None:
    """Change control of criteria, vocabularies and descriptors."""


@versions.command("check")
def check_versions() -> None:
    """Say which declared files have changed without a version and a reason."""
    from curation_dagster.core import versions as control
    from curation_dagster.workspace import own_files

    workspace = open_workspace()
    found = control.problems(control.declared_files(), control.read_lock())
    found += control.problems(
        own_files(workspace), control.read_lock(workspace.settings.versions), complete=False
    )
    if found:
        raise Problem("\n".join(found) + "\nrecord them: curation-dagster versions record")
    click.echo("every declared file is of a recorded version")


@versions.command("record")
@click.option("--author", required=True, help="Who changed them.")
@click.option("--change", required=True, help="What was changed, and why: the entry of the changelog.")
@click.option(
    "--part",
    type=click.Choice(["major", "minor", "patch"]),
    default="minor",
    show_default=True,
    help="Which part of the version is raised, where a file states none of its own.",
)
@click.option("--own", is_flag=True, help="Record the installation's own files instead of the package's.")
def record_versions(author: str, change: str, part: str, own: bool) -> None:
    """Record a version for every declared file that is new or changed."""
    from datetime import UTC, datetime

    from curation_dagster.core import versions as control
    from curation_dagster.workspace import own_files

    workspace = open_workspace()
    files = own_files(workspace) if own else control.declared_files()
    path = workspace.settings.versions if own else control.LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        added = control.record(files, path, author, change, datetime.now(UTC).date(), part)
    except control.VersionError as error:
        raise Problem(str(error)) from error
    click.echo("\n".join(added) or "nothing has changed")


@versions.command("compare")
@click.argument("old", required=False)
@click.argument("new", required=False)
def compare_two_criteria(old: str | None, new: str | None) -> None:
    """Decide all images under the criteria OLD and NEW (names or paths), and print how the decisions differ by count.

    Without NEW those in force are taken, without OLD those that were approved last.
    """
    from curation_dagster.comparing import approved_criteria, compare_criteria, criteria_report
    from curation_dagster.core.criteria.loading import CriteriaError, load_criteria

    workspace = open_workspace()
    try:
        before = load_criteria(old) if old else approved_criteria(workspace)
        if before is None:
            raise Problem(
                "no criteria were ever approved here: there is nothing to compare those in force with"
            )
        changes = compare_criteria(workspace, before, load_criteria(new) if new else workspace.criteria)
    except CriteriaError as error:
        raise Problem(str(error)) from error
    click.echo(criteria_report(changes))
