"""The console script ``curation-dagster``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click

from curation_dagster.cli_declared import archives, versions
from curation_dagster.cli_installation import (
    OF_ONE_INSTALLATION,
    Problem,
    instance_of,
    open_workspace,
    prepare_instance,
    resolve,
)
from curation_dagster.cli_release import audit, diff, explain, release, withdraw
from curation_dagster.cli_review import approve, labels, review
from curation_dagster.settings import Settings


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


@main.command("reports")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3002, show_default=True)
def serve_reports(host: str, port: int) -> None:
    """Show the reports folder behind a proxy that asks who reads; `dev` shows it by itself."""
    from curation_dagster.reports_server import serve

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


for _command in (archives, versions, review, labels, approve, release, diff, explain, audit, withdraw):
    main.add_command(_command)


if __name__ == "__main__":
    main()
