"""Staging emptied by the declared rule: what is superseded, published, quarantined or unfinished for long enough.

Only copies go: tables, published files and the inventory of each version stay, so that a version that comes back is held
against what it was. What was removed is a row of ``staging_emptied``.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.retrieval.sources.policy import Retention, load_retention
from curation_dagster.core.retrieval.staging import INVENTORY, QUARANTINE
from curation_dagster.gate import versions_in_view
from curation_dagster.schemas import STAGING_EMPTIED
from curation_dagster.workspace import Workspace

EMPTIED = "emptied"
"""Folder below staging that keeps the inventories of versions whose files were removed."""


def empty_staging(
    workspace: Workspace, now: datetime | None = None, rule: Retention | None = None
) -> list[dict[str, Any]]:
    """Remove what the rule no longer keeps; return the rows of ``staging_emptied`` that were written.

    A version is removed if another version of its archive is in the corpus, or all of its own images are published or
    decided and the corpus has taken it, and both for as long as the rule says. Anything else stays.
    """
    moment = now or datetime.now(UTC)
    days = asdict(rule or load_retention())
    removed = []
    for name, folder, since, detail in _candidates(workspace):
        if since > moment - timedelta(days=days[name]):
            continue
        kept = _keep_inventory(workspace, folder) if (folder / INVENTORY).exists() else None
        files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
        row = {
            "folder": folder.relative_to(workspace.settings.home).as_posix(), "rule": name, "files": len(files),
            "bytes": sum(p.stat().st_size for p in files), "inventory_sha256": kept, "detail": detail,
            "emptied_at": moment,
        }  # fmt: skip
        # renamed first: a half-removed version would look like a damaged one
        going = folder.with_name(f".{folder.name}.going")
        folder.rename(going)
        shutil.rmtree(going)
        workspace.lake.append("staging_emptied", STAGING_EMPTIED.conform([row]))
        removed.append(row)
    return removed


def _candidates(workspace: Workspace) -> Iterator[tuple[str, Path, datetime, str]]:
    """Yield rule, folder, since when it holds, and why, for everything that may be removed one day."""
    settings = workspace.settings
    in_view = versions_in_view(workspace)
    admitted = {
        (r["archive"], r["version"]) for r in workspace.lake.read("admissions").to_pylist() if r["admitted"]
    }
    finished = workspace.lake.read(
        "stages", columns=["archive", "version", "stage", "finished_at"]
    ).to_pylist()
    corpus_at = max((r["finished_at"] for r in finished if r["stage"] == "corpus"), default=None)
    staged_at = {(r["archive"], r["version"]): r["finished_at"] for r in finished if r["stage"] == "staged"}
    for (archive, version), since in sorted(staged_at.items()):
        folder = settings.staging / str(ArchiveVersionKey(archive, version))
        current = in_view.get(archive)
        if corpus_at is None or not folder.is_dir():
            continue
        if current not in (None, version) and (archive, current) in admitted:
            replaced = max(since, staged_at.get((archive, str(current)), since))
            yield "superseded_days", folder, replaced, f"the corpus has taken version {current}"
        elif (archive, version) in admitted and corpus_at >= since:
            yield "curated_days", folder, since, "the corpus has taken it; published files stay"
    for top, depth, name, detail in (
        (settings.staging / QUARANTINE, 2, "quarantine_days", "it differed from its publisher's checksums"),
        (settings.retrieval, 1, "unfinished_days", "nobody went on with it"),
    ):
        for folder in sorted(top.glob("/".join(["*"] * depth))):
            if folder.is_dir() and not folder.is_symlink():
                yield name, folder, _last_change(folder), detail


def _last_change(folder: Path) -> datetime:
    times = [p.lstat().st_ctime for p in (folder, *folder.rglob("*"))]
    return datetime.fromtimestamp(max(times), UTC)


def _keep_inventory(workspace: Workspace, folder: Path) -> str:
    content = (folder / INVENTORY).read_bytes()
    target = workspace.settings.staging / EMPTIED / f"{folder.name}.parquet"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = target.with_name(target.name + ".new")
    temporary.unlink(missing_ok=True)
    temporary.write_bytes(content)
    temporary.chmod(0o400)
    temporary.replace(target)
    return hashlib.sha256(content).hexdigest()
