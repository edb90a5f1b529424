"""The gate of the corpus, asked of the tables of one installation."""

from __future__ import annotations

import hashlib
import json

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
from curation_dagster.core.review.sampling import population, sample_size
from curation_dagster.schemas import PER_ARCHIVE
from curation_dagster.version import deciding_code
from curation_dagster.workspace import EVERYTHING, Workspace

# what each stage must say it was made of
MADE_OF = {
    "staged": ("descriptor",),
    "records": ("staged", "descriptor", "criteria", "code"),
    "measurements": ("staged", "measuring_code", "code"),
    "quality": ("records", "measurements", "criteria", "code"),
    "deidentified": ("records", "measurements", "criteria", "code"),
    "harmonized": ("records", "descriptor", "criteria", "code", "secret"),
    "duplicates_within": (
        "records",
        "measurements",
        "quality",
        "deidentified",
        "harmonized",
        "criteria",
        "code",
    ),
    "review_queue": ("quality", "deidentified", "harmonized", "duplicates_within", "criteria", "code"),
}


def archive_versions(workspace: Workspace) -> set[tuple[str, str]]:
    """Return every archive version whose stages are complete, current or not."""
    rows = workspace.lake.read(
        "stages", columns=["archive", "version"], where={"stage": PER_ARCHIVE[-1]}
    ).to_pylist()
    return {(r["archive"], r["version"]) for r in rows}


def groups_made_of(workspace: Workspace) -> dict[str, str]:
    """Return what the groups over all archives are made of now, for the row of their stage."""
    view = {f"{a}@{v}": ArchiveVersionKey(a, v) for a, v in versions_in_view(workspace).items()}
    fingerprints = {
        name: workspace.stage(key, "duplicates_within")["fingerprint"] for name, key in view.items()
    }
    # who may stand for a group hangs on approvals and on people's verdicts as well
    return (
        fingerprints
        | people_said(workspace)
        | {"criteria": workspace.criteria.digest, "code": deciding_code()}
    )


def people_said(workspace: Workspace) -> dict[str, str]:
    """Return a digest of what people said that the groups hang on; an approval of a release changes no group."""
    lake = workspace.lake
    approvals = lake.read("approvals", columns=["approval_id", "subject_kind"]).to_pylist()
    ids = sorted(a["approval_id"] for a in approvals if a["subject_kind"] != "release")
    return {
        "reviews": str(lake.version("reviews")),
        "approvals": hashlib.sha256("\n".join(ids).encode()).hexdigest() if ids else "None",
        "withdrawals": str(lake.version("withdrawals")),
    }


def ledger_made_of(workspace: Workspace) -> dict[str, str]:
    """Return what the ledger is made of now, for the row of its stage."""
    queues = {
        f"{a}@{v}": workspace.stage(ArchiveVersionKey(a, v), "review_queue")["fingerprint"]
        for a, v in sorted(archive_versions(workspace))
    }
    return queues | {
        "duplicates": workspace.stage(EVERYTHING, "duplicates")["fingerprint"],
        "reviews": str(workspace.lake.version("reviews")),
        "criteria": workspace.criteria.digest,
        "code": deciding_code(),
    }


def ledger_problems(workspace: Workspace) -> list[str]:
    """Return why the corpus can't be built on the ledger as it is, a sentence each; empty if it can."""
    stages = workspace.part("stages", EVERYTHING).to_pylist()
    rows = {r["stage"]: r for r in stages}
    found = []
    for stage, made_of in (("duplicates", groups_made_of), ("decisions", ledger_made_of)):
        if stage not in rows:
            return [f"{stage} was never materialized"]
        said, now = json.loads(rows[stage]["inputs"]), made_of(workspace)
        changed = sorted(n for n in {*said, *now} if said.get(n) != now.get(n))
        if changed:
            found.append(
                f"{stage} is out of date: {', '.join(changed)} changed since; materialize {stage} again"
            )
    results = workspace.part("check_results", EVERYTHING).to_pylist()
    return found + failed_checks(stages, results, blocking_checks(("duplicates", "decisions")))


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
        "secret": workspace.settings.secret_digest(),
    }
    try:
        current["descriptor"] = workspace.resolve(str(key)).digest
    except RegistryError as error:
        reasons.append(f"the descriptor does not stand: {error}")
    stages = workspace.part("stages", key).to_pylist()
    reasons += stale_stages(stages, MADE_OF, current)
    reasons += failed_checks(
        stages, workspace.part("check_results", key).to_pylist(), blocking_checks(PER_ARCHIVE)
    )
    sampled = [c.id for c in workspace.criteria.criteria if c.review == "sample"]
    reasons += open_samples(
        workspace.part("review_queue", key),
        workspace.part("reviews", key),
        sampled,
        workspace.criteria.reviewers,
    )
    reasons += _samples_not_drawn(workspace, key)
    approvals = workspace.lake.read("approvals")
    staged = next((s["fingerprint"] for s in stages if s["stage"] == "staged"), "")
    if current_approval(approvals, "archive_version", str(key), staged) is None:
        reasons.append(
            "nobody approved these files: `curation-dagster approve` after reading the technical file"
        )
    described = current.get("descriptor", "")
    if current_approval(approvals, "source", str(key), described) is None:
        reasons.append("nobody approved the descriptor as it is: `curation-dagster approve` after reading it")
    if current_approval(approvals, "criteria", workspace.criteria.name, workspace.criteria.digest) is None:
        reasons.append(f"nobody approved the criteria {workspace.criteria.name} {workspace.criteria.version}")
    return Admission(key, tuple(reasons))


def _samples_not_drawn(workspace: Workspace, key: ArchiveVersionKey) -> list[str]:
    """Return the samples that stand for all images and are smaller than they must be, or absent, a sentence each."""
    criteria = workspace.criteria
    verdicts = workspace.part("verdicts", key, ["stage", "image_id", "criterion", "outcome"])
    queue = workspace.part("review_queue", key, ["criterion", "purpose", "criteria_digest"]).to_pylist()
    found = []
    for criterion in criteria.whole_population():
        images = len(population(verdicts, criterion, everyone=True))
        needed = sample_size(images, criteria.sampling)
        mine = [q for q in queue if q["criterion"] == criterion and q["purpose"] == "sample"]
        drawn = sum(q["criteria_digest"] == criteria.digest for q in mine)
        if drawn < needed:
            found.append(
                f"the sample for {criterion} holds {drawn} of the {needed} images that it needs: materialize review_queue again"
            )
    return found
