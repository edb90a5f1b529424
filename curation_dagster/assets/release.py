"""Splits and releases.

``splits`` follows on the corpus by itself: each image has a side, and keeps it. ``release`` is made when people ask for
it: it seals what another person than its author has approved, and nothing that is out of date, unchecked or withdrawn.
"""

import dagster as dg

from curation_dagster.assets.common import global_asset, markdown_table, shown
from curation_dagster.core.release.splits import balance_of
from curation_dagster.dividing import divide, split_settings
from curation_dagster.releasing import make_release
from curation_dagster.resources import Curation
from curation_dagster.schemas import SIDES, SPLITS
from curation_dagster.stage import StageReport
from curation_dagster.workspace import EVERYTHING


@global_asset("release", deps=["corpus"])
def splits(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The side of each image: train, validation, test or sequestered; no patient, lesion or duplicate on two sides.

    Protocol S.7: what is validated on was never trained on. An image that has a side keeps it; see docs/splits.md.
    """
    workspace, run = curation.open(), context.run.run_id
    settings = split_settings(workspace)
    drawn, version = divide(workspace, run)
    withheld = drawn.rows["split"].null_count
    report = StageReport(
        drawn.rows.num_rows, drawn.rows.num_rows - withheld, 0, withheld,
        SPLITS.fingerprint(drawn.rows), {}, version,
    )  # fmt: skip
    workspace.record_stage(
        EVERYTHING, "splits", report.counts, report.fingerprint,
        workspace.inputs(EVERYTHING, "corpus", settings=settings.digest), run,
    )  # fmt: skip
    balance = balance_of(drawn.rows, settings)
    headers = ["stratum", "value", "images", *SIDES, "largest_deviation"]
    return shown(
        workspace,
        "splits",
        report,
        {
            "new_images": len(drawn.fresh),
            "balance": markdown_table([[b[h] for h in headers] for b in balance], headers),
            "conflicts": markdown_table(
                [(c["component"], ", ".join(c["sides"]), c["kept"], c["withheld"]) for c in drawn.conflicts],
                ["group", "sides", "images that stay", "images withheld"],
            ),
        },
    )


# made when people ask for it, never by itself
@global_asset("release", deps=["splits"], kinds=("file",), automation_condition=None)
def release(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The next numbered release: images, tables, documents, licences and checksums, sealed in one folder.

    Protocol S.9 and S.10: documented so that a notified body can check every claim, approved by another than its author.
    """
    workspace, run = curation.open(), context.run.run_id
    made = make_release(workspace, run, context.log.info)
    counts = {
        "rows_in": made.images + made.withheld,
        "kept": made.images,
        "excluded": 0,
        "quarantined": made.withheld,
    }
    workspace.record_stage(
        EVERYTHING, "release", counts, made.seal,
        {"splits": workspace.stage(EVERYTHING, "splits")["fingerprint"]}, run,
    )  # fmt: skip
    report = StageReport(
        **counts,
        fingerprint=made.seal,
        reasons={},
        table_version=workspace.lake.version("releases") or 0,
        changed=None,
    )
    return shown(
        workspace,
        "releases",
        report,
        {"release": made.number, "bundle": dg.MetadataValue.path(str(made.folder)), "seal": made.seal},
    )
