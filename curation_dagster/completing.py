"""What the members of a group give their representative: who may give, read from the tables of one installation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.evaluate import fold
from curation_dagster.core.duplicates.completion import complete
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.workspace import Workspace

Completion = tuple[dict[str, Any], list[str]]


def completions(workspace: Workspace, admitted: Iterable[ArchiveVersionKey]) -> dict[str, Completion]:
    """Return what each representative takes over from the other members of its group, by image_id.

    A donor's archive version is admitted and the donor fails nothing but that it is not the representative: what comes
    under a refused licence, from a doubtful record or an unapproved archive is not carried over. Groups with
    conflicting diagnoses give nothing.
    """
    groups = workspace.lake.read(
        "duplicates",
        columns=["image_id", "archive", "version", "group_id", "is_representative"],
        where=pc.field("group_id").is_valid() & ~pc.field("label_conflict"),
    ).to_pylist()
    representative = {r["group_id"]: r["image_id"] for r in groups if r["is_representative"]}
    members: defaultdict[ArchiveVersionKey, dict[str, str]] = defaultdict(dict)
    for row in groups:
        members[ArchiveVersionKey(row["archive"], row["version"])][row["image_id"]] = row["group_id"]
    keys = set(admitted)
    takers: dict[str, dict[str, Any]] = {}
    donors: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, group_of in members.items():
        if key not in keys:
            continue
        sound = _sound(workspace, key, list(group_of))
        rows = workspace.part("harmonized", key)
        for row in rows.filter(pc.is_in(rows["image_id"], pa.array(sound, pa.string()))).to_pylist():
            group = group_of[row["image_id"]]
            if row["image_id"] == representative[group]:
                takers[group] = row
            else:
                donors[group].append(row)
    units = workspace.criteria.representative.completed
    found = {row["image_id"]: complete(row, donors[group], units) for group, row in takers.items()}
    return {image_id: (values, sources) for image_id, (values, sources) in found.items() if sources}


def _sound(workspace: Workspace, key: ArchiveVersionKey, image_ids: list[str]) -> list[str]:
    """Return the images that pass everything but the choice among duplicates."""
    ledger = workspace.part("decisions", key, ["image_id", "criterion", "outcome"])
    chosen = {c.id for c in workspace.criteria.of_stage("duplicates")}
    of_groups = pc.is_in(ledger["criterion"], pa.array(sorted(chosen), pa.string()))
    mine = pc.is_in(ledger["image_id"], pa.array(image_ids, pa.string()))
    rest = ledger.filter(pc.and_(mine, pc.invert(of_groups)))
    folded = fold(rest, pc.unique(rest["image_id"]))
    return folded.filter(pc.equal(folded["verdict"], "kept"))["image_id"].to_pylist()
