"""Change control of declared data: every state of every file that decides has a version, a digest and a reason.

``vocabularies/versions.yaml`` lists them, newest last. A file whose digest is not that of its last entry was changed
without anybody saying so. The command ``curation-dagster versions record`` adds an entry; it refuses where a file states a
version of its own that was not raised.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "vocabularies" / "versions.yaml"
FOLDERS = ("archives", "criteria", "vocabularies")
_KINDS = (".yaml", ".csv")
_OWN_VERSION = re.compile(r"^version:\s*[\"']?(\d+\.\d+\.\d+)[\"']?\s*(?:#.*)?$", re.MULTILINE)
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_HEAD = """\
# Every version of every file that decides, newest last. Written by `curation-dagster versions record`, read by the check
# every_declared_file_is_of_a_recorded_version. The digest is the SHA-256 of the file.
"""


class VersionError(ValueError):
    """A change can't be recorded; the message says why. Nothing was written."""


@dataclass(frozen=True)
class Entry:
    """One recorded state of a file."""

    version: str
    sha256: str
    recorded: str
    author: str
    change: str


def declared_files(root: Path = ROOT) -> dict[str, Path]:
    """Return the files under control, by their path below the package."""
    found = [p for folder in FOLDERS for p in sorted((root / folder).glob("*")) if p.suffix in _KINDS]
    return {p.relative_to(root).as_posix(): p for p in found if p.name != LOCK.name}


def read_lock(path: Path = LOCK) -> dict[str, list[Entry]]:
    """Return the recorded states of each file.

    Raises
    ------
    VersionError
        If the lock file can't be read.
    """
    if not path.exists():
        return {}
    try:
        data: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["files"]
        return {name: [Entry(**e) for e in entries] for name, entries in data.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise VersionError(f"{path.name}: expected files with their entries, got {error!r}") from error


def problems(files: Mapping[str, Path], lock: Mapping[str, list[Entry]], complete: bool = True) -> list[str]:
    """Return what was changed without a version and a reason, a sentence each.

    Parameters
    ----------
    complete : bool
        True where every file must be in the lock, and every file of the lock be there.
    """
    found = []
    for name, path in files.items():
        entries = lock.get(name)
        if not entries:
            if complete:
                found.append(f"{name} was never recorded")
            continue
        last, digest, own = entries[-1], sha256(path), own_version(path)
        if digest != last.sha256:
            found.append(f"{name} differs from its version {last.version}, and nobody said why")
        elif own is not None and own != last.version:
            found.append(f"{name} calls itself {own}, but was recorded as {last.version}")
        found += [f"{name}: {p}" for p in _history_problems(entries)]
    if complete:
        found += [
            f"{name} was recorded and is gone"
            for name in sorted(set(lock) - set(files))
            if lock[name][-1].sha256
        ]
    return found


def record(
    files: Mapping[str, Path], path: Path, author: str, change: str, today: date, part: str = "minor"
) -> list[str]:
    """Add an entry for every file that is new or changed; return the names and versions that were recorded.

    A file that states a version of its own must have raised it. Any other gets the next version: ``part`` is ``major``,
    ``minor`` or ``patch``.

    Raises
    ------
    VersionError
        If author or change are blank, or files were changed without raising the version that they state.
    """
    if not author.strip() or not change.strip():
        raise VersionError("author and change must not be blank. Nothing was recorded.")
    lock = read_lock(path)
    added: dict[str, Entry] = {}
    refused = []
    for name, file in files.items():
        entries, digest, own = lock.get(name, []), sha256(file), own_version(file)
        last = entries[-1] if entries else None
        if last is not None and last.sha256 == digest:
            continue
        version = own or (_next(last.version, part) if last and last.sha256 else _first(last))
        if last is not None and last.sha256 and _key(version) <= _key(last.version):
            refused.append(f"{name} was changed but still calls itself {version}; raise its version")
        added[name] = Entry(version, digest, today.isoformat(), author.strip(), change.strip())
    for name in sorted(set(lock) - set(files)):
        if lock[name][-1].sha256:  # a removal is a change as well
            added[name] = Entry(
                _next(lock[name][-1].version, "major"), "", today.isoformat(), author.strip(), change.strip()
            )
    if refused:
        raise VersionError("; ".join(refused) + ". Nothing was recorded.")
    if added:
        for name, entry in added.items():
            lock.setdefault(name, []).append(entry)
        data = {"files": {n: [vars(e) for e in lock[n]] for n in sorted(lock)}}
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(
            _HEAD + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110), encoding="utf-8"
        )
        temporary.replace(path)
    return [f"{name} {entry.version}" for name, entry in added.items()]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_version(path: Path) -> str | None:
    """Return the version that a YAML file states of itself, or None."""
    if path.suffix != ".yaml" or path.parent.name == "archives":
        return None
    found = _OWN_VERSION.search(path.read_text(encoding="utf-8"))
    return found.group(1) if found else None


def _history_problems(entries: list[Entry]) -> list[str]:
    found = [f"{e.version} is no version" for e in entries if not _VERSION.fullmatch(e.version)]
    found += [f"version {e.version} has no reason" for e in entries if not e.change.strip()]
    if not found:
        found = [
            f"version {b.version} follows {a.version}"
            for a, b in itertools.pairwise(entries)
            if _key(b.version) <= _key(a.version)
        ]
    return found


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in version.split("."))


def _first(last: Entry | None) -> str:
    return "1.0.0" if last is None else _next(last.version, "major")


def _next(version: str, part: str) -> str:
    major, minor, patch = _key(version)
    return {
        "major": f"{major + 1}.0.0",
        "minor": f"{major}.{minor + 1}.0",
        "patch": f"{major}.{minor}.{patch + 1}",
    }[part]
