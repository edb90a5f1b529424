"""The datasheet, after Gebru et al., Datasheets for Datasets, CACM 64(12), 2021: its questions, answered from the tables."""

from __future__ import annotations

from collections import Counter

from tabulate import tabulate

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.splits import balance_of
from curation_dagster.core.release.view import ReleaseView, stamped
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
    """The datasheet as Markdown."""
    sections = (_motivation, _composition, _collection, _processing, _uses, _distribution, _maintenance)
    parts = [
        f"# Datasheet of release {view.number}",
        f"{stamped(view.issued_at)}. Every number is counted from the tables at the versions that MANIFEST.json names. "
        "The questions are those of Gebru et al., Datasheets for Datasets (2021).",
        *(section(view) for section in sections),
    ]
    return {"documents/datasheet.md": ("\n\n".join(parts).rstrip() + "\n").encode()}


def _motivation(view: ReleaseView) -> str:
    c = view.criteria
    return (
        "## Motivation\n\n"
        f"**For what purpose was it created?** {c.intended_use.strip()}\n\n"
        f"**Who created it?** {view.approval['author']} put the release forward, {view.approval['approver']} approved it."
    )


def _composition(view: ReleaseView) -> str:
    images = view.images
    admissions = view.read("admissions").to_pylist()
    sums = {
        n: sum(a[n] for a in admissions)
        for n in ("images_in", "images_kept", "images_excluded", "images_quarantined")
    }
    sides = Counter(images["split"].to_pylist())
    withheld = sums["images_kept"] - images.num_rows
    people = len(set(images["patient_key"].drop_null().to_pylist()))
    lesions = len(set(images["lesion_key"].drop_null().to_pylist()))
    parts = [
        "## Composition",
        f"**What do the instances represent, and how many are there?** {images.num_rows} images of skin and its "
        f"appendages, of {people} patients and {lesions} lesions that the sources name; {images['patient_key'].null_count} "
        "images name no patient.",
        "**Is it a sample?** "
        f"{sums['images_in']} images entered, {sums['images_excluded']} were excluded by a criterion, "
        f"{sums['images_quarantined']} wait, {sums['images_kept']} are in the corpus, of which {withheld} are withheld "
        "because their group would be on two sides.",
        "**What is missing?** Null where the source says nothing, never imputed:",
        tabulate(
            [
                (c, images[c].null_count, f"{images[c].null_count / max(1, images.num_rows):.1%}")
                for c in UNIFIED
            ],
            ["column", "images without", "share"],
            tablefmt="github",
        ),
        "**Are there recommended splits?** By group: no patient, lesion or duplicate is on two sides. "
        + ", ".join(f"{s} {sides[s]}" for s in SIDES)
        + ". Balance:",
    ]
    rows = view.read("splits")
    parts.append(
        tabulate(
            [list(b.values()) for b in balance_of(rows, view.splits)],
            ["stratum", "value", "images", *SIDES, "largest deviation (images)"],
            tablefmt="github",
        )
    )
    for column in _SHOWN:
        counts = Counter("not stated" if v is None else str(v) for v in images[column].to_pylist())
        ordered = sorted(counts.items(), key=lambda c: (-c[1], c[0]))
        parts.append(tabulate(ordered, [column, "images"], tablefmt="github"))
    parts.append(
        "**Does it identify people, or hold sensitive data?** Health data without names, dates, places or source ids; "
        "patients and lesions are keyed hashes whose secret is not in the release."
    )
    return "\n\n".join(parts)


def _collection(view: ReleaseView) -> str:
    used = Counter(
        (r["archive"], r["version"]) for r in view.images.select(["archive", "version"]).to_pylist()
    )
    parts = ["## Collection process", "**How was the data acquired?** From published archives:"]
    for (archive, version), n in sorted(used.items()):
        descriptor = view.descriptors.get(archive)
        if descriptor is None:
            parts.append(f"- {archive}@{version}: {n} images")
            continue
        t = descriptor.technical_file
        parts.append(
            f"- **{t.name}** ({archive}@{version}, {t.publisher}, {t.country}): {n} images. {t.modality.strip()} "
            f"Diagnoses: {t.validation_method.strip()} Demographics: {t.demographics.strip()}"
        )
    return "\n\n".join(parts)


def _processing(view: ReleaseView) -> str:
    with view.sql("decisions") as sql:
        rows = sql.execute(
            "SELECT clause, criterion, count(*) FILTER (outcome = 'fail'), count(*) FILTER (outcome = 'review') "
            "FROM decisions GROUP BY ALL HAVING count(*) FILTER (outcome IN ('fail', 'review')) > 0 ORDER BY 3 DESC, 1, 2"
        ).fetchall()
    return (
        "## Preprocessing, cleaning, labelling\n\n"
        f"Criteria {view.criteria.name} {view.criteria.version} (SHA-256 `{view.criteria.digest}`). An image may fail "
        "several criteria and counts under each:\n\n"
        + tabulate(rows, ["clause", "criterion", "excluded", "for review"], tablefmt="github")
        + "\n\n**Was the raw data saved?** Yes, as delivered, in the installation that made the release; it is not part of "
        "the release."
    )


def _uses(view: ReleaseView) -> str:
    return (
        "## Uses\n\n"
        f"**What may it be used for?** {view.criteria.intended_use.strip()} The conditions of each licence hold, see "
        "[ATTRIBUTION.md](../ATTRIBUTION.md).\n\n"
        "**What must it not be used for?** Re-identification. Training or tuning on what is sequestered or test."
    )


def _distribution(view: ReleaseView) -> str:
    counts = Counter(view.images["licence"].to_pylist())
    return (
        "## Distribution\n\n"
        + tabulate(sorted(counts.items()), ["licence", "images"], tablefmt="github")
        + "\n\nLicence texts are in `licences/`, checksums of every file in `SHA256SUMS`."
    )


def _maintenance(view: ReleaseView) -> str:
    withdrawn = view.read("withdrawals", ["withdrawal_id"]).num_rows
    return (
        "## Maintenance\n\n"
        "Releases are numbered and never changed; `curation-dagster diff` tells two apart. What is withdrawn leaves the "
        f"corpus, and its files leave every release. Withdrawals before this release: {withdrawn}. The audit trail ends at "
        f"entry {view.audit_head.get('seq', 0)}, `{view.audit_head.get('entry_hash', '')}`."
    )
