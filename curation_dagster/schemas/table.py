"""What a table is: columns, the Arrow and pandera schemas made from them, and a fingerprint of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

ID = pa.string()
TEXT = pa.string()
TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and what may stand in it."""

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    nullable: bool = True
    isin: tuple[str, ...] | None = None
    ge: float | None = None
    le: float | None = None
    matches: str | None = None
    clause: str | None = None
    volatile: bool = False

    def checks(self) -> list[pandera.Check]:
        """Return the pandera checks of the declared values and range."""
        found = []
        if self.isin is not None:
            found.append(pandera.Check.isin(self.isin))
        if self.ge is not None:
            found.append(pandera.Check.ge(self.ge))
        if self.le is not None:
            found.append(pandera.Check.le(self.le))
        if self.matches is not None:
            found.append(pandera.Check.str_matches(self.matches))
        return found


class TableError(ValueError):
    """A table does not match its declaration; the message lists every problem."""


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    ``key`` names the columns that identify a row. ``partition_by`` names the columns by which a part of the
    table is replaced atomically.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    constraints: tuple[str, ...] = field(default=())

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The schema that is written, with descriptions as field metadata."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.description})
                for c in self.columns
            ]
        )

    @cached_property
    def pandera_schema(self) -> pandera.DataFrameSchema:
        """The schema that the blocking checks validate values with."""
        return pandera.DataFrameSchema(
            {
                c.name: pandera.Column(
                    None,
                    checks=c.checks(),
                    nullable=c.nullable,
                    description=c.description,
                    metadata={"unit": c.unit, "clause": c.clause},
                )
                for c in self.columns
            },
            name=self.name,
            description=self.description,
            strict=True,
            unique=list(self.key),
        )

    def column(self, name: str) -> Column:
        """Return the declaration of one column."""
        for c in self.columns:
            if c.name == name:
                return c
        raise KeyError(f"table {self.name} has no column {name}")

    def conform(self, data: pa.Table | pd.DataFrame | Iterable[dict[str, Any]]) -> pa.Table:
        """Return ``data`` as an Arrow table with exactly the declared columns, in order.

        Columns that are nullable and absent become null. Raises :class:`TableError` for an undeclared column,
        a required column that is absent or holds nulls, or a value that does not fit its type.
        """
        if isinstance(data, pd.DataFrame):
            data = pa.Table.from_pandas(data, preserve_index=False)
        elif not isinstance(data, pa.Table):
            rows = list(data)
            names = sorted({k for r in rows for k in r})
            problems = [f"{n}: not a column of the table" for n in names if n not in self.arrow_schema.names]
            if problems:
                raise TableError(f"table {self.name}: " + "; ".join(problems))
            try:
                data = pa.Table.from_pylist(rows, schema=_relaxed(self.arrow_schema))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise TableError(f"table {self.name}: {error}") from error
        problems = [
            f"{n}: not a column of the table" for n in data.column_names if n not in self.arrow_schema.names
        ]
        arrays = []
        for c in self.columns:
            if c.name not in data.column_names:
                if not c.nullable:
                    problems.append(f"{c.name}: required, but absent")
                arrays.append(pa.nulls(data.num_rows, c.type))
                continue
            values = data[c.name]
            if not c.nullable and values.null_count:
                problems.append(f"{c.name}: {values.null_count} of {data.num_rows} rows are null")
            try:
                arrays.append(values.cast(c.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                problems.append(f"{c.name}: expected {c.type}, got {values.type}: {error}")
                arrays.append(pa.nulls(data.num_rows, c.type))
        if problems:
            raise TableError(f"table {self.name}: " + "; ".join(problems))
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema)

    def empty(self) -> pa.Table:
        """Return the table with no rows."""
        return self.arrow_schema.empty_table()

    def problems(self, data: pa.Table) -> list[str]:
        """Return what in ``data`` breaks the declaration, a sentence each; empty if nothing does."""
        scalar = [c.name for c in self.columns if not _nested(c.type)]
        frame = data.select([n for n in scalar if n in data.column_names]).to_pandas(
            types_mapper=pd.ArrowDtype
        )
        schema = self.pandera_schema.remove_columns([c.name for c in self.columns if _nested(c.type)])
        try:
            schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as errors:
            cases = errors.failure_cases
            found = []
            for (column, check), group in cases.groupby(["column", "check"], dropna=False, sort=True):
                # the intake tables hold source ids and file names, which no check may quote
                quoted = [] if self.name in ("files", "records") else group["failure_case"].head(3)
                examples = ", such as " + ", ".join(map(str, quoted)) if len(quoted) else ""
                found.append(f"{self.name}.{column}: {check} fails for {len(group)} values{examples}")
            return found
        return []

    def fingerprint(self, data: pa.Table) -> str:
        """Return the SHA-256 of the rows, whatever their order, without the volatile columns."""
        stable = [c.name for c in self.columns if not c.volatile and c.name in data.column_names]
        ordered = data.select(stable)
        if ordered.num_rows:
            order = pc.sort_indices(ordered, sort_keys=[(k, "ascending") for k in self.key if k in stable])
            ordered = ordered.take(order)
        # casting drops dictionary encodings and field metadata; IPC of one contiguous batch is canonical
        ordered = ordered.replace_schema_metadata(None).combine_chunks()
        digest = hashlib.sha256()
        digest.update(",".join(stable).encode())
        digest.update(str(ordered.num_rows).encode())
        for name in stable:
            digest.update(_column_bytes(ordered[name]))
        return digest.hexdigest()


def _relaxed(schema: pa.Schema) -> pa.Schema:
    return pa.schema([f.with_nullable(True) for f in schema])


def _nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind)


def _column_bytes(values: pa.ChunkedArray) -> bytes:
    """Return the values of one column as bytes that do not depend on offsets, padding or null slots."""
    if pa.types.is_nested(values.type) or pa.types.is_timestamp(values.type):
        return "\x1e".join(repr(v) for v in values.to_pylist()).encode()
    mask = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        array = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        kind = pa.binary() if pa.types.is_binary(values.type) else pa.string()
        joined = b"".join(
            v.encode() if isinstance(v, str) else v for v in array.cast(kind).drop_null().to_pylist()
        )
        return mask.tobytes() + lengths.astype("<i4").tobytes() + joined
    zero = pa.scalar(False if pa.types.is_boolean(values.type) else 0, values.type)
    filled = pc.fill_null(values, zero).to_numpy()
    return mask.tobytes() + filled.tobytes()


def column(name: str, kind: pa.DataType, description: str, **rest: Any) -> Column:
    """Declare a column in one line; ``rest`` are the fields of :class:`Column`."""
    return Column(name, kind, description, **rest)
