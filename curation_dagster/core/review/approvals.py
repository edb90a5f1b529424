"""Change control: one person puts a source, its files, a criteria file or a release forward, another approves it.

An approval is for certain bytes: it names their digest, so a changed file is not approved until somebody looks again.
Rows are only ever added. The newest decision on a digest wins, and a withdrawal wins over an approval of the same
moment.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from curation_dagster.core.review.people import same_person
from curation_dagster.core.visible import hidden_in
from curation_dagster.schemas import APPROVALS

Kind = Literal["archive_version", "source", "criteria", "release"]
Decision = Literal["approved", "withdrawn"]


class ApprovalError(ValueError):
    """An approval can't be recorded; the message says why."""


def approve(
    kind: Kind,
    subject: str,
    digest: str,
    author: str,
    approver: str,
    comment: str | None = None,
    decision: Decision = "approved",
    approved_at: datetime | None = None,
) -> pa.Table:
    """Return one row of ``approvals``.

    Parameters
    ----------
    kind, subject, digest : str
        What is approved: an archive version by its key and the fingerprint of its files, a source by its key and the
        digest of its descriptor, a criteria file by its name and SHA-256, a release by its number and the digest of the
        tables' state.
    author, approver : str
        Who put it forward, and who decides: two persons. Another spelling does not make a second person, see
        :func:`~curation_dagster.core.review.people.same_person`.

    Raises
    ------
    ApprovalError
        If author and approver are the same person, a name holds characters that don't show, or anything required is blank.
        Nothing is recorded.
    """
    problems = [
        f"{name} is blank"
        for name, value in (
            ("subject", subject),
            ("digest", digest),
            ("author", author),
            ("approver", approver),
        )
        if not value or not value.strip()
    ]
    problems += [
        f"{name} holds characters that don't show ({', '.join(hidden_in(value))})"
        for name, value in (("author", author), ("approver", approver))
        if hidden_in(value.strip())
    ]
    if kind not in APPROVALS.column("subject_kind").isin:  # type: ignore[operator]
        problems.append(f"kind: expected archive_version, source, criteria or release, got {kind!r}")
    if decision not in APPROVALS.column("decision").isin:  # type: ignore[operator]
        problems.append(f"decision: expected approved or withdrawn, got {decision!r}")
    if not problems and same_person(author, approver):
        problems.append(
            f"author and approver are the same person ({approver.strip()}); another person must approve"
        )
    if problems:
        raise ApprovalError(
            f"approval of {subject or 'nothing'}: " + "; ".join(problems) + ". Nothing was recorded."
        )
    row = {
        "approval_id": str(uuid.uuid4()),
        "subject_kind": kind,
        "subject": subject,
        "digest": digest,
        "decision": decision,
        "author": author.strip(),
        "approver": approver.strip(),
        "comment": comment,
        "approved_at": approved_at or datetime.now(UTC),
    }
    return APPROVALS.conform([row])


def current_approval(approvals: pa.Table, kind: str, subject: str, digest: str) -> dict[str, Any] | None:
    """Return the approval in force for exactly this digest, or None.

    Parameters
    ----------
    approvals : pyarrow.Table
        Rows of ``approvals``, in any order.
    """
    rows = [
        r
        for r in approvals.to_pylist()
        if (r["subject_kind"], r["subject"], r["digest"]) == (kind, subject, digest)
    ]
    newest = max(rows, key=_age, default=None)
    return newest if newest is not None and newest["decision"] == "approved" else None


def standing_approvals(approvals: pa.Table) -> list[dict[str, Any]]:
    """Return the approvals in force, oldest first: for each kind, subject and digest the newest decision, if approved."""
    newest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in sorted(approvals.to_pylist(), key=_age):
        newest[row["subject_kind"], row["subject"], row["digest"]] = row
    return sorted((r for r in newest.values() if r["decision"] == "approved"), key=_age)


def _age(row: dict[str, Any]) -> tuple[datetime, bool, str]:
    return row["approved_at"], row["decision"] == "withdrawn", row["approval_id"]
