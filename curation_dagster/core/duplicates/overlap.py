"""Which archives hold each other's pictures: images shared by each pair of archives, found by pixels and not by ids."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.lake import Lake

HEADERS = ("archive", "shares with", "images", "same file", "same pixels", "near")
Matrix = tuple[list[str], list[list[str | int]]]


def overlap_in(lake: Lake, groups: pa.Table) -> pa.Table:
    """Return :func:`overlap` of the rows of ``duplicates``, with the digests of pixels from ``measurements``."""
    grouped = groups.select(["image_id", "archive", "sha256", "group_id"])
    with lake.sql("measurements", groups=grouped.filter(pc.is_valid(grouped["group_id"]))) as sql:
        members = sql.sql(
            "SELECT image_id, archive, g.sha256, pixel_sha256, group_id FROM groups g "
            "LEFT JOIN measurements m ON m.sha256 = g.sha256 AND m.measured_by = ?",
            params=[measured_by()],
        ).to_arrow_table()
    return overlap(members)


def overlap(members: pa.Table) -> pa.Table:
    """Return how many images of each archive lie in groups with images of each other archive.

    Parameters
    ----------
    members : pyarrow.Table
        A row per image: ``image_id, archive, sha256, pixel_sha256, group_id``; images without a group share nothing.

    Returns
    -------
    pyarrow.Table
        ``archive, other, images, same_file, same_pixels, near``, both directions of each pair that shares anything. Each
        image counts once, by the strongest of the three: its very file is in the other archive, its pixels are, or a
        picture of its group is. ``images`` is their sum.
    """
    names = ["image_id", "archive", "sha256", "pixel_sha256", "group_id"]
    with duckdb.connect() as connection:
        connection.register("members", members.select(names))
        return connection.sql(
            """
            WITH pairs AS (
                SELECT a.archive, b.archive AS other, a.image_id,
                    min(CASE WHEN a.sha256 = b.sha256 THEN 0 WHEN a.pixel_sha256 = b.pixel_sha256 THEN 1 ELSE 2 END) AS kind
                FROM members a JOIN members b ON a.group_id = b.group_id AND a.archive <> b.archive
                GROUP BY ALL
            )
            SELECT archive, other, count(*) AS images, count(*) FILTER (kind = 0) AS same_file,
                count(*) FILTER (kind = 1) AS same_pixels, count(*) FILTER (kind = 2) AS near
            FROM pairs GROUP BY archive, other ORDER BY archive, other
            """
        ).to_arrow_table()


def matrix(shared: pa.Table) -> Matrix:
    """Return headers and rows of a square table of archives: how many images of the row's archive lie in the column's.

    Parameters
    ----------
    shared : pyarrow.Table
        What :func:`overlap` returns. It is not symmetric: two images of one archive may show one picture of another.
        Archives that share nothing are left out, and so is the diagonal.
    """
    counts = {(r["archive"], r["other"]): r["images"] for r in shared.to_pylist()}
    names = sorted({name for pair in counts for name in pair})
    rows: list[list[str | int]] = [
        [a, *("" if a == b else counts.get((a, b), 0) for b in names)] for a in names
    ]
    return ["images of", *(f"in {name}" for name in names)], rows
