"""De-identification: what was found that may identify a person, by carrier and kind, and what is done about it.

The published file is built from pixels, called by its image_id, and described by an allow-list of columns, so hidden
metadata, file names and records can't reach it. Text and faces that the detectors are sure of are filled by the writer or
exclude the image; what they are not sure of, and what they can't see, is for people: one by one where something points to
it, and by a sample of the archive version for all the rest.
"""

import dagster as dg

from curation_dagster.assets.common import archive_asset, key_of, markdown_table, shown
from curation_dagster.core.deidentification.findings import find_identifiers
from curation_dagster.resources import Curation
from curation_dagster.stage import finish_with_criteria
from curation_dagster.views import measured_images

_MEASURED = [
    "hidden_kinds", "media_type", "format", "decode_state", "pixels_searched", "regions", "faces", "text_regions", "text_doubtful",
    "face_score", "regions_share", "regions_core_share",
]  # fmt: skip


@archive_asset("deidentification", deps=["measurements", "records"])
def deidentified(context: dg.AssetExecutionContext, curation: Curation) -> dg.MaterializeResult:
    """Identifiers in file, file name, record and picture, by kind and never by value, and the action for each.

    Protocol I.6 and E.6.
    """
    workspace, key = curation.open(), key_of(context)
    images = measured_images(workspace, key, _MEASURED, of_record=["path", "source_values"])
    findings = find_identifiers(images)
    facts = images.drop_columns(["path", "source_values"])
    for name in findings.column_names:
        if name not in facts.column_names:
            facts = facts.append_column(name, findings[name])
    report = finish_with_criteria(
        workspace,
        key,
        "deidentified",
        findings,
        facts,
        rows_in=workspace.stage(key, "records")["rows_in"],
        inputs=workspace.inputs(key, "records", "measurements", criteria=workspace.criteria.digest),
        run_id=context.run.run_id,
    )
    counts: dict[str, int] = {}
    for actions in findings["actions"].to_pylist():
        for action in actions:
            counts[action] = counts.get(action, 0) + 1
    rows = [(*a.rsplit(":", 1)[0].split(":", 1), a.rsplit(":", 1)[1], n) for a, n in sorted(counts.items())]
    return shown(
        workspace,
        "deidentified",
        report,
        key=key,
        extra={"found": markdown_table(rows, ["carrier", "kind", "action", "images"])},
        measured=("deidentified", facts),
    )
