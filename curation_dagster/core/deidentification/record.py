"""The verification record of one archive version: what was scanned, found, done and looked at, by which versions.

Counts only. A record is made of the tables as they are, so it can be made again from any earlier version of them.
"""

from __future__ import annotations

import csv
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import pyarrow as pa
from jinja2 import Environment, select_autoescape
from tabulate import tabulate

from curation_dagster.core.review.panel import panels

ASPECTS = ("scanned", "found", "done", "sampled", "judged", "written", "version")
_TITLES = {
    "scanned": "What was scanned",
    "found": "What was found",
    "done": "What was done about it",
    "sampled": "What people are asked to look at",
    "judged": "What people have judged",
    "written": "What was written, and found in it afterwards",
    "version": "By which versions",
}


@dataclass(frozen=True)
class Evidence:
    """The tables that a record is made of, each with the rows of one archive version only."""

    records: pa.Table  # image_id, sha256, path, source_values is null or not
    measured: pa.Table  # sha256, decode_state, format, faces, text_regions; distinct files
    deidentified: pa.Table
    verdicts: pa.Table  # those of the stage deidentified
    queue: pa.Table
    reviews: pa.Table
    published: pa.Table  # state, transformations, rescan_findings
    reviewers: Mapping[str, int] = field(default_factory=dict)  # how many people each criterion asks for


def verification_record(
    archive: str, version: str, evidence: Evidence, versions: Mapping[str, str], run_id: str | None = None
) -> list[dict[str, Any]]:
    """Return the rows of ``deidentification_record``, sorted by their key.

    Parameters
    ----------
    evidence : Evidence
        The tables.
    versions : mapping
        Name to version or digest of everything that decided: code, criteria, rules, detectors.
    """
    counted: list[tuple[str, str, str, int, str | None]] = []
    counted += _scanned(evidence)
    counted += _found(evidence.deidentified)
    counted += _done(evidence)
    counted += _people(evidence)
    counted += _written(evidence.published)
    counted += [("version", "code", name, 0, value) for name, value in versions.items()]
    return [
        {
            "archive": archive,
            "version": version,
            "aspect": aspect,
            "carrier": carrier,
            "kind": kind,
            "images": images,
            "detail": detail,
            "run_id": run_id,
        }
        for aspect, carrier, kind, images, detail in sorted(
            counted, key=lambda c: (ASPECTS.index(c[0]), *c[1:3])
        )
    ]


def _scanned(e: Evidence) -> list[tuple[str, str, str, int, str | None]]:
    states = Counter(e.measured["decode_state"].to_pylist())
    formats = Counter(f or "unknown" for f in e.measured["format"].to_pylist())
    looked = sum(f is not None for f in e.measured["faces"].to_pylist())
    read = sum(t is not None for t in e.measured["text_regions"].to_pylist())
    rows = e.records.num_rows
    found: list[tuple[str, str, str, int, str | None]] = [
        ("scanned", "file", f"format {name}", n, "distinct files") for name, n in formats.items()
    ]
    found += [("scanned", "file", f"state {name}", n, "distinct files") for name, n in states.items()]
    found.append(("scanned", "name", "paths", rows - e.records["path"].null_count, None))
    found.append(("scanned", "record", "records", rows - e.records["source_values"].null_count, None))
    found.append(("scanned", "pixels", "faces", looked, "distinct files that a detector looked at"))
    found.append(("scanned", "pixels", "text", read, "distinct files that a detector looked at"))
    return found


def _found(deidentified: pa.Table) -> list[tuple[str, str, str, int, str | None]]:
    found: list[tuple[str, str, str, int, str | None]] = []
    for carrier in ("file", "name", "record", "pixels"):
        column = deidentified[f"found_in_{carrier}"].to_pylist()
        kinds = Counter(k for cell in column for k in set(cell or ()))
        found += [("found", carrier, kind, n, None) for kind, n in kinds.items()]
        found.append(("found", carrier, "nothing", sum(not c for c in column if c is not None), None))
    return found


def _done(e: Evidence) -> list[tuple[str, str, str, int, str | None]]:
    actions = Counter(a for cell in e.deidentified["actions"].to_pylist() for a in set(cell or ()))
    found: list[tuple[str, str, str, int, str | None]] = []
    for action, n in actions.items():
        carrier, rest = action.split(":", 1)
        found.append(("done", carrier, rest, n, None))
    codes = Counter(c for cell in e.deidentified["profile_codes"].to_pylist() for c in set(cell or ()))
    meanings = {p["code"]: f"DICOM PS3.15, {p['meaning']}: {p['how']}" for p in dicom_profile()}
    found += [("done", "file", f"PS3.15 {c}", n, meanings[c]) for c, n in codes.items()]
    outcomes = Counter(
        (v["criterion"], v["outcome"])
        for v in e.verdicts.select(["criterion", "outcome"]).to_pylist()
        if v["outcome"] in ("fail", "review")
    )
    for (criterion, outcome), n in outcomes.items():
        what = "excluded by" if outcome == "fail" else "waits for a person by"
        found.append(("done", "criterion", f"{what} {criterion}", n, None))
    return found


def _people(e: Evidence) -> list[tuple[str, str, str, int, str | None]]:
    asked = Counter((q["purpose"], q["criterion"]) for q in e.queue.to_pylist())
    found: list[tuple[str, str, str, int, str | None]] = [
        ("sampled", purpose, criterion, n, None) for (purpose, criterion), n in asked.items()
    ]
    said = panels(e.reviews.to_pylist(), e.reviewers)
    judged = Counter((criterion, v.outcome) for (criterion, _), panel in said.items() for v in panel.verdicts)
    found += [("judged", "people", f"{criterion}: {outcome}", n, None) for (criterion, outcome), n in judged.items()]  # fmt: skip
    for purpose, criterion in asked:
        if purpose == "sample":
            wanted = {q["image_id"] for q in e.queue.to_pylist() if q["criterion"] == criterion}
            clean = {
                i for (c, i), p in said.items() if c == criterion and p.settled and not p.failed
            } & wanted
            if wanted and clean == wanted:
                bound = f"no finding in {len(clean)}: at 95 % at most {3 / len(clean):.2%} of the others"
                found.append(("judged", "sample", f"{criterion}: clean", len(clean), bound))
    return found


def _written(published: pa.Table) -> list[tuple[str, str, str, int, str | None]]:
    rows = published.to_pylist()
    states = Counter(r["state"] for r in rows)
    done = Counter(t for r in rows for t in r["transformations"] or ())
    left = Counter(f for r in rows for f in r["rescan_findings"] or ())
    return (
        [("written", "published", f"state {s}", n, None) for s, n in states.items()]
        + [("written", "published", f"made by {t}", n, None) for t, n in done.items()]
        + [("written", "rescan", f"found {k}", n, "the file was removed") for k, n in left.items()]
    )


@functools.cache
def dicom_profile() -> tuple[dict[str, str], ...]:
    """Return the rows of ``vocabularies/dicom_profile.csv``: the options of DICOM PS3.15, E.3, and whether they apply."""
    text = (
        resources.files("curation_dagster")
        .joinpath("vocabularies/dicom_profile.csv")
        .read_text(encoding="utf-8")
    )
    return tuple(csv.DictReader(text.splitlines()))


def applied_codes(hidden_kinds: Iterable[str]) -> list[str]:
    """Return the PS3.15 option codes that hold of an image whose file carries these kinds; none where it is no DICOM."""
    if not any(k.startswith("dicom_") for k in hidden_kinds):
        return []
    return [p["code"] for p in dicom_profile() if p["applied"] == "yes"]


def as_markdown(archive: str, version: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the page of the technical file."""
    parts = [
        f"# De-identification of {archive}@{version}\n",
        "Counts of images, or of distinct files where it says so; never a value. The same rows are in the table "
        "`deidentification_record`. What each kind means is in `vocabularies/hidden_metadata.csv` and "
        "`vocabularies/identifiers.yaml`; the limits are in docs/deidentification.md.\n",
    ]
    for aspect in ASPECTS:
        mine = [r for r in rows if r["aspect"] == aspect]
        parts.append(f"## {_TITLES[aspect]}\n")
        if not mine:
            parts.append("Nothing.\n")
            continue
        if aspect == "version":
            cells = [(r["kind"], r["detail"]) for r in mine]
            parts.append(tabulate(cells, ["what", "version"], tablefmt="github") + "\n")
        else:
            wide = [(r["carrier"], r["kind"], r["images"], r["detail"] or "") for r in mine]
            parts.append(tabulate(wide, ["where", "what", "number", "note"], tablefmt="github") + "\n")
    return "\n".join(parts)


def as_html(archive: str, version: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the same page as one file of HTML that needs nothing else."""
    template = (
        resources.files("curation_dagster")
        .joinpath("core/report/deidentification.html.j2")
        .read_text(encoding="utf-8")
    )
    parts = [
        (_TITLES[aspect], [r for r in rows if r["aspect"] == aspect], aspect == "version")
        for aspect in ASPECTS
    ]
    page = Environment(autoescape=select_autoescape(default=True)).from_string(template)
    return page.render(archive=archive, version=version, parts=parts)
