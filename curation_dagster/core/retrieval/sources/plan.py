"""What is to be fetched, and what was: the plain data between sources, downloads and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from curation_dagster.core.registry.paths import matches
from curation_dagster.core.retrieval import names
from curation_dagster.core.retrieval.errors import UnexpectedAnswer, some
from curation_dagster.core.retrieval.sources.secrets import plain_url

ALGORITHMS = ("sha512", "sha256", "sha1", "md5")
"""Digests that publishers state, strongest first."""


@dataclass(frozen=True)
class RemoteFile:
    """One file at its source.

    Parameters
    ----------
    path : str
        POSIX path that it gets below the delivery.
    url : str
        Where it is.
    bytes : int or None
        Size that the source states.
    digests : mapping of str to str
        Digests that the source states, lower-case hexadecimal, by algorithm.
    validator : str or None
        What the source calls this state of the file, such as an ETag.
    about : mapping
        What else the method needs to fetch it.
    """

    path: str
    url: str
    bytes: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    validator: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What stays the same of a file while its address is signed anew."""
        return str(self.about.get("id") or plain_url(self.url))


@dataclass(frozen=True)
class Fetched:
    """One file that was fetched: verified, complete, at its place.

    ``verified_by`` is the algorithm of the publisher's digest that matched, or None where none is published.
    """

    path: str
    url: str
    bytes: int
    sha256: str
    verified_by: str | None
    validator: str | None
    resumed_from: int
    tries: int
    fetched_at: datetime
    moved: bool = False


def chosen(files: Iterable[RemoteFile], include: Sequence[str], where: str, most: int) -> list[RemoteFile]:
    """Return the files of a source that are wanted, after looking at their names.

    Raises
    ------
    UnexpectedAnswer
        If names are not plain relative paths, occur twice, differ by case only, are too many, or nothing is left.
    """
    listed = list(files)
    wanted = [f for f in listed if not include or matches(f.path, include)]
    problems = [f"{names.shown(f.path)}: {p}" for f in wanted if (p := names.problem_of(f.path)) is not None]
    seen: set[str] = set()
    for file in wanted:
        if file.path.casefold() in seen:
            problems.append(f"{names.shown(file.path)}: doubled name")
        seen.add(file.path.casefold())
    if len(wanted) > most:
        problems.append(f"{len(wanted):,} files, of at most {most:,}")
    if problems or not wanted:
        raise UnexpectedAnswer(
            "The source lists files that can't be fetched as they are."
            if problems
            else "The source lists no file that is wanted.",
            where=where,
            expected=f"files{' like ' + ', '.join(include) if include else ''} with plain relative names",
            got=some(problems) if problems else f"{len(listed):,} files, none of them wanted",
            next="Nothing was fetched. Correct `retrieval.include` in the descriptor, or deliver the files by hand.",
        )
    return sorted(wanted, key=lambda f: f.path)
