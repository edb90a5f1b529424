"""Review: which images people look at, drawn so that a clean sample bounds what the rest may hide."""

import dagster as dg
from pydantic import Field

from curation_dagster import links
from curation_dagster.archive_pages import PICTURES, draw_page
from curation_dagster.assets.common import archive_asset, key_of, markdown_table, shown
from curation_dagster.comparing import compare_versions, version_report
from curation_dagster.core.review.sampling import queue_of
from curation_dagster.resources import Curation
from curation_dagster.schemas import REVIEW_QUEUE
from curation_dagster.stage import StageReport
from curation_dagster.verification import record_deidentification


class ContactSheets(dg.Config):
    """What is drawn for people to look at. Nothing here changes a row of a table."""

    pictures: int = Field(
        default=PICTURES,
        ge=0,
        le=60,
        description="The most pictures on one contact sheet of the archive version's page; 0 draws none. Only pictures in which "
        "the search for text and faces found nothing are shown.",
    )


@archive_asset("review", deps=["quality", "deidentified", "harmonized", "duplicates_within"])
def review_queue(
    context: dg.AssetExecutionContext, config: ContactSheets, curation: Curation
) -> dg.MaterializeResult:
    """The sample of this archive version, and every single image that no rule settles.

    Protocol S.6: verify de-identification automatically and by people on a sample. The sample is drawn by the order of
    a hash, so it stays the same as images are added, and nobody can choose it.
    """
    workspace, key = curation.open(), key_of(context)
    verdicts = workspace.part("verdicts", key, ["image_id", "criterion", "outcome", "stage"])
    queue = REVIEW_QUEUE.conform(
        queue_of(verdicts, workspace.criteria, key.archive, key.version, run_id=context.run.run_id)
    )
    version = workspace.lake.replace(
        "review_queue",
        queue,
        {"archive": key.archive, "version": key.version},
        {"run_id": context.run.run_id},
    )
    report = StageReport(queue.num_rows, queue.num_rows, 0, 0, REVIEW_QUEUE.fingerprint(queue), {}, version)
    workspace.record_stage(
        key, "review_queue", report.counts, report.fingerprint,
        workspace.inputs(key, "quality", "deidentified", "harmonized", "duplicates_within", criteria=workspace.criteria.digest),
        context.run.run_id,
    )  # fmt: skip
    page = record_deidentification(workspace, key, context.run.run_id)
    drawn = draw_page(workspace, key, config.pictures)
    changes = compare_versions(workspace, key, context.run.run_id)
    counts = queue.group_by(["criterion", "purpose"]).aggregate([([], "count_all")]).to_pylist()
    rows = sorted((c["criterion"], c["purpose"], c["count_all"]) for c in counts)
    return shown(
        workspace,
        "review_queue",
        report,
        key=key,
        extra={
            "queues": markdown_table(rows, ["criterion", "purpose", "images"]),
            "deidentification_record": links.page(workspace.settings, page),
            "contact_sheets": links.contact_sheets(workspace.settings, drawn),
            "against_the_version_before": dg.MetadataValue.md(version_report(changes)),
        },
    )
