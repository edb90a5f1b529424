"""Commands of releases, withdrawal and the audit trail; :mod:`curation_dagster.cli` takes them up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from curation_dagster.cli_installation import Problem, instance_of, open_workspace
from curation_dagster.settings import Settings


@click.group()
def release() -> None:
    """Seal releases, list and verify them, make one again."""


@release.command("make")
def make() -> None:
    """Seal the next release of the tables as they were approved (`curation-dagster approve release`)."""
    from curation_dagster.releasing import next_number, state_problems
    from curation_dagster.runs import release as run

    workspace = open_workspace()
    problems = state_problems(workspace)
    if problems:
        raise Problem("no release was made:\n" + "\n".join(f"  {p}" for p in problems))
    number = next_number(workspace)
    with instance_of(workspace.settings.home) as instance:
        succeeded = run(instance, "ERROR")
    if next_number(workspace) == number:
        raise Problem("no release was made; the log above says why")
    click.echo(f"release {number}: {workspace.settings.releases / str(number)}")
    if not succeeded:
        raise Problem(f"release {number} was sealed, but a check of it failed; the log above says which")


@release.command("list")
def list_releases() -> None:
    """Print every release with its numbers, people, seal, and what was withdrawn from it."""
    lake = open_workspace().lake
    gone: dict[int, int] = {}
    for row in lake.read("withdrawals", columns=["affected_releases"]).to_pylist():
        for number in row["affected_releases"] or []:
            gone[number] = gone.get(number, 0) + 1
    for r in sorted(lake.read("releases").to_pylist(), key=lambda r: r["release"]):
        recalled = (
            f"; {gone[r['release']]} withdrawals since: don't pass it on" if r["release"] in gone else ""
        )
        click.echo(
            f"{r['release']}  {r['issued_at']:%Y-%m-%d %H:%M} UTC  {r['images']} images, {r['withheld']} withheld  "
            f"by {r['author']}, approved by {r['approver']}  seal {r['seal'][:16]}{recalled}"
        )


@release.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path, exists=True, file_okay=False))
def verify_bundle(bundle: Path) -> None:
    """Read every file of BUNDLE and compare it with its checksums and seal."""
    from curation_dagster.core.release.bundle import broken_seals, sha256_of
    from curation_dagster.rerunning import withdrawn_images

    workspace = open_workspace()
    seals = {r["seal"] for r in workspace.lake.read("releases", columns=["seal"]).to_pylist()}
    problems = broken_seals(bundle, removed=withdrawn_images(workspace))
    if problems:
        raise Problem("\n" + "\n".join(f"  {p}" for p in problems))
    known = sha256_of(bundle / "SEAL.json") in seals
    click.echo(
        f"every file is as it was sealed; the seal is {'' if known else 'not '}one of this installation's releases"
    )


@release.command("rerun")
@click.argument("manifest", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to write; must not be there."
)
def rerun_release(manifest: Path, out: Path) -> None:
    """Make the release of MANIFEST (MANIFEST.json of a bundle) again, and say what differs."""
    from curation_dagster.rerunning import rerun

    try:
        done = rerun(open_workspace(), manifest, out)
    except ValueError as error:
        raise Problem(str(error)) from error
    for note in done.notes:
        click.echo(f"note: {note}")
    if done.missing:
        raise Problem("it can't be made again:\n" + "\n".join(f"  {m}" for m in done.missing))
    if not done.identical:
        raise Problem(f"made in {out}, but it differs:\n" + "\n".join(f"  {d}" for d in done.differing))
    click.echo(f"identical, byte for byte: {out}")


@release.command("pdf")
@click.argument("bundle")
@click.option(
    "--document",
    "names",
    multiple=True,
    help="Name of a document; several times for several. All without it.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write into."
)
def write_pdfs(bundle: str, names: tuple[str, ...], out: Path) -> None:
    """Write the documents of BUNDLE (the number of a release, or its folder) as PDF. The bundle is not changed."""
    from curation_dagster.core.release.reading import issued_at, papers_of, read_paper
    from curation_dagster.core.report.pdf import PdfUnavailable, as_pdf

    folder = Settings.load().releases / bundle if bundle.isdigit() else Path(bundle)
    found = papers_of(folder)
    unknown = sorted(set(names) - set(found))
    if unknown or not found:
        raise Problem(f"{folder} has no document {', '.join(unknown)}; it has: {', '.join(found) or 'none'}")
    out.mkdir(parents=True, exist_ok=True)
    for name in names or found:
        try:
            (out / f"{name}.pdf").write_bytes(as_pdf(read_paper(found[name]), issued_at(folder)))
        except PdfUnavailable as error:
            raise Problem(str(error)) from error
        click.echo(out / f"{name}.pdf")


@click.command()
@click.argument("before")
@click.argument("after")
def diff(before: str, after: str) -> None:
    """Print what came, went and changed between two releases, and why (numbers, or folders of bundles)."""
    from curation_dagster.core.release.diff import difference

    releases = Settings.load().releases
    folders = [releases / n if n.isdigit() else Path(n) for n in (before, after)]
    try:
        found = difference(*folders)
    except FileNotFoundError as error:
        raise Problem(str(error)) from error
    for title, changes in (("came", found.came), ("went", found.went), ("changed", found.changed)):
        click.echo(f"{title}: {len(changes)}")
        for c in changes:
            click.echo(f"  {c.image_id}  {c.source}  {c.what}\n      {c.why}")
    click.echo(f"unchanged: {found.unchanged}")
    for note in found.notes:
        click.echo(f"note: {note}")


@click.command()
@click.argument("image")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html"]),
    default="text",
    show_default=True,
    help="How it is written.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write instead of printing."
)
@click.option("--release", "number", type=int, help="As a sealed release holds it, instead of as it is now.")
def explain(
    image: str, form: Literal["text", "markdown", "html"], out: Path | None, number: int | None
) -> None:
    """Print the life of IMAGE: an image_id, or a source id, source path or file name."""
    from curation_dagster.core.report.explain import explain_image
    from curation_dagster.rerunning import view_of_release

    workspace = open_workspace()
    tables: Any = workspace.lake
    if number is not None:
        rows = workspace.lake.read("releases", where={"release": number}).to_pylist()
        if not rows:
            raise Problem(f"there is no release {number}: `curation-dagster release list`")
        tables = view_of_release(workspace, rows[0])
    text = explain_image(tables, image, form)
    if text is None:
        raise Problem(f"no image has the id, source id, path or file name {image!r}")
    if out is None:
        click.echo(text)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(out)


@click.group()
def audit() -> None:
    """Verify the audit trail, and enter what a crash left out of it."""


@audit.command("verify")
@click.option("--head", default=None, help="A head that was noted elsewhere: <number>:<hash>.")
def verify_trail(head: str | None) -> None:
    """Recompute the chain of hashes, and compare it with every head that was recorded and with people's tables."""
    from curation_dagster import trail
    from curation_dagster.core.review.audit import Head

    workspace = open_workspace()
    heads = []
    if head is not None:
        number, _, digest = head.partition(":")
        if not number.isdigit() or not digest:
            raise Problem(f"--head {head!r}: expected <number>:<hash>")
        heads.append(Head(int(number), digest, "the head that you named"))
    problems = trail.problems(workspace, heads)
    if problems:
        raise Problem("the audit trail is broken:\n" + "\n".join(f"  {p}" for p in problems))
    now = trail.current_head(workspace)
    click.echo(f"unbroken: {now.seq} entries, head {now.seq}:{now.entry_hash}")


@audit.command("mend")
@click.option("--who", default=None, help="Who vouches for the rows. Without it, they are shown only.")
@click.option("--why", default=None, help="How they came to be without an entry, and how that was found out.")
def mend_trail(who: str | None, why: str | None) -> None:
    """Show rows of people's tables that the trail does not know, as after a crash, or enter them (--who, --why)."""
    from curation_dagster import trail
    from curation_dagster.core.review.audit import AuditError

    workspace = open_workspace()
    if who is None and why is None:
        rows = trail.missing_entries(workspace)
        click.echo("\n".join(rows) or "the trail knows every row")
        if rows:
            click.echo("ask the people named; then enter the rows with --who and --why")
        return
    try:
        entered = trail.mend(workspace, who or "", why or "")
    except AuditError as error:
        raise Problem(str(error)) from error
    click.echo(
        "\n".join(f"entered: {e}" for e in entered) or "the trail knows every row; nothing was entered"
    )


@click.command()
@click.option("--image", default=None, help="An image_id.")
@click.option("--patient", default=None, help="A patient_key, or <archive>:<the publisher's id>.")
@click.option("--lesion", default=None, help="A lesion_key, or <archive>:<the publisher's id>.")
@click.option("--source", default=None, help="An archive, or <archive>@<version>.")
@click.option("--why", required=True, help="Why it is withdrawn.")
@click.option("--who", required=True, help="Who withdraws it.")
def withdraw(
    image: str | None, patient: str | None, lesion: str | None, source: str | None, why: str, who: str
) -> None:
    """Withdraw an image, a patient, a lesion or a source: remove its published files, and rebuild without it."""
    from curation_dagster.runs import rebuild
    from curation_dagster.trail import ClockError, HalfRecordedError
    from curation_dagster.withdrawing import WithdrawalError
    from curation_dagster.withdrawing import withdraw as run

    named = {"image": image, "patient": patient, "lesion": lesion, "source": source}
    told = [(k, v) for k, v in named.items() if v]
    if len(told) != 1:
        raise Problem("name one of --image, --patient, --lesion, --source")
    workspace = open_workspace()
    try:
        done = run(workspace, *told[0], why, who)
    except (WithdrawalError, ClockError, HalfRecordedError) as error:
        raise Problem(str(error)) from error
    click.echo(
        f"withdrawal {done.id}: {done.images} images, {done.in_corpus} of them in the corpus; "
        f"{len(done.removed)} published files were removed"
    )
    affected = ", ".join(map(str, done.releases)) or "none"
    click.echo(f"releases that hold images of it: {affected}; tell whoever received them")
    with instance_of(workspace.settings.home) as instance:
        if not rebuild(instance, "ERROR"):
            raise Problem(
                "the corpus was not rebuilt; the withdrawal holds, run `curation-dagster rebuild` again"
            )
    click.echo("the corpus was rebuilt without it")
