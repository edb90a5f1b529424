"""What the documents of a release count, each asked of the tables once: the fate of every image, and what the ledger says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

STAGES = ("records", "quality", "deidentified", "harmonized", "duplicates")
"""The stages that exclude, in the order in which an image meets them."""

BOXES = (
    "excluded",
    "undecided",
    "waiting",
    "not_admitted",
    "not_clean",
    "not_written",
    "withheld",
    "released",
)
"""Where an image can end; each that entered ends in exactly one.

``excluded``: fails a criterion; ``undecided``: its archive version has no ledger; ``waiting``: a person must settle it;
``not_admitted``: passes, but its archive version is refused; ``not_clean``: the written file held what must not be there;
``not_written``: its file could not be written; ``withheld``: its group would be on two sides; ``released``: in the bundle.
"""

UNKNOWN = "not stated"


def unpassed(view: ReleaseView) -> pa.Table:
    """Return the rows of the ledger that hold an image back: archive, version, image_id, criterion, outcome, rank.

    ``rank`` orders the criteria as an image meets them: by stage, then as the criteria file has them.
    """
    ranks = pa.table(
        {
            "criterion": [c.id for c in view.criteria.criteria],
            "place": [STAGES.index(c.stage) * 1000 + n for n, c in enumerate(view.criteria.criteria)],
        }
    )
    with view.sql("decisions", ranks=ranks) as sql:
        return sql.sql(
            "SELECT archive, version, image_id, criterion, outcome, coalesce(place, 999999) AS rank FROM decisions "
            "LEFT JOIN ranks USING (criterion) WHERE outcome IN ('fail', 'review') "
            "ORDER BY archive, version, image_id, rank, criterion"
        ).to_arrow_table()


def outcomes(view: ReleaseView) -> pa.Table:
    """Return how often each criterion had each outcome: archive, version, criterion, outcome, images."""
    with view.sql("decisions") as sql:
        return sql.sql(
            "SELECT archive, version, criterion, outcome, count(*) AS images FROM decisions GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()


def fates(view: ReleaseView, held_back: pa.Table) -> pa.Table:
    """Return where each image ended: archive, version, image_id, modality, box, reason.

    Parameters
    ----------
    held_back : pyarrow.Table
        As :func:`unpassed` returns it.

    Returns
    -------
    pyarrow.Table
        A row per row of ``records``. ``reason`` is the first criterion that the image fails or waits for, or the side
        where it is released.
    """
    with view.sql(
        "records", "harmonized", "decisions", "corpus", "splits", "admissions", "published", held=held_back
    ) as sql:
        return sql.sql(
            """
            WITH held_first AS (
                SELECT archive, version, image_id,
                    arg_min(criterion, rank) FILTER (outcome = 'fail') AS fails,
                    arg_min(criterion, rank) FILTER (outcome = 'review') AS waits
                FROM held GROUP BY ALL
            ),
            decided AS (SELECT DISTINCT archive, version, true AS is_decided FROM decisions),
            kept AS (
                SELECT c.archive, c.version, c.image_id, true AS in_corpus, s.split
                FROM corpus c LEFT JOIN splits s USING (image_id)
            ),
            unclean AS (SELECT DISTINCT image_id, true AS is_unclean FROM published WHERE state = 'not_clean')
            SELECT r.archive, r.version, r.image_id,
                coalesce(h.modality, r.modality, 'not stated') AS modality,
                CASE
                    WHEN f.fails IS NOT NULL THEN 'excluded'
                    WHEN d.is_decided IS NULL THEN 'undecided'
                    WHEN f.waits IS NOT NULL THEN 'waiting'
                    WHEN k.in_corpus IS NOT NULL AND k.split IS NULL THEN 'withheld'
                    WHEN k.in_corpus IS NOT NULL THEN 'released'
                    WHEN NOT coalesce(a.admitted, false) THEN 'not_admitted'
                    WHEN u.is_unclean IS NOT NULL THEN 'not_clean'
                    ELSE 'not_written'
                END AS box,
                CASE
                    WHEN f.fails IS NOT NULL THEN f.fails
                    WHEN d.is_decided IS NULL THEN NULL
                    WHEN f.waits IS NOT NULL THEN f.waits
                    ELSE k.split
                END AS reason
            FROM records r
            LEFT JOIN harmonized h ON r.archive = h.archive AND r.version = h.version AND r.image_id = h.image_id
            LEFT JOIN held_first f ON r.archive = f.archive AND r.version = f.version AND r.image_id = f.image_id
            LEFT JOIN decided d ON r.archive = d.archive AND r.version = d.version
            LEFT JOIN kept k ON r.archive = k.archive AND r.version = k.version AND r.image_id = k.image_id
            LEFT JOIN admissions a ON r.archive = a.archive AND r.version = a.version
            LEFT JOIN unclean u ON r.image_id = u.image_id
            ORDER BY r.archive, r.version, r.image_id
            """
        ).to_arrow_table()
