"""The registry: all descriptors, packaged and added, with everything that is wrong with them in one report.

Packaged descriptors come first, then further folders. A file there is a whole descriptor of another archive, or
``extends`` a known one: without an ``id`` of its own it adds to that archive (typically a version); with one it
describes another archive that is like it. Mappings merge, lists and single values replace, null removes.

A broken file takes only the archives down that it speaks of: the packaged half of an archive whose other half can't be
read might say the opposite of what its owner wants, of a licence above all.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from curation_dagster.core.registry.checking import check
from curation_dagster.core.registry.documents import read_document
from curation_dagster.core.registry.keys import ArchiveVersionKey, parse_key
from curation_dagster.core.registry.models import Descriptor, Version
from curation_dagster.core.registry.problems import DescriptorError, Problem, near

PACKAGED = Path(__file__).parents[2] / "archives"


class RegistryError(DescriptorError):
    """An archive version was asked for that the registry can't give."""


class UnknownArchive(RegistryError):
    """No descriptor has this id."""


class UnknownVersion(RegistryError):
    """The archive's descriptor does not know this version."""


class InvalidDescriptor(RegistryError):
    """The archive's files have problems; the message lists them."""


@dataclass(frozen=True)
class ArchiveVersion:
    """One known version of an archive, with all that is declared of it.

    ``digest`` is the SHA-256 of the effective descriptor in canonical JSON, with this version only and without
    ``superseded_by``: adding a later version does not touch the digest of the earlier ones.
    """

    key: ArchiveVersionKey
    descriptor: Descriptor
    version: Version
    digest: str


@dataclass(frozen=True)
class Registry:
    """All archives.

    Parameters
    ----------
    descriptors : mapping of str to Descriptor
        The valid ones, by id, in order of id.
    problems : tuple of Problem
        Everything that is wrong with the rest, in order of file.
    files : mapping of str to tuple of str
        Archive to the files that describe it, broken ones included.
    folders : tuple of Path
        The folders besides the packaged one.
    """

    descriptors: Mapping[str, Descriptor]
    problems: tuple[Problem, ...]
    files: Mapping[str, tuple[str, ...]]
    folders: tuple[Path, ...] = ()

    def keys(self) -> tuple[ArchiveVersionKey, ...]:
        """Return all known archive versions."""
        return tuple(ArchiveVersionKey(id, v) for id, d in self.descriptors.items() for v in d.versions)

    def resolve(self, key: str | ArchiveVersionKey) -> ArchiveVersion:
        """Return what is declared of one archive version.

        Raises
        ------
        KeyFormatError
            If the key is not ``<archive>@<version>``.
        UnknownArchive
            If no descriptor has the id; the message names the nearest ones.
        InvalidDescriptor
            If the archive's files have problems; the message lists them.
        UnknownVersion
            If the descriptor does not know the version; the message says which ones it knows and where to add one.
        """
        key = parse_key(key) if isinstance(key, str) else key
        descriptor = self.descriptors.get(key.archive)
        if descriptor is None:
            raise self._refusal(key)
        version = descriptor.versions.get(key.version)
        if version is None:
            folder = self.folders[0] if self.folders else Path("a folder of descriptors")
            raise UnknownVersion(
                f"{key}: the archive {key.archive} has no version {key.version!r}; known are "
                f"{', '.join(descriptor.versions)} (from {', '.join(self.files[key.archive])}). To add one, write "
                f"`extends: {key.archive}` and the version under `versions:` into {folder / (key.archive + '.yaml')}."
            )
        return ArchiveVersion(key, descriptor, version, _digest(descriptor, key.version))

    def _refusal(self, key: ArchiveVersionKey) -> RegistryError:
        if key.archive not in self.files:
            return UnknownArchive(
                f"{key}: no descriptor has the id {key.archive!r}; {near(key.archive, self.descriptors)}"
            )
        files = self.files[key.archive]
        lines = "\n".join(f"  {p}" for p in self.problems if p.file in files)
        return InvalidDescriptor(
            f"{key}: the descriptor of {key.archive} is not valid, so nothing of it is used:\n{lines}"
        )

    def report(self) -> str:
        """Return how many archives and versions there are, and every problem, a line each."""
        head = f"{len(self.descriptors)} archives, {len(self.keys())} versions, "
        if not self.problems:
            return head + "no problems"
        files = len({p.file for p in self.problems})
        return (
            head
            + f"{len(self.problems)} problems in {files} files:\n"
            + "\n".join(f"  {p}" for p in self.problems)
        )


def load_registry(directories: Sequence[Path] = (), *, packaged: Path = PACKAGED) -> Registry:
    """Read all descriptors.

    Parameters
    ----------
    directories : sequence of Path
        Folders besides the packaged one, later ones over earlier ones. A folder that does not exist is passed over.
    packaged : Path
        The folder that comes first.

    Returns
    -------
    Registry
        With the valid descriptors and all problems. Never raises for what stands in a file.
    """
    loader = _Loader()
    loader.read(Path(packaged), 1)
    for folder in directories:
        # two folders, because the last one is called `archives` in most places
        loader.read(Path(folder), 2)
    loader.assemble()
    files = {id: tuple(dict.fromkeys(names)) for id, names in loader.files.items()}
    troubled = {p.file for p in loader.problems}
    valid = {id: d for id, d in sorted(loader.descriptors.items()) if not troubled.intersection(files[id])}
    return Registry(
        MappingProxyType(valid),
        tuple(sorted(loader.problems, key=lambda p: p.file)),
        MappingProxyType(files),
        tuple(Path(d) for d in directories),
    )


@dataclass(frozen=True)
class _Document:
    file: str
    stem: str
    data: dict[str, Any]

    @property
    def extends(self) -> Any:
        return self.data.get("extends")

    @property
    def id(self) -> Any:
        return self.data.get("id", self.extends)

    @property
    def is_addition(self) -> bool:
        """True if the file adds to an archive instead of describing one of its own."""
        return self.extends is not None and self.id == self.extends


@dataclass
class _Loader:
    documents: list[_Document] = field(default_factory=list)
    effective: dict[str, dict[str, Any]] = field(default_factory=dict)
    descriptors: dict[str, Descriptor] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)

    def problem(self, document: _Document, crumb: str, message: str) -> None:
        self.problems.append(Problem(document.file, crumb, message))

    def read(self, folder: Path, depth: int) -> None:
        """Read the files of one folder, in order of name; messages call them by ``depth`` folders and their name."""
        if folder.exists() and not folder.is_dir():
            self.problems.append(Problem(str(folder), "", "is not a folder of descriptors"))
            return
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in {".yaml", ".yml"})
        for path in paths:
            if path.name.startswith("."):
                continue  # editors and file managers leave such files behind
            file = "/".join(path.absolute().parts[-1 - depth :])
            data, problems = read_document(path, file)
            self.problems += problems
            document = _Document(file, path.stem, data)
            if data:
                self.documents.append(document)
            else:
                self.files.setdefault(_archive_in(path), []).append(document.file)

    def assemble(self) -> None:
        """Turn the documents into effective descriptors: whole ones, then what extends them."""
        pending = []
        for document in self.documents:
            if "extends" not in document.data:
                self.describe(document, document.data)
            elif isinstance(document.extends, str) and isinstance(document.id, str):
                pending.append(document)
            else:
                self.problem(document, "extends", "expected the id of one archive")
                self.files.setdefault(document.stem, []).append(document.file)
        while pending:
            # an archive is complete when all that adds to it is in; only then another one can be like it
            awaited = {d.extends for d in pending if d.is_addition}
            ready = [
                d
                for d in pending
                if d.extends in self.effective and (d.is_addition or d.extends not in awaited)
            ]
            if not ready:
                break
            pending.remove(ready[0])
            self.extend(ready[0])
        for document in pending:
            known = sorted(set(self.effective) - {document.id})
            message = f'no archive has the id "{document.extends}"; {near(document.extends, known)}'
            self.problem(document, "extends", message)
            self.files.setdefault(document.id, []).append(document.file)

    def describe(self, document: _Document, data: dict[str, Any]) -> None:
        """Take a document as an archive of its own."""
        id = document.id if isinstance(document.id, str) else document.stem
        self.files.setdefault(id, []).append(document.file)
        if isinstance(document.id, str) and document.id != document.stem:
            message = f'"{document.id}" differs from the name of the file; expected "{document.stem}"'
            self.problem(document, "id", message)
        if id in self.effective:
            message = (
                f'"{id}" is described in {self.files[id][0]} already; to add to it, write `extends: {id}` '
                "and only what differs, without id"
            )
            self.problem(document, "id", message)
            return
        self.effective[id] = data
        descriptor, problems = check(data, document.file)
        self.problems += problems
        if descriptor is not None:
            self.descriptors[id] = descriptor

    def extend(self, document: _Document) -> None:
        """Merge a document into the archive that it adds to, or into a copy of the one that it is like."""
        parts = {key: value for key, value in document.data.items() if key != "extends"}
        base = _for_method_of(parts, self.effective[document.extends])
        if not document.is_addition:
            # another archive: its versions are its own
            self.describe(document, merged({k: v for k, v in base.items() if k != "versions"}, parts))
            return
        id = document.extends
        known = {(p.breadcrumb, p.message) for p in check(base, document.file)[1]}
        self.effective[id] = merged(base, parts)
        self.files[id].append(document.file)
        descriptor, problems = check(self.effective[id], document.file)
        self.problems += [p for p in problems if (p.breadcrumb, p.message) not in known]
        if descriptor is not None:
            self.descriptors[id] = descriptor


def merged(base: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``parts`` in it: mappings merge, lists and single values replace, null removes.

    Examples
    --------
    >>> merged({"a": {"x": 1, "y": 2}, "b": [1, 2]}, {"a": {"y": None, "z": 3}, "b": [3]})
    {'a': {'x': 1, 'z': 3}, 'b': [3]}
    """
    result = dict(base)
    for key, value in parts.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), Mapping):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


def _for_method_of(parts: Mapping[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return ``base`` without the fields of its method of retrieval where ``parts`` choose another method."""
    own, theirs = parts.get("retrieval"), base.get("retrieval")
    if not isinstance(own, Mapping) or not isinstance(theirs, Mapping):
        return base
    if own.get("method", theirs.get("method")) == theirs.get("method"):
        return base
    return base | {"retrieval": {k: v for k, v in theirs.items() if k in ("urls", "instructions")}}


def _archive_in(path: Path) -> str:
    """Return which archive an unreadable file most likely speaks of."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return path.stem
    found = re.search(r"^(?:id|extends)\s*:\s*[\"']?([a-z][a-z0-9_]*)", text, re.MULTILINE)
    return found.group(1) if found else path.stem


def _digest(descriptor: Descriptor, version: str) -> str:
    own = descriptor.versions[version].model_copy(update={"superseded_by": None})
    part = descriptor.model_copy(update={"versions": {version: own}})
    canonical = json.dumps(part.model_dump(mode="json", by_alias=True), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
