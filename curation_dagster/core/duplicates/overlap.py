"""Which archives hold each other's pictures: images shared by each pair of archives, found by pixels and not by ids."""

from __future__ import annotations

import duckdb
import pyarrow as pa

HEADERS = ("archive", "shares with", "images", "same file", "same pixels", "near")


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
