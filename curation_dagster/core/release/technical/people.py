"""What people did: the de-identification record, the manual review with its agreement, approvals, and the audit trail."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from curation_dagster.core.release.technical.scope import Rows, Scope, quoted, said
from curation_dagster.core.report.paper import Block, Heading, Table
from curation_dagster.core.review.panel import Panel, agreement, panels

_ASPECTS = {
    "scanned": "What was scanned",
    "found": "What was found",
    "done": "What was done about it",
    "sampled": "What people are asked to look at",
    "judged": "What people have judged",
    "written": "What was written, and found in it afterwards",
    "version": "By which versions",
}


def deidentification(scope: Scope) -> list[Block]:
    """The verification record: counts of images or of distinct files, by kind and never by value."""
    if scope.is_corpus:
        rows = scope.rows(
            "SELECT aspect, carrier, kind, CAST(sum(images) AS BIGINT) FROM deidentification_record WHERE aspect <> 'version' "
            "GROUP BY ALL ORDER BY ALL",
            "deidentification_record",
        )
        table = Table(
            "deidentification",
            ["part", "where", "what", "number"],
            [[_ASPECTS[a], c, k.replace("_", " "), n] for a, c, k, n in rows],
        )
        return [Heading("De-identification", "deidentification"), table]
    blocks: list[Block] = [Heading("De-identification", "deidentification")]
    found = scope.rows(
        "SELECT aspect, carrier, kind, images, detail FROM deidentification_record WHERE {here} ORDER BY ALL",
        "deidentification_record",
    )
    for aspect, title in _ASPECTS.items():
        mine = [r[1:] for r in found if r[0] == aspect]
        blocks.append(Heading(title, f"deidentification_{aspect}_heading", 3))
        if aspect == "version":
            blocks.append(
                Table("deidentification_version", ["what", "version"], [[r[1], r[3]] for r in mine])
            )
        else:
            rows = [[r[0], r[1].replace("_", " "), r[2], r[3]] for r in mine]
            blocks.append(Table(f"deidentification_{aspect}", ["where", "what", "number", "note"], rows))
    return blocks


def review(scope: Scope) -> list[Block]:
    """What people were asked and what they said, who they were, and how far two of them agree beyond chance."""
    view = scope.view
    where = None if scope.is_corpus else {"archive": scope.archive, "version": scope.version}
    said_rows = view.read("reviews", where=where).to_pylist()
    queue = view.read(
        "review_queue", ["archive", "version", "image_id", "criterion", "purpose"], where
    ).to_pylist()
    asked: dict[tuple[str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for row in queue:
        asked[row["criterion"], row["purpose"]].add((row["archive"], row["version"], row["image_id"]))
    by_version: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in said_rows:
        by_version[row["archive"], row["version"]].append(row)
    judged: dict[str, list[tuple[tuple[str, str, str], Panel]]] = defaultdict(list)
    for (archive, version), rows in by_version.items():
        for (criterion, image), panel in panels(rows, view.criteria.reviewers).items():
            judged[criterion].append(((archive, version, image), panel))
    table: Rows = []
    for criterion, purpose in sorted(asked):
        mine = [p for key, p in judged[criterion] if key in asked[criterion, purpose]]
        table.append(
            [
                criterion, purpose, view.criteria.reviewers.get(criterion, 1), len(asked[criterion, purpose]),
                sum(p.settled for p in mine), sum(p.failed for p in mine), sum(p.disputed for p in mine),
            ]
        )  # fmt: skip
    pairs: Rows = []
    for criterion, found in sorted(judged.items()):
        for a in agreement(p for _, p in found):
            pairs.append(
                [
                    criterion,
                    a.first,
                    a.second,
                    a.images,
                    a.agreed,
                    a.kappa if a.kappa is not None else "not defined",
                ]
            )
    reviewers = scope.rows(
        "SELECT reviewer, criterion, count(*), count(DISTINCT image_id), count(*) FILTER (outcome = 'pass'), "
        "count(*) FILTER (outcome = 'fail'), count(*) FILTER (outcome = 'withdrawn'), min(reviewed_at), max(reviewed_at) "
        "FROM reviews WHERE {here} GROUP BY ALL ORDER BY ALL",
        "reviews",
    )
    return [
        Heading("Manual review", "review"),
        Table(
            "review_by_criterion",
            ["criterion", "purpose", "people asked for", "images asked", "settled", "failed", "in dispute"],
            table,
            "Nothing was put before people.",
        ),
        Heading("Who judged", "reviewers", 3),
        Table(
            "reviewers",
            [
                "reviewer",
                "criterion",
                "verdicts",
                "images",
                "passed",
                "failed",
                "taken back",
                "first",
                "last",
            ],
            reviewers,
            "Nobody has judged anything.",
        ),
        Heading("Agreement", "agreement_heading", 3),
        said(
            "Of each two people who judged the same images: how often they agreed, and Cohen's kappa (1960), which is not "
            "defined where both said the same of every image."
        ),
        Table(
            "agreement",
            ["criterion", "first", "second", "images", "agreed", "kappa"],
            pairs,
            "No image was judged by two people.",
        ),
    ]


def approvals(scope: Scope) -> list[Block]:
    """Who put what forward, and who approved it."""
    condition = (
        "true"
        if scope.is_corpus
        else f"subject IN ({quoted(scope.name)}, {quoted(scope.archive)}) OR subject_kind = 'criteria'"
    )
    rows = scope.rows(
        "SELECT subject_kind, subject, decision, author, approver, comment, digest, approved_at FROM approvals "
        f"WHERE {condition} ORDER BY approved_at, subject_kind, subject",
        "approvals",
    )
    headers = ["what", "subject", "decision", "put forward by", "decided by", "comment", "digest", "when"]
    return [
        Heading("Approvals", "approvals"),
        Table(
            "approvals",
            headers,
            [[r[0].replace("_", " "), *r[1:]] for r in rows],
            "Nobody has approved anything.",
        ),
    ]
