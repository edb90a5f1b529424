"""The checks as Dagster sees them: one step per asset, with its facts and its criteria.

Facts are blocking and red. A criterion passes where no image fails it; where images do fail, they are excluded and
the run goes on, so the check warns or errs by the severity that the criteria file declares, but blocks nothing.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from curation_dagster.checks import facts_of_archives, facts_of_corpus, facts_of_release, facts_of_review
from curation_dagster.checks.catalogue import CATALOGUE, Outcome
from curation_dagster.core.criteria.loading import CriteriaSet
from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.registry.keys import ArchiveVersionKey, parse_key
from curation_dagster.partitions import ARCHIVE_VERSIONS
from curation_dagster.resources import Curation
from curation_dagster.schemas import TABLES
from curation_dagster.worker import told
from curation_dagster.workspace import EVERYTHING, Workspace

__all__ = ["checks_of", "facts_of_archives", "facts_of_corpus", "facts_of_release", "facts_of_review"]
_EXAMPLES = 5


def checks_of(stage: str, criteria: CriteriaSet, partitioned: bool) -> dg.AssetChecksDefinition:
    """Return the checks of one asset: its facts, then one check for each criterion of the stage."""
    facts = {c.name: c for c in CATALOGUE.get(stage, [])}
    judged = {c.check: c for c in criteria.of_stage(stage)}
    partitions = ARCHIVE_VERSIONS if partitioned else None
    specs = [
        dg.AssetCheckSpec(
            name,
            asset=stage,
            blocking=True,
            description=f"{c.description} Where this fails, the run stops here. What to do: {c.remedy}",
            partitions_def=partitions,
        )
        for name, c in facts.items()
    ] + [
        dg.AssetCheckSpec(
            name,
            asset=stage,
            description=f"{c.statement} (Protocol {c.clause}.) {c.rationale} What to do: {todo_of(c)}",
            metadata={"criterion": c.id, "clause": c.clause},
            partitions_def=partitions,
        )
        for name, c in judged.items()
    ]

    @dg.multi_asset_check(name=f"{stage}_checks", specs=specs)
    def look(context: dg.AssetCheckExecutionContext, curation: Curation) -> Iterator[dg.AssetCheckResult]:
        workspace, run = curation.open(), context.op_execution_context
        key = parse_key(run.partition_key) if partitioned else EVERYTHING
        fingerprint = workspace.stage(key, stage)["fingerprint"]
        rows: list[dict[str, Any]] = []
        results = []
        for name, check in facts.items():
            outcome = _looked(check.look, workspace, key)
            if not outcome.passed:
                outcome = replace(outcome, detail=f"{outcome.detail}. What to do: {check.remedy}")
            results.append((name, outcome, dg.AssetCheckSeverity.ERROR, True))
        for name, criterion in judged.items():
            outcome = criterion_outcome(workspace, key, stage, criterion.id, partitioned)
            severity = (
                dg.AssetCheckSeverity.ERROR if criterion.severity == "error" else dg.AssetCheckSeverity.WARN
            )
            results.append((name, outcome, severity, False))
        for name, outcome, _, blocking in results:
            rows.append(
                {
                    "archive": key.archive,
                    "version": key.version,
                    "stage": stage,
                    "check_name": name,
                    "passed": outcome.passed,
                    "blocking": blocking,
                    "fingerprint": fingerprint,
                    "detail": outcome.detail,
                    "evaluated_at": datetime.now(UTC),
                    "run_id": run.run_id,
                }
            )
        # written before anything is yielded: the corpus asks this table, not the event log
        workspace.lake.replace(
            "check_results",
            TABLES["check_results"].conform(rows),
            {"archive": key.archive, "version": key.version, "stage": stage},
            {"run_id": run.run_id},
        )
        for name, outcome, severity, _ in results:
            yield dg.AssetCheckResult(
                asset_key=stage,
                check_name=name,
                passed=outcome.passed,
                severity=severity,
                description=outcome.detail,
                metadata=dict(outcome.metadata),
            )

    return look


def todo_of(criterion: Criterion) -> str:
    """Return what people do about images that a criterion does not let through."""
    if criterion.on_fail == "exclude":
        return (
            "nothing for these images, they stay out. If they are more than expected, look at the contact sheets in the "
            "technical file: a bound changes in the criteria file only, with a new version and an approval."
        )
    if criterion.review == "sample":
        return "judge the sample on the review page (`make review`); until it is clean the archive version is held back."
    return "judge them on the review page (`make review`); until then they wait, and the rest goes on."


def _looked(look: Any, workspace: Workspace, key: ArchiveVersionKey) -> Outcome:
    """Run one fact; one that can't be established has failed, and says why."""
    try:
        return look(workspace, key)
    except Exception as error:
        return Outcome(False, f"could not be established: {told(error)}")


def criterion_outcome(
    workspace: Workspace, key: ArchiveVersionKey, stage: str, criterion: str, partitioned: bool
) -> Outcome:
    """Return how many images of a stage fail a criterion, with a few of them and what was measured."""
    where = {"stage": stage, "criterion": criterion}
    if partitioned:
        where |= {"archive": key.archive, "version": key.version}
    with workspace.lake.sql(
        verdicts=workspace.lake.read(
            "verdicts", columns=["image_id", "outcome", "measured", "bound", "detail"], where=where
        )
    ) as sql:
        tally = dict(sql.execute("SELECT outcome, count(*) FROM verdicts GROUP BY 1").fetchall())
        examples = sql.execute(
            "SELECT image_id, outcome, measured, bound, detail FROM verdicts WHERE outcome IN ('fail', 'review') "
            "ORDER BY outcome, image_id LIMIT ?",
            [_EXAMPLES],
        ).fetchall()
    total, failing, open_ = sum(tally.values()), tally.get("fail", 0), tally.get("review", 0)
    metadata: dict[str, Any] = {
        "images": total,
        "excluded": failing,
        "for_review": open_,
        "passed": tally.get("pass", 0),
    }
    if examples:
        from curation_dagster.assets.common import markdown_table

        metadata["examples"] = markdown_table(
            examples, ["image_id", "outcome", "measured", "bound", "detail"]
        )
    share = f" ({failing / total:.1%})" if failing else ""
    detail = f"{failing} of {total} images{share} are excluded by this criterion, {open_} wait for a person"
    return Outcome(failing == 0, detail, metadata)
