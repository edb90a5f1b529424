"""Every structural check, by stage: what must hold of the tables themselves, whatever the criteria say.

A check is a sentence, and a function that looks for what contradicts it. It passes when it finds nothing, and it looks
in another way than the code that wrote the table: with SQL where that used Arrow, at the disk where that kept a list.
All are blocking: a run stops behind a table that is not in order, and the corpus refuses an archive version that has
failed one, or has one that has not looked at its current tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.workspace import Workspace


@dataclass(frozen=True)
class Outcome:
    """What a check found: nothing (it passes), or what contradicts it."""

    passed: bool
    detail: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A fact about one stage: what must hold, how that is looked at, and what to do where it does not."""

    stage: str
    name: str
    description: str
    remedy: str
    look: Callable[[Workspace, ArchiveVersionKey], Outcome]


CATALOGUE: dict[str, list[Check]] = {}


def fact(
    *stages: str,
) -> Callable[[Callable[[Workspace, ArchiveVersionKey, str], Outcome]], Callable[..., Outcome]]:
    """Enter a function into the catalogue, as a check of each of the stages.

    Its docstring says what must hold, and behind ``What to do:`` what to do where it doesn't.
    """

    def enter(look: Callable[[Workspace, ArchiveVersionKey, str], Outcome]) -> Callable[..., Outcome]:
        said = " ".join((look.__doc__ or "").split())
        description, _, remedy = (part.strip() for part in said.partition("What to do:"))
        for stage in stages:
            CATALOGUE.setdefault(stage, []).append(
                Check(
                    stage,
                    look.__name__,
                    description,
                    remedy[:1].upper() + remedy[1:],
                    lambda workspace, key, stage=stage: look(workspace, key, stage),  # type: ignore[misc]
                )
            )
        return look

    return enter


def blocking_checks(stages: Sequence[str]) -> dict[str, list[str]]:
    """Return the names of the blocking checks of the given stages."""
    from curation_dagster.checks import (  # noqa: F401 - they enter the catalogue
        facts_of_archives,
        facts_of_corpus,
        facts_of_release,
        facts_of_review,
    )

    return {stage: [c.name for c in CATALOGUE.get(stage, [])] for stage in stages}


def nothing_found(problems: Sequence[str], fine: str, **metadata: Any) -> Outcome:
    """Return an outcome that passes where there are no problems."""
    if not problems:
        return Outcome(True, fine, metadata)
    more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
    return Outcome(False, "; ".join(problems[:5]) + more, {"problems": len(problems), **metadata})
