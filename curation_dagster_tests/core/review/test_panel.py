from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.review.panel import agreement, cohens_kappa, panels

START = datetime(2026, 1, 5, tzinfo=UTC)


def said(*verdicts: tuple[str, str], image: str = "i", criterion: str = "c") -> list[dict[str, Any]]:
    return [
        {"review_id": f"{n:04}", "criterion": criterion, "image_id": image, "reviewer": who, "outcome": outcome,
         "comment": None, "reviewed_at": START + timedelta(minutes=n)}
        for n, (who, outcome) in enumerate(verdicts)
    ]  # fmt: skip


def of(*verdicts: tuple[str, str], needed: int = 1):  # type: ignore[no-untyped-def]
    return panels(said(*verdicts), {"c": needed})["c", "i"]


@pytest.mark.parametrize(
    ("verdicts", "settled", "failed", "disputed"),
    [
        ((("a", "pass"),), False, False, False),
        ((("a", "fail"),), False, False, False),
        ((("a", "pass"), ("b", "pass")), True, False, False),
        ((("a", "fail"), ("b", "fail")), True, True, False),
        ((("a", "pass"), ("b", "fail")), False, False, True),
        ((("a", "pass"), ("b", "fail"), ("c", "pass")), True, False, False),
        ((("a", "pass"), ("b", "fail"), ("c", "fail")), True, True, False),
        ((("a", "pass"), ("b", "fail"), ("c", "fail"), ("d", "pass")), False, False, True),
        ((("a", "pass"), ("a", "fail")), False, False, False),
        ((("a", "pass"), ("b", "pass"), ("b", "withdrawn")), False, False, False),
    ],
)
def test_two_reviewers_agree_or_a_third_decides(verdicts, settled, failed, disputed) -> None:  # type: ignore[no-untyped-def]
    panel = of(*verdicts, needed=2)
    assert (panel.settled, panel.failed, panel.disputed) == (settled, failed, disputed)


def test_where_one_reviewer_is_asked_one_fail_is_enough() -> None:
    assert of(("a", "pass"), ("b", "fail"), ("c", "pass")).failed
    assert of(("a", "pass")).settled
    assert not of(("a", "pass")).failed


def test_the_same_person_in_other_letters_is_no_second_reviewer() -> None:
    panel = of(("Anna Weber", "pass"), ("ANNA  weber", "pass"), needed=2)
    assert not panel.settled
    assert not panel.waits_for("anna weber")
    assert panel.waits_for("Bo Lind")


def test_characters_that_don_t_show_make_no_second_reviewer() -> None:
    panel = of(("Anna Weber", "pass"), ("Anna\u200b Weber", "pass"), ("Anna Web\u00ader", "pass"), needed=2)
    assert not panel.settled
    assert len(panel.verdicts) == 1


def test_a_verdict_that_was_taken_back_is_none() -> None:
    assert not panels(said(("a", "pass"), ("a", "withdrawn")), {"c": 1})


def test_a_third_reader_is_asked_only_where_the_two_disagree() -> None:
    assert not of(("a", "pass"), ("b", "pass"), needed=2).waits_for("c")
    disputed = of(("a", "pass"), ("b", "fail"), needed=2)
    assert disputed.waits_for("c")
    assert not disputed.waits_for("a")


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["pass", "fail", "withdrawn"])), min_size=1, max_size=9),
    st.integers(1, 2),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_what_a_panel_says_does_not_depend_on_the_order_of_the_rows(
    verdicts: list[tuple[str, str]], needed: int, shuffled: random.Random
) -> None:
    rows = said(*verdicts)
    other = list(rows)
    shuffled.shuffle(other)
    assert panels(rows, {"c": needed}) == panels(other, {"c": needed})


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen 1960 in the usual form: 20 both pass, 15 both fail, 5 and 10 mixed: observed 0.7, by chance 0.5
    both = (
        [("pass", "pass")] * 20 + [("pass", "fail")] * 5 + [("fail", "pass")] * 10 + [("fail", "fail")] * 15
    )
    assert cohens_kappa(both) == pytest.approx(0.4)
    assert cohens_kappa([("pass", "pass")] * 5) is None
    assert cohens_kappa([]) is None


def test_agreement_is_by_pairs_of_people() -> None:
    rows = [r for n in range(4) for r in said(("b", "pass"), ("a", "pass" if n else "fail"), image=f"i{n}")]
    (found,) = agreement(panels(rows, {"c": 2}).values())
    assert (found.first, found.second, found.images, found.agreed) == ("a", "b", 4, 3)
    assert found.kappa == pytest.approx(0.0)
