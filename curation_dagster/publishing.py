"""From the ledger to published files: who is admitted, which files are written, what the corpus says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.completing import completions
from curation_dagster.compute import Failure
from curation_dagster.core.admission import Admission
from curation_dagster.core.criteria.evaluate import fold
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.publish import PublishItem, publish, written_by
from curation_dagster.core.imaging.regions import boxes_to_fill
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.retrieval.containers import item_of
from curation_dagster.engine import files_mapper
from curation_dagster.gate import admission_of, archive_versions, ledger_problems, versions_in_view
from curation_dagster.passes import REPORT_SECONDS, Pass, run_pass
from curation_dagster.schemas import ADMISSIONS, CORPUS
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace


@dataclass(frozen=True)
class Gated:
    """One archive version at the gate: whether it is admitted, and what its ledger says of its images."""

    admission: Admission
    images_in: int
    passing: pa.Array  # image ids that fail nothing and wait for nobody
    excluded: int
    quarantined: int


def admit(workspace: Workspace) -> list[Gated]:
    """Ask the gate about every archive version that was ever staged, finished or not."""
    in_view = versions_in_view(workspace)
    complete = archive_versions(workspace)
    staged = workspace.lake.read(
        "stages", columns=["archive", "version"], where={"stage": "staged"}
    ).to_pylist()
    ledger_is_old = ledger_problems(workspace)
    gated = []
    for key in sorted(ArchiveVersionKey(r["archive"], r["version"]) for r in staged):
        admission = admission_of(workspace, key)
        admission = Admission(key, (*admission.reasons, *ledger_is_old))
        if (key.archive, key.version) not in complete:
            images = workspace.part("records", key, ["image_id"]).num_rows
            gated.append(Gated(admission, images, pa.array([], pa.string()), 0, images))
            continue
        if in_view.get(key.archive) != key.version:
            instead = f"the corpus looks at version {in_view.get(key.archive)} of this archive"
            admission = Admission(key, (instead, *admission.reasons))
        ledger = workspace.part("decisions", key, ["image_id", "criterion", "outcome"])
        folded = fold(ledger, pc.unique(ledger["image_id"]))
        passing = folded.filter(pc.equal(folded["verdict"], "kept"))["image_id"].combine_chunks()
        excluded, quarantined = (
            pc.sum(pc.equal(folded["verdict"], v)).as_py() or 0 for v in ("excluded", "quarantined")
        )
        gated.append(
            Gated(admission, workspace.stage(key, "records")["rows_in"], passing, excluded, quarantined)
        )
    return gated


def publish_missing(
    workspace: Workspace,
    gate: list[Gated],
    log: Callable[[str], None],
    run_id: str,
    workers: int | None = None,
    report_s: float = REPORT_SECONDS,
) -> dict[str, dict[str, Any]]:
    """Write the files of all admitted images that are not written yet; return what is published, by image_id."""
    items: list[PublishItem] = []
    for gated in gate:
        if gated.admission.admitted and len(gated.passing):
            items += _items(workspace, gated)
    known = _published(workspace)
    missing = [i for i in items if not _is_published(workspace, known.get((i.image_id, i.item.sha256)))]
    log(
        f"corpus: {len(items)} images pass, {len(items) - len(missing)} are published, {len(missing)} to write"
    )
    run_pass(
        Pass("published", publish, "image_id", lambda i: i.image_id, row_of_failure, written_by()),
        missing,
        workspace.lake,
        workspace.settings.work / "published",
        workers or workspace.settings.workers,
        log,
        note={"run_id": run_id},
        over=files_mapper(workspace.settings),
        report_s=report_s,
    )
    rows = _published(workspace)
    return {i.image_id: rows[i.image_id, i.item.sha256] for i in items}


def row_of_failure(item: PublishItem, failure: Failure) -> dict[str, Any]:
    """Return the row of a file that could not be published because its worker died, hung or failed."""
    return {
        "image_id": item.image_id,
        "source_sha256": item.item.sha256,
        "written_by": written_by(),
        "state": "failed",
        "detail": f"{failure.kind}: {failure.detail}",
    }


def assemble(
    workspace: Workspace, gate: list[Gated], published: dict[str, dict[str, Any]], run_id: str
) -> tuple[pa.Table, pa.Table]:
    """Return the rows of ``corpus`` and of ``admissions``."""
    before = workspace.lake.read("corpus", columns=["image_id", "ingested_at"]).to_pylist()
    since = {r["image_id"]: r["ingested_at"] for r in before}
    now = datetime.now(UTC)
    taken_over = completions(workspace, [g.admission.key for g in gate if g.admission.admitted])
    rows: list[dict[str, Any]] = []
    admissions = []
    for gated in gate:
        key = gated.admission.key
        # what a detector finds again in the written file, or a reader beside the pixels, is not in the corpus for good
        refused = sum(published.get(i, {}).get("state") == "not_clean" for i in gated.passing.to_pylist())
        refused = refused if gated.admission.admitted else 0
        written = [i for i in gated.passing.to_pylist() if published.get(i, {}).get("state") == "written"]
        kept = set(written) if gated.admission.admitted else set()
        if kept:
            groups = workspace.part("duplicates", key, ["image_id", "group_id"]).to_pylist()
            group = {r["image_id"]: r["group_id"] for r in groups}
            for image in workspace.part("harmonized", key).to_pylist():
                if image["image_id"] in kept:
                    file = published[image["image_id"]]
                    values, sources = taken_over.get(image["image_id"], ({}, []))
                    rows.append(
                        {c: image[c] for c in CORPUS.arrow_schema.names if c in image}
                        | values
                        | {c: file[c] for c in ("file", "sha256", "width", "height")}
                        | {
                            "duplicate_group": group.get(image["image_id"]),
                            "field_sources": sources or None,
                            "ingested_at": since.get(image["image_id"], now),
                            "criteria_version": workspace.criteria.version,
                            "run_id": run_id,
                        }
                    )
        admissions.append(
            {
                "archive": key.archive,
                "version": key.version,
                "admitted": gated.admission.admitted,
                "reasons": list(gated.admission.reasons),
                "images_in": gated.images_in,
                "images_kept": len(kept),
                "images_excluded": gated.excluded + refused,
                # what passes and is not kept waits: for its archive version, or for its file to be written
                "images_quarantined": gated.quarantined + len(gated.passing) - len(kept) - refused,
                "criteria_digest": workspace.criteria.digest,
                "run_id": run_id,
            }
        )
    rows.sort(key=lambda r: r["image_id"])
    return CORPUS.conform(rows), ADMISSIONS.conform(admissions)


def _items(workspace: Workspace, gated: Gated) -> list[PublishItem]:
    """Return what is to be published of one archive version."""
    images = workspace.part("records", gated.admission.key, ["image_id", "path"])
    seen = measured_images(workspace, gated.admission.key, ["regions", "width", "height"])
    fill = {
        r["image_id"]: tuple(boxes_to_fill(r["regions"], r["width"], r["height"], detecting()))
        for r in seen.to_pylist()
        if r["regions"]
    }
    files = workspace.part("files", gated.admission.key, role="image")
    with workspace.lake.sql(images=images, files=files, passing=pa.table({"image_id": gated.passing})) as sql:
        rows = sql.sql(
            "SELECT image_id, files.* FROM passing JOIN images USING (image_id) JOIN files USING (path) ORDER BY image_id"
        ).to_arrow_table()
    root = str(workspace.settings.corpus)
    return [
        PublishItem(r["image_id"], item_of(r, workspace.settings.staging), root, fill.get(r["image_id"], ()))
        for r in rows.to_pylist()
    ]


def _is_published(workspace: Workspace, row: dict[str, Any] | None) -> bool:
    """Return whether a file needs no further try: it is there in its size, or was refused by the re-scan."""
    if row is None or row["state"] == "failed":  # a full disk or a killed worker says nothing of the picture
        return False
    if row["state"] == "not_clean":
        return True
    path = workspace.settings.corpus / row["file"]
    return path.is_file() and path.stat().st_size == row["bytes"]


def _published(workspace: Workspace) -> dict[tuple[str, str], dict[str, Any]]:
    rows = workspace.lake.read("published", where={"written_by": written_by()}).to_pylist()
    return {(r["image_id"], r["source_sha256"]): r for r in rows}
