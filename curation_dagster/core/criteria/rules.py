"""The named rules that criteria are made of, each over whole columns at once.

A rule looks at one row at a time in the sense that matters: the verdict on a row depends on that row alone, never on
what else is in the table. The logic is three-valued (Kleene): a null makes a verdict unknown only where it could
change it, so ``all_of`` with one part broken is broken, whatever else is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.columns import kind_of
from curation_dagster.core.criteria.models import DEFAULT, Condition

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True)
class Judgement:
    """What a condition says of each row.

    Parameters
    ----------
    holds : pa.Array of bool
        True, false, or null where a value that decides is missing.
    applies : pa.Array of bool
        False where the condition has nothing to say of the row; never null.
    """

    holds: pa.Array
    applies: pa.Array


@dataclass(frozen=True)
class Rule:
    """A named rule.

    Parameters
    ----------
    judge : callable
        From one column and the bound to booleans, null where the value is missing.
    words : str
        How the rule reads in the ledger, with ``{column}`` and ``{bound}``.
    bound : {"number", "texts", "pattern", "none"}
        The form of the bound.
    kinds : frozenset of str
        Kinds of columns that it can look at, see :func:`curation_dagster.core.criteria.columns.kind_of`.
    explanation : str
        One sentence for the reference.
    """

    judge: Callable[[pa.Array, Any], pa.Array]
    words: str
    bound: str
    kinds: frozenset[str]
    explanation: str


def judge(condition: Condition, columns: Columns, rows: int) -> Judgement:
    """Apply a condition to columns of ``rows`` rows.

    Parameters
    ----------
    columns : mapping of str to pa.Array
        Every column that the condition reads, and ``modality`` where a bound depends on it.
    """
    if condition.rule in COMBINATIONS:
        said = _combined(condition, columns, rows)
    elif condition.rule == PERSON_DECIDES:
        said = Judgement(_all(False, rows), _all(True, rows))
    else:
        rule = RULES[condition.rule]
        bound = _bound_of(condition, columns)
        holds = _all(True, rows)
        for name in condition.columns:
            holds = pc.and_kleene(holds, rule.judge(columns[name], bound))
        said = Judgement(holds, _all(True, rows))
    if condition.when is None:
        return said
    when = judge(condition.when, columns, rows)
    wanted = pc.if_else(when.applies, when.holds, pa.scalar(False))
    holds = pc.if_else(pc.is_valid(wanted), said.holds, pa.scalar(None, pa.bool_()))
    return Judgement(holds, pc.and_(said.applies, pc.fill_null(wanted, True)))


def describe(condition: Condition, modality: str | None) -> str:
    """Return the condition as text, with the bounds that hold for a modality.

    >>> describe(Condition(rule="minimum", columns=("short_side",), bound={"clinical": 400, "default": 200}), "clinical")
    'short_side >= 400'
    """
    if condition.rule in COMBINATIONS:
        parts = [describe(p, modality) for p in condition.parts]
        text = f" {COMBINATIONS[condition.rule]} ".join(f"({p})" if len(parts) > 1 else p for p in parts)
    elif condition.rule == PERSON_DECIDES:
        text = "a person's verdict"
    else:
        rule = RULES[condition.rule]
        bound = _bound_text(condition, modality)
        text = " and ".join(rule.words.format(column=c, bound=bound) for c in condition.columns)
    return text if condition.when is None else f"where {describe(condition.when, modality)}: {text}"


def problems_of(condition: Condition, known: Mapping[str, pa.DataType]) -> list[tuple[str, str]]:
    """Return what is wrong with a condition, as pairs of breadcrumb (below the condition) and sentence.

    Parameters
    ----------
    known : mapping of str to pa.DataType
        The columns that the stage has.
    """
    found: list[tuple[str, str]] = []
    if condition.rule in COMBINATIONS:
        if len(condition.parts) < 2:
            found.append(
                ("parts", f"{condition.rule} combines at least two parts, got {len(condition.parts)}")
            )
        if condition.columns or condition.bound is not None:
            found.append(("rule", f"{condition.rule} takes parts, not columns or a bound"))
    elif condition.rule == PERSON_DECIDES:
        if condition.columns or condition.bound is not None or condition.parts:
            found.append(("rule", f"{PERSON_DECIDES} takes neither columns nor a bound nor parts"))
    elif condition.rule not in RULES:
        names = ", ".join(sorted((*RULES, *COMBINATIONS, PERSON_DECIDES)))
        found.append(("rule", f"no rule is called {condition.rule!r}; expected one of {names}"))
    else:
        rule = RULES[condition.rule]
        if condition.parts:
            found.append(("parts", f"{condition.rule} takes columns, not parts"))
        if not condition.columns:
            found.append(("columns", f"{condition.rule} needs at least one column"))
        for column in condition.columns:
            if column not in known:
                found.append(("columns", f"the stage has no column {column!r}"))
            elif kind_of(known[column]) not in rule.kinds:
                wanted = " or ".join(sorted(rule.kinds))
                found.append(
                    ("columns", f"{condition.rule} looks at {wanted}, but {column} is {known[column]}")
                )
        problem = _BOUND_PROBLEMS[rule.bound](condition.bound)
        if problem:
            found.append(("bound", f"{condition.rule} {problem}, got {condition.bound!r}"))
    for number, part in enumerate(condition.parts):
        found += [(f"parts > {number + 1} > {where}", what) for where, what in problems_of(part, known)]
    if condition.when is not None:
        found += [(f"when > {where}", what) for where, what in problems_of(condition.when, known)]
    return found


# -- combining ---------------------------------------------------------------------------------------


def _combined(condition: Condition, columns: Columns, rows: int) -> Judgement:
    """Combine parts; one that does not apply has no say, and where none applies the whole does not."""
    every = condition.rule == "all_of"
    holds, applies = _all(every, rows), _all(False, rows)
    for part in condition.parts:
        said = judge(part, columns, rows)
        value = pc.if_else(said.applies, said.holds, pa.scalar(every))
        holds = pc.and_kleene(holds, value) if every else pc.or_kleene(holds, value)
        applies = pc.or_(applies, said.applies)
    return Judgement(holds, applies)


def _all(value: bool, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), rows)


# -- bounds ------------------------------------------------------------------------------------------


def _bound_of(condition: Condition, columns: Columns) -> Any:
    """Return the bound as it is, or one number per row where it depends on the modality."""
    if not isinstance(condition.bound, dict):
        return condition.bound
    names = [n for n in condition.bound if n != DEFAULT]
    values = pa.array([condition.bound[n] for n in names] + [condition.bound[DEFAULT]], pa.float64())
    modality = columns["modality"]
    place = pc.index_in(modality, value_set=pa.array(names, modality.type), skip_nulls=True)
    return values.take(pc.fill_null(place, len(names)))


def _bound_text(condition: Condition, modality: str | None) -> str:
    bound = condition.bound
    if isinstance(bound, dict):
        bound = bound.get(modality or DEFAULT, bound[DEFAULT])
    if isinstance(bound, float):
        return f"{bound:g}"
    return ", ".join(bound) if isinstance(bound, tuple) else str(bound)


def _number_problem(bound: Any) -> str | None:
    if isinstance(bound, float) or (isinstance(bound, dict) and DEFAULT in bound):
        return None
    return f"needs a number, or a number per modality with {DEFAULT!r}"


def _texts_problem(bound: Any) -> str | None:
    return None if isinstance(bound, tuple) and bound else "needs a list of texts"


def _pattern_problem(bound: Any) -> str | None:
    if not isinstance(bound, str):
        return "needs a regular expression"
    try:
        # the columns are matched by RE2, which has no lookaround: try the expression on the engine that runs it
        re.compile(bound)
        pc.match_substring_regex(pa.array([""]), bound)
    except (re.error, pa.ArrowInvalid) as error:
        return f"needs a valid regular expression ({error})"
    return None


_BOUND_PROBLEMS: dict[str, Callable[[Any], str | None]] = {
    "number": _number_problem,
    "texts": _texts_problem,
    "pattern": _pattern_problem,
    "none": lambda bound: None if bound is None else "takes no bound",
}

# -- rules over one column ---------------------------------------------------------------------------


def _limit(column: pa.Array, bound: Any) -> Any:
    # a bound of 0.9 and a stored 0.9 must be equal, so a scalar bound takes the precision of a float column
    return (
        pa.scalar(bound, column.type)
        if isinstance(bound, float) and pa.types.is_floating(column.type)
        else bound
    )


def _one_of(column: pa.Array, bound: tuple[str, ...]) -> pa.Array:
    found = pc.is_in(column, value_set=pa.array(bound, column.type))
    return pc.if_else(pc.is_valid(column), found, pa.scalar(None, pa.bool_()))


def _no_element(column: pa.Array, is_bad: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return for each list whether none of its elements is bad; null for a null list."""
    parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    bad = pc.fill_null(is_bad(pc.list_flatten(column)), True).to_numpy(zero_copy_only=False)
    clean = np.ones(len(column), dtype=bool)
    clean[parents[bad]] = False
    return pc.if_else(pc.is_valid(column), pa.array(clean), pa.scalar(None, pa.bool_()))


def _within(column: pa.Array, bound: tuple[str, ...]) -> pa.Array:
    return _no_element(column, lambda v: pc.invert(pc.is_in(v, value_set=pa.array(bound, v.type))))


def _excludes(column: pa.Array, bound: tuple[str, ...]) -> pa.Array:
    return _no_element(column, lambda v: pc.is_in(v, value_set=pa.array(bound, v.type)))


def _matches(column: pa.Array, bound: str) -> pa.Array:
    return _no_element(column, lambda v: pc.invert(pc.match_substring_regex(v, bound)))


_NUMBER, _TEXT, _BOOLEAN, _LIST = (frozenset({k}) for k in ("number", "text", "boolean", "list"))
_ANY = frozenset({"number", "text", "boolean", "list", "other"})

PERSON_DECIDES = "person_decides"
"""The rule that no column can satisfy: only a person's verdict does."""

COMBINATIONS = {"all_of": "and", "any_of": "or"}
"""The rules that combine others, with the word between them."""

RULES: dict[str, Rule] = {
    "minimum": Rule(
        lambda c, b: pc.greater_equal(c, _limit(c, b)), "{column} >= {bound}", "number", _NUMBER,
        "Every column is at least the bound.",
    ),
    "maximum": Rule(
        lambda c, b: pc.less_equal(c, _limit(c, b)), "{column} <= {bound}", "number", _NUMBER,
        "Every column is at most the bound.",
    ),
    "in_set": Rule(_one_of, "{column} in ({bound})", "texts", _TEXT, "Every column is one of the bound's values."),
    "not_in_set": Rule(
        lambda c, b: pc.invert(_one_of(c, b)), "{column} not in ({bound})", "texts", _TEXT,
        "No column is one of the bound's values.",
    ),
    "is_true": Rule(lambda c, b: c, "{column} is true", "none", _BOOLEAN, "Every column is true."),
    "is_false": Rule(lambda c, b: pc.invert(c), "{column} is false", "none", _BOOLEAN, "Every column is false."),
    "not_null": Rule(lambda c, b: pc.is_valid(c), "{column} is known", "none", _ANY, "Every column has a value."),
    "is_null": Rule(lambda c, b: pc.is_null(c), "{column} is absent", "none", _ANY, "No column has a value."),
    "list_empty": Rule(
        lambda c, b: pc.equal(pc.list_value_length(c), 0), "{column} is empty", "none", _LIST, "Every list is empty.",
    ),
    "list_within": Rule(
        _within, "{column} within ({bound})", "texts", _LIST, "Every list contains only values of the bound.",
    ),
    "list_excludes": Rule(
        _excludes, "{column} without ({bound})", "texts", _LIST, "No list contains a value of the bound.",
    ),
    "list_matches": Rule(
        _matches, "{column} all match {bound}", "pattern", _LIST,
        "Every element of every list matches the regular expression (RE2 syntax).",
    ),
}  # fmt: skip
"""The rules over columns, by name."""
