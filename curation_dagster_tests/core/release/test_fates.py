"""Where images end, in a lake of a few rows: every box of the flow, and the numbers that a release is refused for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from curation_dagster.core.release import image_pages
from curation_dagster.core.release.flow import disagreements, flow_numbers
from curation_dagster.core.release.flow_figure import flow_svg
from curation_dagster.core.release.image_pages import page_name, prefix_length, shards
from curation_dagster.core.release.reconcile import contradictions
from curation_dagster.core.release.view import ReleaseView
from curation_dagster.dividing import split_settings
from curation_dagster.schemas import ADMISSIONS, CORPUS, DECISIONS, PUBLISHED, RECORDS, SPLITS, TABLES
from curation_dagster.workspace import Workspace

WHEN = datetime(2025, 3, 1, tzinfo=UTC)
HERE = {"archive": "one", "version": "1"}
# image to its failing and waiting criteria, whether its file was clean, and its side
IMAGES: dict[str, tuple[list[str], list[str], str | None, str | None]] = {
    "a1": (["focus", "resolution"], [], None, None),
    "a2": (["representative"], ["dim"], None, None),
    "a3": ([], ["dim"], None, None),
    "a4": ([], [], "not_clean", None),
    "a5": ([], [], "failed", None),
    "a6": ([], [], "written", None),
    "a7": ([], [], "written", "train"),
    "a8": ([], [], "written", "sequestered"),
}


@pytest.fixture
def view(workspace: Workspace) -> ReleaseView:
    lake, criteria = workspace.lake, workspace.criteria
    stage = {c.id: c for c in criteria.criteria}
    told = ("focus", "resolution", "representative", "dim")
    for key, images in ((HERE, IMAGES), ({"archive": "two", "version": "9"}, {"b1": ([], [], None, None)})):
        rows = [
            {
                "image_id": i,
                **key,
                "source_id": f"S-{i}",
                "join_state": "matched",
                "modality": "clinical",
                "verdict": "kept",
            }
            for i in images
        ]
        lake.replace("records", RECORDS.conform(rows), key)
        if key is not HERE:
            continue  # `two` has no ledger yet
        ledger = []
        for image, (fails, waits, _, _) in images.items():
            for c in told:
                outcome = "fail" if c in fails else "review" if c in waits else "pass"
                ledger.append(
                    {"image_id": image, **key, "stage": stage[c].stage, "criterion": c, "clause": stage[c].clause,
                     "outcome": outcome, "measured": f"<{image}> 1", "bound": "x >= 2", "criteria_version": criteria.version,
                     "criteria_digest": criteria.digest, "code_version": "0", "decided_by": "rule", "decided_at": WHEN}
                )  # fmt: skip
        lake.replace("decisions", DECISIONS.conform(ledger), key)
    written = [(i, f[2]) for i, f in IMAGES.items() if f[2]]
    lake.append(
        "published",
        PUBLISHED.conform(
            [{"image_id": i, "source_sha256": "0" * 64, "written_by": "w", "state": s} for i, s in written]
        ),
        {},
    )
    kept = [i for i, s in written if s == "written"]
    lake.replace(
        "corpus",
        CORPUS.conform(
            [
                {"image_id": i, "file": f"images/{i}", "sha256": "0" * 64, "width": 9, "height": 9, "is_control": False, **HERE,
                 "licence": "CC0-1.0", "ingested_at": WHEN, "criteria_version": criteria.version}
                for i in kept
            ]
        ),
    )  # fmt: skip
    lake.replace(
        "splits",
        SPLITS.conform(
            [
                {"image_id": i, **HERE, "split": IMAGES[i][3], "state": "assigned" if IMAGES[i][3] else "withheld",
                 "reason": "r", "component": i, "component_size": 1, "stratum": "s", "settings_digest": "0" * 64}
                for i in kept
            ]
        ),
    )  # fmt: skip
    counts = {"images_in": 8, "images_kept": 3, "images_excluded": 3, "images_quarantined": 2}
    other = {"images_in": 1, "images_kept": 0, "images_excluded": 0, "images_quarantined": 1}
    admissions = [
        HERE | {"admitted": True, "reasons": [], "criteria_digest": criteria.digest} | counts,
        {
            "archive": "two",
            "version": "9",
            "admitted": False,
            "reasons": ["no"],
            "criteria_digest": criteria.digest,
        }
        | other,
    ]
    lake.replace("admissions", ADMISSIONS.conform(admissions))
    return seen(workspace)


def seen(workspace: Workspace) -> ReleaseView:
    return ReleaseView(
        1, WHEN, workspace.lake, {t: workspace.lake.version(t) for t in TABLES}, workspace.criteria,
        split_settings(workspace), {}, {"author": "a", "approver": "b"}, "0",
    )  # fmt: skip


def test_every_image_ends_in_one_box(view: ReleaseView) -> None:
    boxes = {r["image_id"]: (r["box"], r["reason"]) for r in view.fates.to_pylist()}
    first = min(("focus", "resolution"), key=[c.id for c in view.criteria.criteria].index)
    assert boxes == {
        "a1": ("excluded", first),  # the first that it meets, whatever the order of the rows
        "a2": ("excluded", "representative"),
        "a3": ("waiting", "dim"),
        "a4": ("not_clean", None),
        "a5": ("not_written", None),
        "a6": ("withheld", None),
        "a7": ("released", "train"),
        "a8": ("released", "sequestered"),
        "b1": ("undecided", None),
    }
    # a picture whose file was not clean is excluded without a criterion: that is no contradiction
    assert disagreements(view) == []
    assert contradictions(view) == []
    whole = flow_numbers(view)["scopes"][0]
    steps = {s["key"]: s["n"] for s in whole["steps"]}
    assert (steps["entered"], steps["duplicates"], steps["passed"], steps["corpus"], steps["released"]) == (
        9,
        8,
        7,
        3,
        2,
    )
    assert whole["sides"] == {"train": 1, "validation": 0, "test": 0, "sequestered": 1}
    assert "Withheld: group on two sides" in flow_svg(whole, "a title")


@pytest.mark.parametrize("column", ["images_in", "images_kept", "images_excluded", "images_quarantined"])
def test_a_release_is_refused_for_one_image(view: ReleaseView, workspace: Workspace, column: str) -> None:
    rows = view.read("admissions").to_pylist()
    rows[0][column] += 1
    workspace.lake.replace("admissions", ADMISSIONS.conform(rows))
    n = rows[0][column]
    assert any(
        f"one@1 has {n} {column} by the admissions, {n - 1} in the flow" in p
        for p in contradictions(seen(workspace))
    )


def test_an_image_that_entered_unseen_is_named(view: ReleaseView, workspace: Workspace) -> None:
    key = {"archive": "three", "version": "1"}
    row = {"image_id": "c1", **key, "source_id": "S", "join_state": "matched", "verdict": "kept"}
    workspace.lake.replace("records", RECORDS.conform([row]), key)
    assert "flow: 1 images of three@1 entered, but no admission speaks of them" in contradictions(
        seen(workspace)
    )


def test_pages_are_divided_by_the_ids_and_hold_no_markup_of_the_data(
    view: ReleaseView, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [prefix_length(n) for n in (0, 800, 801, 12_800, 12_801, 150_000)] == [0, 0, 1, 1, 2, 2]
    assert (page_name("3fab", 2), page_name("3fab", 0)) == ("3f.html", "all.html")
    monkeypatch.setattr(image_pages, "IMAGES_A_PAGE", 5)
    pages: dict[str, Any] = dict(shards(view))
    assert set(pages) == {"a", "b"}
    assert all("<" not in text for text in pages.values())
    assert "\\u003ca1> 1" in pages["a"]


def test_a_ledger_about_images_that_did_not_enter_is_refused(view: ReleaseView, workspace: Workspace) -> None:
    rows = [r for r in workspace.lake.read("records", where=HERE).to_pylist() if r["image_id"] != "a1"]
    workspace.lake.replace("records", RECORDS.conform(rows), HERE)
    with pytest.raises(ValueError, match="4 decisions of one@1 speak of images that did not enter"):
        list(shards(replace(seen(workspace))))
