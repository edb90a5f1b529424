"""The page of an archive version in the technical file: what entered, what became of it and why, with contact sheets.

It lies in the reports folder, ``archives/<archive>@<version>/index.html`` with its pictures beside it, and is drawn anew
whenever the review queue of the archive version is. Pictures stand there and not in Dagster's event log because a file can
be removed and an entry of the log can't (docs/decisions/0011).

A picture is shown only if the search for text and faces has looked at its pixels and found nothing at all, certain or
not, nothing about its de-identification is open or failed, and nobody has withdrawn it. All others are counted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import Environment, select_autoescape

from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.report import stage_drawing as drawing
from curation_dagster.core.report.measured import measured_values
from curation_dagster.core.report.sheets import Shown, choose, mosaic, outcomes_of
from curation_dagster.stage import reasons_of
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

PICTURES = 12
_STAGES = {
    "records": "Records and files",
    "quality": "Diagnostic quality",
    "deidentified": "De-identification",
    "harmonized": "Diagnosis, demographics, scope and licence",
    "duplicates_within": "Duplicates inside this archive version",
}
_BOX = "sheets.json"
_IDENTIFYING = ("I.6", "E.6")


@dataclass(frozen=True)
class Sheet:
    """One contact sheet: its file, a sentence, and what is on it."""

    file: str
    title: str
    tiles: tuple[Shown, ...]


@dataclass(frozen=True)
class Part:
    """The sheets of one criterion."""

    heading: str
    statement: str
    clause: str
    tally: str
    sheets: tuple[Sheet, ...]


@dataclass(frozen=True)
class Drawn:
    """A page that was drawn: its folder, and the sheets on it by stage."""

    folder: Path
    parts: dict[str, list[Part]]

    @property
    def page(self) -> Path:
        """The page itself."""
        return self.folder / "index.html"


def folder_of(workspace: Workspace, key: ArchiveVersionKey) -> Path:
    """Return the folder of the page of an archive version."""
    return workspace.settings.reports / "archives" / str(key)


def draw_page(workspace: Workspace, key: ArchiveVersionKey, pictures: int = PICTURES) -> Drawn:
    """Draw the page of an archive version whose stages are complete, in the place of an earlier one.

    Parameters
    ----------
    pictures : int
        The most pictures on one contact sheet; 0 for none.
    """
    may = _showable(workspace, key)
    facts = {s: _facts(workspace, key, s) for s in ("records", "quality", "harmonized")}
    verdicts = {s: workspace.part("verdicts", key, stage=s) for s in (*facts, "deidentified")}
    parts: dict[str, list[Part]] = {}
    if pictures:
        for stage, table in facts.items():
            found = [
                _part(c, table, verdicts[stage], may, pictures) for c in workspace.criteria.of_stage(stage)
            ]
            parts[stage] = [p for p in found if p]
        parts["duplicates_within"] = _pairs(workspace, key, pictures)
        parts = _with_pictures(workspace, may, parts)
    drawn = Drawn(folder_of(workspace, key), parts)
    stages = []
    for stage, title in _STAGES.items():
        row = workspace.stage(key, stage)
        reasons = reasons_of(verdicts[stage]) if stage in verdicts else {}
        measured = measured_values(workspace.criteria.of_stage(stage), facts[stage]) if stage in facts else []
        stages.append(
            {
                "title": title,
                "name": stage,
                "flow": drawing.flow(row, [(c, f, r) for c, (f, r) in reasons.items()]),
                "histograms": drawing.histograms(measured, across=3) if measured else None,
                "parts": parts.get(stage, []),
            }
        )
    _write(workspace, key, drawn, stages)
    write_index(workspace.settings.reports)
    return drawn


def write_index(reports: Path) -> Path:
    """Write the first page of the reports folder, with a line for each archive version that has a page; return it."""
    corpus = reports / "curation-report.html"
    pages = {p.parent.name: p for p in sorted(reports.glob("archives/*/index.html"))}
    records = {p.stem: p for p in sorted(reports.glob("deidentification/*.html"))}
    archives = [
        {
            "key": k,
            "page": f"archives/{k}/index.html" if k in pages else None,
            "record": f"deidentification/{k}.html" if k in records else None,
        }
        for k in sorted({*pages, *records})
        if not k.startswith(".")
    ]
    text = _page("index.html.j2", corpus=corpus.name if corpus.is_file() else None, archives=archives)
    reports.mkdir(parents=True, exist_ok=True)
    temporary = reports / f".index.{os.getpid()}.tmp"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(reports / "index.html")
    return reports / "index.html"


def _page(template: str, **values: Any) -> str:
    text = resources.files("curation_dagster").joinpath(f"core/report/{template}").read_text(encoding="utf-8")
    return Environment(autoescape=select_autoescape(default=True)).from_string(text).render(**values)


def sheets_with(workspace: Workspace, image_ids: Collection[str]) -> list[Path]:
    """Return the contact sheets on which any of the images is, of all archive versions."""
    wanted, found = set(image_ids), []
    for box in sorted((workspace.settings.reports / "archives").glob(f"*/{_BOX}")):
        for file, ids in json.loads(box.read_text(encoding="utf-8")).items():
            if wanted & set(ids) and (box.parent / file).is_file():
                found.append(box.parent / file)
    return found


def _showable(workspace: Workspace, key: ArchiveVersionKey) -> dict[str, str]:
    """Return image_id and SHA-256 of the images that may be shown."""
    clear = workspace.part("deidentified", key, ["image_id", "verdict"])
    gone = workspace.lake.read("withdrawn", columns=["image_id"])
    images = workspace.part("records", key, ["image_id", "sha256"])
    # wherever they stand: a photograph of the face fails no rule of the stage `deidentified`, and still waits for a person
    about = [c.id for c in workspace.criteria.criteria if c.clause_id in _IDENTIFYING]
    verdicts = workspace.part("verdicts", key, ["image_id", "criterion", "outcome"], criterion=about)
    with workspace.lake.sql("measurements", images=images, clear=clear, gone=gone, verdicts=verdicts) as sql:
        return dict(
            sql.execute(
                "SELECT i.image_id, i.sha256 FROM images i JOIN clear c USING (image_id) "
                "JOIN measurements m ON m.sha256 = i.sha256 AND m.measured_by = ? "
                "WHERE c.verdict = 'kept' AND m.decode_state = 'ok' AND m.pixels_searched AND len(m.regions) = 0 "
                "AND m.thumbnail_256 IS NOT NULL AND i.image_id NOT IN (SELECT image_id FROM gone) "
                "AND i.image_id NOT IN (SELECT image_id FROM verdicts WHERE outcome IN ('fail', 'review'))",
                [measured_by()],
            ).fetchall()
        )


def _with_pictures(
    workspace: Workspace, may: Mapping[str, str], parts: dict[str, list[Part]]
) -> dict[str, list[Part]]:
    """Return the parts with the pictures of those images that may be shown."""
    ids = {t.image_id for p in parts.values() for q in p for s in q.sheets for t in s.tiles}
    wanted = {i: may[i] for i in ids if i in may}
    files = pa.table({"sha256": pa.array(sorted(set(wanted.values())), pa.string())})
    with workspace.lake.sql("measurements", files=files) as sql:
        picture = dict(
            sql.execute(
                "SELECT m.sha256, m.thumbnail_256 FROM measurements m JOIN files USING (sha256) WHERE m.measured_by = ?",
                [measured_by()],
            ).fetchall()
        )

    def filled(sheet: Sheet) -> Sheet:
        tiles = (replace(t, thumbnail=picture.get(wanted.get(t.image_id, ""))) for t in sheet.tiles)
        return replace(sheet, tiles=tuple(tiles))

    return {
        stage: [replace(p, sheets=tuple(filled(s) for s in p.sheets)) for p in mine]
        for stage, mine in parts.items()
    }


def _facts(workspace: Workspace, key: ArchiveVersionKey, stage: str) -> pa.Table:
    if stage != "quality":
        return workspace.part(stage, key).sort_by("image_id")
    needed = dict.fromkeys(n for c in workspace.criteria.of_stage("quality") for n in c.reads)
    known = ("image_id", "archive", "version", "sha256", "modality", "join_state")
    return measured_images(workspace, key, [n for n in needed if n not in known])


def _part(
    criterion: Criterion, facts: pa.Table, verdicts: pa.Table, may: Collection[str], pictures: int
) -> Part | None:
    outcome = outcomes_of(verdicts, criterion.id, facts["image_id"])
    ids = facts["image_id"]
    clear = np.array([i in may for i in ids.to_pylist()], bool)
    chosen = choose(criterion, facts, outcome, clear, pictures)
    if not chosen.beyond_of:
        return None
    mine = verdicts.filter(pc.equal(verdicts["criterion"], criterion.id))
    said = dict(zip(mine["image_id"].to_pylist(), mine["measured"].to_pylist(), strict=True))
    fate = "excluded" if criterion.on_fail == "exclude" else "left to people"
    tally = f"{chosen.beyond_of:,} {fate}"
    if chosen.held_back:
        tally += f", {chosen.held_back:,} of them not shown: no picture, or not clear of text, faces and open questions"
    sheets = []
    for rows, name, title in (
        (chosen.beyond, "beyond", f"{fate}, nearest to the bound first" if chosen.inside else fate),
        (chosen.inside, "inside", "let through, nearest to the bound first"),
    ):
        shown = tuple(Shown(i, said.get(i) or "") for i in (ids[r].as_py() for r in rows))
        if shown:
            sheets.append(Sheet(f"{criterion.id}-{name}.jpg", title, shown))
    return Part(criterion.id, criterion.statement, criterion.clause, tally, tuple(sheets))


def _pairs(workspace: Workspace, key: ArchiveVersionKey, pictures: int) -> list[Part]:
    """Return a sheet of duplicates, each beside the image that stands for its group."""
    columns = ["image_id", "representative_id", "relation", "is_representative"]
    rows = [
        r for r in workspace.part("duplicates_within", key, columns).to_pylist() if not r["is_representative"]
    ]
    if not rows:
        return []
    rows.sort(key=lambda r: (r["representative_id"], r["image_id"]))
    images = []
    for row in rows[: max(pictures // 2, 1)]:
        images.append(Shown(row["representative_id"], "stands for the group"))
        images.append(Shown(row["image_id"], str(row["relation"]).replace("_", " ")))
    sheet = Sheet(
        "duplicates-pairs.jpg",
        "each behind the image that stands for its group",
        tuple(images),
    )
    return [
        Part(
            "duplicates",
            "One representative of each group of duplicates stays.",
            "E.9 Duplicates",
            f"{len(rows):,} duplicates",
            (sheet,),
        )
    ]


def _write(workspace: Workspace, key: ArchiveVersionKey, drawn: Drawn, stages: list[dict[str, Any]]) -> None:
    """Write the page beside its place, and put it there at once: readers see the old page or the new one."""
    descriptor = workspace.resolve(str(key)).descriptor
    fresh = drawn.folder.with_name(f".{key}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    box = {}
    for parts in drawn.parts.values():
        for part in parts:
            for sheet in part.sheets:
                (fresh / sheet.file).write_bytes(mosaic(sheet.tiles))
                box[sheet.file] = [t.image_id for t in sheet.tiles if t.thumbnail is not None]
    (fresh / "index.html").write_text(
        _page(
            "archive.html.j2",
            key=str(key),
            file=descriptor.technical_file,
            licence=descriptor.licence.default,
            criteria=workspace.criteria,
            stages=stages,
        ),
        encoding="utf-8",
    )
    (fresh / _BOX).write_text(json.dumps(box, indent=1), encoding="utf-8")
    old = drawn.folder.with_name(f".{key}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if drawn.folder.exists():
        drawn.folder.rename(old)
    fresh.rename(drawn.folder)
    shutil.rmtree(old, ignore_errors=True)
