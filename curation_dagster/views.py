"""The joins that several stages read: images with what was measured of their files."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.workspace import Workspace


def measured_images(
    workspace: Workspace,
    key: ArchiveVersionKey,
    measured: Sequence[str],
    of_record: Sequence[str] = (),
) -> pa.Table:
    """Return one row per image of an archive version, with columns of its record and its file's measurements.

    Parameters
    ----------
    measured : sequence of str
        Columns of ``measurements``; null where the record has no file.
    of_record : sequence of str
        Columns of ``records`` besides image_id, archive, version, sha256, modality and join_state.

    Returns
    -------
    pyarrow.Table
        Sorted by image_id.
    """
    base = ["image_id", "archive", "version", "sha256", "modality", "join_state", *of_record]
    images = workspace.part("records", key, base)
    with workspace.lake.sql("measurements", images=images) as connection:
        chosen = ", ".join([f"images.{c}" for c in base] + [f"m.{c}" for c in measured])
        return connection.sql(
            f"SELECT {chosen} FROM images LEFT JOIN measurements m "
            "ON m.sha256 = images.sha256 AND m.measured_by = ? ORDER BY images.image_id",
            params=[measured_by()],
        ).to_arrow_table()
