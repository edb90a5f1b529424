"""Parts of the technical file that the synthetic archives leave empty, from rows made by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from curation_dagster.core.release.technical.history import history
from curation_dagster.core.release.technical.people import review
from curation_dagster.core.release.technical.scope import Scope
from curation_dagster.core.release.technical.sources import assessment, retrieval
from curation_dagster.core.release.view import ReleaseView
from curation_dagster.core.report.paper import (
    Paper,
    Points,
    Say,
    Table,
    as_data,
    as_markdown,
    from_data,
    sentence,
)
from curation_dagster.dividing import split_settings
from curation_dagster.schemas import (
    ASSESSMENTS,
    CRITERIA_CHANGES,
    RETRIEVALS,
    REVIEW_QUEUE,
    REVIEWS,
    SOURCE_PROBES,
    TABLES,
    URL_FATES,
    VERSION_CHANGES,
    WITHDRAWALS,
)
from curation_dagster.workspace import Workspace

WHEN = datetime(2025, 3, 1, tzinfo=UTC)
HERE = {"archive": "one", "version": "1"}
OTHER = {"archive": "two", "version": "it's 2"}


def scope_of(workspace: Workspace, **key: str) -> Scope:
    view = ReleaseView(
        1, WHEN, workspace.lake, {t: workspace.lake.version(t) for t in TABLES}, workspace.criteria, split_settings(workspace),
        {}, {"author": "a", "approver": "b"}, "0", {"seq": 0, "entry_hash": ""}, {}, {"vocabularies/versions.yaml": b"files: {}"},
    )  # fmt: skip
    return Scope(view, **key)


def rows_of(blocks: list[Any], name: str) -> list[list[Any]]:
    return [list(r) for r in next(b for b in blocks if isinstance(b, Table) and b.id == name).rows]


@pytest.mark.parametrize("key", [HERE, OTHER])
def test_what_was_fetched_is_counted_by_method_and_fate(workspace: Workspace, key: dict[str, str]) -> None:
    fetched = [
        {"path": "SECRET-a.jpg", "method": "https", "bytes": 10, "verified_by": "sha256", "resumed_from": 4, "fetched_at": WHEN},
        {"path": "SECRET-b.jpg", "method": "https", "bytes": 5, "verified_by": "sha256", "resumed_from": 0, "fetched_at": WHEN + timedelta(hours=1)},
        {"path": "SECRET-c.jpg", "method": "https", "bytes": 1, "fetched_at": WHEN},
    ]  # fmt: skip
    fates = [("fetched", 1), ("fetched", 2), ("gone", 3)]
    for mine in (HERE, OTHER):
        part = fetched if mine == key else fetched[:1]
        workspace.lake.replace("retrievals", RETRIEVALS.conform([r | mine for r in part]), mine)
        listed = [
            {"row": n, "text": "SECRET", "fate": f, **mine} for f, n in (fates if mine == key else fates[:1])
        ]
        workspace.lake.replace("url_fates", URL_FATES.conform(listed), mine)
    probe = {"method": "https", "state": "changed", "source": "v1", "probed_at": WHEN}
    workspace.lake.append("source_probes", SOURCE_PROBES.conform([probe | HERE, probe | OTHER]), {})
    blocks = retrieval(scope_of(workspace, **key))
    assert rows_of(blocks, "retrievals_by_method") == [
        ["https", "none is published", 1, 1, 0, WHEN, WHEN],
        ["https", "sha256", 2, 15, 1, WHEN, WHEN + timedelta(hours=1)],
    ]
    assert rows_of(blocks, "addresses_by_fate") == [["fetched", 2], ["gone", 1]]
    assert rows_of(blocks, "source_probes") == [["https", "changed", "v1", WHEN]]
    whole = retrieval(scope_of(workspace))
    assert sum(r[4] for r in rows_of(whole, "retrievals_by_method")) == 4
    # a name of a file, or of a line of a list, may name a person
    assert "SECRET" not in as_markdown(Paper("p", "t", "a", [*blocks, *whole]))


def test_the_review_is_counted_with_its_agreement(workspace: Workspace) -> None:
    two = next(c.id for c in workspace.criteria.criteria if c.reviewers == 2)
    images = [f"i{n}" for n in range(5)]
    # Ada and Bo: both pass i0 and i1, both fail i2, disagree on i3; Cy settles i3; i4 has one verdict only
    said = {
        "ada": ["pass", "pass", "fail", "pass", "pass"],
        "bo": ["pass", "pass", "fail", "fail"],
        "cy": [None, None, None, "fail"],
    }  # fmt: skip
    rows = [
        {"review_id": f"{who}{n}", "image_id": images[n], "criterion": two, "outcome": o, "reviewer": who, "reviewed_at": WHEN, **HERE}
        for who, verdicts in said.items()
        for n, o in enumerate(verdicts)
        if o
    ]  # fmt: skip
    workspace.lake.append("reviews", REVIEWS.conform(rows), {})
    queue = [
        {
            "image_id": i,
            "criterion": two,
            "purpose": "each",
            "rank": n + 1,
            "criteria_digest": "0" * 64,
            **HERE,
        }
        for n, i in enumerate(images)
    ]
    workspace.lake.replace("review_queue", REVIEW_QUEUE.conform(queue), HERE)
    for scope in (scope_of(workspace, **HERE), scope_of(workspace)):
        blocks = review(scope)
        assert rows_of(blocks, "review_by_criterion") == [[two, "each", 2, 5, 4, 2, 0]]
        kappas = {(r[1], r[2]): tuple(r[3:]) for r in rows_of(blocks, "agreement")}
        # of four, three agree; chance: passes 3/4 * 2/4, fails 1/4 * 2/4, together 1/2
        assert kappas["ada", "bo"] == (4, 3, pytest.approx((0.75 - 0.5) / 0.5))
        assert kappas["bo", "cy"] == (1, 1, "not defined")
        assert [r[:1] + r[2:7] for r in rows_of(blocks, "reviewers")] == [
            ["ada", 5, 5, 4, 1, 0],
            ["bo", 4, 4, 2, 2, 0],
            ["cy", 1, 1, 0, 1, 0],
        ]


def test_what_changed_is_told_of_the_archive_version_only(workspace: Workspace) -> None:
    change = {
        "compared_with": "0",
        "subject": "images",
        "value": "new",
        "before": 0,
        "after": 7,
        "fingerprint": "f",
    }
    for key in (HERE, OTHER):
        workspace.lake.replace("version_changes", VERSION_CHANGES.conform([change | key]), key)
    counts = {
        "images": 9,
        "failing_before": 1,
        "failing_after": 3,
        "newly_failing": 2,
        "no_longer_failing": 0,
    }
    compared = {
        "criteria": "device",
        "old_digest": "a" * 64,
        "new_digest": "b" * 64,
        "criterion": "focus",
        "compared_at": WHEN,
    }
    workspace.lake.append("criteria_changes", CRITERIA_CHANGES.conform([compared | counts | HERE]), {})
    gone = {
        "withdrawal_id": "w",
        "kind": "image",
        "subject": "i",
        "why": "asked",
        "who": "dpo",
        "affected_releases": [1, 2],
    }
    workspace.lake.append(
        "withdrawals", WITHDRAWALS.conform([gone | {"removed_files": 3, "withdrawn_at": WHEN}]), {}
    )
    mine = history(scope_of(workspace, **OTHER))
    assert rows_of(mine, "version_changes") == [["two@it's 2", "0", "images", "new", 0, 7]]
    assert rows_of(mine, "criteria_changes") == []
    whole = history(scope_of(workspace))
    assert rows_of(whole, "criteria_changes") == [
        ["device", "a" * 16, "b" * 16, "one@1", "focus", 9, 1, 3, 2, 0, WHEN]
    ]
    assert rows_of(whole, "withdrawals") == [["image", "i", "asked", "dpo", "1; 2", 3, WHEN]]


def test_labels_that_no_vocabulary_knows_are_counted_and_not_quoted(workspace: Workspace) -> None:
    rows = [
        {"section": "counts", "number": 1, "value": "rows", "counted": 4},
        {"section": "labels", "number": 1, "value": "melanoma", "counted": 3, "icd11_code": "2C30", "relation": "exact"},
        {"section": "labels", "number": 2, "value": "Mustermann", "counted": 1},
        {"section": "issues", "number": 1, "value": 'The label "Mustermann" (1 records) is not in the diagnosis vocabulary.'},
        {"section": "issues", "number": 2, "value": "2 files {have} no record."},
    ]  # fmt: skip
    workspace.lake.replace("assessments", ASSESSMENTS.conform([r | HERE for r in rows]), HERE)
    blocks = assessment(scope_of(workspace, **HERE))
    assert rows_of(blocks, "assessment_labels") == [["melanoma", 3, "2C30", "exact"]]
    text = as_markdown(Paper("p", "t", "a", blocks))
    assert "Mustermann" not in text
    assert "1 labels of 1 records are in no vocabulary" in text
    assert "2 files {have} no record." in text
    none = assessment(scope_of(workspace, **OTHER))
    assert any(isinstance(b, Say) and "None is on record" in sentence(b) for b in none)


def test_a_paper_is_read_back_as_it_was_written_and_ids_must_differ() -> None:
    blocks = [
        Say("{n} of it", {"n": 12345}),
        Points([Say("a | b `c`")]),
        Table("t", ["x|y", "n"], [["a\nb", 1], [None, 2]]),
    ]
    paper = Paper("p", "A *title*", "about", blocks)
    again = from_data(as_data(paper), {})
    assert as_markdown(again) == as_markdown(paper)
    assert "12,345 of it" in as_markdown(paper)
    assert r"| x\|y | n |" in as_markdown(paper)
    with pytest.raises(ValueError, match="two parts are called 't'"):
        as_data(Paper("p", "t", "a", [blocks[2], blocks[2]]))
