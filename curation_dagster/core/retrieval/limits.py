"""The limits that deliveries and containers must keep, as declared in ``vocabularies/limits.yaml``."""

from __future__ import annotations

import fnmatch
import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class ContainerLimits:
    """Limits of a delivery; what each is for stands beside its value in the data file.

    Sizes are in bytes of unpacked content unless the name says otherwise. ``max_ratio`` is unpacked over packed
    bytes of a member, and of a container as a whole, and counts from ``ratio_from_bytes`` unpacked bytes on.
    """

    max_depth: int
    max_members: int
    max_directory_bytes: int
    max_member_bytes: int
    max_total_bytes: int
    max_ratio: float
    ratio_from_bytes: int
    reserve_bytes: int
    unfinished_names: tuple[str, ...]
    document_suffixes: frozenset[str]

    @classmethod
    def load(cls) -> ContainerLimits:
        """Return the declared limits."""
        return _declared()

    def is_unfinished(self, name: str) -> bool:
        """Return whether a file name is one that download tools give to unfinished files."""
        return any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in self.unfinished_names)

    def is_bomb(self, unpacked: int, packed: int) -> bool:
        """Return whether content unpacks to more than its packed size can honestly hold."""
        return unpacked >= self.ratio_from_bytes and unpacked > self.max_ratio * packed


@dataclass(frozen=True)
class TableLimits:
    """Limits of tables of metadata; what each is for stands beside its value in the data file."""

    max_workbook_bytes: int
    max_cells: int
    max_literal_characters: int

    @classmethod
    @functools.cache
    def load(cls) -> TableLimits:
        """Return the declared limits."""
        return cls(**{name: limit["value"] for name, limit in _document()["tables"].items()})


@functools.cache
def _document() -> dict[str, Any]:
    text = (
        resources.files("curation_dagster").joinpath("vocabularies/limits.yaml").read_text(encoding="utf-8")
    )
    declared: dict[str, Any] = yaml.safe_load(text)
    return declared


@functools.cache
def _declared() -> ContainerLimits:
    declared = _document()
    return ContainerLimits(
        **{name: limit["value"] for name, limit in declared["limits"].items()},
        unfinished_names=tuple(declared["unfinished_names"]),
        document_suffixes=frozenset(declared["document_suffixes"]),
    )
