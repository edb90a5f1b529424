"""Structural checks of the stages of one archive version."""

from __future__ import annotations

import json
import zipfile
from collections import Counter

from curation_dagster.checks.catalogue import Outcome, fact, nothing_found
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.schemas import TABLES, UNIFIED
from curation_dagster.workspace import Workspace

_PER_IMAGE = ("records", "quality", "deidentified", "harmonized", "duplicates_within")


@fact("staged")
def every_file_of_the_delivery_is_in_the_inventory(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """The staging folder and the directories of its zips hold just the files that the inventory lists, in their sizes.

    What to do: something was added, removed or changed in the staging folder; materialize `staged` again, and find
    out who wrote there.
    """
    folder = workspace.settings.staging / str(key)
    listed = workspace.part("files", key, ["path", "container", "member", "bytes"]).to_pylist()
    plain = Counter(r["bytes"] for r in listed if r["container"] is None)
    members: dict[str, Counter[tuple[str, int]]] = {}
    for row in listed:
        if row["container"] is not None:
            members.setdefault(row["container"], Counter())[row["member"], row["bytes"]] += 1
    problems = []
    own = folder / ".staged"  # containers that were inside others, and the inventory itself
    on_disk = Counter(p.stat().st_size for p in folder.rglob("*") if p.is_file() and own not in p.parents)
    if on_disk != plain:
        problems.append(
            f"{sum(on_disk.values())} files are staged and {sum(plain.values())} listed, or their sizes differ"
        )
    for container in sorted(members.keys() | {f".staged/{p.name}" for p in own.glob("*.zip")}):
        expected = members.get(container, Counter())
        with zipfile.ZipFile(folder / container) as opened:
            found = Counter((i.filename, i.file_size) for i in opened.infolist() if not i.is_dir())
        if found != expected:
            problems.append(
                f"a container holds {(found - expected).total()} members that are not listed, and lacks {(expected - found).total()} that are"
            )
    return nothing_found(problems, f"{len(listed)} files are listed and there", files=len(listed))


@fact("staged")
def no_file_contradicts_its_published_checksum(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """Where the publisher states a checksum, the file has it. Protocol S.2.

    What to do: fetch the delivery again; where it stays so, ask the publisher, and don't approve the archive
    version.
    """
    states = Counter(workspace.part("files", key, ["checksum_state"])["checksum_state"].to_pylist())
    problems = (
        [f"{states['mismatch']} files differ from their published checksums"] if states["mismatch"] else []
    )
    return nothing_found(
        problems,
        f"{states['verified']} verified, {states['unpublished']} without a published checksum",
        **states,
    )


@fact("staged")
def everything_that_is_said_to_be_fetched_is_there(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """Each file of `retrievals` is in the inventory with its bytes, and each listed address has one fate that holds.

    What to do: materialize `staged` again: what is missing is fetched; read `url_fates` for addresses that failed.
    """
    files = workspace.part("files", key, ["path", "sha256"], container=None)
    fetched = workspace.part("retrievals", key, ["path", "sha256"])
    fates = workspace.part("url_fates", key, ["row", "fate", "path", "sha256"])
    with workspace.lake.sql(files=files, fetched=fetched, fates=fates) as sql:
        lost = sql.execute(
            "SELECT count(*) FROM fetched WHERE NOT EXISTS (SELECT 1 FROM files f WHERE "
            "(f.path = fetched.path OR f.path LIKE '%/' || fetched.path) AND f.sha256 = coalesce(fetched.sha256, f.sha256))"
        ).fetchall()[0][0]
        empty = sql.execute(
            "SELECT count(*) FROM fates WHERE fate IN ('fetched', 'moved') AND NOT EXISTS "
            "(SELECT 1 FROM files f WHERE f.path = fates.path AND f.sha256 = fates.sha256)"
        ).fetchall()[0][0]
        gaps = sql.execute("SELECT coalesce(max(row), 0) - count(DISTINCT row) FROM fates").fetchall()[0][0]
        twice = sql.execute("SELECT count(*) - count(DISTINCT row) FROM fates").fetchall()[0][0]
    told = (
        (lost, "files are said to be fetched and are not there"),
        (empty, "addresses are said to be fetched and nothing is there"),
        (gaps, "lines of the list have no fate"),
        (twice, "lines of the list have several"),
    )
    problems = [f"{n} {text}" for n, text in told if n]
    return nothing_found(problems, f"{fetched.num_rows} files fetched, {fates.num_rows} addresses")


@fact("records")
def every_image_file_and_every_record_is_in_exactly_one_row(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """No image file and no row of the publisher's tables is lost on the way, and none is there twice.

    What to do: look at the layout and the join in the archive's descriptor, correct it, and materialize `records`
    again.
    """
    files = workspace.part("files", key, ["path", "role"])
    rows = workspace.part("records", key, ["image_id", "path", "record_table", "record_row", "join_state"])
    with workspace.lake.sql(files=files, rows=rows) as sql:
        lost = sql.execute(
            "SELECT count(*) FROM files f WHERE role = 'image' AND NOT EXISTS (SELECT 1 FROM rows r WHERE r.path = f.path)"
        ).fetchall()[0][0]
        unknown = sql.execute(
            "SELECT count(*) FROM rows r WHERE path IS NOT NULL AND NOT EXISTS (SELECT 1 FROM files f WHERE r.path = f.path)"
        ).fetchall()[0][0]
        # rows are numbered in the publisher's file: a gap is a lost row
        gaps = sql.execute(
            "SELECT coalesce(sum(missing), 0) FROM (SELECT max(record_row) - count(DISTINCT record_row) AS missing "
            "FROM rows WHERE record_row IS NOT NULL GROUP BY record_table)"
        ).fetchall()[0][0]
        twice = sql.execute(
            "SELECT count(*) FROM (SELECT path FROM rows WHERE path IS NOT NULL GROUP BY path HAVING count(*) > 1)"
        ).fetchall()[0][0]
    problems = [
        text
        for count, text in (
            (lost, f"{lost} image files are in no row"),
            (unknown, f"{unknown} rows name files that the inventory lacks"),
            (gaps, f"{gaps} records are in no row"),
            (twice, f"{twice} image files are in several rows"),
        )
        if count
    ]
    return nothing_found(problems, f"{rows.num_rows} rows", rows=rows.num_rows)


@fact("measurements")
def every_image_file_is_measured_once(workspace: Workspace, key: ArchiveVersionKey, _: str) -> Outcome:
    """Each distinct image file of the archive version has one row of measurements by the current code.

    What to do: materialize `measurements` again; only what is missing is read.
    """
    wanted = workspace.part("files", key, ["sha256"], role="image")
    with workspace.lake.sql("measurements", wanted=wanted) as sql:
        counts = sql.execute(
            "SELECT w.sha256, count(m.sha256) AS n FROM (SELECT DISTINCT sha256 FROM wanted) w LEFT JOIN measurements m "
            "ON m.sha256 = w.sha256 AND m.measured_by = ? GROUP BY 1 HAVING n <> 1",
            [measured_by()],
        ).fetchall()
    problems = (
        [f"{sum(n == 0 for _, n in counts)} files have no measurement"]
        if any(n == 0 for _, n in counts)
        else []
    )
    problems += (
        [f"{sum(n > 1 for _, n in counts)} files have several"] if any(n > 1 for _, n in counts) else []
    )
    return nothing_found(problems, f"{len(set(wanted['sha256'].to_pylist()))} distinct files")


@fact(*_PER_IMAGE)
def rows_in_equal_kept_excluded_and_quarantined(
    workspace: Workspace, key: ArchiveVersionKey, stage: str
) -> Outcome:
    """Every image of `records` is in this table once, with one verdict, and the counts add up.

    What to do: materialize the asset again; if it stays so, don't use the table and report a defect of the code.
    """
    record_ids = workspace.part("records", key, ["image_id"])
    rows = workspace.part(stage, key, ["image_id", "verdict"])
    with workspace.lake.sql(record_ids=record_ids, rows=rows) as sql:
        lost = sql.execute(
            "SELECT count(*) FROM record_ids WHERE image_id NOT IN (SELECT image_id FROM rows)"
        ).fetchall()[0][0]
        added = sql.execute(
            "SELECT count(*) FROM rows WHERE image_id NOT IN (SELECT image_id FROM record_ids)"
        ).fetchall()[0][0]
        tally = dict(sql.execute("SELECT verdict, count(*) FROM rows GROUP BY 1").fetchall())
    written = workspace.stage(key, stage)
    sums = {v: tally.get(v, 0) for v in ("kept", "excluded", "quarantined")}
    problems = []
    if lost or added:
        problems.append(f"{lost} images are lost and {added} came from nowhere")
    if rows.num_rows != record_ids.num_rows:
        problems.append(f"{record_ids.num_rows} images entered, {rows.num_rows} rows came out")
    if {k: written[k] for k in sums} != sums or written["rows_in"] != sum(sums.values()):
        problems.append(
            f"the stage reports {written['rows_in']} = {[written[k] for k in sums]}, the table holds {sums}"
        )
    return nothing_found(
        problems, f"{record_ids.num_rows} = " + " + ".join(f"{n} {k}" for k, n in sums.items()), **sums
    )


@fact("records", "quality", "deidentified", "harmonized")
def every_verdict_follows_from_its_criteria(
    workspace: Workspace, key: ArchiveVersionKey, stage: str
) -> Outcome:
    """An image is excluded just where it fails a criterion of the stage, and quarantined just where one is for review.

    What to do: the criteria changed during the run, or the table was edited; materialize the asset again.
    """
    rows = workspace.part(stage, key, ["image_id", "verdict"])
    verdicts = workspace.part(
        "verdicts", key, ["image_id", "criterion", "outcome", "criteria_digest"], stage=stage
    )
    expected = len([c for c in workspace.criteria.criteria if c.stage == stage])
    with workspace.lake.sql(rows=rows, verdicts=verdicts) as sql:
        wrong = sql.execute(
            "SELECT count(*) FROM rows LEFT JOIN (SELECT image_id, bool_or(outcome = 'fail') AS f, bool_or(outcome = 'review') AS r, "
            "count(*) AS n FROM verdicts GROUP BY 1) v USING (image_id) WHERE verdict <> CASE WHEN f THEN 'excluded' "
            "WHEN r THEN 'quarantined' ELSE 'kept' END OR coalesce(n, 0) <> ?",
            [expected],
        ).fetchall()[0][0]
    problems = [f"{wrong} images carry a verdict that their {expected} criteria do not give"] if wrong else []
    digests = set(verdicts["criteria_digest"].to_pylist()) - {workspace.criteria.digest}
    problems += ["the verdicts are of another version of the criteria"] if digests else []
    return nothing_found(problems, f"{rows.num_rows} images, {expected} criteria each")


@fact("harmonized")
def every_null_of_the_unified_schema_has_a_reason(
    workspace: Workspace, key: ArchiveVersionKey, _: str
) -> Outcome:
    """A value that is missing says why: not collected, blank, stated as unknown, unmapped, out of range, withheld.

    What to do: the mapping of the named column is incomplete; correct the descriptor or report it, and materialize
    `harmonized` again.
    """
    rows = workspace.part("harmonized", key, ["image_id", "missing", *UNIFIED]).to_pylist()
    counts: Counter[str] = Counter()
    for row in rows:
        explained = json.loads(row["missing"] or "{}")
        counts.update(c for c in UNIFIED if row[c] is None and not explained.get(c))
    problems = [f"{column}: {n} nulls without a reason" for column, n in sorted(counts.items())]
    return nothing_found(problems, f"{len(rows)} rows")


@fact("duplicates_within")
def every_group_has_one_representative(workspace: Workspace, key: ArchiveVersionKey, _: str) -> Outcome:
    """One representative per group, named by all its members, and groups have at least two.

    What to do: materialize `duplicates_within` again; if it stays so, report a defect of the code.
    """
    rows = workspace.part(
        "duplicates_within",
        key,
        ["image_id", "group_id", "group_size", "is_representative", "representative_id"],
    )
    return one_representative(workspace, rows)


def one_representative(workspace: Workspace, rows: object) -> Outcome:
    """Look for groups with none or several representatives, wrong sizes, or members that name another one."""
    with workspace.lake.sql(rows=rows) as sql:  # type: ignore[arg-type]
        wrong = sql.execute(
            "SELECT group_id FROM rows WHERE group_id IS NOT NULL GROUP BY 1 HAVING count(*) FILTER (is_representative) <> 1 "
            "OR count(*) < 2 OR min(group_size) <> count(*) OR max(group_size) <> count(*) OR count(DISTINCT representative_id) <> 1 "
            "OR max(image_id) FILTER (is_representative) <> max(representative_id)"
        ).fetchall()
        single = sql.execute(
            "SELECT count(*) FROM rows WHERE group_id IS NULL AND NOT is_representative"
        ).fetchall()[0][0]
        groups = sql.execute("SELECT count(DISTINCT group_id) FROM rows").fetchall()[0][0]
    problems = [f"group {g} has no single representative" for (g,) in wrong]
    problems += [f"{single} images without duplicates are not representatives"] if single else []
    return nothing_found(problems, f"{groups} groups", groups=groups)


@fact("staged", *_PER_IMAGE, "review_queue")
def the_table_matches_its_declaration(workspace: Workspace, key: ArchiveVersionKey, stage: str) -> Outcome:
    """Types, permitted values, ranges and unique keys are as declared in `schemas`.

    What to do: the named column breaks its declaration in `schemas`; nothing behind this table is made until it is
    corrected and materialized again.
    """
    table = "files" if stage == "staged" else stage
    rows = workspace.part(table, key)
    return nothing_found(
        TABLES[table].problems(rows), f"{rows.num_rows} rows, {len(TABLES[table].columns)} columns"
    )
