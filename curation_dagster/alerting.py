"""From a failed run to people: the alert is put into an outbox first, and stays there until every channel has taken it.

The outbox is the folder ``alerts`` of the installation, readable by its owner. A channel that is down is tried again with
growing pauses, up to a day; then the alert is set aside in ``alerts/undelivered``, and the sensor's log says so. A channel
that has taken an alert isn't told again because another one has not.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from curation_dagster.checks.catalogue import CATALOGUE, blocking_checks
from curation_dagster.core.alerts import Alert, Channels, NotDelivered, from_json, to_json
from curation_dagster.core.alone import alone
from curation_dagster.core.registry.keys import KeyFormatError, parse_key
from curation_dagster.schemas import STAGES
from curation_dagster.workspace import Workspace

FIRST_PAUSE, LONGEST_PAUSE, GIVEN_UP_AFTER = 30.0, 3600.0, 86_400.0
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def alert_of_run(
    workspace: Workspace,
    run_id: str,
    job: str,
    partition: str | None,
    steps: Mapping[str, str | None],
    ui: str | None,
    again: bool = False,
) -> Alert:
    """Return the alert about a failed run.

    Parameters
    ----------
    steps : mapping of str to str or None
        Failed steps, each with the class of its error.
    ui : str or None
        Address of the Dagster UI.
    again : bool
        Whether Dagster starts the run anew by itself.
    """
    of = _archive_version(partition)
    facts = {"job": _named(job), "run_id": run_id} | ({"archive_version": of} if of else {})
    what = "assets that were launched by hand" if job.startswith("__") else facts["job"]
    lines = [f"Run {run_id[:8]} of {what} failed" + (f" for {of}." if of else ".")]
    failed = failed_checks_of(workspace, run_id)
    for stage, name in failed:
        lines.append(f"Blocking check of {stage}: {_sentence(name)} does not hold. {remedy_of(stage, name)}")
    for step, error in steps.items():
        if not (failed and step.endswith("_checks")):
            lines.append(
                f"Step {_named(step)} ended with {_named(error) if error else 'an error'}; its log says why."
            )
    if not failed and not steps:
        lines.append(
            "The process of the run ended without a word: killed, out of memory, or its machine went down."
        )
    lines.append(
        "Dagster starts it again by itself."
        if again
        else "What was finished stays; launch the run again once the cause is gone."
    )
    if ui:
        lines.append(f"{ui}/runs/{run_id}")
    subject = f"[curation] failed: {what}" + (f", {of}" if of else "")
    if failed:
        facts["blocking_checks"] = ", ".join(f"{s}.{n}" for s, n in failed)
    if steps:
        facts["steps"] = ", ".join(_named(s) for s in steps)
    return Alert(subject, tuple(lines), facts)


def failed_checks_of(workspace: Workspace, run_id: str) -> list[tuple[str, str]]:
    """Return stage and name of every blocking check that failed in a run."""
    rows = workspace.lake.read(
        "check_results", columns=["stage", "check_name", "passed", "blocking"], where={"run_id": run_id}
    ).to_pylist()
    return sorted({(r["stage"], r["check_name"]) for r in rows if r["blocking"] and not r["passed"]})


def remedy_of(stage: str, name: str) -> str:
    """Return what to do where a check of a stage fails."""
    blocking_checks(STAGES)  # enters all checks into the catalogue
    return next((c.remedy for c in CATALOGUE.get(stage, []) if c.name == name), "")


def post(workspace: Workspace, name: str, alert: Alert, clock: Callable[[], float] = time.time) -> None:
    """Put an alert into the outbox, once for each name."""
    with _outbox(workspace) as folder:
        path = folder / f"{name}.json"
        if not path.exists() and not (folder / "undelivered" / path.name).exists():
            _write(
                path,
                {"alert": to_json(alert), "since": clock(), "next": 0.0, "pause": FIRST_PAUSE, "told": []},
            )


def deliver(
    workspace: Workspace,
    channels: Channels,
    log: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> tuple[int, int]:
    """Send what is in the outbox and due; return how many alerts were delivered, and how many still wait."""
    sent = waiting = 0
    with _outbox(workspace) as folder:
        for path in sorted(folder.glob("*.json")):
            try:
                letter = json.loads(path.read_text(encoding="utf-8"))
                alert = from_json(letter["alert"])
            except (ValueError, KeyError, TypeError) as error:
                # as a power cut leaves it: it must not keep those behind it from leaving
                _set_aside(path)
                log(
                    f"alert {path.stem}: it can't be read ({type(error).__name__}); it lies in alerts/undelivered"
                )
                continue
            if letter["next"] > clock():
                waiting += 1
                continue
            open_ = {n: c for n, c in channels.by_name().items() if n not in letter["told"]}
            for name, channel in open_.items():
                try:
                    channel.send(alert)
                    letter["told"].append(name)
                except NotDelivered as error:
                    log(f"alert {path.stem}: {error}")
            if channels.by_name().keys() <= set(letter["told"]):
                path.unlink()
                sent += 1
            elif clock() - letter["since"] > GIVEN_UP_AFTER:
                _set_aside(path)
                log(f"alert {path.stem}: given up after a day; it lies in the folder alerts/undelivered")
            else:
                letter["next"], letter["pause"] = (
                    clock() + letter["pause"],
                    min(2 * letter["pause"], LONGEST_PAUSE),
                )
                _write(path, letter)
                waiting += 1
    return sent, waiting


def _set_aside(path: Path) -> None:
    aside = path.parent / "undelivered"
    aside.mkdir(mode=0o700, exist_ok=True)
    path.rename(aside / path.name)


@contextlib.contextmanager
def _outbox(workspace: Workspace) -> Iterator[Path]:
    """Open the outbox for one process at a time: two sensors must not send the same alert."""
    folder = workspace.settings.home / "alerts"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with alone(folder / ".lock"):
        yield folder


def _write(path: Path, letter: Mapping[str, object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        json.dump(letter, handle)
    temporary.replace(path)


def _archive_version(partition: str | None) -> str | None:
    """Return a partition key that has the form of one; anything else may be a name that somebody typed."""
    try:
        return str(parse_key(partition)) if partition else None
    except KeyFormatError:
        return "a partition whose key has not the form archive@version"


def _named(text: str) -> str:
    return text if _NAME.fullmatch(text) else "(a name that is not shown)"


def _sentence(name: str) -> str:
    return f"“{name.replace('_', ' ')}”"
