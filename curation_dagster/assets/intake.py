"""Intake: from a delivery to an inventory of files, and to records joined with them.

``staged`` takes the delivery of an archive version into the private staging folder, verifies what the publisher
says of it, refuses hostile containers and writes one row per file. ``records`` reads the publisher's tables as
text, joins them to the files, and writes one row per image; what finds no partner is a row too. Both are per
archive version because a version is what a publisher releases, what is approved, and what is refused.

A delivery in the landing folder goes before the method of retrieval that the descriptor declares.
"""

import dagster as dg

from curation_dagster.assets.common import archive_asset, key_of, markdown_table, shown
from curation_dagster.core.progress import told_by
from curation_dagster.core.records.assessment import assessment_rows
from curation_dagster.core.records.joining import build_records
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.report.assessment import assessment_markdown
from curation_dagster.core.retrieval.containers import load_limits, open_bytes
from curation_dagster.core.retrieval.errors import RetrievalError
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.refusals import refused
from curation_dagster.resources import Curation
from curation_dagster.retrieving import bring, expect_same_bytes
from curation_dagster.schemas import FILES
from curation_dagster.stage import StageReport, finish_with_criteria


@archive_asset("intake", kinds=("file",))
def staged(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The delivery of one archive version, verified, unpacked where it must be, and inventoried (table `files`).

    Protocol S.2: retrieve over secure channels and verify checksums. A version is immutable: other bytes under the
    same key fail this asset and leave what was staged as it was.
    """
    workspace, key = curation.open(), key_of(context)
    archive = workspace.resolve(str(key))
    is_new = not (workspace.settings.staging / str(key)).exists()
    try:
        brought = bring(workspace, archive, context.log.info, context.run.run_id)
        inventory = stage(
            brought.archive,
            brought.landing,
            workspace.settings.staging,
            progress=told_by(context.log.info),
            limits=load_limits(),
        )
        files = FILES.conform(inventory)
        expect_same_bytes(workspace, archive, files, is_new)
    except RetrievalError as error:
        # `from None`: the event log would show the cause, with names of files and of what was answered in it
        raise refused(error, workspace.settings.staging, key) from None
    brought.clear()
    part = {"archive": key.archive, "version": key.version}
    version = workspace.lake.replace("files", files, part, {"run_id": context.run.run_id})
    report = StageReport(files.num_rows, files.num_rows, 0, 0, FILES.fingerprint(files), {}, version)
    workspace.record_stage(
        key, "staged", report.counts, report.fingerprint, {"descriptor": archive.digest}, context.run.run_id
    )
    roles = files.group_by(["role", "media_type", "checksum_state"]).aggregate(
        [([], "count_all"), ("bytes", "sum")]
    )
    return shown(
        workspace,
        "files",
        report,
        key=key,
        extra={
            "bytes": int(sum(files["bytes"].to_pylist())),
            "inventory": markdown_table(
                sorted(
                    [r["role"], r["media_type"], r["checksum_state"], r["count_all"], r["bytes_sum"]]
                    for r in roles.to_pylist()
                ),
                ["role", "media type", "checksum", "files", "bytes"],
            ),
        },
        unit="files",
    )


@archive_asset("intake", deps=["staged"])
def records(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The publisher's metadata joined to files, verbatim; orphans on both sides are rows.

    Protocol S.3: the initial assessment. Counts, distributions, missingness and issues are in the metadata of the
    materialization.
    """
    workspace, key = curation.open(), key_of(context)
    archive = workspace.resolve(str(key))
    files = workspace.part("files", key)
    try:
        built = build_records(archive, files, lambda row: open_bytes(row, workspace.settings.staging))
    except (MetadataError, RetrievalError) as error:
        raise refused(error, workspace.settings.staging, key) from None
    report = finish_with_criteria(
        workspace,
        key,
        "records",
        built.table,
        facts=built.table,
        rows_in=built.table.num_rows,
        inputs=workspace.inputs(key, "staged", descriptor=archive.digest, criteria=workspace.criteria.digest),
        run_id=context.run.run_id,
    )
    workspace.lake.replace(
        "assessments",
        assessment_rows(archive, built.assessment),
        {"archive": key.archive, "version": key.version},
        {"run_id": context.run.run_id},
    )
    return shown(
        workspace,
        "records",
        report,
        key=key,
        extra={"initial_assessment": dg.MetadataValue.md(assessment_markdown(archive, built.assessment))},
    )
