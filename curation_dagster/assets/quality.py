"""Quality: each distinct file is read and decoded once, then judged as often as the criteria change.

``measurements`` is keyed by content, not by archive: a file that any archive version brought before is not read
again by the same code. It runs in worker processes, in chunks that a restarted run finds again. ``quality`` reads no
pixel: it applies the criteria of integrity, resolution, focus, light and artifacts to the numbers.
"""

from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.assets.common import PixelPass, archive_asset, key_of, markdown_table, shown
from curation_dagster.compute import Failure
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.measure import measure, measured_by
from curation_dagster.core.imaging.regions import prepare
from curation_dagster.core.items import FileItem
from curation_dagster.core.retrieval.containers import item_of
from curation_dagster.engine import files_mapper
from curation_dagster.passes import Pass, run_pass
from curation_dagster.resources import Curation
from curation_dagster.schemas import MEASUREMENTS
from curation_dagster.stage import StageReport, finish_with_criteria
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

_STATE_OF_FAILURE = {
    "worker_died": "worker_died",
    "timed_out": "timed_out",
    "out_of_memory": "too_large",
    "error": "unreadable",
}
# these say something of the machine at that time, not of the file: materializing again measures them again
_TRIED_AGAIN = ("changed", "worker_died", "timed_out")
# thumbnails are for pictures, not for decisions, and make up most of the table's bytes
_JUDGED = [c for c in MEASUREMENTS.arrow_schema.names if not c.startswith("thumbnail_") and c != "sha256"]


def row_of_failure(item: FileItem, failure: Failure) -> dict[str, Any]:
    """Return the measurement row of a file whose worker died, hung or failed."""
    return {
        "sha256": item.sha256,
        "measured_by": measured_by(),
        "bytes": item.bytes,
        "decode_state": _STATE_OF_FAILURE[failure.kind],
        "decode_detail": failure.detail,
    }


def measuring_pass() -> Pass:
    """Return the pass that measures files.

    Raises
    ------
    curation_dagster.core.imaging.declared.ModelError
        If a network is not the declared one; no file is measured then.
    """
    prepare(detecting())
    return Pass("measurements", measure, "sha256", lambda i: i.sha256, row_of_failure, measured_by())


@archive_asset("quality", deps=["records"], kinds=("deltalake", "opencv"))
def measurements(
    context: dg.AssetExecutionContext, config: PixelPass, curation: Curation
) -> dg.MaterializeResult:
    """Everything that any criterion could ask of the pixels: one read and one full decode of each distinct file.

    Protocol S.3. Integrity, size, format, hidden metadata by kind, sharpness, light, artifacts, hashes, thumbnails. A file that
    can't be decoded, would decode to too much, or kills its decoder is a row with the reason.
    """
    workspace, key = curation.open(), key_of(context)
    images = workspace.part("files", key, role="image")
    distinct = {row["sha256"]: row for row in images.to_pylist()}
    known = {
        s for s, state in measured_states(_rows(workspace), distinct).items() if state not in _TRIED_AGAIN
    }
    todo = [
        item_of(row, workspace.settings.staging) for sha, row in sorted(distinct.items()) if sha not in known
    ]
    context.log.info(
        f"measurements: {len(distinct)} distinct files, {len(known)} measured before, {len(todo)} to read"
    )
    done = run_pass(
        measuring_pass(),
        todo,
        workspace.lake,
        workspace.settings.work / "measurements" / str(key),
        config.workers or workspace.settings.workers,
        context.log.info,
        note={"run_id": context.run.run_id, "key": str(key)},
        over=files_mapper(workspace.settings),
        report_s=config.seconds_between_reports,
    )
    rows = _rows(workspace)
    states = measured_states(rows, distinct)
    mine = rows.filter(pc.is_in(rows["sha256"], pa.array(sorted(distinct), pa.string())))
    report = StageReport(
        len(distinct),
        len(states),
        0,
        0,
        MEASUREMENTS.fingerprint(mine),
        {},
        workspace.lake.version("measurements") or 0,
    )
    workspace.record_stage(
        key, "measurements", report.counts, report.fingerprint,
        workspace.inputs(key, "staged", measuring_code=measured_by()), context.run.run_id,
    )  # fmt: skip
    counted = {s: list(states.values()).count(s) for s in sorted(set(states.values()))}
    return shown(
        workspace,
        "measurements",
        report,
        key=key,
        extra={
            "measured_now": done.done,
            "measured_before": len(known),
            "taken_up_from_an_interrupted_run": done.resumed,
            "files_per_second": round(done.done / done.seconds, 1) if done.done else None,
            "integrity": markdown_table(list(counted.items()), ["state", "files"]),
        },
        unit="files",
    )


def _rows(workspace: Workspace) -> pa.Table:
    return workspace.lake.read(
        "measurements",
        columns=["sha256", "measured_by", "decode_state"],
        where={"measured_by": measured_by()},
    )


def measured_states(rows: pa.Table, wanted: dict[str, Any]) -> dict[str, str]:
    """Return the decode state of each wanted file that is measured."""
    return {
        sha: state
        for sha, state in zip(rows["sha256"].to_pylist(), rows["decode_state"].to_pylist(), strict=True)
        if sha in wanted
    }


@archive_asset("quality", deps=["measurements", "records"])
def quality(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """Verdict of integrity, resolution, focus, light and artifacts, one row per image.

    Protocol I.3, E.1, E.2, E.3 and E.4. Reads no pixel, so a change of a bound re-decides an archive in seconds. A verdict
    on one image never depends on the others.
    """
    workspace, key = curation.open(), key_of(context)
    facts = measured_images(workspace, key, _JUDGED)
    report = finish_with_criteria(
        workspace,
        key,
        "quality",
        facts.select(["image_id", "archive", "version", "sha256"]),
        facts,
        rows_in=workspace.stage(key, "records")["rows_in"],
        inputs=workspace.inputs(key, "records", "measurements", criteria=workspace.criteria.digest),
        run_id=context.run.run_id,
    )
    return shown(workspace, "quality", report, key=key, measured=("quality", facts))
