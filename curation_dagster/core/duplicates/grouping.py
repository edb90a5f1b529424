"""Groups of linked images. The rule on chains: linked to a linked image is in the group.

If a is linked to b and b to c, then a, b and c are one group, though a and c were never found alike: connected
components over verified links. Otherwise membership would depend on which image is looked at first. The price is
declared where it is paid: a member that is not linked to the representative itself says through which member it
belongs, and over how many links.

Links that are ``uncertain`` join nothing. Groups and ids depend on the set of links alone, not on the order of rows,
archives or workers.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from curation_dagster.core.duplicates.bounds import HASH_BITS
from curation_dagster.core.duplicates.verification import KINDS

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://curation-dagster/duplicate-group")
UNCERTAIN = "uncertain"


@dataclass(frozen=True)
class Link:
    """A link as seen from one of its images.

    Parameters
    ----------
    to : str
        image_id of the other image.
    kind : {"same_file", "same_pixels", "derived", "near", "uncertain"}
        What verification found.
    distance : int or None
        Hamming distance of the hashes. Bit.
    evidence : str
        What verified it, with its figures.
    """

    to: str
    kind: str
    distance: int | None
    evidence: str

    @property
    def place(self) -> tuple[int, int, str]:
        """Sorts links: the strongest kind first, then the nearest, then the smallest id."""
        return KINDS.index(self.kind), HASH_BITS + 1 if self.distance is None else self.distance, self.to


@dataclass(frozen=True)
class Step:
    """How a member belongs to its representative: its first link on the shortest way, and the links to go."""

    link: Link
    links_to_go: int


Neighbours = Mapping[str, list[Link]]


def neighbours(links: pa.Table, uncertain: bool = False) -> dict[str, list[Link]]:
    """Return the links of each image, both ways: those that join groups, or the uncertain ones."""
    found: defaultdict[str, list[Link]] = defaultdict(list)
    for batch in links.to_batches():
        columns = (batch[name].to_pylist() for name in ("a", "b", "kind", "distance", "evidence"))
        for a, b, kind, distance, evidence in zip(*columns, strict=True):
            if (kind == UNCERTAIN) == uncertain:
                found[a].append(Link(b, kind, distance, evidence))
                found[b].append(Link(a, kind, distance, evidence))
    return dict(found)


def components(joined: Neighbours) -> list[tuple[str, ...]]:
    """Return the groups, each with its members in order of id, ordered by their first members."""
    seen: set[str] = set()
    groups = []
    for start in sorted(joined):
        if start in seen:
            continue
        seen.add(start)
        members, ahead = [], [start]
        while ahead:
            member = ahead.pop()
            members.append(member)
            for link in joined[member]:
                if link.to not in seen:
                    seen.add(link.to)
                    ahead.append(link.to)
        groups.append(tuple(sorted(members)))
    return groups


def group_id(members: Iterable[str]) -> str:
    """Return the id of a group: UUIDv5 of its members' ids in order."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(sorted(members))))


def steps(representative: str, joined: Neighbours) -> dict[str, Step]:
    """Return for each member of the representative's group how it belongs.

    The way has the fewest links; among those, each member takes the strongest first link. The representative's own
    step is its strongest link, with no links to go.
    """
    found = {representative: Step(min(joined[representative], key=lambda link: link.place), 0)}
    nearest, far = {representative}, 0
    while nearest:
        far += 1
        reached = sorted({link.to for member in nearest for link in joined[member]} - found.keys())
        for member in reached:
            back = min((link for link in joined[member] if link.to in nearest), key=lambda link: link.place)
            found[member] = Step(back, far)
        nearest = set(reached)
    return found
