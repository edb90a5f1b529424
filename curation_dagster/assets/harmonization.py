"""Harmonization: the publisher's columns and values become one schema, and each null says why it is null."""

import dagster as dg

from curation_dagster.assets.common import archive_asset, key_of, markdown_table, shown
from curation_dagster.core.harmonize.unify import harmonize
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
        workspace, "harmonized", report,
        {"diagnoses": markdown_table(rows[:40], ["images", "label", "ICD-11", "title", "relation"])},
    )  # fmt: skip
