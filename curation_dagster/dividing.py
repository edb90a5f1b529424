"""Splits of one installation: what is read for them, and the settings in force."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from curation_dagster.core.alone import alone
from curation_dagster.core.release.groups import tied
from curation_dagster.core.release.settings import PACKAGED, SplitSettings, load_split_settings
from curation_dagster.core.release.splits import Drawn, draw
from curation_dagster.schemas import SPLIT_HISTORY
from curation_dagster.workspace import Workspace

_TIES = ["image_id", "group_id", "linked_to", "uncertain_with"]


def split_settings(workspace: Workspace) -> SplitSettings:
    """Return the settings in force: ``splits.yaml`` below CURATION_HOME, else the packaged ones."""
    own = workspace.settings.home / "splits.yaml"
    return load_split_settings(own if own.exists() else PACKAGED)


def ties_of(workspace: Workspace) -> tuple[pa.Table, pa.Table]:
    """Return whom every known image shows, and how the images are duplicates of each other.

    All versions of all archives count: a link that a superseded version showed still holds.
    """
    with workspace.lake.sql("harmonized") as sql:
        images = sql.sql(
            "SELECT DISTINCT image_id, patient_key, lesion_key FROM harmonized ORDER BY ALL"
        ).to_arrow_table()
    within = workspace.lake.read("duplicates_within", columns=_TIES)
    # groups of two searches are different groups that share members, so each keeps its own name
    return images, pa.concat_tables([workspace.lake.read("duplicates", columns=_TIES), within])


def draw_splits(workspace: Workspace) -> Drawn:
    """Return the side of each image of the corpus as it is now."""
    history = {
        r["image_id"]: (r["split"], r["reason"])
        for r in workspace.lake.read("split_history", columns=["image_id", "split", "reason"]).to_pylist()
    }
    images, groups = ties_of(workspace)
    return draw(workspace.lake.read("corpus"), tied(images, groups), history, split_settings(workspace))


def divide(workspace: Workspace, run_id: str) -> tuple[Drawn, int]:
    """Give each image of the corpus its side, for ever; return what was drawn, and the version of ``splits``.

    One process of this machine at a time: two that draw at once would give a new image a side each.
    """
    with alone(workspace.settings.home / "splits.lock"):
        drawn, settings = draw_splits(workspace), split_settings(workspace)
        if drawn.fresh:
            told = {"settings_digest": settings.digest, "assigned_at": datetime.now(UTC), "run_id": run_id}
            history = SPLIT_HISTORY.conform([f | told for f in drawn.fresh])
            workspace.lake.append("split_history", history, {"run_id": run_id})
        note = {"run_id": run_id, "settings": settings.digest}
        return drawn, workspace.lake.replace("splits", drawn.rows, note=note)
