"""The technical files: one for each archive version that entered, one for the corpus."""

from __future__ import annotations

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.documents.flow import scope_blocks
from curation_dagster.core.release.flow import flow_numbers
from curation_dagster.core.release.papers import paper_files
from curation_dagster.core.release.splits import balance_of
from curation_dagster.core.release.technical.deciding import checks, criteria, exclusions, protocol
from curation_dagster.core.release.technical.history import history
from curation_dagster.core.release.technical.labels import labels, missing
from curation_dagster.core.release.technical.people import approvals, deidentification, review
from curation_dagster.core.release.technical.scope import Scope, joined, said
from curation_dagster.core.release.technical.sources import assessment, identification, retrieval
from curation_dagster.core.release.view import ReleaseView, stamped
from curation_dagster.core.report.paper import Block, Heading, Link, Paper, Table
from curation_dagster.schemas import SIDES

_OF_ARCHIVE = (retrieval, assessment, criteria, exclusions)
_AFTER_FLOW = (deidentification, review, labels, missing, checks, approvals, history)


@document
def technical_file(view: ReleaseView) -> dict[str, bytes]:
    """Everything that the protocol asks to be documented, of each archive version and of the corpus."""
    scopes = {s["name"]: s for s in flow_numbers(view)["scopes"] if s["kind"] in ("archive", "all")}
    files = paper_files(view, _corpus(view, scopes["all"]))
    for row in _admissions(view):
        scope = Scope(view, row["archive"], row["version"])
        blocks: list[Block] = [*_state(row), *identification(scope)]
        for part in _OF_ARCHIVE:
            blocks += part(scope)
        blocks.append(Heading("Exclusion flow", "flow"))
        if scope.name in scopes:
            blocks += scope_blocks(scopes[scope.name], view.number, 3)
        for part in _AFTER_FLOW:
            blocks += part(scope)
        descriptor = view.descriptors.get(row["archive"])
        name = descriptor.technical_file.name if descriptor else row["archive"]
        paper = Paper(
            slug_of(scope.name),
            f"Technical file of {name}, {scope.name}",
            f"Part of release {view.number} of {stamped(view.issued_at)}. Every number is counted from the tables at the "
            "versions that MANIFEST.json names.",
            blocks,
        )
        files |= {
            p: c for p, c in paper_files(view, paper).items() if not p.startswith("documents/figures/flow-")
        }
    return {p: c for p, c in files.items() if not p.startswith("documents/figures/flow-")}


def slug_of(name: str) -> str:
    """Return the name of a technical file's files; ``name`` is a partition key or ``corpus``."""
    return f"technical-file-{name}"


def _admissions(view: ReleaseView) -> list[dict]:
    return sorted(view.read("admissions").to_pylist(), key=lambda r: (r["archive"], r["version"]))


def _state(row: dict) -> list[Block]:
    headers = ["admitted", "entered", "in the corpus", "excluded", "waiting", "why not admitted"]
    counts = [row[f"images_{n}"] for n in ("in", "kept", "excluded", "quarantined")]
    return [
        Heading("Admission to the corpus", "admission"),
        Table("admission", headers, [[row["admitted"], *counts, joined(row["reasons"])]]),
    ]


def _corpus(view: ReleaseView, flow: dict) -> Paper:
    scope = Scope(view)
    admitted = [
        [
            Link(f"{r['archive']}@{r['version']}", f"{slug_of(r['archive'] + '@' + r['version'])}.html"), r["admitted"],
            *(r[f"images_{n}"] for n in ("in", "kept", "excluded", "quarantined")), joined(r["reasons"]),
        ]
        for r in _admissions(view)
    ]  # fmt: skip
    blocks: list[Block] = [
        Heading("Intended use", "intended_use"),
        said(
            "{use} Put forward by {author}, approved by {approver}. Made by code {code}.",
            use=view.criteria.intended_use.strip(),
            author=str(view.approval["author"]),
            approver=str(view.approval["approver"]),
            code=view.code_version,
        ),
        Heading("Archive versions", "archives"),
        Table(
            "admissions",
            [
                "archive version",
                "admitted",
                "entered",
                "in the corpus",
                "excluded",
                "waiting",
                "why not admitted",
            ],
            admitted,
        ),
        *_selections(view),
        *retrieval(scope),
        *protocol(scope),
        *criteria(scope),
        *exclusions(scope),
        Heading("Exclusion flow", "flow"),
        *scope_blocks(flow, view.number, 3),
        *_duplicates(scope),
    ]
    for part in (deidentification, review, labels, missing):
        blocks += part(scope)
    blocks += _splits(view)
    for part in (checks, approvals, history):
        blocks += part(scope)
    return Paper(
        slug_of("corpus"),
        f"Technical file of the corpus, release {view.number}",
        f"Release of {stamped(view.issued_at)}. Every number is counted from the tables at the versions that MANIFEST.json names.",
        blocks,
    )


def _selections(view: ReleaseView) -> list[Block]:
    rows = []
    for archive, descriptor in sorted(view.descriptors.items()):
        s = descriptor.technical_file.selection
        aspects = (s.diagnostic_quality, s.licence, s.diversity, s.governance)
        rows.append([archive, *(a.outcome.replace("_", " ") for a in aspects)])
    headers = ["archive", "diagnostic quality", "licence", "diversity", "governance"]
    return [Heading("Selection evaluation", "selection"), Table("selection", headers, rows)]


def _duplicates(scope: Scope) -> list[Block]:
    rows = scope.rows(
        "SELECT relation, count(*), count(*) FILTER (is_representative), count(DISTINCT group_id), "
        "count(*) FILTER (label_conflict) FROM duplicates GROUP BY 1 ORDER BY 1",
        "duplicates",
    )
    across = scope.rows(
        "SELECT archives, count(*), CAST(sum(images) AS BIGINT) FROM (SELECT group_id, count(*) AS images, "
        "string_agg(DISTINCT archive, ', ' ORDER BY archive) AS archives FROM duplicates WHERE group_id IS NOT NULL GROUP BY 1) "
        "GROUP BY 1 ORDER BY 1",
        "duplicates",
    )
    return [
        Heading("Duplicates", "duplicates"),
        Table(
            "duplicates_by_relation",
            ["relation", "images", "representatives", "groups", "with labels in conflict"],
            [[r[0].replace("_", " "), *r[1:]] for r in rows],
        ),
        Table(
            "duplicates_across",
            ["archives of the group", "groups", "images"],
            across,
            "No group has two images.",
        ),
    ]


def _splits(view: ReleaseView) -> list[Block]:
    balance = balance_of(view.read("splits"), view.splits)
    headers = ["stratum", "value", "images", *SIDES, "largest_deviation"]
    return [
        Heading("Sides of the split", "splits"),
        said(
            "Settings {version}, SHA-256 {digest}. {rationale}",
            version=view.splits.version,
            digest=view.splits.digest,
            rationale=view.splits.rationale.strip(),
        ),
        Table("balance", [h.replace("_", " ") for h in headers], [[b[h] for h in headers] for b in balance]),
    ]
