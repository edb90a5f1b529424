"""The life of one image as a paper: source, licence, what was measured, every decision, and who did what when.

For people who may read the intake tables: it names the publisher's file and record. The pages of a release say the same
without those names, see :mod:`curation_dagster.core.release.image_pages`.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

import pyarrow as pa

from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.report.paper import Block, Cell, Heading, Paper, Say, Table
from curation_dagster.schemas import MEASUREMENTS

_HIDDEN = ("sha256", "measured_by", "phash256", "thumbnail_64", "thumbnail_256", "regions")
_ORDER = {"fail": 0, "review": 1, "pass": 2, "not_applicable": 3}
_LABELS = (
    "modality", "icd11_code", "icd11_title", "diagnosis_relation", "diagnosis_source_label", "confirmation", "fitzpatrick",
    "sex", "age_years", "age_low", "age_high", "anatomy_label",
)  # fmt: skip


class Tables(Protocol):
    """What has tables: the lake as it is now, or a release's view of it."""

    def read(self, table: str, *, columns: Any = ..., where: Any = ...) -> pa.Table:
        """Return rows of a table."""

    def sql(self, *tables: str) -> Any:
        """Open a connection in which tables are views."""


def known_as(tables: Tables, image: str) -> list[tuple[str, str, str]]:
    """Return archive, version and image_id of all that answer to an image_id, a source id, or a source path or file name."""
    with tables.sql("records") as sql:
        return sql.execute(
            "SELECT archive, version, image_id FROM records WHERE image_id = $1 OR source_id = $1 OR path = $1 "
            "OR parse_filename(path) = $1 OR parse_filename(path, true) = $1 ORDER BY ALL",
            [image],
        ).fetchall()


def life_of(tables: Tables, archive: str, version: str, image_id: str) -> Paper:
    """Return the life of one image; every row of every table that speaks of it."""
    where = {"archive": archive, "version": version, "image_id": image_id}

    def rows(table: str, **others: Any) -> list[dict[str, Any]]:
        return tables.read(table, where=others or where).to_pylist()

    record = rows("records")[0]
    ledger = rows("decisions")
    ledger.sort(key=lambda r: (_ORDER[r["outcome"]], r["clause"], r["criterion"]))
    harmonized = next(iter(rows("harmonized")), {})
    curated = next((r for r in rows("corpus", image_id=image_id) if r["version"] == version), None)
    admission = next(iter(rows("admissions", archive=archive, version=version)), None)
    part = {"archive": archive, "version": version}
    file = next(iter(rows("files", **part, path=record["path"])), {}) if record["path"] else {}
    gone = {r["withdrawal_id"] for r in rows("withdrawn", image_id=image_id)}
    withdrawals = [w for w in tables.read("withdrawals").to_pylist() if w["withdrawal_id"] in gone]
    withdrawals.sort(key=lambda w: (w["withdrawn_at"], w["withdrawal_id"]))
    blocks: list[Block] = [
        Say("{fate}.", {"fate": _fate(ledger, curated, admission, withdrawals)}),
        Heading("Source", "source"),
        Table("source", ["what", "value"], _source(record, file, harmonized)),
        Heading("Licence", "licence"),
        Table("licence", ["what", "value"], _named(harmonized, ("licence", "permits_commercial", "permits_modification", "permits_redistribution", "attribution"))),
        Heading("Labels", "labels"),
        Table("labels", ["what", "value"], _named(harmonized, _LABELS)),
        Heading("Decisions", "decisions"),
        *_decisions(ledger),
        Heading("Measured values", "measured"),
        Table("measured", ["what", "value", "unit", "meaning"], _measured(rows("measurements", sha256=record["sha256"])), "Nothing was measured."),
        Heading("Published", "published"),
        *_published(rows, curated, where, bool(withdrawals)),
        _releases(tables, where, bool(withdrawals)),
        Heading("Duplicates", "duplicates"),
        Table("duplicates", ["relation", "images in the group", "represented by", "evidence", "why"], [
            [g["relation"].replace("_", " "), g["group_size"], g["representative_id"], g["evidence"], g["reason"]] for g in rows("duplicates")
        ]),
        Heading("People", "people"),
        *_people(tables, rows, where, withdrawals),
    ]  # fmt: skip
    title = f"{image_id}  {archive}@{version}"
    about = f"{record['modality'] or 'modality unknown'}, {record['join_state'].replace('_', ' ')}"
    return Paper(f"image-{image_id}", title, about, blocks)


def _fate(
    ledger: list[dict[str, Any]],
    curated: dict[str, Any] | None,
    admission: dict[str, Any] | None,
    withdrawals: list[dict[str, Any]],
) -> str:
    fails = [r["criterion"] for r in ledger if r["outcome"] == "fail"]
    waits = [r["criterion"] for r in ledger if r["outcome"] == "review"]
    if withdrawals:
        others = [f for f in fails if f != "not_withdrawn"]
        return (
            f"withdrawn {withdrawals[0]['withdrawn_at']:%Y-%m-%d %H:%M} UTC; its published files were removed"
            + (f"; excluded by {', '.join(others)} as well" if others else "")
            + ("; the corpus was not rebuilt since, and still lists it" if curated else "")
        )
    if curated:
        return f"in the corpus as {curated['file']}, since {curated['ingested_at']:%Y-%m-%d %H:%M} UTC"
    if fails:
        return f"excluded by {', '.join(fails)}"
    if waits:
        return f"waits for a person: {', '.join(waits)}"
    if ledger:
        reasons = admission["reasons"] if admission else ["the corpus was not rebuilt since"]
        reasons = reasons or ["its file could not be published, or held what must not be there"]
        return "passes everything, but is not in the corpus: " + "; ".join(reasons)
    return "not decided yet: rebuild the corpus"


def _source(record: dict[str, Any], file: dict[str, Any], harmonized: dict[str, Any]) -> list[list[Cell]]:
    return [
        ["archive version", f"{record['archive']}@{record['version']}"],
        ["publisher's id", record["source_id"]],
        ["file", record["path"]],
        ["inside the container", file.get("container")],
        ["SHA-256 of the file", record["sha256"]],
        ["bytes", file.get("bytes")],
        ["type", file.get("media_type")],
        ["publisher's checksum", file.get("checksum_state")],
        ["staged", file.get("retrieved_at")],
        ["table of the record", record["record_table"]],
        ["row in that table", record["record_row"]],
        ["landing page", harmonized.get("source_url") or file.get("source_url")],
        ["what does not fit", record["detail"]],
    ]


def _named(row: dict[str, Any], names: tuple[str, ...]) -> list[list[Cell]]:
    return [[n.replace("_", " "), row[n]] for n in names if row.get(n) is not None]


def _decisions(ledger: list[dict[str, Any]]) -> list[Block]:
    headers = ["outcome", "clause", "criterion", "measured", "bound", "detail", "by", "at"]
    names = ("outcome", "clause", "criterion", "measured", "bound", "detail", "decided_by", "decided_at")
    blocks: list[Block] = [
        Table("decisions", headers, [[r[n] for n in names] for r in ledger], "Nothing was decided.")
    ]
    if ledger:
        last = ledger[0]
        told = {n: str(last[n]) for n in ("criteria_version", "criteria_digest", "code_version", "run_id")}
        blocks.append(
            Say(
                "Criteria {criteria_version}, SHA-256 {criteria_digest}; code {code_version}; run {run_id}.",
                told,
            )
        )
    return blocks


def _measured(found: list[dict[str, Any]]) -> list[list[Cell]]:
    if not found:
        return []
    row = next((r for r in found if r["measured_by"] == measured_by()), found[-1])
    return [
        [
            c.name,
            ", ".join(map(str, row[c.name])) if isinstance(row[c.name], list) else row[c.name],
            c.unit,
            c.description,
        ]
        for c in MEASUREMENTS.columns
        if c.name not in _HIDDEN and row[c.name] is not None
    ]


def _published(
    rows: Any, curated: dict[str, Any] | None, where: dict[str, str], withdrawn: bool
) -> list[Block]:
    image_id = where["image_id"]
    written = [
        [p["state"].replace("_", " ") + (", removed since" if withdrawn and p["file"] else ""), p["file"], p["sha256"], ", ".join(p["transformations"] or ()), ", ".join(p["rescan_findings"] or ()), p["written_by"]]
        for p in rows("published", image_id=image_id)
    ]  # fmt: skip
    side = [[s["split"], s["reason"], s["component"]] for s in rows("splits") if curated]
    return [
        Table("published", ["state", "file", "SHA-256", "done to the pixels", "found in it again", "written by"], written, "No file was written."),
        Table("side", ["side", "why", "group"], side, "It is on no side."),
    ]  # fmt: skip


def _releases(tables: Tables, where: dict[str, str], withdrawn: bool) -> Block:
    """Return the sealed releases that hold the image, from the sides as they were when each was sealed."""
    lake: Any = getattr(tables, "lake", tables)
    found: list[list[Cell]] = []
    for row in sorted(tables.read("releases").to_pylist(), key=lambda r: r["release"]):
        version = json.loads(row["table_versions"]).get("splits")
        if version is None:
            continue
        try:
            sides = lake.read("splits", columns=["split"], version=version, where=where)["split"].to_pylist()
        except RuntimeError as error:
            sides = [f"not known: {error}"]
        found += [
            [row["release"], side, row["issued_at"], row["author"], row["approver"], "removed since" if withdrawn else "in it"]
            for side in sides
            if side is not None
        ]  # fmt: skip
    return Table(
        "releases",
        ["release", "side", "issued", "put forward by", "approved by", "its file"],
        found,
        "No release before this one holds it." if lake is not tables else "No release holds it.",
    )


def _people(
    tables: Tables, rows: Any, where: dict[str, str], withdrawals: list[dict[str, Any]]
) -> list[Block]:
    said = sorted(rows("reviews"), key=lambda r: (r["reviewed_at"], r["review_id"]))
    key = f"{where['archive']}@{where['version']}"
    approvals = [
        a
        for a in tables.read("approvals").to_pylist()
        if a["subject"] in (key, where["archive"]) or a["subject_kind"] == "criteria"
    ]
    approvals.sort(key=lambda a: (a["approved_at"], a["subject"]))
    return [
        Table(
            "reviews",
            ["criterion", "verdict", "reviewer", "comment", "at"],
            [[r["criterion"], r["outcome"], r["reviewer"], r["comment"], r["reviewed_at"]] for r in said],
            "Nobody was asked, or nobody has said anything.",
        ),
        Table(
            "approvals",
            ["what", "subject", "decision", "put forward by", "decided by", "at"],
            [[a["subject_kind"].replace("_", " "), *(a[n] for n in ("subject", "decision", "author", "approver", "approved_at"))] for a in approvals],
            "Nobody has approved its archive version or the criteria.",
        ),
        Table(
            "withdrawals",
            ["kind", "why", "by", "at"],
            [[w["kind"], w["why"], w["who"], w["withdrawn_at"]] for w in withdrawals],
            "It was not withdrawn.",
        ),
    ]  # fmt: skip
