"""What belongs together: images that are tied by patient, lesion or duplicate, directly or through others.

A tie through an image that is not in the corpus counts like any other. If a copy of A was excluded and its record names
the patient of B, then A and B show one person, whatever became of the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import pyarrow as pa

KEYS = ("patient_key", "lesion_key", "group_id")
"""Columns whose equal values tie two images."""


class Ties:
    """Disjoint sets of texts; the name of a set is its smallest image_id."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, node: str) -> str:
        """Return the root of a node, which becomes known if it was not."""
        above = self._above
        root = above.setdefault(node, node)
        while above[root] != root:
            root = above[root]
        while above[node] != root:
            above[node], node = root, above[node]
        return root

    def tie(self, a: str, b: str) -> None:
        """Put two nodes into one set."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self._above[max(a, b)] = min(a, b)


def tied(images: pa.Table, groups: pa.Table, certain_only: bool = False) -> dict[str, list[str]]:
    """Return the connected groups, each named by its smallest image_id, with its members sorted.

    Parameters
    ----------
    images : pyarrow.Table
        Columns image_id, patient_key and lesion_key, of every image that is known, curated or not.
    groups : pyarrow.Table
        Columns image_id, group_id, linked_to and uncertain_with of ``duplicates``.
    certain_only : bool
        Leave out ties that only may be duplicates.

    Returns
    -------
    dict of str to list of str
        Every image of ``images`` is in just one group; the result does not depend on the order of the rows.
    """
    ties = Ties()
    known = set(images["image_id"].to_pylist())
    for image in known:
        ties.find(image)
    # keys sort behind every image_id, so the smallest member of a set is an image
    for image, kind, value in _keys(images, groups):
        if image in known:
            ties.tie(image, f"~{kind}:{value}")
    for image, other in () if certain_only else _uncertain(groups):
        if image in known and other in known:
            ties.tie(image, other)
    found: dict[str, list[str]] = {}
    for image in sorted(known):
        found.setdefault(ties.find(image), []).append(image)
    return found


def _keys(images: pa.Table, groups: pa.Table) -> Iterator[tuple[str, str, str]]:
    for table in (images, groups):
        ids = table["image_id"].to_pylist()
        for kind in KEYS:
            if kind in table.column_names:
                for image, value in zip(ids, table[kind].to_pylist(), strict=True):
                    if value is not None:
                        yield image, kind, value


def _uncertain(groups: pa.Table) -> Iterable[tuple[str, str]]:
    ids = groups["image_id"].to_pylist()
    linked = zip(ids, groups["linked_to"].to_pylist(), strict=True)
    lists = zip(ids, groups["uncertain_with"].to_pylist(), strict=True)
    return chain(
        ((image, other) for image, other in linked if other is not None),
        ((image, other) for image, others in lists for other in others or ()),
    )
