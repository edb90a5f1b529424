"""Manifests of gated deliveries: what the sender says that it holds, held against what lies there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation_dagster.core.registry.models import PublishedFile
from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.errors import BadManifest, DeliveryMissing, some
from curation_dagster.core.retrieval.landing import Delivery

if TYPE_CHECKING:
    from curation_dagster.core.registry.loading import ArchiveVersion

_SUM = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_MOST_BYTES = 64 << 20


def read_manifest(archive_version: ArchiveVersion, folder: Path, name: str) -> dict[str, PublishedFile]:
    """Return what the manifest of a delivery states of each file.

    Raises
    ------
    DeliveryMissing
        If there is no manifest: a gated delivery without one is not taken.
    BadManifest
        If it is in no known form, or of another archive or version.
    """
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise DeliveryMissing(
            f"The delivery of {archive_version.key} has no manifest.",
            where=str(path),
            expected=f"{name}: JSON with archive, version and files, or the output of sha256sum",
            got="no such file",
            next=archive_version.descriptor.retrieval.instructions,
        )
    if path.stat().st_size > _MOST_BYTES:
        raise _bad(path, f"at most {_MOST_BYTES:,} bytes", f"{path.stat().st_size:,}")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(path, "text in UTF-8", str(error)) from error
    found = _of_json(archive_version, path, text) if text.lstrip()[:1] == "{" else _of_sums(path, text)
    unsafe = [f"{names.shown(p)}: {problem}" for p in found if (problem := names.problem_of(p))]
    if unsafe or not found:
        raise _bad(path, "files with plain relative names", some(unsafe) or "no file")
    return found


def expect_complete(
    archive_version: ArchiveVersion, delivery: Delivery, name: str, stated: dict[str, PublishedFile]
) -> None:
    """Make sure that a delivery holds just the files of its manifest.

    Raises
    ------
    BadManifest
        With the files that are missing, and those that the manifest does not list.
    """
    there = {f.path for f in delivery.files} - {name}
    missing, further = sorted(set(stated) - there), sorted(there - set(stated))
    if missing or further:
        raise _bad(
            delivery.folder / name,
            f"the {len(stated):,} files that it lists, and no others",
            "; ".join(
                [f"missing: {some(missing)}"] * bool(missing)
                + [f"not listed: {some(further)}"] * bool(further)
            ),
        )


def _of_json(archive_version: ArchiveVersion, path: Path, text: str) -> dict[str, PublishedFile]:
    try:
        data: dict[str, Any] = json.loads(text)
        key = f"{data['archive']}@{data['version']}"
        found = {p: PublishedFile.model_validate(stated) for p, stated in data["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise _bad(
            path, "JSON with archive, version and files", f"{type(error).__name__}: {first}"
        ) from error
    if key != str(archive_version.key):
        raise _bad(path, f"the manifest of {archive_version.key}", f"that of {key}")
    bare = [names.shown(p) for p, s in found.items() if s.sha256 is None and s.md5 is None]
    if bare:
        raise _bad(path, "sha256 or md5 of every file", f"none of {some(bare)}")
    return found


def _of_sums(path: Path, text: str) -> dict[str, PublishedFile]:
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        matched = _SUM.fullmatch(line.rstrip("\r"))
        if matched is None:
            raise _bad(path, "lines of sha256sum", f"something else in line {number}")
        found[names.plain(matched.group(2))] = PublishedFile(sha256=matched.group(1).lower())
    return found


def _bad(path: Path, expected: str, got: str) -> BadManifest:
    return BadManifest(
        "The manifest of the delivery does not hold.",
        where=str(path),
        expected=expected,
        got=got,
        next="Nothing was staged. Ask the sender for the right manifest or for the missing files.",
    )
