"""What waits for people: the queue of an archive version, and what the stages over all archives left open since."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.schemas import REVIEW_QUEUE
from curation_dagster.workspace import Workspace


def open_reviews(workspace: Workspace, key: ArchiveVersionKey) -> pa.Table:
    """Return the rows of ``review_queue`` of an archive version, and one for each review that the ledger has open.

    Uncertain duplicates across archives are known only after the queue was drawn; they follow behind it.
    """
    queue = workspace.part("review_queue", key)
    each = [c.id for c in workspace.criteria.criteria if c.review == "each"]
    with workspace.lake.sql(queue=queue, ledger=workspace.part("decisions", key, outcome="review")) as sql:
        further = sql.sql(
            "SELECT DISTINCT archive, version, image_id, criterion, criteria_digest FROM ledger WHERE list_contains($1, criterion) "
            "AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.image_id = ledger.image_id AND q.criterion = ledger.criterion) "
            "ORDER BY criterion, image_id",
            params=[each],
        ).to_arrow_table()
    rows = [
        r | {"purpose": "each", "rank": queue.num_rows + n}
        for n, r in enumerate(further.to_pylist(), start=1)
    ]
    return pa.concat_tables([queue, REVIEW_QUEUE.conform(rows)])
