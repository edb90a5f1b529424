"""Each structural check passes on an undisturbed installation, and fails on one that was tampered with."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation_dagster.checks.catalogue import CATALOGUE, Check, blocking_checks
from curation_dagster.checks.wiring import criterion_outcome
from curation_dagster.core import versions
from curation_dagster.core.registry.keys import ArchiveVersionKey, parse_key
from curation_dagster.schemas import OVER_ALL, PER_ARCHIVE, RELEASING, STAGES, TABLES
from curation_dagster.workspace import EVERYTHING, Workspace, own_files
from curation_dagster_tests.installation import Installation

blocking_checks(STAGES)
KEY = parse_key("isic_archive@synthetic")
FACTS = [(stage, check) for stage in STAGES for check in CATALOGUE.get(stage, [])]
NAMES = [f"{stage}-{check.name}" for stage, check in FACTS]


def scope(stage: str) -> ArchiveVersionKey:
    return KEY if stage in PER_ARCHIVE else EVERYTHING


def test_each_stage_has_checks() -> None:
    assert set(PER_ARCHIVE) | set(OVER_ALL) | set(RELEASING) == set(CATALOGUE)


def test_all_facts_hold_of_an_undisturbed_installation(curated: Installation) -> None:
    workspace = curated.workspace
    outcomes = {f"{s}-{c.name}": c.look(workspace, scope(s)) for s, c in FACTS}
    assert {n: o.detail for n, o in outcomes.items() if not o.passed} == {}


# -- one way to break each fact ---------------------------------------------------------------------


def edit(table: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Workspace], None]:
    """Rewrite a table of the archive version, or the whole table where it has no parts."""

    def run(workspace: Workspace) -> None:
        names = TABLES[table].partition_by
        if names:
            rows = change(workspace.part(table, KEY))
            stages = sorted(set(rows["stage"].to_pylist())) if "stage" in names else [None]
            for stage in stages:
                part = {"archive": KEY.archive, "version": KEY.version} | ({"stage": stage} if stage else {})
                mine = rows.filter(pc.field("stage") == stage) if stage else rows
                workspace.lake.replace(table, mine, part)
        else:
            workspace.lake.replace(table, change(workspace.lake.read(table)))

    return run


def without_first(rows: pa.Table) -> pa.Table:
    return rows.slice(1)


def with_first_twice(rows: pa.Table) -> pa.Table:
    return pa.concat_tables([rows, rows.slice(0, 1)])


def with_value(
    column: str, value: Any, where: tuple[str, Any] | None = None
) -> Callable[[pa.Table], pa.Table]:
    """Set a column in the first row, or in the first in which another column has a value."""

    def change(rows: pa.Table) -> pa.Table:
        values = rows[column].to_pylist()
        index = rows[where[0]].to_pylist().index(where[1]) if where else 0
        values[index] = value
        return rows.set_column(
            rows.column_names.index(column),
            rows.schema.field(column),
            pa.array(values, rows.schema.field(column).type),
        )

    return change


def drop_staged_file(workspace: Workspace) -> None:
    folder = workspace.settings.staging / str(KEY)
    folder.chmod(0o700)
    (folder / "unlisted.txt").write_text("nobody listed this")


def damage_published_file(workspace: Workspace) -> None:
    row = workspace.lake.read("corpus").to_pylist()[0]
    path = workspace.settings.corpus / row["file"]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"Erika Mustermann")


def source_name_into_corpus(workspace: Workspace) -> None:
    with workspace.lake.sql("records", "corpus") as sql:
        image_id, name = sql.execute(
            "SELECT image_id, source_id FROM records JOIN corpus USING (image_id) WHERE length(source_id) > 5 ORDER BY image_id LIMIT 1"
        ).fetchall()[0]
    edit("corpus", with_value("device", name, ("image_id", image_id)))(workspace)


def both_of_a_group_into_the_corpus(workspace: Workspace) -> None:
    groups = workspace.lake.read("duplicates", where="group_id IS NOT NULL").to_pylist()
    rows = workspace.lake.read("corpus")
    extra = rows.slice(0, 2).to_pylist()
    members = [g["image_id"] for g in groups if g["group_id"] == groups[0]["group_id"]][:2]
    for row, member in zip(extra, members, strict=True):
        row["image_id"] = member
    kept = rows.filter(pc.invert(pc.is_in(rows["image_id"], pa.array(members))))
    workspace.lake.replace("corpus", pa.concat_tables([kept, TABLES["corpus"].conform(extra)]))


def foreign_row(table: str, **values: Any) -> Callable[[Workspace], None]:
    """Add a copy of the first row with other values."""

    def change(rows: pa.Table) -> pa.Table:
        return pa.concat_tables([rows, TABLES[table].conform([rows.slice(0, 1).to_pylist()[0] | values])])

    return edit(table, change)


def withdraw(workspace: Workspace) -> None:
    from curation_dagster.runs import approve_archive_version

    keys = {
        (r["archive"], r["version"])
        for r in workspace.lake.read("corpus", columns=["archive", "version"]).to_pylist()
    }
    for archive, version in keys:
        approve_archive_version(
            workspace, f"{archive}@{version}", "author", "approver", "no longer", "withdrawn"
        )


def address_said_to_be_fetched(workspace: Workspace) -> None:
    row = {
        "archive": KEY.archive, "version": KEY.version, "row": 1, "text": "https://a.org/a.jpg", "fate": "fetched",
        "path": "images/00001.jpg", "sha256": "0" * 64, "run_id": "test",
    }  # fmt: skip
    workspace.lake.append("url_fates", TABLES["url_fates"].conform([row]))


def counts_that_do_not_add_up(workspace: Workspace) -> None:
    row = {
        "archive": KEY.archive, "version": KEY.version, "compared_with": "0", "subject": "sex", "value": "female",
        "before": 1, "after": 1, "fingerprint": workspace.stage(KEY, "staged")["fingerprint"], "run_id": "test",
    }  # fmt: skip
    workspace.lake.append("version_changes", TABLES["version_changes"].conform([row]))


def descriptor_changed_in_silence(workspace: Workspace) -> None:
    files, path = own_files(workspace), workspace.settings.versions
    versions.record(files, path, "author", "as delivered", date(2026, 1, 1))
    changed = next(iter(files.values()))
    changed.write_text(changed.read_text(encoding="utf-8") + "# nobody said why\n", encoding="utf-8")


def part_a_group(workspace: Workspace) -> None:
    """Let two images of one patient stand on two sides, in splits and in the history alike."""
    with workspace.lake.sql("splits", "harmonized") as sql:
        a, b = sql.execute(
            "SELECT min(image_id), max(image_id) FROM splits JOIN harmonized USING (image_id) WHERE patient_key IS NOT NULL "
            "GROUP BY patient_key HAVING count(*) > 1 ORDER BY patient_key LIMIT 1"
        ).fetchall()[0]
    for table in ("splits", "split_history"):
        edit(table, with_value("split", "train", ("image_id", a)))(workspace)
        edit(table, with_value("split", "test", ("image_id", b)))(workspace)


def move_an_image(workspace: Workspace) -> None:
    row = workspace.lake.read("splits", where="split = 'train'").to_pylist()[0]
    edit("splits", with_value("split", "test", ("image_id", row["image_id"])))(workspace)


def damage_a_release(workspace: Workspace) -> None:
    path = workspace.settings.releases / "1" / "documents" / "datasheet.md"
    path.write_text(path.read_text().replace("images entered", "pictures entered"))


def lose_an_image_in_the_flow(workspace: Workspace) -> None:
    path = workspace.settings.releases / "1" / "documents" / "flow.numbers.json"
    numbers = json.loads(path.read_bytes())
    numbers["scopes"][0]["steps"][0]["n"] += 1
    path.write_text(json.dumps(numbers))


PER_IMAGE = ("records", "quality", "deidentified", "harmonized", "duplicates_within")
BREAKS: dict[str, Callable[[Workspace], None]] = {
    "staged-every_file_of_the_delivery_is_in_the_inventory": drop_staged_file,
    "staged-everything_that_is_said_to_be_fetched_is_there": address_said_to_be_fetched,
    "staged-no_file_contradicts_its_published_checksum": edit("files", with_value("checksum_state", "mismatch")),
    "staged-the_table_matches_its_declaration": edit("files", with_value("role", "picture")),
    "records-every_image_file_and_every_record_is_in_exactly_one_row": edit("records", without_first),
    "measurements-every_image_file_is_measured_once": edit("measurements", lambda rows: rows.slice(0, 0)),
    "duplicates_within-every_group_has_one_representative": edit("duplicates_within", with_value("is_representative", False, ("is_representative", True))),
    "harmonized-every_null_of_the_unified_schema_has_a_reason": edit("harmonized", lambda rows: with_value("missing", "{}", ("fitzpatrick", None))(rows)),
    "review_queue-every_image_that_waits_for_a_person_is_in_the_queue": edit("review_queue", lambda rows: rows.slice(0, 0)),
    "review_queue-a_new_version_is_compared_with_the_one_before": counts_that_do_not_add_up,
    "decisions-every_declared_file_is_of_a_recorded_version": descriptor_changed_in_silence,
    "review_queue-the_table_matches_its_declaration": edit("review_queue", with_first_twice),
    "duplicates-every_image_in_view_is_in_exactly_one_group_or_single": edit("duplicates", without_first),
    "duplicates-every_group_over_all_archives_has_one_representative": edit("duplicates", with_value("representative_id", "nobody", ("relation", "representative"))),
    "duplicates-the_whole_table_matches_its_declaration": edit("duplicates", with_first_twice),
    "decisions-every_image_has_one_outcome_for_every_criterion": edit("decisions", without_first),
    "decisions-no_rule_is_overturned_without_a_person": edit("decisions", with_value("outcome", "pass", ("outcome", "fail"))),
    "decisions-the_whole_table_matches_its_declaration": edit("decisions", with_first_twice),
    "corpus-every_curated_image_passes_every_criterion": foreign_row("corpus", image_id="never-judged"),
    "corpus-every_curated_image_comes_from_an_admitted_archive_version": withdraw,
    "corpus-only_one_image_of_each_duplicate_group_is_in_the_corpus": both_of_a_group_into_the_corpus,
    "corpus-every_published_file_is_there_and_carries_nothing_hidden": damage_published_file,
    "corpus-no_text_or_face_is_left_in_a_published_file": edit("published", with_value("residual_regions", 1)),
    "corpus-no_source_identifier_reaches_the_corpus": source_name_into_corpus,
    "corpus-everything_that_entered_is_kept_excluded_or_quarantined": edit("admissions", with_value("images_excluded", 10_000)),
    "splits-no_patient_lesion_or_duplicate_is_on_two_sides": part_a_group,
    "splits-every_image_of_the_corpus_has_a_side_or_a_reason": edit("splits", without_first),
    "splits-no_image_has_changed_sides": move_an_image,
    "splits-the_whole_table_matches_its_declaration": edit("splits", with_value("split", "training")),
    "release-every_release_is_as_it_was_sealed": damage_a_release,
    "release-the_numbers_of_the_release_agree_with_its_tables": edit("releases", with_value("images", 10_000)),
    "release-every_image_is_in_exactly_one_box_of_the_flow": lose_an_image_in_the_flow,
    "release-every_release_was_approved_by_another_than_its_author": edit("releases", with_value("approver", "Author")),
    "release-the_audit_trail_is_unbroken": edit("audit", without_first),
    "corpus-the_whole_table_matches_its_declaration": edit("corpus", with_value("sex", "unknown")),
}  # fmt: skip
for stage in PER_IMAGE:
    BREAKS[f"{stage}-rows_in_equal_kept_excluded_and_quarantined"] = edit(stage, without_first)
    BREAKS[f"{stage}-the_table_matches_its_declaration"] = edit(stage, with_first_twice)
# a record that vanishes from every later table alike is found against the stage's own count
BREAKS["records-rows_in_equal_kept_excluded_and_quarantined"] = edit("records", without_first)
for stage in ("records", "quality", "deidentified", "harmonized"):
    BREAKS[f"{stage}-every_verdict_follows_from_its_criteria"] = edit(
        "verdicts", with_value("outcome", "fail", ("stage", stage))
    )


def test_there_is_a_way_to_break_each_fact() -> None:
    assert sorted(BREAKS) == sorted(NAMES)


@pytest.mark.parametrize(("stage", "check"), FACTS, ids=NAMES)
def test_a_broken_fact_is_found(stage: str, check: Check, curated: Installation, tmp_path: Path) -> None:
    workspace = curated.workspace
    BREAKS[f"{stage}-{check.name}"](workspace)
    outcome = check.look(curated.workspace, scope(stage))
    assert not outcome.passed
    assert "could not be established" not in outcome.detail
    assert outcome.detail


def test_every_criterions_check_fails_where_an_image_fails(curated: Installation) -> None:
    """The check of a criterion passes just where the verdicts of its stage hold no `fail`, and shows which images do."""
    workspace = curated.workspace
    for criterion in workspace.criteria.criteria:
        key = KEY if criterion.stage in PER_ARCHIVE else EVERYTHING
        partitioned = criterion.stage in PER_ARCHIVE
        rows = workspace.part("verdicts", KEY, stage=criterion.stage)
        mine = pc.and_(pc.equal(rows["criterion"], criterion.id), pc.equal(rows["outcome"], "fail"))
        passing = rows.set_column(
            rows.column_names.index("outcome"), "outcome", pc.if_else(mine, "pass", rows["outcome"])
        )
        failing = with_value("outcome", "fail", ("criterion", criterion.id))(passing)
        part = {"archive": KEY.archive, "version": KEY.version, "stage": criterion.stage}
        for table, expected in ((passing, True), (failing, False)):
            workspace.lake.replace("verdicts", table, part)
            outcome = criterion_outcome(workspace, key, criterion.stage, criterion.id, partitioned)
            if partitioned:
                assert outcome.passed is expected, criterion.id
            else:  # other archive versions count here too
                assert outcome.passed is expected or expected, criterion.id
            if not expected:
                assert "examples" in outcome.metadata, criterion.id
        workspace.lake.replace("verdicts", rows, part)
