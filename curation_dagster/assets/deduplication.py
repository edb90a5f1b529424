"""Deduplication: one representative of each group, and why that one.

``duplicates_within`` looks inside an archive version, for its page; ``duplicates`` looks over the current version of
every archive, and decides. Both search by the stored hashes and verify on the stored thumbnails; no pixel is read. An
image that may not enter anyway never displaces one that may: eligibility is the first rule of the choice.
"""

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.assets.common import archive_asset, global_asset, key_of, markdown_table, shown
from curation_dagster.core.criteria.evaluate import evaluate
from curation_dagster.core.duplicates.overlap import HEADERS, overlap_in
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.gate import admission_of, archive_versions, groups_made_of, versions_in_view
from curation_dagster.grouping import group_images
from curation_dagster.resources import Curation
from curation_dagster.stage import (
    finish,
    not_applicable,
    reasons_of,
    stamp,
    with_verdicts,
)
from curation_dagster.withdrawn import directly_withdrawn, with_withdrawals
from curation_dagster.workspace import EVERYTHING


@archive_asset("deduplication", deps=["measurements", "quality", "deidentified", "harmonized"])
def duplicates_within(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """Groups of duplicates and near-duplicates inside this archive version.

    Protocol E.9. Candidates by a complete search over perceptual hashes, verified on thumbnails. Nothing unreadable is
    a duplicate of anything.
    """
    workspace, key = curation.open(), key_of(context)
    groups = group_images(workspace, [key], admitted=None)
    verdicts = evaluate(workspace.criteria, "duplicates", groups, stamp(context.run.run_id))
    report = finish(
        workspace,
        key,
        "duplicates_within",
        with_verdicts(groups, verdicts),
        rows_in=workspace.stage(key, "records")["rows_in"],
        inputs=workspace.inputs(
            key,
            "records",
            "measurements",
            "quality",
            "deidentified",
            "harmonized",
            criteria=workspace.criteria.digest,
        ),
        run_id=context.run.run_id,
        reasons=reasons_of(verdicts),
    )
    return shown(workspace, "duplicates_within", report, {"relations": _relations(groups)}, key=key)


@global_asset("deduplication", deps=["duplicates_within", "review_queue"])
def duplicates(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """Groups across archives, the representative of each with its reason, and conflicts of labels inside groups.

    Protocol E.9: duplicates and near-duplicates, within and across archives; one representative per case.
    """
    workspace = curation.open()
    keys = [ArchiveVersionKey(a, v) for a, v in sorted(versions_in_view(workspace).items())]
    made_of = groups_made_of(workspace)
    admitted = {k: admission_of(workspace, k).admitted for k in keys}
    direct = directly_withdrawn(workspace, keys)
    groups = with_withdrawals(
        workspace, group_images(workspace, keys, admitted, context.run.run_id, without=direct), direct
    )
    verdicts = evaluate(workspace.criteria, "duplicates", groups, stamp(context.run.run_id))
    for archive, version in sorted(archive_versions(workspace)):
        key = ArchiveVersionKey(archive, version)
        if key in admitted:
            mine = verdicts.filter((pc.field("archive") == archive) & (pc.field("version") == version))
        else:
            why = f"the corpus looks at another version of {archive}"
            ids = workspace.part("records", key, ["image_id"])["image_id"]
            mine = not_applicable(workspace, key, "duplicates", ids, why, context.run.run_id)
        workspace.lake.replace(
            "verdicts",
            mine,
            {"archive": archive, "version": version, "stage": "duplicates"},
            {"run_id": context.run.run_id},
        )
    report = finish(
        workspace,
        EVERYTHING,
        "duplicates",
        with_verdicts(groups, verdicts),
        rows_in=groups.num_rows,
        inputs=made_of,
        run_id=context.run.run_id,
        reasons=reasons_of(verdicts),
    )
    shared = {
        "relations": _relations(groups),
        "overlap_of_archives": markdown_table(
            [tuple(r.values()) for r in overlap_in(workspace.lake, groups).to_pylist()], HEADERS
        ),
    }
    return shown(workspace, "duplicates", report, shared)


def _relations(groups: pa.Table) -> dg.MarkdownMetadataValue:
    counts = groups.group_by(["relation"]).aggregate([([], "count_all")]).to_pylist()
    return markdown_table(sorted((c["relation"], c["count_all"]) for c in counts), ["relation", "images"])
