"""The ledger and the corpus.

``decisions`` holds one row per image and criterion: what was measured, what was the bound, who decided, when. Rules
come from the stages, people's verdicts are laid over them. It is written archive version by archive version, so its
memory does not grow with the corpus. ``corpus`` gates itself: it asks of each archive version again whether it may be
taken, publishes a standardized file for each image that passes everything, and says of all others why not.
"""

import hashlib

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster import links
from curation_dagster.archive_pages import write_index
from curation_dagster.assets.common import PixelPass, global_asset, markdown_table, shown
from curation_dagster.core.criteria.evaluate import fold
from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.progress import told_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.report.summary import summarize, write_report
from curation_dagster.gate import archive_versions, ledger_made_of
from curation_dagster.publishing import admit, assemble, publish_missing
from curation_dagster.resources import Curation
from curation_dagster.schemas import CORPUS, DECISIONS
from curation_dagster.stage import StageReport, reasons_of
from curation_dagster.verification import record_deidentification
from curation_dagster.workspace import EVERYTHING


@global_asset("corpus", deps=["duplicates", "review_queue"])
def decisions(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The ledger: for every image that ever entered, every criterion with its clause, measured value, bound and decider.

    Protocol S.9: everything documented so that any decision can be traced.
    """
    workspace = curation.open()
    keys = [ArchiveVersionKey(*k) for k in sorted(archive_versions(workspace))]
    made_of = ledger_made_of(workspace)
    digest = hashlib.sha256()
    tally = {"kept": 0, "excluded": 0, "quarantined": 0}
    reasons: dict[str, tuple[int, int]] = {}
    tell = told_by(context.log.info, name="decisions")
    tell(0, len(keys), "archive versions")
    for number, key in enumerate(keys, start=1):
        settled = DECISIONS.conform(
            settle(
                workspace.part("verdicts", key),
                workspace.reviews_of(key),
                workspace.part("review_queue", key),
                workspace.criteria,
            )
        )
        workspace.lake.replace(
            "decisions",
            settled,
            {"archive": key.archive, "version": key.version},
            {"run_id": context.run.run_id},
        )
        digest.update(DECISIONS.fingerprint(settled).encode())
        for criterion, (failing, open_) in reasons_of(settled).items():
            before = reasons.get(criterion, (0, 0))
            reasons[criterion] = (before[0] + failing, before[1] + open_)
        folded = fold(settled, pc.unique(settled["image_id"]))
        for verdict in tally:
            tally[verdict] += pc.sum(pc.equal(folded["verdict"], verdict)).as_py() or 0
        tell(number, len(keys), "archive versions")
    report = StageReport(
        sum(tally.values()), **tally, fingerprint=digest.hexdigest(), reasons=reasons,
        table_version=workspace.lake.version("decisions") or 0, changed=None,
    )  # fmt: skip
    workspace.record_stage(
        EVERYTHING, "decisions", report.counts, report.fingerprint,
        made_of, context.run.run_id,
    )  # fmt: skip
    return shown(workspace, "decisions", report)


@global_asset("corpus", deps=["decisions"], kinds=("deltalake", "file"))
def corpus(context: dg.AssetExecutionContext, config: PixelPass, curation: Curation) -> dg.MaterializeResult:
    """One row and one standardized, de-identified file per curated image.

    Protocol S.8: ingest into a version-controlled database with unique ids, source, version and date. Archive versions
    that are incomplete, unchecked, unreviewed or not approved are refused, with the reasons, in `admissions`.
    """
    workspace = curation.open()
    gate = admit(workspace)
    published = publish_missing(
        workspace,
        gate,
        context.log.info,
        context.run.run_id,
        config.workers,
        config.seconds_between_reports,
    )
    rows, admissions = assemble(workspace, gate, published, context.run.run_id)
    broken = CORPUS.problems(rows)
    if broken:
        raise ValueError(
            "the corpus stays as it was; its new rows break their declaration: " + "; ".join(broken)
        )
    workspace.lake.replace("admissions", admissions, note={"run_id": context.run.run_id})
    version = workspace.lake.replace(
        "corpus", rows, note={"run_id": context.run.run_id, "criteria": workspace.criteria.digest}
    )
    report = StageReport(
        _total(admissions, "images_in"), rows.num_rows, _total(admissions, "images_excluded"),
        _total(admissions, "images_quarantined"), CORPUS.fingerprint(rows), {}, version,
    )  # fmt: skip
    workspace.record_stage(
        EVERYTHING, "corpus", report.counts, report.fingerprint,
        workspace.inputs(EVERYTHING, "decisions", criteria=workspace.criteria.digest), context.run.run_id,
    )  # fmt: skip
    for complete in sorted(archive_versions(workspace)):  # people's verdicts and written files are in it now
        record_deidentification(workspace, ArchiveVersionKey(*complete), context.run.run_id)
    summary = summarize(workspace.lake, workspace.criteria)
    path = write_report(summary, workspace.settings.reports)
    write_index(workspace.settings.reports)
    listed = [
        (f"{a['archive']}@{a['version']}", "yes" if a["admitted"] else "no", a["images_in"], a["images_kept"],
         a["images_excluded"], a["images_quarantined"], "; ".join(a["reasons"] or []))
        for a in admissions.to_pylist()
    ]  # fmt: skip
    return shown(
        workspace,
        "corpus",
        report,
        {
            "dagster/row_count": rows.num_rows,
            "entered": report.rows_in,
            "admissions": markdown_table(
                listed, ["archive version", "admitted", "in", "kept", "excluded", "quarantined", "reasons"]
            ),
            "exclusions_by_clause": markdown_table(summary.by_clause, summary.clause_headers),
            "report": links.page(workspace.settings, path),
            "images": dg.MetadataValue.path(str(workspace.settings.corpus)),
        },
    )


def _total(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)
