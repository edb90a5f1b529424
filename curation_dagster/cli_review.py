"""Commands for what people decide: verdicts, labels and approvals; :mod:`curation_dagster.cli` takes them up."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from curation_dagster.cli_installation import Problem, open_workspace, resolve
from curation_dagster.settings import Settings


@click.group()
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


@click.command()
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


@click.command()
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
