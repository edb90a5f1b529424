"""The demo: four synthetic archives, from delivery to corpus, through every gate.

Nothing is bypassed. The archives are delivered into a landing folder in their publishers' layouts, curated by the
same jobs as everything else, sampled verdicts and approvals are recorded under the name ``demo``, and the corpus
takes what its gate lets through.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import click

from curation_dagster.schemas import TABLES
from curation_dagster.settings import Settings
from curation_dagster.trail import add_rows
from curation_dagster.workspace import Workspace

ACTOR = "demo"
_MARK = "made-by-curation-dagster-demo"


def run_demo(home: Path, images: int, keep: bool) -> None:
    """Run the demo in ``home``, which is emptied first unless ``keep``."""
    started = time.monotonic()
    _empty(home, keep)
    from curation_dagster.cli_installation import OF_ONE_INSTALLATION, instance_of

    os.environ["CURATION_HOME"] = str(home)
    os.environ["CURATION_OFFLINE"] = "1"  # the samples are delivered; nothing is fetched
    for name in OF_ONE_INSTALLATION:
        os.environ.pop(name, None)

    from curation_dagster.runs import approve_archive_version, approve_criteria, curate_keys, rebuild
    from curation_dagster.samples.write import write_samples

    settings = Settings.load()
    step(1, "four synthetic archives in their publishers' layouts")
    written = write_samples(settings.landing, images=images, overlay_dir=settings.archives[0])
    keys = sorted(p.name for p in settings.landing.iterdir() if p.is_dir())
    click.echo(f"    {', '.join(keys)}")
    workspace = Workspace(settings)
    with instance_of(home) as instance:
        step(2, "curate each archive version: staged, measured, judged, de-identified, harmonized, grouped")
        outcome: dict[str, bool] = {}
        for number, key in enumerate(keys, start=1):
            began = time.monotonic()
            outcome |= curate_keys(instance, [key], "ERROR")
            _progress(workspace, key, number, len(keys), time.monotonic() - began, outcome[key])
        failed = [k for k, ok in outcome.items() if not ok]
        step(3, f"people: sample verdicts and approvals, recorded under the name {ACTOR!r}")
        approve_criteria(
            workspace, author="samples", approver=ACTOR, comment="criteria as shipped, for the demo"
        )
        for key in [k for k in keys if k not in failed]:
            count = judge_everything(workspace, key)
            approve_archive_version(workspace, key, author="samples", approver=ACTOR, comment="synthetic")
            click.echo(f"    {key}: {count} verdicts, files approved")
        step(4, "rebuild over all archives: duplicates, ledger, corpus")
        rebuilt = rebuild(instance, "ERROR")
    tell(workspace, written, time.monotonic() - started)
    if failed or not rebuilt:
        raise click.ClickException(
            f"failed: {', '.join(failed) or 'the rebuild of the corpus'}; the log above says why"
        )


def judge_everything(workspace: Workspace, key: str) -> int:
    """Record for each queued image the verdicts of as many actors as its criterion asks for: pass. Return how many."""
    from curation_dagster.core.registry.keys import parse_key
    from curation_dagster.review_queues import open_reviews

    parsed = parse_key(key)
    now = datetime.now(UTC)
    rows = [
        {
            "review_id": str(uuid.uuid4()),
            "archive": q["archive"],
            "version": q["version"],
            "image_id": q["image_id"],
            "criterion": q["criterion"],
            "outcome": "pass",
            "reviewer": f"{ACTOR} {n}" if n > 1 else ACTOR,
            "comment": "synthetic picture",
            "criteria_version": workspace.criteria.version,
            "criteria_digest": workspace.criteria.digest,
            "reviewed_at": now,
        }
        for q in open_reviews(workspace, parsed).to_pylist()
        for n in range(1, workspace.criteria.criterion(q["criterion"]).reviewers + 1)
    ]
    if rows:
        add_rows(workspace, "reviews", TABLES["reviews"].conform(rows))
    return len(rows)


def tell(workspace: Workspace, written: object, seconds: float) -> None:
    """Print what entered, what was excluded by which clause, and where everything is."""
    from curation_dagster.core.report.summary import as_text, summarize

    summary = summarize(workspace.lake, workspace.criteria)
    click.echo("\nWhat entered, and what became of it\n")
    rows: list[tuple[object, ...]] = [
        (f"{a['archive']}@{a['version']}", "yes" if a["admitted"] else "no", a["images_in"], a["images_kept"],
         a["images_excluded"], a["images_quarantined"])
        for a in summary.archives
    ]  # fmt: skip
    totals = summary.totals
    rows.append(("all", "", *totals.values()))
    click.echo(as_text(["archive version", "admitted", "in", "kept", "excluded", "quarantined"], rows))
    for a in summary.archives:
        for reason in a["reasons"] or []:
            click.echo(f"  {a['archive']}@{a['version']} is refused: {reason}")
    click.echo("\nWhat was excluded, by clause (an image may fail several)\n")
    short = [h.split("@")[0] for h in summary.clause_headers]
    click.echo(as_text(short, summary.by_clause))
    home = workspace.settings.home
    click.echo(
        f"""
Tables   {workspace.settings.lake}   (curation_dagster.lake.Lake.open({str(workspace.settings.lake)!r}).read("corpus"))
Images   {workspace.settings.corpus}
Report   {workspace.settings.reports / "curation-report.html"}
Runs     {home / "dagster"}   (`curation-dagster dev --demo` opens them in the Dagster UI)

{totals["images_kept"]} of {totals["images_in"]} images are in the corpus after {seconds:.0f} s."""
    )


def step(number: int, what: str) -> None:
    """Print the heading of a step."""
    click.echo(f"\n[{number}/4] {what}")


def _progress(workspace: Workspace, key: str, number: int, total: int, seconds: float, ok: bool) -> None:
    from curation_dagster.core.registry.keys import parse_key

    stages = {s["stage"]: s for s in workspace.part("stages", parse_key(key)).to_pylist()}
    counts = ", ".join(
        f"{s} {stages[s]['kept']}/{stages[s]['rows_in']}"
        for s in ("records", "quality", "deidentified", "harmonized", "duplicates_within")
        if s in stages
    )
    click.echo(
        f"    {number} of {total}  {key}  {'done' if ok else 'FAILED'} in {seconds:.1f} s   kept: {counts}"
    )


def _empty(home: Path, keep: bool) -> None:
    """Empty the demo's folder, but never one that the demo has not made."""
    mark = home / _MARK
    if home.exists() and any(home.iterdir()) and not keep:
        if not mark.exists():
            raise click.ClickException(
                f"{home} holds something that no demo has made; move it away, or set CURATION_HOME"
            )
        for path in home.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(home)
    home.mkdir(parents=True, exist_ok=True)
    mark.touch()
