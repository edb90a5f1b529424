"""Watching sources for one installation: probes written down, new versions declared, incidents told.

A new version becomes a file in the installation's folder of descriptors, ``<archive>.found.yaml``, that extends the
archive by the version and where it is. So it is data that a person can read, change and remove; its licence and mapping
are the archive's, until somebody who reads the technical file approves its files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.retrieval.probes import Look, is_probed, probe, probing
from curation_dagster.core.retrieval.sources.session import Session
from curation_dagster.retrieving import open_session
from curation_dagster.schemas import SOURCE_PROBES
from curation_dagster.workspace import Workspace

_HEAD = "# Versions that a probe of the source has found. A person may correct or remove them.\n"


def sources(workspace: Workspace) -> list[str]:
    """Return the archives whose source can be asked, in order of their ids."""
    return [id for id, d in workspace.registry.descriptors.items() if is_probed(d)]


def look_at_sources(
    workspace: Workspace,
    archives: Iterable[str],
    log: Callable[[str], None],
    seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Probe archives in order, as long as there is time; return those that were asked.

    Each archive's outcome is written before the next is asked, so that nothing is lost when the time is over.
    """
    asked: list[str] = []
    if workspace.settings.offline:
        return asked
    began = clock()
    with open_session(workspace, log) as session, probing(session) as cheap:
        for archive in archives:
            if seconds is not None and asked and clock() - began > seconds:
                break
            look_at_source(workspace, archive, cheap, log)
            asked.append(archive)
    return asked


def look_at_source(workspace: Workspace, archive: str, session: Session, log: Callable[[str], None]) -> None:
    """Probe one archive, and write down what was found."""
    descriptor = workspace.registry.descriptors[archive]
    versions = [
        workspace.registry.resolve(ArchiveVersionKey(archive, v))
        for v in descriptor.versions
        if not descriptor.versions[v].synthetic
    ]
    if not versions:
        return
    look = probe(versions, session, workspace.settings.landing)
    before = {r["version"]: r for r in probed(workspace) if r["archive"] == archive}
    rows = rows_of(archive, descriptor.retrieval.method, [v.key.version for v in versions], look, before)
    for row in rows:
        if row["state"] == "new_version":
            declare(workspace, archive, row["version"], row["source"])
        if row["state"] in ("changed", "unreachable"):
            log(f"{archive}@{row['version']}: {row['detail']}")
    workspace.lake.upsert("source_probes", SOURCE_PROBES.conform(rows))


def rows_of(
    archive: str, method: str, declared: list[str], look: Look, before: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return the rows of ``source_probes`` that a look gives: an incident stays one until a person settles it."""
    now = datetime.now(UTC)
    common = {"archive": archive, "method": method, "probed_at": now}
    if look.problem is not None:
        rows = []
        for version in declared:
            old = before.get(version, {})
            # an incident or a version that waits for its run is not forgotten because the source is silent now
            state = old.get("state") if old.get("state") in ("changed", "new_version") else "unreachable"
            rows.append(
                {
                    **old,
                    **common,
                    "version": version,
                    "state": state,
                    "detail": f"the source did not answer: {look.problem}",
                }
            )
        return rows
    rows = []
    new = list(look.new)
    for seen in look.known:
        old = before.get(seen.version, {})
        first = old.get("signature") or seen.signature
        waits = old.get("state") == "new_version"
        same = seen.signature is None or first == seen.signature
        if not same and seen.moved is not None:
            new.append(seen.moved)
            same = True
        detail = (
            "as at the first look" if same else
            "the source has other bytes under this version than at the first look; what is staged stays, and nothing was "
            "ingested: ask the publisher, and declare a new version if it is one"
        )  # fmt: skip
        state = ("new_version" if waits else "known") if same else "changed"
        rows.append({**common, "version": seen.version, "state": state, "signature": first, "seen": seen.signature,
                     "source": seen.source, "detail": detail})  # fmt: skip
    for seen in new:
        rows.append({**common, "version": seen.version, "state": "new_version", "signature": seen.signature,
                     "seen": seen.signature, "source": seen.source,
                     "detail": f"the source has a version that the descriptor did not know: {seen.source or seen.version}"})  # fmt: skip
    return rows


def declare(workspace: Workspace, archive: str, version: str, source: str | None) -> Path:
    """Declare a version that a probe has found, in the installation's first folder of descriptors; once."""
    path = workspace.settings.archives[0] / f"{archive}.found.yaml"
    said: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    versions = said.get("versions") or {}
    if version in versions or version in workspace.registry.descriptors[archive].versions:
        return path
    facts: dict[str, Any] = {"note": "Found by a probe of the source; nobody has read its terms yet."}
    if source is not None:
        facts["source"] = source
    path.parent.mkdir(parents=True, exist_ok=True)
    text = _HEAD + yaml.safe_dump(
        {"extends": archive, "versions": {**versions, version: facts}}, sort_keys=False
    )
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
    return path


def waiting_versions(workspace: Workspace) -> list[str]:
    """Return the keys of new versions that nobody has staged yet, in order."""
    staged = {
        (r["archive"], r["version"])
        for r in workspace.lake.read(
            "stages", columns=["archive", "version"], where={"stage": "staged"}
        ).to_pylist()
    }
    keys = sorted((r["archive"], r["version"]) for r in probed(workspace) if r["state"] == "new_version")
    return [f"{a}@{v}" for a, v in keys if (a, v) not in staged]


def incidents(workspace: Workspace) -> list[dict[str, Any]]:
    """Return the versions whose bytes changed at their source."""
    return [r for r in probed(workspace) if r["state"] == "changed"]


def probed(workspace: Workspace) -> list[dict[str, Any]]:
    """Return what the last probes found; the table is small and is read as a whole."""
    return workspace.lake.read("source_probes").to_pylist()
