"""Structural checks of splits and releases: no leak, no number that does not add up, no seal that is broken."""

from __future__ import annotations

import json
from collections import defaultdict

from curation_dagster import trail
from curation_dagster.checks.catalogue import Outcome, fact, nothing_found
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.release.bundle import broken_seals
from curation_dagster.core.release.flow import broken_sums
from curation_dagster.core.release.reconcile import contradictions
from curation_dagster.core.review.approvals import current_approval
from curation_dagster.core.review.people import same_person
from curation_dagster.dividing import ties_of
from curation_dagster.rerunning import view_of_release, withdrawn_images
from curation_dagster.workspace import Workspace


@fact("splits")
def no_patient_lesion_or_duplicate_is_on_two_sides(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Whoever walks from an image to all that share its patient, lesion or duplicates, and on from those, meets one side. Protocol S.7.

    What to do: release nothing; materialize `splits` again, and read docs/splits.md on groups that grew together.
    """
    images, groups = ties_of(workspace)
    splits = workspace.lake.read("splits", columns=["image_id", "split"]).to_pylist()
    side = {r["image_id"]: r["split"] for r in splits if r["split"]}
    # walked in breadth from each image, over the ties as they stand in the tables: not the code that made the groups
    ties: dict[str, set[str]] = defaultdict(set)
    for row in images.to_pylist() + groups.to_pylist():
        for kind in ("patient_key", "lesion_key", "group_id", "linked_to", "uncertain_with"):
            value = row.get(kind)
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    other = one if kind in ("linked_to", "uncertain_with") else f"{kind} {one}"
                    ties[row["image_id"]].add(other)
                    ties[other].add(row["image_id"])
    problems, seen = [], set()
    for start in sorted(side):
        if start in seen:
            continue
        met, edge = {start}, [start]
        while edge:
            for other in ties[edge.pop()] - met:
                met.add(other)
                edge.append(other)
        seen |= met
        mine = sorted((side[m], m) for m in met if m in side)
        if len({s for s, _ in mine}) > 1:
            (one, a), (other, b) = mine[0], mine[-1]
            problems.append(f"{a} is in {one} and {b}, tied to it, in {other}")
    return nothing_found(problems, f"{len(side)} images with a side, no group on two")


@fact("splits")
def every_image_of_the_corpus_has_a_side_or_a_reason(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Each image of the corpus is one row of splits; one without a side is withheld, and says why.

    What to do: materialize `splits` again: the corpus changed since.
    """
    with workspace.lake.sql("corpus", "splits") as sql:
        lost, strange, unsaid = sql.execute(
            "SELECT (SELECT count(*) FROM corpus WHERE image_id NOT IN (SELECT image_id FROM splits)), "
            "(SELECT count(*) FROM splits WHERE image_id NOT IN (SELECT image_id FROM corpus)), "
            "(SELECT count(*) FROM splits WHERE (split IS NULL) <> (state = 'withheld') OR length(reason) = 0)"
        ).fetchall()[0]
        total = sql.execute("SELECT count(*) FROM splits").fetchall()[0][0]
    told = [
        (lost, "images of the corpus have no row"),
        (strange, "rows are of images that are not in the corpus"),
        (unsaid, "rows have no side and do not say why, or have one and are withheld"),
    ]
    return nothing_found([f"{n} {what}" for n, what in told if n], f"{total} images")


@fact("splits")
def no_image_has_changed_sides(workspace: Workspace, _: ArchiveVersionKey, __: str) -> Outcome:
    """The side of an image is the one that it was given first, however many images came since.

    What to do: the table or its history was edited; restore `split_history` from the backup, and materialize
    `splits` again.
    """
    with workspace.lake.sql("splits", "split_history") as sql:
        moved = sql.execute(
            "SELECT image_id, h.split, s.split FROM splits s LEFT JOIN split_history h USING (image_id) "
            "WHERE s.split IS NOT NULL AND h.split IS DISTINCT FROM s.split ORDER BY image_id"
        ).fetchall()
        twice = sql.execute(
            "SELECT image_id FROM split_history GROUP BY 1 HAVING count(*) > 1 ORDER BY 1"
        ).fetchall()
    problems = [f"{i} was given {h or 'no side'}, but is in {s}" for i, h, s in moved]
    return nothing_found(problems + [f"{i} was given a side twice" for (i,) in twice], "nobody changed sides")


@fact("release")
def every_release_is_as_it_was_sealed(workspace: Workspace, _: ArchiveVersionKey, __: str) -> Outcome:
    """Every file of every release has the checksum that was sealed; what was withdrawn since is gone. Protocol S.9.

    What to do: a sealed file was changed; restore the release from its backup, and tell whoever received it.
    """
    problems = []
    rows = workspace.lake.read("releases").to_pylist()
    gone = withdrawn_images(workspace)
    for row in rows:
        folder = workspace.settings.releases / row["folder"]
        problems += [f"release {row['release']}: {p}" for p in broken_seals(folder, row["seal"], gone)]
    return nothing_found(problems, f"{len(rows)} releases")


@fact("release")
def the_numbers_of_the_release_agree_with_its_tables(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """What entered, was excluded, waits, is withheld and is in the bundle add up to the last image. Protocol S.9.

    What to do: don't hand the release out; report a defect of the code.
    """
    last = max(workspace.lake.read("releases").to_pylist(), key=lambda r: r["release"])
    view = view_of_release(workspace, last)
    problems = contradictions(view)
    for name, said, counted in (
        ("images", last["images"], view.images.num_rows),
        ("withheld images", last["withheld"], view.read("splits", ["split"])["split"].null_count),
    ):
        if said != counted:
            problems.append(f"release {last['release']} states {said} {name}; its tables hold {counted}")
    return nothing_found(problems, f"{view.images.num_rows} images in release {last['release']}")


@fact("release")
def every_image_is_in_exactly_one_box_of_the_flow(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """The flow in the last bundle adds up by itself, and its boxes hold as many images as the tables, asked box by box. Protocol S.9.

    What to do: don't hand the release out; report a defect of the code.
    """
    last = max(workspace.lake.read("releases").to_pylist(), key=lambda r: r["release"])
    path = workspace.settings.releases / last["folder"] / "documents" / "flow.numbers.json"
    try:
        numbers = json.loads(path.read_bytes())
        problems = broken_sums(numbers)
        whole = next(s for s in numbers["scopes"] if s["kind"] == "all")
        told = {s["key"]: s["n"] for s in whole["steps"]}
    except (OSError, ValueError, KeyError, StopIteration) as error:
        return Outcome(False, f"release {last['release']}: its flow can't be read: {error!r}")
    with view_of_release(workspace, last).sql("records", "decisions", "corpus", "splits") as sql:
        ids = "SELECT DISTINCT archive, version, image_id FROM"
        fails = f"{ids} decisions WHERE outcome = 'fail'"
        for key, query in (
            ("entered", f"{ids} records"),
            ("passed", f"{ids} records EXCEPT {fails}"),
            ("corpus", f"{ids} corpus"),
            ("released", f"{ids} splits WHERE split IS NOT NULL"),
        ):
            counted = sql.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0]
            if told.get(key) != counted:
                problems.append(f"flow: {told.get(key)} images at {key!r}, {counted} in the tables")
        sides = dict(
            sql.execute("SELECT split, count(*) FROM splits WHERE split IS NOT NULL GROUP BY 1").fetchall()
        )
    problems += [
        f"flow: {n} images on the side {side}, {sides.get(side, 0)} in the tables"
        for side, n in whole["sides"].items()
        if n != sides.get(side, 0)
    ]
    return nothing_found(problems, f"{told['entered']} images, each in one box")


@fact("release")
def every_release_was_approved_by_another_than_its_author(
    workspace: Workspace, _: ArchiveVersionKey, __: str
) -> Outcome:
    """Each release has an approval of just the state that was sealed, by two persons. Protocol S.10.

    What to do: don't hand the release out; approve the state anew by two persons and seal another one.
    """
    approvals = workspace.lake.read("approvals")
    problems = []
    for row in workspace.lake.read("releases").to_pylist():
        name = f"release {row['release']}"
        found = current_approval(approvals, "release", str(row["release"]), row["state_digest"])
        if found is None:
            problems.append(f"{name}: nobody approved what was sealed")
        elif (found["author"], found["approver"]) != (row["author"], row["approver"]):
            problems.append(f"{name}: its row names other persons than its approval")
        if same_person(row["author"], row["approver"]):
            problems.append(f"{name}: author and approver are one person")
    problems += [
        f"approval of {a['subject']}: author and approver are one person ({a['author']})"
        for a in approvals.to_pylist()
        if same_person(a["author"], a["approver"])
    ]
    return nothing_found(problems, "every approval names two persons")


@fact("release")
def the_audit_trail_is_unbroken(workspace: Workspace, _: ArchiveVersionKey, __: str) -> Outcome:
    """The chain of hashes is whole, holds every head that was recorded, and knows every verdict and approval. Protocol S.9.

    What to do: `curation-dagster audit verify` says what is wrong. Rows without an entry are left by a process that was killed in
    between: `curation-dagster audit mend`. All else was edited: restore the trail from the backup and find out who wrote there.
    """
    problems = trail.problems(workspace)
    return nothing_found(problems, f"{trail.current_head(workspace).seq} entries")
