"""Harmonization: the publisher's columns and values become one schema, and each null says why it is null."""

import dagster as dg
import pyarrow as pa

from curation_dagster.assets.common import archive_asset, key_of, markdown_table, shown
from curation_dagster.core.harmonize.missingness import missingness
from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.harmonize.worklist import label_worklist
from curation_dagster.core.report.missingness import as_markdown, missing_table, missingness_png
from curation_dagster.resources import Curation
from curation_dagster.stage import finish_with_criteria


@archive_asset("harmonization", deps=["records"])
def harmonized(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """The records in the unified schema: diagnosis in ICD-11, demographics, site, modality, licence of each image.

    Protocol S.5, and the criteria on diagnosis, anatomy, modality and licence (I.1, I.2, I.4, I.5, E.5, E.7, E.8).
    """
    workspace, key = curation.open(), key_of(context)
    archive = workspace.resolve(str(key))
    images = workspace.part("records", key)
    unified = harmonize(archive, images, workspace.settings.secret())
    lists = {
        "label_worklist": label_worklist(unified, archive.descriptor),
        "missingness": missingness(unified),
    }
    for table, found in lists.items():
        workspace.lake.replace(
            table,
            found.append_column("run_id", pa.array([context.run.run_id] * found.num_rows, pa.string())),
            {"archive": key.archive, "version": key.version},
            {"run_id": context.run.run_id},
        )
    facts = unified.append_column("join_state", images["join_state"])
    report = finish_with_criteria(
        workspace,
        key,
        "harmonized",
        unified,
        facts,
        rows_in=workspace.stage(key, "records")["rows_in"],
        inputs=workspace.inputs(
            key,
            "records",
            descriptor=archive.digest,
            criteria=workspace.criteria.digest,
            secret=workspace.settings.secret_digest(),
        ),
        run_id=context.run.run_id,
    )
    codes = unified.group_by(
        ["diagnosis_source_label", "icd11_code", "icd11_title", "diagnosis_relation"]
    ).aggregate([([], "count_all")])
    rows = sorted(
        (
            (
                r["count_all"],
                r["diagnosis_source_label"],
                r["icd11_code"],
                r["icd11_title"],
                r["diagnosis_relation"],
            )
            for r in codes.to_pylist()
        ),
        key=lambda r: (-r[0], str(r[1])),
    )
    return shown(
        workspace, "harmonized", report, key=key,
        extra={
            "diagnoses": markdown_table(rows[:40], ["images", "label", "ICD-11", "title", "relation"]),
            "missing_fields": dg.MetadataValue.md(
                as_markdown(missingness_png(lists["missingness"]), "missing fields by reason")
            ),
            "missing": markdown_table(
                missing_table(lists["missingness"])[:60], ["field", "reason", "images", "share"]
            ),
            "labels_for_a_coder": markdown_table(
                [
                    (r["images"], r["label"], r["kind"], "; ".join(r["suggestions"] or []))
                    for r in lists["label_worklist"].slice(0, 40).to_pylist()
                ],
                ["images", "label", "kind", "suggestions, never applied by themselves"],
            ),
        },
        measured=("harmonized", facts),
    )  # fmt: skip
