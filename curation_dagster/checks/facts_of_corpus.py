"""Structural checks of the stages over all archives: groups, ledger, corpus."""

from __future__ import annotations

import hashlib
from pathlib import Path

from curation_dagster.checks.catalogue import Outcome, fact, nothing_found
from curation_dagster.checks.facts_of_archives import one_representative
from curation_dagster.core import versions
from curation_dagster.core.imaging.rescan import rescan_file
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.engine import files_mapper
from curation_dagster.gate import admission_of, archive_versions, ledger_problems, versions_in_view
from curation_dagster.schemas import TABLES
from curation_dagster.workspace import Workspace, own_files

_GLOBAL = ("duplicates", "decisions", "corpus", "splits")


@fact("duplicates")
def every_image_in_view_is_in_exactly_one_group_or_single(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Each image of the current version of each archive is one row, whatever archive it comes from.

    What to do: an archive version changed since; launch `rebuild_corpus` again.
    """
    rows = workspace.lake.read("duplicates", columns=["image_id", "archive", "version"])
    problems = []
    for archive, version in versions_in_view(workspace).items():
        wanted = workspace.lake.read(
            "records", columns=["image_id"], where={"archive": archive, "version": version}
        )
        with workspace.lake.sql(wanted=wanted, rows=rows) as sql:
            lost = sql.execute(
                "SELECT count(*) FROM wanted WHERE image_id NOT IN (SELECT image_id FROM rows)"
            ).fetchall()[0][0]
            mine = sql.execute(
                "SELECT count(*) FROM rows WHERE archive = ? AND version = ?", [archive, version]
            ).fetchall()[0][0]
        if lost or mine != wanted.num_rows:
            problems.append(f"{archive}@{version}: {wanted.num_rows} images, {mine} rows, {lost} lost")
    return nothing_found(problems, f"{rows.num_rows} images")


@fact("duplicates")
def every_group_over_all_archives_has_one_representative(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """One representative per group, named by all its members, and groups have at least two.

    What to do: launch `rebuild_corpus` again; if it stays so, report a defect of the code.
    """
    return one_representative(
        workspace,
        workspace.lake.read(
            "duplicates",
            columns=["image_id", "group_id", "group_size", "is_representative", "representative_id"],
        ),
    )


@fact("decisions")
def every_image_has_one_outcome_for_every_criterion(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """The ledger holds each image of `records` with each criterion once; nothing is dropped on the way.

    What to do: launch `curate_archive_version` for the named archive version, then `rebuild_corpus`.
    """
    problems = []
    total = 0
    for archive, version in sorted(archive_versions(workspace)):
        where = {"archive": archive, "version": version}
        ids = workspace.lake.read("records", columns=["image_id"], where=where)
        rows = workspace.lake.read("decisions", columns=["image_id", "criterion"], where=where)
        # an archive version that was curated under older criteria is measured by those; the gate refuses it anyway
        applied = workspace.lake.read("verdicts", columns=["criterion"], where=where)["criterion"]
        criteria = len(applied.unique())
        total += rows.num_rows
        with workspace.lake.sql(ids=ids, rows=rows) as sql:
            wrong = sql.execute(
                "SELECT count(*) FROM ids LEFT JOIN (SELECT image_id, count(*) AS n, count(DISTINCT criterion) AS d FROM rows "
                "GROUP BY 1) USING (image_id) WHERE coalesce(n, 0) <> ? OR coalesce(d, 0) <> ?",
                [criteria, criteria],
            ).fetchall()[0][0]
            strange = sql.execute(
                "SELECT count(*) FROM rows WHERE image_id NOT IN (SELECT image_id FROM ids)"
            ).fetchall()[0][0]
        if wrong or strange:
            problems.append(
                f"{archive}@{version}: {wrong} images without just {criteria} outcomes, {strange} rows of unknown images"
            )
    return nothing_found(problems, f"{total} decisions")


@fact("decisions")
def no_rule_is_overturned_without_a_person(workspace: Workspace, _: ArchiveVersionKey, __: str) -> Outcome:
    """A ledger outcome that differs from the rule's names the person or sample that settled it.

    What to do: the ledger was edited; launch `rebuild_corpus`, and hold `curation-dagster audit verify` against it.
    """
    with workspace.lake.sql("verdicts", "decisions") as sql:
        wrong = sql.execute(
            "SELECT count(*) FROM decisions d JOIN verdicts v USING (archive, version, stage, image_id, criterion) "
            "WHERE d.outcome <> v.outcome AND (d.decided_by = 'rule' OR (v.outcome = 'fail' AND d.outcome <> 'fail'))"
        ).fetchall()[0][0]
    return nothing_found(
        [f"{wrong} outcomes were changed by nobody"] if wrong else [], "every change has a name"
    )


@fact("decisions")
def every_declared_file_is_of_a_recorded_version(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """No criteria, vocabulary or descriptor has changed without a higher version and a reason on record.

    Files of the package must all be on record; those of an installation are held against its own `versions.yaml`.

    What to do: read the change, then `curation-dagster versions record --author ... --change ...`, or take it back.
    """
    files, own = versions.declared_files(), own_files(workspace)
    problems = versions.problems(files, versions.read_lock())
    lock = versions.read_lock(workspace.settings.versions)
    problems += versions.problems(own, lock, complete=False)
    open_ = sorted(set(own) - set(lock))
    return nothing_found(
        problems,
        f"{len(files)} files of the package, {len(own)} of the installation, {len(open_)} of these not on record",
        not_on_record=", ".join(open_),
    )


@fact("corpus")
def every_curated_image_passes_every_criterion(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """No image of the corpus fails a criterion or waits for a person, and each has its outcomes in the ledger.

    What to do: launch `rebuild_corpus` again; if it stays so, release nothing and report a defect of the code.
    """
    criteria = len(workspace.criteria.criteria)
    with workspace.lake.sql("corpus", "decisions") as sql:
        wrong = sql.execute(
            "SELECT c.image_id FROM corpus c LEFT JOIN decisions d USING (image_id, archive, version) GROUP BY 1 "
            "HAVING count(*) FILTER (d.outcome IN ('pass', 'not_applicable')) <> ?",
            [criteria],
        ).fetchall()
        total = sql.execute("SELECT count(*) FROM corpus").fetchall()[0][0]
    return nothing_found(
        [f"image {i} does not pass all {criteria} criteria" for (i,) in wrong], f"{total} images"
    )


@fact("corpus")
def every_curated_image_comes_from_an_admitted_archive_version(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """The gate, asked again: each archive version in the corpus is complete, checked, reviewed and approved now.

    What to do: `admissions` says what is lacking: a check, a sample, an approval; supply it and launch
    `rebuild_corpus`.
    """
    with workspace.lake.sql("corpus") as sql:
        keys = sql.execute("SELECT DISTINCT archive, version FROM corpus").fetchall()
    refused = [a for a in (admission_of(workspace, ArchiveVersionKey(*k)) for k in keys) if not a.admitted]
    problems = [f"{a.key}: {a.reasons[0]}" for a in refused] + (ledger_problems(workspace) if keys else [])
    return nothing_found(problems, f"{len(keys)} archive versions")


@fact("corpus")
def only_one_image_of_each_duplicate_group_is_in_the_corpus(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Duplicates and near-duplicates have one representative, within and across archives. Protocol E.9.

    What to do: launch `rebuild_corpus` again; release nothing until it holds.
    """
    with workspace.lake.sql("corpus", "duplicates") as sql:
        twice = sql.execute(
            "SELECT group_id, count(*) FROM corpus JOIN duplicates USING (image_id) WHERE group_id IS NOT NULL "
            "GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
        same = sql.execute("SELECT sha256 FROM corpus GROUP BY 1 HAVING count(*) > 1").fetchall()
    problems = [f"group {g} is there {n} times" for g, n in twice] + [
        f"the file {s} is there twice" for (s,) in same
    ]
    return nothing_found(problems, "no group is there twice")


def look_at_published(item: tuple[str, str, str]) -> list[str]:
    """Return what is wrong with one published file: path on disk, path in the corpus, SHA-256."""
    path, name, expected = Path(item[0]), item[1], item[2]
    if not path.is_file():
        return [f"{name} is not there"]
    changed = hashlib.sha256(path.read_bytes()).hexdigest() != expected
    return [f"{name} has other bytes than were written"] * changed + [
        f"{name} carries {kind}" for kind in rescan_file(path)
    ]


@fact("corpus")
def every_published_file_is_there_and_carries_nothing_hidden(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Each file of the corpus is read again: it has its checksum, and another reader than its writer finds no metadata.

    What to do: a published file was changed or removed; launch `rebuild_corpus`, which writes it anew, and find out
    who wrote there.
    """
    rows = workspace.lake.read("corpus", columns=["file", "sha256"]).to_pylist()
    items = [(str(workspace.settings.corpus / r["file"]), r["file"], r["sha256"]) for r in rows]
    problems: list[str] = []
    look_at_all = files_mapper(workspace.settings)
    for index, found, failure in look_at_all(look_at_published, items, workers=workspace.settings.workers):
        problems += [f"{items[index][1]}: {failure.kind}"] if failure else found
    return nothing_found(problems, f"{len(rows)} files", files=len(rows))


@fact("corpus")
def no_text_or_face_is_left_in_a_published_file(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Each file of the corpus was searched for text and faces as it was written, and none was found; filled boxes included.

    What to do: launch `rebuild_corpus`; an image whose text or face can't be removed is refused. Release nothing
    until it holds.
    """
    with workspace.lake.sql("corpus", "published") as sql:
        wrong = sql.execute(
            "SELECT c.image_id FROM corpus c LEFT JOIN published p ON p.image_id = c.image_id AND p.sha256 = c.sha256 "
            "GROUP BY 1 HAVING coalesce(bool_or(p.state = 'written' AND p.residual_regions = 0), false) = false"
        ).fetchall()
        total = sql.execute("SELECT count(*) FROM corpus").fetchall()[0][0]
    return nothing_found(
        [f"image {i} holds text or a face, or was not searched" for (i,) in wrong], f"{total} images"
    )


@fact("corpus")
def no_source_identifier_reaches_the_corpus(workspace: Workspace, _: ArchiveVersionKey, __: str) -> Outcome:
    """No published cell or file name holds a source id or the name of a source file.

    What to do: release nothing; the mapping of the archive copies an identifier into a published column: correct
    its descriptor and curate it again.
    """
    declared = TABLES["corpus"]
    texts = [
        c.name for c in declared.columns if str(c.type) == "string" and c.name not in ("archive", "version")
    ]
    with workspace.lake.sql("corpus", "records") as sql:
        cells = " UNION ".join(f"SELECT {t} AS cell FROM corpus WHERE {t} IS NOT NULL" for t in texts)
        found = sql.execute(
            f"WITH cells AS ({cells}), names AS (SELECT DISTINCT name FROM (SELECT source_id AS name FROM records UNION ALL "
            "SELECT parse_filename(path, true) FROM records WHERE path IS NOT NULL) WHERE length(name) >= 5) "
            "SELECT count(*) FROM cells JOIN names ON cells.cell = names.name OR parse_filename(cells.cell, true) = names.name"
        ).fetchall()[0][0]
    return nothing_found(
        [f"{found} cells hold an identifier of their source"] if found else [],
        f"{len(texts)} columns searched",
    )


@fact("corpus")
def everything_that_entered_is_kept_excluded_or_quarantined(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Over all archive versions: rows of `records` = images in the corpus + excluded + quarantined.

    What to do: launch `rebuild_corpus` again; if it stays so, report a defect of the code.
    """
    problems = []
    admissions = {(r["archive"], r["version"]): r for r in workspace.lake.read("admissions").to_pylist()}
    with workspace.lake.sql("records", "corpus") as sql:
        entered = {
            (a, v): n
            for a, v, n in sql.execute(
                "SELECT archive, version, count(*) FROM records GROUP BY ALL"
            ).fetchall()
        }
        curated = {
            (a, v): n
            for a, v, n in sql.execute(
                "SELECT archive, version, count(*) FROM corpus GROUP BY ALL"
            ).fetchall()
        }
    for key in sorted(set(entered) | set(admissions)):
        row = admissions.get(key)
        name = f"{key[0]}@{key[1]}"
        if row is None:
            problems.append(f"{name} is neither admitted nor refused")
        elif row["images_in"] != entered.get(key, 0) or row["images_kept"] != curated.get(key, 0):
            problems.append(
                f"{name}: reports {row['images_in']} in and {row['images_kept']} kept; the tables hold {entered.get(key, 0)} and {curated.get(key, 0)}"
            )
        elif row["images_in"] != row["images_kept"] + row["images_excluded"] + row["images_quarantined"]:
            problems.append(
                f"{name}: {row['images_in']} is not {row['images_kept']} + {row['images_excluded']} + {row['images_quarantined']}"
            )
    return nothing_found(
        problems, f"{sum(entered.values())} images entered, {sum(curated.values())} are in the corpus"
    )


@fact(*_GLOBAL)
def the_whole_table_matches_its_declaration(
    workspace: Workspace, _: ArchiveVersionKey, stage: str
) -> Outcome:
    """Types, permitted values, ranges and unique keys are as declared in `schemas`.

    What to do: the named column breaks its declaration in `schemas`; release nothing until it is corrected and
    materialized again.
    """
    if "archive" in TABLES[stage].partition_by:
        problems, rows = [], 0
        for archive, version in sorted(archive_versions(workspace)):
            part = workspace.lake.read(stage, where={"archive": archive, "version": version})
            rows += part.num_rows
            problems += [f"{archive}@{version}: {p}" for p in TABLES[stage].problems(part)]
        return nothing_found(problems, f"{rows} rows")
    whole = workspace.lake.read(stage)
    return nothing_found(TABLES[stage].problems(whole), f"{whole.num_rows} rows")
