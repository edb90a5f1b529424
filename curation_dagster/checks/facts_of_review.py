"""Structural checks of the review queue."""

from __future__ import annotations

from curation_dagster.checks.catalogue import Outcome, fact, nothing_found
from curation_dagster.comparing import previous_of
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.workspace import Workspace


@fact("review_queue")
def every_image_that_waits_for_a_person_is_in_the_queue(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """Each open review is queued by itself, or its criterion has a sample of the declared size.

    What to do: materialize `review_queue` again: the queue was drawn before the verdicts changed.
    """
    queue = workspace.part("review_queue", key, ["image_id", "criterion", "purpose"])
    verdicts = workspace.part("verdicts", key, ["image_id", "criterion", "outcome"])
    each = [c.id for c in workspace.criteria.criteria if c.review == "each"]
    sampled = [c.id for c in workspace.criteria.criteria if c.review == "sample"]
    problems = []
    with workspace.lake.sql(queue=queue, verdicts=verdicts) as sql:
        for criterion, n in sql.execute(
            "SELECT criterion, count(*) FROM verdicts v WHERE outcome = 'review' AND list_contains(?, criterion) "
            "AND image_id NOT IN (SELECT image_id FROM verdicts WHERE outcome = 'fail') "
            "AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.image_id = v.image_id AND q.criterion = v.criterion) GROUP BY 1",
            [each],
        ).fetchall():
            problems.append(f"{n} images wait for a person to judge {criterion}, and are not in the queue")
        for criterion, n in sql.execute(
            "SELECT criterion, count(*) FROM verdicts v WHERE outcome = 'review' AND list_contains(?, criterion) "
            "AND image_id NOT IN (SELECT image_id FROM verdicts WHERE outcome = 'fail') GROUP BY 1",
            [sampled],
        ).fetchall():
            drawn = sql.execute(
                "SELECT count(*) FROM queue WHERE criterion = ? AND purpose = 'sample'", [criterion]
            ).fetchall()[0][0]
            needed = workspace.criteria.sampling.size_for(n)
            if drawn < needed:
                problems.append(
                    f"the sample for {criterion} holds {drawn} images; {needed} of {n} are asked for"
                )
    return nothing_found(problems, f"{queue.num_rows} entries")


@fact("review_queue")
def a_new_version_is_compared_with_the_one_before(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """What approvers are shown of a version is of its current files, and its counts add up to all of its images.

    What to do: materialize `review_queue` again before anybody approves this version.
    """
    rows = workspace.part("version_changes", key).to_pylist()
    before = previous_of(workspace, key)
    if before is None and not rows:
        return Outcome(True, "the first version of its archive")
    images = workspace.part("harmonized", key, ["image_id"]).num_rows
    problems = [] if rows else [f"nothing was compared with {before}"]
    if any(r["fingerprint"] != workspace.stage(key, "staged")["fingerprint"] for r in rows):
        problems.append("the comparison is of other files than are staged")
    for subject in ("diagnosis", "sex", "age_band", "fitzpatrick", "verdict"):
        counted = sum(r["after"] for r in rows if r["subject"] == subject)
        if rows and counted != images:
            problems.append(f"{subject}: {counted} images are counted of {images}")
    return nothing_found(problems, f"{images} images compared", images=images)
