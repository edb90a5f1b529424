"""A sealed release, opened again: its view from the tables as they were, and the whole bundle made anew."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.release import bundle
from curation_dagster.core.release.settings import load_split_settings
from curation_dagster.core.release.view import ReleaseView
from curation_dagster.dividing import split_settings
from curation_dagster.lake import LakeError
from curation_dagster.release_inputs import InputMissing, descriptors_of, inputs_of
from curation_dagster.releasing import environment, write_bundle
from curation_dagster.schemas import TABLES
from curation_dagster.version import code_version
from curation_dagster.workspace import Workspace


@dataclass(frozen=True)
class Rerun:
    """What came of making a release again.

    Parameters
    ----------
    identical : bool
        True where every file that the checksums cover has the same bytes.
    missing : tuple of str
        Inputs that are gone or have other bytes, a sentence each; nothing was made where a table is among them.
    differing : tuple of str
        Files that differ, are missing or are new, a sentence each.
    notes : tuple of str
        What else is not as it was, such as the code or the machine.
    """

    identical: bool
    missing: tuple[str, ...]
    differing: tuple[str, ...]
    notes: tuple[str, ...]


def withdrawn_images(workspace: Workspace) -> set[str]:
    """Return the image_ids whose files were removed because they were withdrawn."""
    return set(workspace.lake.read("withdrawn", columns=["image_id"])["image_id"].to_pylist())


def view_of_release(workspace: Workspace, row: Mapping[str, Any]) -> ReleaseView:
    """Return the view of a release that is recorded in ``releases``, for questions about its tables."""
    return ReleaseView(
        number=row["release"],
        issued_at=row["issued_at"],
        lake=workspace.lake,
        versions=json.loads(row["table_versions"]),
        criteria=workspace.criteria,
        splits=split_settings(workspace),
        descriptors={},
        approval={"author": row["author"], "approver": row["approver"]},
        code_version=code_version(),
        audit_head={"seq": row["audit_seq"], "entry_hash": row["audit_head"]},
    )


def rerun(workspace: Workspace, manifest: Path, out: Path) -> Rerun:
    """Make the release of a manifest again, into ``out``, from the versions of the tables that it names.

    Criteria, vocabularies and descriptors are taken from the installation where they are still the same, else from the
    bundle beside the manifest.

    Raises
    ------
    ValueError
        If the manifest is none, or ``out`` is there already.
    """
    said = _read_manifest(manifest)
    if out.exists():
        raise ValueError(f"{out} is there already; name a folder that is not, nothing is overwritten")
    notes = _what_changed(said, manifest.parent)
    missing = _gone_tables(workspace, said)
    if missing:
        return Rerun(False, tuple(missing), (), tuple(notes))
    out.parent.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        with _view(workspace, said, manifest.parent) as (view, inputs, lost):
            missing += lost
            missing += write_bundle(view, inputs, workspace, target, said["state_digest"])
            if missing:
                return Rerun(False, tuple(missing), (), tuple(notes))
            _, checksums = bundle.seal(view, target, environment())
        target.rename(out)
    except InputMissing as error:
        return Rerun(False, error.problems, (), tuple(notes))
    finally:
        shutil.rmtree(target, ignore_errors=True)
    sealed = manifest.parent / bundle.SUMS
    if sealed.is_file():
        differing = _differences(bundle.read_sums(manifest.parent), bundle.read_sums(out))
    else:
        rows = workspace.lake.read("releases", where={"release": said["release"]}).to_pylist()
        differing = (
            [] if rows and rows[0]["checksums"] == checksums else ["SHA256SUMS differs, or is not known"]
        )
    return Rerun(not differing, (), tuple(differing), tuple(notes))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        for name in ("release", "issued_at", "tables", "inputs", "criteria", "approval", "audit_head"):
            said[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no manifest of a release: {error}") from error
    return said


def _what_changed(said: Mapping[str, Any], beside: Path) -> list[str]:
    notes = []
    if said["code_version"] != code_version():
        notes.append(
            f"the release was made by code {said['code_version']}, this is {code_version()}: documents may differ"
        )
    recorded = beside / bundle.ENVIRONMENT
    if recorded.is_file():
        then, now = json.loads(recorded.read_bytes()), environment()
        notes += [
            f"{n} was {then[n]}, is {now[n]}" for n in ("python", "system", "machine") if then[n] != now[n]
        ]
        before, after = then["packages"], now["packages"]
        changed = sorted(p for p in {*before, *after} if before.get(p) != after.get(p))
        notes += [f"package {p} was {before.get(p, 'absent')}, is {after.get(p, 'absent')}" for p in changed]
    return notes


def _gone_tables(workspace: Workspace, said: Mapping[str, Any]) -> list[str]:
    found = []
    for table, facts in said["tables"].items():
        if facts["version"] is None or table not in TABLES:
            continue
        try:
            rows = workspace.lake.dataset(table, facts["version"])
            if table in bundle.BUNDLED_TABLES and rows is not None:
                for _ in rows.to_batches():  # a version whose files are gone is found when it is read
                    pass
        except (LakeError, OSError) as error:
            found.append(f"table {table} can't be read as it was in version {facts['version']}: {error}")
    return found


@contextmanager
def _view(
    workspace: Workspace, said: Mapping[str, Any], beside: Path
) -> Iterator[tuple[ReleaseView, dict[str, bytes], list[str]]]:
    """Give the view of the manifest, its inputs, and which of them are gone."""
    view = ReleaseView(
        number=said["release"],
        issued_at=datetime.strptime(said["issued_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC),
        lake=workspace.lake,
        versions={t: f["version"] for t, f in said["tables"].items()},
        criteria=workspace.criteria,
        splits=split_settings(workspace),
        descriptors={},
        approval=said["approval"],
        code_version=said["code_version"],
        audit_head=said["audit_head"],
    )
    try:
        now = inputs_of(workspace, replace(view, descriptors=descriptors_of(workspace, view)))
    except InputMissing:
        now = {}
    inputs: dict[str, bytes] = {}
    gone = []
    for path, digest in said["inputs"].items():
        sealed = beside / path
        for content in (now.get(path), sealed.read_bytes() if sealed.is_file() else None):
            if content is not None and hashlib.sha256(content).hexdigest() == digest:
                inputs[path] = content
                break
        else:
            gone.append(
                f"{path} with SHA-256 {digest[:16]} is neither in this installation nor beside the manifest"
            )
    if gone:
        raise InputMissing(gone)
    with tempfile.TemporaryDirectory() as folder:
        bundle.write_files(inputs, Path(folder))
        place = Path(folder)
        yield (
            replace(
                view,
                criteria=load_criteria(place / "criteria" / f"{said['criteria']['name']}.yaml"),
                splits=load_split_settings(place / "criteria" / "splits.yaml"),
                descriptors={
                    p.stem: Descriptor.model_validate_json(p.read_bytes())
                    for p in sorted((place / "archives").glob("*.json"))
                },
            ),
            inputs,
            gone,
        )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        f"{name} "
        + ("is missing now" if name not in after else "is new" if name not in before else "has other bytes")
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
