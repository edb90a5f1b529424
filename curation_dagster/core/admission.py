"""Whether the corpus takes an archive version: the gate that holds beyond a single run.

A blocking check stops the run in which it fails, and nothing else: the assets behind it can be materialized by hand
afterwards. So the corpus asks again, from the tables, before it takes anything: is every stage there and made of
the current inputs, did every blocking check pass on just these tables, was the sample reviewed, is the version
approved?
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.review.panel import Panel, panels


@dataclass(frozen=True)
class Admission:
    """Whether an archive version is admitted, and if not, every reason why."""

    key: ArchiveVersionKey
    reasons: tuple[str, ...]

    @property
    def admitted(self) -> bool:
        """True where nothing speaks against it."""
        return not self.reasons


def stale_stages(
    stages: Iterable[Mapping[str, Any]], required: Mapping[str, Sequence[str]], current: Mapping[str, str]
) -> list[str]:
    """Return what is missing or out of date in the stages of one archive version, a sentence each.

    Parameters
    ----------
    stages : iterable of mapping
        Rows of the table ``stages`` of this archive version.
    required : mapping of str to sequence of str
        Stages that must be there, and what each must say it was made of. A stage that does not say so was made before
        anybody asked, and counts as out of date.
    current : mapping of str to str
        Digests in force of what is no stage, such as ``criteria``, ``descriptor``, ``measuring_code``.
    """
    rows = {r["stage"]: r for r in stages}
    found = []
    for stage, expected in required.items():
        if stage not in rows:
            found.append(f"{stage} was never materialized")
            continue
        said = json.loads(rows[stage]["inputs"])
        for name in sorted({*said, *expected}):
            made_of = said.get(name, "not said")
            now = rows[name]["fingerprint"] if name in rows else current.get(name)
            if now != made_of:
                found.append(
                    f"{stage} is out of date: {name.replace('_', ' ')} changed since; materialize {stage} again"
                )
    return found


def failed_checks(
    stages: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
    blocking: Mapping[str, Sequence[str]],
) -> list[str]:
    """Return the blocking checks that failed, or did not look at the current table, a sentence each.

    Parameters
    ----------
    results : iterable of mapping
        Rows of ``check_results`` of this archive version.
    blocking : mapping of str to sequence of str
        Stage to the names of its blocking checks.
    """
    fingerprints = {r["stage"]: r["fingerprint"] for r in stages}
    outcome = {(r["stage"], r["check_name"]): r for r in results}
    found = []
    for stage, names in blocking.items():
        for name in names:
            row = outcome.get((stage, name))
            if row is None or row["fingerprint"] != fingerprints.get(stage):
                found.append(f"the check {name} of {stage} has not looked at the current table")
            elif not row["passed"]:
                found.append(f"the check {name} of {stage} failed: {row['detail']}")
    return found


def open_samples(
    queue: pa.Table, reviews: pa.Table, criteria: Sequence[str], reviewers: Mapping[str, int] | None = None
) -> list[str]:
    """Return what is open or was found in the people's samples of one archive version, a sentence each.

    Parameters
    ----------
    queue, reviews : pyarrow.Table
        Rows of ``review_queue`` and ``reviews`` of this archive version.
    criteria : sequence of str
        Criteria that a sample must settle.
    reviewers : mapping of str to int, optional
        How many people each criterion asks for; one where it is not named.
    """
    said = panels(reviews.to_pylist(), reviewers)
    nobody = Panel(())
    found = []
    for criterion in criteria:
        sample = [
            r["image_id"]
            for r in queue.to_pylist()
            if r["criterion"] == criterion and r["purpose"] == "sample"
        ]
        looked_at = [said.get((criterion, i), nobody) for i in sample]
        waiting = sum(not p.settled for p in looked_at)
        failing = sum(p.failed for p in looked_at)
        if waiting:
            found.append(
                f"the sample for {criterion} waits for people: {waiting} of {len(sample)} images have no verdict"
            )
        if failing:
            found.append(
                f"people found {failing} of {len(sample)} sampled images that fail {criterion}: handle the cause first"
            )
    return found


def current_versions(
    finished: Iterable[Mapping[str, Any]],
    approved: Iterable[Mapping[str, Any]],
    superseded: Iterable[str] = (),
) -> dict[str, str]:
    """Return for each archive the one version that the corpus looks at.

    That is the version approved last, and a superseded one only where no other is approved; without any approval,
    the one staged last, so that reviewers can see how it would do.

    Parameters
    ----------
    finished : iterable of mapping
        Rows of ``stages`` with stage ``staged``.
    approved : iterable of mapping
        Rows of ``approvals`` in force, oldest first.
    superseded : iterable of str
        Keys that the registry marks as superseded.
    """
    gone = set(superseded)
    at = {f"{r['archive']}@{r['version']}": r["finished_at"] for r in finished}
    order = {r["subject"]: i for i, r in enumerate(approved, start=1) if r["subject"] in at}
    chosen: dict[str, str] = {}
    for key in sorted(at, key=lambda k: (k in order, k not in gone, order.get(k, 0), at[k])):
        archive, version = key.split("@", 1)
        chosen[archive] = version
    return chosen
