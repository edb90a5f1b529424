"""What stands in a queue, and what a reviewer sees beside each picture; read from the tables, a whole queue at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.items import FileItem
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.retrieval.containers import item_of
from curation_dagster.review_queues import open_reviews
from curation_dagster.workspace import Workspace

_MEASURED = (
    "format",
    "width",
    "height",
    "jpeg_quality",
    "reblur_512",
    "noise_sigma",
    "luma_p95",
    "hair_share",
)
_RECORDED = (
    "modality",
    "diagnosis_source_label",
    "icd11_code",
    "icd11_title",
    "confirmation",
    "anatomy_label",
    "fitzpatrick",
    "device",
)
_NAMES = {
    "diagnosis_source_label": "label of the publisher",
    "icd11_code": "ICD-11",
    "icd11_title": "ICD-11 title",
    "anatomy_label": "site",
    "fitzpatrick": "Fitzpatrick phototype",
    "jpeg_quality": "JPEG quality",
    "reblur_512": "re-blur at 512 px (0 sharp, 1 blurred)",
    "noise_sigma": "noise (levels)",
    "luma_p95": "95th percentile of luma (0 to 255)",
    "hair_share": "share of hair",
}


@dataclass(frozen=True)
class Item:
    """One image of a queue.

    ``others`` are the images that it may be a duplicate of, to be shown beside it. ``facts`` are pairs of a name and a
    text; the first two are what the criterion measured and the bound that it has.
    """

    image_id: str
    rank: int
    purpose: str
    file: FileItem | None
    others: tuple[tuple[str, FileItem | None], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Queue:
    """All images of one archive version that people look at for one criterion, in the order in which they are drawn."""

    key: ArchiveVersionKey
    criterion: Criterion
    items: tuple[Item, ...]
    by_id: Mapping[str, Item] = field(repr=False)

    def picture(self, image_id: str) -> FileItem | None:
        """Return the staged file of an image of the queue, or of one that stands beside it.

        Raises
        ------
        KeyError
            If no image of the queue is shown with it.
        """
        if image_id in self.by_id:
            return self.by_id[image_id].file
        for item in self.items:
            for other, file in item.others:
                if other == image_id:
                    return file
        raise KeyError(image_id)


def waiting_rows(workspace: Workspace, key: ArchiveVersionKey) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the open queue of an archive version, by criterion, in the order of their ranks.

    Rows that were drawn under other criteria are left out: what is asked now stands in the criteria in force.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in open_reviews(workspace, key).to_pylist():
        if row["criteria_digest"] == workspace.criteria.digest:
            found.setdefault(row["criterion"], []).append(row)
    for rows in found.values():
        rows.sort(key=lambda r: (r["rank"], r["image_id"]))
    return found


def load_queue(
    workspace: Workspace, key: ArchiveVersionKey, criterion: Criterion, rows: Sequence[Mapping[str, Any]]
) -> Queue:
    """Return a queue with everything that the page shows."""
    asked = pa.table({"image_id": pa.array([r["image_id"] for r in rows], pa.string())})
    beside = _beside(workspace, key, criterion, asked)
    files = _files(workspace, {key: [r["image_id"] for r in rows]} | _by_key(beside))
    facts = _facts(workspace, key, criterion, asked)
    items = tuple(
        Item(
            r["image_id"],
            r["rank"],
            r["purpose"],
            files.get(r["image_id"]),
            tuple((other, files.get(other)) for other, _ in beside.get(r["image_id"], ())),
            facts.get(r["image_id"], ()),
        )
        for r in rows
    )
    return Queue(key, criterion, items, {i.image_id: i for i in items})


def _beside(
    workspace: Workspace, key: ArchiveVersionKey, criterion: Criterion, asked: pa.Table
) -> dict[str, list[tuple[str, ArchiveVersionKey]]]:
    """Return for each image those that it may be a duplicate of, with the archive version that each lies in."""
    if criterion.stage != "duplicates":
        return {}
    found: dict[str, list[tuple[str, ArchiveVersionKey]]] = {}
    with workspace.lake.sql("duplicates", asked=asked) as sql:
        rows = sql.execute(
            "SELECT d.image_id, o.image_id, o.archive, o.version FROM duplicates d JOIN asked USING (image_id) "
            "JOIN duplicates o ON list_contains(d.uncertain_with, o.image_id) OR o.image_id = d.linked_to "
            "WHERE d.archive = $1 AND d.version = $2 AND o.image_id <> d.image_id ORDER BY 1, 2",
            [key.archive, key.version],
        ).fetchall()
    for image_id, other, archive, version in rows:
        found.setdefault(image_id, []).append((other, ArchiveVersionKey(archive, version)))
    return found


def _by_key(
    beside: Mapping[str, Sequence[tuple[str, ArchiveVersionKey]]],
) -> dict[ArchiveVersionKey, list[str]]:
    found: dict[ArchiveVersionKey, list[str]] = {}
    for others in beside.values():
        for other, key in others:
            found.setdefault(key, []).append(other)
    return found


def _files(workspace: Workspace, wanted: Mapping[ArchiveVersionKey, Sequence[str]]) -> dict[str, FileItem]:
    """Return the staged file of each image that the pass over the pixels could decode."""
    found: dict[str, FileItem] = {}
    for key, image_ids in wanted.items():
        images = workspace.part("records", key, ["image_id", "path"])
        files = workspace.part("files", key, role="image")
        asked = pa.table({"image_id": pa.array(sorted(set(image_ids)), pa.string())})
        with workspace.lake.sql(images=images, files=files, asked=asked) as sql:
            rows = (
                sql.sql(
                    "SELECT image_id, files.* FROM asked JOIN images USING (image_id) JOIN files USING (path)"
                )
                .to_arrow_table()
                .to_pylist()
            )
        decoded = set(_measurements(workspace, [r["sha256"] for r in rows])["sha256"].to_pylist())
        for row in (r for r in rows if r["sha256"] in decoded):
            found[row["image_id"]] = item_of(row, workspace.settings.staging)
    return found


def _measurements(workspace: Workspace, digests: Sequence[str]) -> pa.Table:
    """Return what was measured in the files that it could decode."""
    where = {"sha256": sorted(set(digests)), "decode_state": "ok"}
    return workspace.lake.read("measurements", columns=["sha256", *_MEASURED], where=where)


def _facts(
    workspace: Workspace, key: ArchiveVersionKey, criterion: Criterion, asked: pa.Table
) -> dict[str, tuple[tuple[str, str], ...]]:
    table = "decisions" if criterion.stage == "duplicates" else "verdicts"
    verdicts = workspace.part(
        table, key, ["image_id", "measured", "bound", "detail"], criterion=criterion.id, stage=criterion.stage
    )
    harmonized = workspace.part("harmonized", key, ["image_id", "sha256", *_RECORDED])
    measured = ", ".join(f"any_value(m.{c}) AS {c}" for c in _MEASURED)
    recorded = ", ".join(f"any_value(h.{c}) AS {c}" for c in _RECORDED)
    harmonized = harmonized.filter(
        pc.is_in(harmonized["image_id"], value_set=asked["image_id"].combine_chunks())
    )
    measurements = _measurements(workspace, [d for d in harmonized["sha256"].to_pylist() if d])
    with workspace.lake.sql(asked=asked, verdicts=verdicts, harmonized=harmonized, found=measurements) as sql:
        rows = (
            sql.sql(
                f"SELECT image_id, any_value(v.measured) AS measured, any_value(v.bound) AS bound, "
                f"any_value(v.detail) AS detail, {measured}, {recorded} FROM asked "
                "LEFT JOIN verdicts v USING (image_id) LEFT JOIN harmonized h USING (image_id) "
                "LEFT JOIN found m ON m.sha256 = h.sha256 GROUP BY image_id"
            )
            .to_arrow_table()
            .to_pylist()
        )
    names = ("measured", "bound", "detail", *_RECORDED, *_MEASURED)
    return {
        r["image_id"]: tuple((_NAMES.get(n, n), _text(r[n])) for n in names if r[n] is not None) for r in rows
    }


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
