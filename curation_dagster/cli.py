"""The console script ``curation-dagster``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from curation_dagster.cli_release import Problem, audit, diff, explain, release, withdraw
from curation_dagster.settings import Settings

# variables that would lead a command from one installation into another
OF_ONE_INSTALLATION = ("DAGSTER_HOME", "CURATION_LAKE", "CURATION_LANDING", "CURATION_ARCHIVES")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="curation-dagster")
def main() -> None:
    """Curate dermatology image archives into a corpus that a medical device can be trained on.

    Everything that a command writes lies below CURATION_HOME (./var).
    """


@main.command()
@click.option("--images", default=60, show_default=True, help="Images in each synthetic archive.")
@click.option("--keep", is_flag=True, help="Go on with what an earlier demo left instead of starting anew.")
def demo(images: int, keep: bool) -> None:
    """Curate four synthetic archives from delivery to corpus, and say what became of them."""
    from curation_dagster.demo import run_demo

    run_demo(Settings.load().home / "demo", images=images, keep=keep)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True)
@click.option("--demo", "on_demo", is_flag=True, help="Open what `make demo` has made.")
def dev(host: str, port: int, on_demo: bool) -> None:
    """Start the Dagster UI and its daemon, with the sensors on, and show the reports beside it.

    There is no authentication in it: it listens on the loopback address only, unless --host says otherwise. Reports are
    shown on loopback only, two ports further.
    """
    from curation_dagster.archive_pages import write_index
    from curation_dagster.reports_server import serving

    settings = Settings.load(Settings.load().home / "demo" if on_demo else None)
    environment = {k: v for k, v in os.environ.items() if not (on_demo and k in OF_ONE_INSTALLATION)}
    environment |= {
        "DAGSTER_HOME": environment.get("DAGSTER_HOME") or str(prepare_instance(settings.home)),
        "CURATION_HOME": str(settings.home),
        "CURATION_AUTOSTART": os.environ.get("CURATION_AUTOSTART", "1"),
    }
    settings.landing.mkdir(parents=True, exist_ok=True)
    write_index(settings.reports)
    command = ["-m", "dagster", "dev", "-m", "curation_dagster.definitions", "-h", host, "-p", str(port)]
    with serving(settings.reports, port + 2) as reports:
        click.echo(
            f"http://{host}:{port}   reports: {reports}   deliveries go to {settings.landing}/<archive>@<version>/   "
            "Ctrl-C stops"
        )
        environment.setdefault("CURATION_REPORTS_URL", reports)
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, *command], env=environment, start_new_session=True
        )
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()


@main.command()
@click.argument("key")
def add(key: str) -> None:
    """Make the partition KEY (<archive>@<version>) known to Dagster, so that it can be materialized."""
    workspace = open_workspace()
    resolve(workspace, key)
    with instance_of(workspace.settings.home) as instance:
        instance.add_dynamic_partitions("archive_version", [key])
    click.echo(f"{key} can be materialized; its delivery belongs in {workspace.settings.landing / key}/")


@main.command()
@click.argument("keys", nargs=-1, required=True)
def curate(keys: tuple[str, ...]) -> None:
    """Curate the archive versions KEYS from the landing folder up to their review queues, then rebuild the corpus."""
    from curation_dagster.runs import curate_keys, rebuild

    workspace = open_workspace()
    for key in keys:
        resolve(workspace, key)
    with instance_of(workspace.settings.home) as instance:
        failed = [k for k, ok in curate_keys(instance, keys).items() if not ok]
        rebuilt = rebuild(instance)
    if failed or not rebuilt:
        raise Problem(
            "; ".join([f"{k} failed" for k in failed] + ([] if rebuilt else ["the corpus was not rebuilt"]))
        )


@main.command()
def rebuild() -> None:
    """Rebuild groups across archives, the ledger and the corpus."""
    from curation_dagster.runs import rebuild as run

    workspace = open_workspace()
    with instance_of(workspace.settings.home) as instance:
        if not run(instance):
            raise Problem("the corpus was not rebuilt; the log above says which check or asset failed")


@main.group()
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


@main.group()
def review() -> None:
    """Export review queues and take up people's verdicts."""


@review.command("export")
@click.argument("key")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="CSV file to write."
)
@click.option("--reviewer", default=None, help="Write what this person has not judged, for a second reading.")
def export_queue(key: str, out: Path, reviewer: str | None) -> None:
    """Write the open queue of KEY as a CSV file, with a column for the verdict."""
    from curation_dagster.core.registry.keys import parse_key
    from curation_dagster.core.review.verdicts import write_queue
    from curation_dagster.review_queues import open_reviews

    workspace = open_workspace()
    parsed = parse_key(key)
    n = write_queue(
        open_reviews(workspace, parsed),
        workspace.part("reviews", parsed),
        out,
        reviewer,
        workspace.criteria.reviewers,
    )
    click.echo(f"{n} images wait for a verdict: {out}")


@review.command("record")
@click.argument("csv", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--reviewer", required=True, help="Who judged.")
def record_verdicts(csv: Path, reviewer: str) -> None:
    """Take up the verdicts of CSV (columns archive, version, image_id, criterion, outcome, comment)."""
    from curation_dagster.core.review.verdicts import VerdictError, by_criteria, read_verdicts
    from curation_dagster.trail import ClockError, HalfRecordedError, add_rows

    workspace = open_workspace()
    try:
        rows = read_verdicts(csv, reviewer, known_criteria=[c.id for c in workspace.criteria.criteria])
    except VerdictError as error:
        raise Problem(str(error)) from error
    if reviewer.strip().lower().split(" ")[0] in ("rule", "sample"):
        raise Problem(f"{reviewer!r} can't be a reviewer: the ledger calls rules and samples so")
    with workspace.lake.sql("records", rows=rows) as sql:
        unknown = sql.execute(
            "SELECT archive || '@' || version, image_id FROM rows WHERE NOT EXISTS (SELECT 1 FROM records r WHERE "
            "r.archive = rows.archive AND r.version = rows.version AND r.image_id = rows.image_id)"
        ).fetchall()
    if unknown:
        raise Problem(
            f"{len(unknown)} verdicts are on images that are not there, such as {unknown[0][1]} in {unknown[0][0]}; "
            "none was added"
        )
    try:
        add_rows(workspace, "reviews", by_criteria(rows, workspace.criteria))
    except (ClockError, HalfRecordedError) as error:
        raise Problem(str(error)) from error
    click.echo(f"{rows.num_rows} verdicts of {reviewer} were added; rebuild the corpus to take them up")


@review.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3001, show_default=True)
@click.option("--prefix", default="", help="Path below which a proxy shows the page, such as /review.")
@click.option("--tls", is_flag=True, help="The page stands behind TLS: the cookie is sent over TLS only.")
@click.option(
    "--behind-proxy",
    is_flag=True,
    help="Take the address of whoever asks from X-Forwarded-For; only where nothing but a proxy that sets it reaches the page.",
)
@click.option("--demo", "on_demo", is_flag=True, help="Show the queues that `make demo` has made.")
def serve_reviews(host: str, port: int, prefix: str, tls: bool, behind_proxy: bool, on_demo: bool) -> None:
    """Start the reviewers' page."""
    import uvicorn

    from curation_dagster.review_app.accounts import Accounts
    from curation_dagster.review_app.app import create_app
    from curation_dagster.workspace import Workspace

    home = Settings.load().home / "demo" if on_demo else None
    accounts = Accounts(Settings.load(home).reviewers)
    if not accounts.names():
        raise Problem(
            f"nobody can sign in: {accounts.path} has no account; make one with `curation-dagster review user NAME`"
        )
    click.echo(f"http://{host}:{port}{prefix}/   {len(accounts.names())} may sign in   Ctrl-C stops")
    uvicorn.run(
        create_app(lambda: Workspace(Settings.load(home)), accounts, secure=tls, prefix=prefix),
        host=host,
        port=port,
        log_level="warning",
        # without it, all reviewers behind a proxy share one address, and its brake on wrong passwords
        proxy_headers=behind_proxy,
        forwarded_allow_ips="*" if behind_proxy else None,
        server_header=False,
    )


@review.command("user")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove the account; what this person said stays.")
@click.option("--demo", "on_demo", is_flag=True, help="For the page of `make demo`.")
def review_user(name: str, remove: bool, on_demo: bool) -> None:
    """Let NAME sign in to the review page; the password is asked for, or read from standard input."""
    from curation_dagster.review_app.accounts import AccountError, Accounts

    accounts = Accounts(Settings.load(Settings.load().home / "demo" if on_demo else None).reviewers)
    try:
        if remove:
            if not accounts.remove(name):
                raise Problem(f"{name} has no account")
            click.echo(f"{name} can't sign in any more")
            return
        password = (
            click.prompt("Password", hide_input=True, confirmation_prompt=True)
            if sys.stdin.isatty()
            else sys.stdin.readline().rstrip("\n")
        )
        accounts.put(name, password)
    except AccountError as error:
        raise Problem(str(error)) from error
    click.echo(f"{name} can sign in")


@main.command()
@click.option("--archive", default=None, help="Only the labels of this archive.")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="CSV file to write."
)
def labels(archive: str | None, out: Path) -> None:
    """Write the labels that wait for a coder, with suggestions, the most frequent first.

    A coder adds a row to vocabularies/diagnoses.csv or diagnoses_by_archive.csv; the next materialization of
    `harmonized` takes it up. Suggestions are never applied by themselves.
    """
    from curation_dagster.core.export import write_csv

    found = open_workspace().lake.read("label_worklist", where={"archive": archive} if archive else None)
    rows = sorted(found.to_pylist(), key=lambda r: (-r["images"], r["archive"], r["version"], r["label"]))
    rows = [r | {"suggestions": "; ".join(r["suggestions"] or [])} for r in rows]
    n = write_csv(rows, ["archive", "version", "label", "kind", "images", "suggestions"], out)
    click.echo(f"{n} labels wait for a coder: {out}")


@main.command("reports")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3002, show_default=True)
def serve_reports(host: str, port: int) -> None:
    """Show the reports folder behind a proxy that asks who reads; `dev` shows it by itself."""
    from curation_dagster.reports_server import serve
    from curation_dagster.settings import Settings

    serve(Settings.load().reports, host, port)


@main.group()
def export() -> None:
    """Write tables as CSV files that may leave."""


@export.command("corpus")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="CSV file to write."
)
def export_corpus(out: Path) -> None:
    """Write the corpus, a row per image, with the published columns only; times are years, ages end at 89."""
    from curation_dagster.core.export import PUBLISHED_COLUMNS, corpus_rows, write_csv

    n = write_csv(corpus_rows(open_workspace().lake.read("corpus")), PUBLISHED_COLUMNS, out)
    click.echo(f"{n} images: {out}")


@main.command()
@click.argument("subject")
@click.option("--author", required=True, help="Who put it forward.")
@click.option("--approver", required=True, help="Who approves: another person.")
@click.option("--comment", default=None, help="Why.")
@click.option("--withdraw", is_flag=True, help="Withdraw the approval instead.")
def approve(subject: str, author: str, approver: str, comment: str | None, withdraw: bool) -> None:
    """Approve SUBJECT: an archive version, `criteria`, or `release`.

    <archive>@<version> approves its files and its descriptor, `criteria` those in force, `release` the next release of the
    tables as they are.
    """
    from curation_dagster.core.review.approvals import ApprovalError, Decision
    from curation_dagster.releasing import approve_release, withdraw_release_approval
    from curation_dagster.runs import approve_archive_version, approve_criteria

    workspace = open_workspace()
    decision: Decision = "withdrawn" if withdraw else "approved"
    try:
        if subject == "release":
            if withdraw:
                number = withdraw_release_approval(workspace, author, approver, comment)
                click.echo(f"release {number}: the approval was withdrawn by {approver}")
                return
            number = approve_release(workspace, author, approver, comment)
            click.echo(f"release {number}: approved by {approver}; `curation-dagster release make` seals it")
            return
        if subject == "criteria":
            approve_criteria(workspace, author, approver, comment, decision)
        else:
            resolve(workspace, subject)
            approve_archive_version(workspace, subject, author, approver, comment, decision)
    except (ApprovalError, LookupError, RuntimeError) as error:
        raise Problem(str(error)) from error
    click.echo(f"{subject}: {decision} by {approver}; rebuild the corpus to take it up")


@main.group()
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


for _command in (release, diff, explain, audit, withdraw):
    main.add_command(_command)


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


if __name__ == "__main__":
    main()
