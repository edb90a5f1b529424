from __future__ import annotations

import pyarrow as pa
import pytest

from curation_dagster.core.criteria.models import Condition
from curation_dagster.core.criteria.rules import RULES, describe, judge, problems_of

COLUMNS = {
    "n": pa.array([1, 2, None], pa.int32()),
    "m": pa.array([5.0, None, 0.0], pa.float32()),
    "t": pa.array(["a", "b", None]),
    "b": pa.array([True, False, None]),
    "l": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
    "modality": pa.array(["clinical", None, "dermoscopic"]),
}


def held(**condition: object) -> list[bool | None]:
    return judge(Condition.model_validate(condition), COLUMNS, 3).holds.to_pylist()


@pytest.mark.parametrize(
    ("rule", "columns", "bound", "expected"),
    [
        ("minimum", ["n"], 2, [False, True, None]),
        ("maximum", ["n"], 1, [True, False, None]),
        ("maximum", ["n", "m"], 4, [False, None, None]),
        ("in_set", ["t"], ["a"], [True, False, None]),
        ("not_in_set", ["t"], ["a"], [False, True, None]),
        ("is_true", ["b"], None, [True, False, None]),
        ("is_false", ["b"], None, [False, True, None]),
        ("not_null", ["t"], None, [True, True, False]),
        ("is_null", ["l"], None, [False, False, True]),
        ("list_empty", ["l"], None, [False, True, None]),
        ("list_within", ["l"], ["a", "b", "c"], [True, True, None]),
        ("list_within", ["l"], ["a"], [False, True, None]),
        ("list_excludes", ["l"], ["b"], [False, True, None]),
        ("list_matches", ["l"], "^[ab]$", [True, True, None]),
        ("list_matches", ["l"], "^a", [False, True, None]),
        ("minimum", ["n"], {"clinical": 2, "default": 1}, [False, True, None]),
    ],
)
def test_rule(rule: str, columns: list[str], bound: object, expected: list[bool | None]) -> None:
    assert held(rule=rule, columns=columns, bound=bound) == expected


def test_every_rule_is_tested_above() -> None:
    marks = test_rule.pytestmark[0]
    assert {a[0] for a in marks.args[1]} == set(RULES)


def test_a_slice_is_judged_as_the_whole() -> None:
    condition = Condition(rule="list_excludes", columns=("l",), bound=("b",))
    part = {"l": pa.array([["b"], ["a", "b"], [], None], pa.list_(pa.string())).slice(1)}
    assert judge(condition, part, 3).holds.to_pylist() == [False, True, None]


def test_stored_precision_does_not_move_a_bound() -> None:
    assert (
        judge(Condition(rule="maximum", columns=("x",), bound=0.9), {"x": pa.array([0.9], pa.float32())}, 1)
        .holds[0]
        .as_py()
    )
    assert (
        judge(Condition(rule="minimum", columns=("x",), bound=0.52), {"x": pa.array([0.52], pa.float32())}, 1)
        .holds[0]
        .as_py()
    )


def test_a_missing_part_hides_no_broken_one() -> None:
    parts = [{"rule": "minimum", "columns": ["n"], "bound": 2}, {"rule": "is_true", "columns": ["b"]}]
    assert held(rule="all_of", parts=parts) == [False, False, None]
    assert held(rule="any_of", parts=parts) == [True, True, None]


def test_when() -> None:
    when = {"rule": "is_true", "columns": ["b"]}
    said = judge(Condition.model_validate({"rule": "not_null", "columns": ["t"], "when": when}), COLUMNS, 3)
    assert said.applies.to_pylist() == [True, False, True]
    assert said.holds.to_pylist() == [True, True, None]


def test_a_part_that_does_not_apply_has_no_say() -> None:
    a = {"rule": "is_false", "columns": ["b"], "when": {"rule": "is_false", "columns": ["b"]}}
    b = {"rule": "minimum", "columns": ["n"], "bound": 0, "when": {"rule": "is_true", "columns": ["b"]}}
    for rule in ("all_of", "any_of"):
        said = judge(Condition.model_validate({"rule": rule, "parts": [a, b]}), COLUMNS, 3)
        assert said.holds.to_pylist() == [True, True, None]
        assert said.applies.to_pylist() == [True, True, True]
        neither = judge(Condition.model_validate({"rule": rule, "parts": [a, a]}), COLUMNS, 3)
        assert neither.applies.to_pylist() == [False, True, True]


def test_description_names_the_bound_of_the_modality() -> None:
    condition = Condition.model_validate(
        {
            "rule": "all_of",
            "parts": [
                {"rule": "minimum", "columns": ["n"], "bound": {"clinical": 400, "default": 200}},
                {
                    "rule": "in_set",
                    "columns": ["t"],
                    "bound": ["a", "b"],
                    "when": {"rule": "not_null", "columns": ["t"]},
                },
            ],
        }
    )
    assert describe(condition, "clinical") == "(n >= 400) and (where t is known: t in (a, b))"
    assert describe(condition, None) == "(n >= 200) and (where t is known: t in (a, b))"


@pytest.mark.parametrize(
    ("condition", "where", "what"),
    [
        ({"rule": "minimun", "columns": ["n"], "bound": 1}, "rule", "no rule is called 'minimun'; expected one of all_of"),
        ({"rule": "minimum", "columns": ["x"], "bound": 1}, "columns", "the stage has no column 'x'"),
        ({"rule": "minimum", "columns": ["t"], "bound": 1}, "columns", "minimum looks at number, but t is string"),
        ({"rule": "minimum", "columns": ["n"]}, "bound", "minimum needs a number, or a number per modality with 'default', got None"),
        ({"rule": "minimum", "columns": ["n"], "bound": {"clinical": 1}}, "bound", "with 'default'"),
        ({"rule": "in_set", "columns": ["t"], "bound": "a"}, "bound", "in_set needs a list of texts, got 'a'"),
        ({"rule": "is_true", "columns": ["b"], "bound": 1}, "bound", "is_true takes no bound, got 1.0"),
        ({"rule": "is_true"}, "columns", "needs at least one column"),
        ({"rule": "list_matches", "columns": ["l"], "bound": "(?!a)"}, "bound", "valid regular expression"),
        ({"rule": "all_of", "columns": ["n"]}, "parts", "combines at least two parts, got 0"),
        ({"rule": "person_decides", "columns": ["n"]}, "rule", "takes neither columns"),
        ({"rule": "is_true", "columns": ["b"], "when": {"rule": "is_true", "columns": ["n"]}}, "when > columns", "looks at boolean"),
    ],
)  # fmt: skip
def test_problems(condition: dict, where: str, what: str) -> None:
    known = {n: c.type for n, c in COLUMNS.items()}
    found = problems_of(Condition.model_validate(condition), known)
    assert any(w == where and what in s for w, s in found), found
