"""Conditions on the rows of a table: as a caller states them, as Arrow filters by them, as a commit's predicate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.schemas import Table

Where: TypeAlias = Mapping[str, Any] | pc.Expression | str | None
"""Values by column, all of which must hold, a list for any of them; an Arrow expression; or the text of a SQL condition."""


def any_of(declared: Table, data: pa.Table) -> str:
    """Return the SQL condition that holds for rows with the keys of ``data``."""
    first, *others = declared.key
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in data.select(list(declared.key)).to_pylist():
        groups.setdefault(tuple(literal(row[k]) for k in others), []).append(literal(row[first]))
    return " OR ".join(
        " AND ".join([f"{first} IN ({', '.join(ids)})", *(f"{k} = {v}" for k, v in zip(others, values, strict=True))])
        for values, ids in groups.items()
    )  # fmt: skip


def literal(value: Any) -> str:
    """Return an integer or a text as SQL writes it."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def expression(where: Mapping[str, Any] | pc.Expression | None, declared: Table) -> pc.Expression | None:
    """Return the Arrow expression of stated values; None, which is all rows, without any."""
    if where is None or isinstance(where, pc.Expression):
        return where
    found: pc.Expression | None = None
    for name, value in where.items():
        # whoever wrote a file may have stored text as string_view, on which Arrow can't compare
        is_text = declared.arrow_schema.field(name).type == pa.string() and name not in declared.partition_by
        field_ = pc.field(name).cast(pa.string()) if is_text else pc.field(name)
        if value is None:
            term = field_.is_null()
        elif isinstance(value, list | tuple | set | frozenset):
            term = field_.isin(list(value))
        else:
            term = field_ == value
        found = term if found is None else found & term
    return found
