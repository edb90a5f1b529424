"""The datasheet, after Gebru et al., Datasheets for Datasets, CACM 64(12), 2021: its questions, answered from the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.papers import paper_files
from curation_dagster.core.release.splits import balance_of
from curation_dagster.core.release.technical.scope import said
from curation_dagster.core.release.view import ReleaseView, stamped
from curation_dagster.core.report.paper import Block, Heading, Paper, Points, Share, Table
from curation_dagster.schemas import SIDES, UNIFIED

_SHOWN = (
    "icd11_title",
    "fitzpatrick",
    "sex",
    "anatomy_label",
    "modality",
    "archive",
    "confirmation",
    "licence",
)


@document
def datasheet(view: ReleaseView) -> dict[str, bytes]:
    """The datasheet as Markdown, HTML and JSON."""
    sections = (_motivation, _composition, _collection, _processing, _uses, _distribution, _maintenance)
    paper = Paper(
        "datasheet",
        f"Datasheet of release {view.number}",
        f"{stamped(view.issued_at)}. Every number is counted from the tables at the versions that MANIFEST.json names. "
        "The questions are those of Gebru et al., Datasheets for Datasets (2021).",
        [block for section in sections for block in section(view)],
    )
    return paper_files(view, paper)


def _motivation(view: ReleaseView) -> list[Block]:
    return [
        Heading("Motivation", "motivation"),
        said("For what purpose was it created? {use}", use=view.criteria.intended_use.strip()),
        said(
            "Who created it? {author} put the release forward, {approver} approved it.",
            author=str(view.approval["author"]),
            approver=str(view.approval["approver"]),
        ),
    ]


def _composition(view: ReleaseView) -> list[Block]:
    images = view.images
    admissions = view.read("admissions").to_pylist()
    sums = {n: sum(a[f"images_{n}"] for a in admissions) for n in ("in", "kept", "excluded", "quarantined")}
    sides = Counter(images["split"].to_pylist())
    blocks: list[Block] = [
        Heading("Composition", "composition"),
        said(
            "What do the instances represent, and how many are there? {images} images of skin and its appendages, of "
            "{people} patients and {lesions} lesions that the sources name; {without} images name no patient.",
            images=images.num_rows,
            people=len(set(images["patient_key"].drop_null().to_pylist())),
            lesions=len(set(images["lesion_key"].drop_null().to_pylist())),
            without=images["patient_key"].null_count,
        ),
        said(
            "Is it a sample? {entered} images entered, {excluded} were excluded by a criterion, {waiting} wait, {kept} are in "
            "the corpus, of which {withheld} are withheld because their group would be on two sides.",
            entered=sums["in"],
            excluded=sums["excluded"],
            waiting=sums["quarantined"],
            kept=sums["kept"],
            withheld=sums["kept"] - images.num_rows,
        ),
        said("What is missing? Null where the source says nothing, never imputed."),
        Table(
            "missing",
            ["column", "images without", "share"],
            [[c, images[c].null_count, Share(images[c].null_count, images.num_rows)] for c in UNIFIED],
        ),
        said("Are there recommended splits? By group: no patient, lesion or duplicate is on two sides."),
        Points([said("{side} {n}", side=s, n=sides[s]) for s in SIDES]),
        Table(
            "balance",
            ["stratum", "value", "images", *SIDES, "largest deviation (images)"],
            [list(b.values()) for b in balance_of(view.read("splits"), view.splits)],
        ),
    ]
    for column in _SHOWN:
        counts = Counter("not stated" if v is None else str(v) for v in images[column].to_pylist())
        ordered: list[list[Any]] = [list(c) for c in sorted(counts.items(), key=lambda c: (-c[1], c[0]))]
        blocks.append(Table(f"by_{column}", [column, "images"], ordered))
    return [
        *blocks,
        said(
            "Does it identify people, or hold sensitive data? Health data without names, dates, places or source ids; "
            "patients and lesions are keyed hashes whose secret is not in the release."
        ),
    ]


def _collection(view: ReleaseView) -> list[Block]:
    used = Counter(
        (r["archive"], r["version"]) for r in view.images.select(["archive", "version"]).to_pylist()
    )
    rows: list[list[Any]] = []
    for (archive, version), n in sorted(used.items()):
        descriptor = view.descriptors.get(archive)
        t = descriptor.technical_file if descriptor else None
        told = [t.name, t.publisher, t.country, t.modality.strip(), t.validation_method.strip(), t.demographics.strip()]  if t else [None] * 6  # fmt: skip
        rows.append([f"{archive}@{version}", n, *told])
    headers = [
        "archive version",
        "images",
        "name",
        "publisher",
        "country",
        "modality",
        "diagnoses",
        "demographics",
    ]
    return [
        Heading("Collection process", "collection"),
        said("How was the data acquired? From published archives."),
        Table("sources", headers, rows),
    ]


def _processing(view: ReleaseView) -> list[Block]:
    counts: dict[str, Counter[str]] = {}
    for r in view.outcomes.to_pylist():
        counts.setdefault(r["criterion"], Counter())[r["outcome"]] += r["images"]
    clauses = {c.id: c.clause for c in view.criteria.criteria}
    rows: list[list[Any]] = [
        [clauses.get(c), c, n["fail"], n["review"]] for c, n in counts.items() if n["fail"] or n["review"]
    ]
    rows.sort(key=lambda r: (-r[2], r[0] or "", r[1]))
    return [
        Heading("Preprocessing, cleaning, labelling", "processing"),
        said(
            "Criteria {name} {version} (SHA-256 {digest}). An image may fail several criteria and counts under each.",
            name=view.criteria.name,
            version=view.criteria.version,
            digest=view.criteria.digest,
        ),
        Table("exclusions", ["clause", "criterion", "excluded", "for review"], rows),
        said(
            "Was the raw data saved? Yes, as delivered, in the installation that made the release; it is not part of the release."
        ),
    ]


def _uses(view: ReleaseView) -> list[Block]:
    return [
        Heading("Uses", "uses"),
        said(
            "What may it be used for? {use} The conditions of each licence hold, see ATTRIBUTION.md.",
            use=view.criteria.intended_use.strip(),
        ),
        said(
            "What must it not be used for? Re-identification. Training or tuning on what is sequestered or test."
        ),
    ]


def _distribution(view: ReleaseView) -> list[Block]:
    counts = Counter(view.images["licence"].to_pylist())
    return [
        Heading("Distribution", "distribution"),
        Table("licences", ["licence", "images"], [list(c) for c in sorted(counts.items())]),
        said("Licence texts are in licences/, checksums of every file in SHA256SUMS."),
    ]


def _maintenance(view: ReleaseView) -> list[Block]:
    return [
        Heading("Maintenance", "maintenance"),
        said(
            "Releases are numbered and never changed; `curation-dagster diff` tells two apart. What is withdrawn leaves the "
            "corpus, and its files leave every release. Withdrawals before this release: {withdrawals}. The audit trail ends "
            "at entry {seq}, {hash}.",
            withdrawals=view.read("withdrawals", ["withdrawal_id"]).num_rows,
            seq=view.audit_head.get("seq", 0),
            hash=str(view.audit_head.get("entry_hash", "")),
        ),
    ]
