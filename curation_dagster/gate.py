"""The gate of the corpus, asked of the tables of one installation."""

from __future__ import annotations

from curation_dagster.checks.catalogue import blocking_checks
from curation_dagster.core.admission import (
    Admission,
    current_versions,
    failed_checks,
    open_samples,
    stale_stages,
)
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.loading import RegistryError
from curation_dagster.core.review.approvals import current_approval, standing_approvals
from curation_dagster.schemas import PER_ARCHIVE
from curation_dagster.version import deciding_code
from curation_dagster.workspace import Workspace


def versions_in_view(workspace: Workspace) -> dict[str, str]:
    """Return for each archive the version that the global stages look at."""
    approvals = workspace.lake.read("approvals", where={"subject_kind": "archive_version"})
    superseded = [
        f"{archive}@{name}"
        for archive, descriptor in workspace.registry.descriptors.items()
        for name, version in descriptor.versions.items()
        if version.superseded_by
    ]
    # a version counts once its tables are complete: a delivery that is just being curated changes nothing yet
    complete = workspace.lake.read("stages", where={"stage": PER_ARCHIVE[-1]}).to_pylist()
    return current_versions(complete, standing_approvals(approvals), superseded)


def admission_of(workspace: Workspace, key: ArchiveVersionKey) -> Admission:
    """Return whether the corpus may take images from an archive version now, and every reason why not."""
    reasons: list[str] = []
    current = {
        "criteria": workspace.criteria.digest,
        "measuring_code": measured_by(),
        "code": deciding_code(),
    }
    try:
        current["descriptor"] = workspace.resolve(str(key)).digest
    except RegistryError as error:
        reasons.append(f"the descriptor does not stand: {error}")
    stages = workspace.part("stages", key).to_pylist()
    reasons += stale_stages(stages, PER_ARCHIVE, current)
    reasons += failed_checks(
        stages, workspace.part("check_results", key).to_pylist(), blocking_checks(PER_ARCHIVE)
    )
    sampled = [c.id for c in workspace.criteria.criteria if c.review == "sample"]
    reasons += open_samples(workspace.part("review_queue", key), workspace.part("reviews", key), sampled)
    approvals = workspace.lake.read("approvals")
    staged = next((s["fingerprint"] for s in stages if s["stage"] == "staged"), "")
    if current_approval(approvals, "archive_version", str(key), staged) is None:
        reasons.append(
            "nobody approved these files: `curation-dagster approve` after reading the technical file"
        )
    if current_approval(approvals, "criteria", workspace.criteria.name, workspace.criteria.digest) is None:
        reasons.append(f"nobody approved the criteria {workspace.criteria.name} {workspace.criteria.version}")
    return Admission(key, tuple(reasons))
