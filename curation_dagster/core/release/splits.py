"""Which side each image is on: by group, balanced, by declaration where one is made, and for ever.

A group that has a side keeps it, and its new members follow. A new group that a reservation fits goes where that says.
All others are placed one after the other, the largest first and in the order of a keyed hash, each on the side that
lacks most of what the group has. What was placed before counts, so the sides stay balanced as a corpus grows. An image
that has a side is never moved; see ``on_conflict`` in ``splits.yaml`` for groups that turn out to be one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation_dagster.core.release.settings import AGE_BAND, SplitSettings
from curation_dagster.schemas import SIDES, SPLITS

_NONE = "none"


@dataclass(frozen=True)
class Drawn:
    """The side of each image, and what is new.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of ``splits`` without run_id, a row per image of the corpus, sorted by image_id.
    fresh : list of dict
        image_id, split, reason and component of each image that has a side for the first time.
    conflicts : list of dict
        component, sides, kept and withheld (numbers of images of the corpus) of each group that is on several sides.
    """

    rows: pa.Table
    fresh: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]


def draw(
    corpus: pa.Table,
    components: Mapping[str, Sequence[str]],
    history: Mapping[str, tuple[str, str]],
    settings: SplitSettings,
) -> Drawn:
    """Give each image of the corpus its side.

    Parameters
    ----------
    corpus : pyarrow.Table
        Rows of ``corpus``: image_id, archive, version, and the columns of strata and reservations.
    components : mapping of str to sequence of str
        The groups, as :func:`curation_dagster.core.release.groups.tied` returns them, over all known images.
    history : mapping of str to (str, str)
        image_id to the side that it was given first, and why; images that have left the corpus included.
    """
    rows = {r["image_id"]: r for r in corpus.sort_by("image_id").to_pylist()}
    strata = {i: _stratum(r, settings) for i, r in rows.items()}
    balance = Balance(settings, strata)
    side_of: dict[str, tuple[str | None, str]] = {}
    open_groups: list[tuple[str, list[str]]] = []
    conflicts: list[dict[str, Any]] = []
    in_corpus = {c: [i for i in members if i in rows] for c, members in components.items()}
    for name, members in components.items():
        mine = in_corpus[name]
        if not mine:
            continue
        sides = sorted({history[i][0] for i in members if i in history}, key=SIDES.index)
        if not sides:
            open_groups.append((name, mine))
            continue
        if len(sides) > 1:
            kept = [i for i in mine if history.get(i, ("", ""))[0] == sides[0]]
            conflicts.append(
                {"component": name, "sides": sides, "kept": len(kept), "withheld": len(mine) - len(kept)}
            )
        for image in mine:
            if image in history and history[image][0] == sides[0]:
                side_of[image] = history[image]
            elif len(sides) > 1:
                side_of[image] = (None, f"its group is on several sides: {', '.join(sides)}")
            else:
                side_of[image] = (sides[0], "its group has this side")
    for image, (side, _) in side_of.items():
        balance.add(image, side)
    for name, mine in sorted(open_groups, key=lambda g: (-len(g[1]), _key(settings, "order", g[0]))):
        side, reason = _reserved([rows[i] for i in mine], name, settings) or (
            balance.best_for(mine, name),
            "drawn by strata",
        )
        for image in mine:
            side_of[image] = (side, reason)
            balance.add(image, side)
    component_of = {i: (c, len(m)) for c, m in components.items() for i in in_corpus[c]}
    table = SPLITS.conform(
        [
            {
                "image_id": i,
                "archive": r["archive"],
                "version": r["version"],
                "split": side_of[i][0],
                "state": "withheld" if side_of[i][0] is None else "assigned",
                "reason": side_of[i][1],
                "component": component_of[i][0],
                "component_size": component_of[i][1],
                "stratum": " | ".join(strata[i]),
                "settings_digest": settings.digest,
            }
            for i, r in rows.items()
        ]
    )
    fresh = [
        {"image_id": i, "split": side, "reason": reason, "component": component_of[i][0]}
        for i, (side, reason) in sorted(side_of.items())
        if side is not None and i not in history
    ]
    return Drawn(table, fresh, conflicts)


class Balance:
    """How many images of each value of each stratum are on each side, and how many should be."""

    def __init__(self, settings: SplitSettings, strata: Mapping[str, tuple[str, ...]]) -> None:
        self._settings = settings
        self._strata = strata
        self._total: Counter[tuple[int, str]] = Counter(
            (n, value) for values in strata.values() for n, value in enumerate(values)
        )
        self._all = max(1, len(strata))
        self._on: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
        self._images: Counter[str] = Counter()

    def add(self, image: str, side: str | None) -> None:
        """Count an image on its side."""
        if side is not None:
            self._on[side].update(enumerate(self._strata[image]))
            self._images[side] += 1

    def best_for(self, images: Sequence[str], group: str) -> str:
        """Return the side that lacks most of what the images have; ties are settled by keyed hash."""
        counted = Counter((n, v) for i in images for n, v in enumerate(self._strata[i]))
        best, highest = SIDES[0], (float("-inf"), "")
        for side in SIDES:
            share = self._settings.fractions[side]
            if share == 0:
                continue
            lack = share - self._images[side] / self._all
            for (n, value), count in counted.items():
                total = self._total[n, value]
                lack += count / len(images) * (share - self._on[side][n, value] / total) / (n + 1)
            score = (round(lack, 9), _key(self._settings, side, group))
            if score > highest:
                best, highest = side, score
        return best


def balance_of(rows: pa.Table, settings: SplitSettings) -> list[dict[str, Any]]:
    """Return how the sides are balanced: a row per stratum and value, with the images and the share on each side.

    ``largest_deviation`` is the largest difference of a share from the declared one, in images.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in rows.select(["split", "stratum"]).to_pylist():
        if row["split"] is not None:
            for name, value in zip(settings.strata, row["stratum"].split(" | "), strict=True):
                counts[name, value][row["split"]] += 1
            counts["all", "all"][row["split"]] += 1
    found = []
    for (name, value), on in sorted(counts.items()):
        total = sum(on.values())
        deviations = [float(on[s] - settings.fractions[s] * total) for s in SIDES]
        found.append(
            {"stratum": name, "value": value, "images": total}
            | {s: on[s] for s in SIDES}
            | {"largest_deviation": round(sorted(deviations, key=abs)[-1], 2)}
        )
    return found


def _reserved(rows: list[dict[str, Any]], group: str, settings: SplitSettings) -> tuple[str, str] | None:
    for r in settings.reservations:
        if any(r.fits(row) for row in rows) and _unit(settings, f"reservation:{r.id}", group) < r.share:
            return r.side, f"reserved by {r.id}"
    return None


def _stratum(row: Mapping[str, Any], settings: SplitSettings) -> tuple[str, ...]:
    values = []
    for name in settings.strata:
        value = row.get(name)
        if name == AGE_BAND:
            age = row["age_years"] if row["age_years"] is not None else row["age_low"]
            width = settings.age_band_years
            value = None if age is None else f"{int(age // width) * width}+"
        values.append(_NONE if value is None else str(value).replace(" | ", " / "))
    return tuple(values)


def _key(settings: SplitSettings, purpose: str, group: str) -> str:
    message = f"{purpose}\x1f{group}".encode()
    return hmac.new(settings.seed.encode(), message, hashlib.sha256).hexdigest()


def _unit(settings: SplitSettings, purpose: str, group: str) -> float:
    """Return a number from 0 up to 1 that depends on the seed, the purpose and the group alone."""
    return int(_key(settings, purpose, group)[:13], 16) / 16**13
