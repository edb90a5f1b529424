"""Files that a publisher made from other images of the archive: recorded with their parent, never cases of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from curation_dagster.core.registry.layout import Layout

#: What stands in the column ``derivation`` of a file that was made from no other one.
ORIGINAL = "original"


class _HasId(Protocol):
    @property
    def source_id(self) -> str: ...


F = TypeVar("F", bound=_HasId)


@dataclass(frozen=True)
class Derived:
    """What was done, such as ``crop``, and the source id of the image that it was done to."""

    name: str
    parent: str


def derived(source_id: str, layout: Layout) -> Derived | None:
    """Return what an image was made from, as its name says under the rules of the descriptor."""
    for rule in layout.derivations:
        found = re.fullmatch(rule.pattern, source_id)
        if found and found.group("parent") != source_id:
            return Derived(rule.name, found.group("parent"))
    return None


def split(files: Iterable[F], layout: Layout) -> tuple[list[F], list[tuple[F, Derived]]]:
    """Return the originals, and the derived files with what they are."""
    originals: list[F] = []
    others: list[tuple[F, Derived]] = []
    for file in files:
        found = derived(file.source_id, layout) if layout.derivations else None
        if found is None:
            originals.append(file)
        else:
            others.append((file, found))
    return originals, others


def parent_rows(
    parents: Sequence[str], source_ids: Sequence[str], has_file: Sequence[bool]
) -> list[int | None]:
    """Return for each parent's id the first row that holds its file, or None."""
    rows: dict[str, int] = {}
    for position, (id, there) in enumerate(zip(source_ids, has_file, strict=True)):
        if there:
            rows.setdefault(id, position)
    return [rows.get(parent) for parent in parents]
