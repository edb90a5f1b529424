"""Versioned tables on disk or object storage; the only code that reads and writes them.

Each table is a Delta table (Parquet files plus a log) below one root. A write is one atomic commit: a reader sees
the state before or after, never between, and every earlier state can be read again by version or time. Parts of a
table, such as one archive version, are replaced without touching the others, so two archives can be written at
the same time by two processes.

>>> from curation_dagster.lake import Lake
>>> lake = Lake.open()                                                    # doctest: +SKIP
>>> lake.read("decisions", where={"archive": "pad_ufes_20"})              # doctest: +SKIP
>>> lake.read("corpus", version=3, columns=["image_id", "icd11_code"])    # doctest: +SKIP

Tables are never vacuumed here: what a corpus of last year was made of must stay readable.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from curation_dagster.conditions import Where, any_of, expression, literal
from curation_dagster.core.alone import alone
from curation_dagster.schemas import TABLES, Table
from curation_dagster.settings import Settings

_ATTEMPTS = 12
# a checkpoint would otherwise delete log entries older than a month, and with them the way back to old versions
_KEEP_LOG = PostCommitHookProperties(cleanup_expired_logs=False)
_CONFIGURATION = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
}
# A commit is a put that fails if the log entry is there already, so no writer can overwrite another's. Every request is
# bounded: a store that hangs makes a run fail, not wait for ever. No credentials: delta-rs takes them from the environment.
_OBJECT_STORE = {
    "conditional_put": "etag",
    "connect_timeout": "10 seconds",
    "timeout": "120 seconds",
    "max_retries": "8",
    "retry_timeout": "180 seconds",
}
_WRITER = WriterProperties(compression="ZSTD", compression_level=3)


class LakeError(RuntimeError):
    """A table can't be read or written; the message says which, where and what happens next."""


@dataclass(frozen=True)
class Lake:
    """The tables below one root.

    Parameters
    ----------
    root : str
        A folder, or the URL of a prefix in an object store, such as ``s3://bucket/lake``.
    storage_options : dict of str to str
        Settings of the object store. Credentials don't belong here: they come
        from the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN`` or a role;
        ``AWS_ENDPOINT_URL``, ``AWS_REGION``, ``AWS_ALLOW_HTTP``), and are kept nowhere.
    """

    root: str
    storage_options: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, root: str | os.PathLike[str] | None = None) -> Lake:
        """Open the lake at ``root``; without it, the one that the environment names (``CURATION_LAKE``)."""
        where = str(root) if root is not None else Settings.load().lake
        return cls(where, dict(_OBJECT_STORE) if "://" in where else {})

    # -- reading --------------------------------------------------------------------------------

    def read(
        self,
        table: str,
        version: int | datetime | None = None,
        columns: Sequence[str] | None = None,
        where: Where = None,
    ) -> pa.Table:
        """Return the rows of a table.

        Parameters
        ----------
        table : str
            Name of a table in :data:`curation_dagster.schemas.TABLES`.
        version : int or datetime, optional
            An earlier version of the table, by number or by time; the newest without it.
        columns : sequence of str, optional
            Columns to read; all without it.
        where : mapping, pyarrow expression or str, optional
            Filter: ``{"archive": "ham10000", "verdict": ["kept", "excluded"]}``, an Arrow expression, or the text of a
            SQL condition. Pushed down to the files.

        Raises
        ------
        LakeError
            If the table is not declared, the version does not exist, or a column is unknown.
        """
        declared = _declared(table)
        names = list(columns) if columns is not None else list(declared.arrow_schema.names)
        unknown = [n for n in names if n not in declared.arrow_schema.names]
        if unknown:
            raise LakeError(
                f"table {table} has no column {', '.join(unknown)}; it has {', '.join(declared.arrow_schema.names)}"
            )
        dataset = self.dataset(table, version)
        schema = pa.schema([declared.arrow_schema.field(n) for n in names])
        if dataset is None:
            return schema.empty_table()
        # a column that was added to the declaration after an old version was written is null in that version
        present = [n for n in names if n in dataset.schema.names]
        if isinstance(where, str):
            with duckdb.connect() as connection:
                connection.register("rows", dataset)
                quoted = ", ".join(f'"{n}"' for n in present) or "1"
                found = connection.sql(f"SELECT {quoted} FROM rows WHERE {where}").to_arrow_table()
        else:
            found = dataset.to_table(columns=present, filter=expression(where, declared))
        arrays = [
            found[f.name].cast(f.type) if f.name in present else pa.nulls(found.num_rows, f.type)
            for f in schema
        ]
        return pa.Table.from_arrays(arrays, schema=schema)

    def dataset(self, table: str, version: int | datetime | None = None) -> Any | None:
        """Return a lazy Arrow dataset of the table, for DuckDB and for reading in batches; None before its first commit."""
        _declared(table)
        try:
            delta = DeltaTable(self.path(table), storage_options=self.storage_options)
            if version is not None:
                delta.load_as_version(version)
        except TableNotFoundError:
            if version is None:
                return None
            raise LakeError(
                f"table {table} at {self.path(table)} has no version {version}: it was never written"
            ) from None
        except DeltaError as error:
            raise LakeError(
                f"table {table} at {self.path(table)} has no readable version {version}: {error}"
            ) from error
        return delta.to_pyarrow_dataset(filesystem=self._files(table))

    def _files(self, table: str) -> pafs.FileSystem | None:
        """Return Arrow's own file system on a local disk.

        delta-rs's is made of Python objects. Arrow's threads may let go of them while the interpreter ends, and that
        aborts the process after its work is done.
        """
        if "://" in self.root:
            return None
        return pafs.SubTreeFileSystem(str(Path(self.path(table)).absolute()), pafs.LocalFileSystem())

    @contextlib.contextmanager
    def sql(self, *tables: str, **arrow: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB connection in which the named tables, and Arrow tables given by keyword, are views."""
        with duckdb.connect() as connection:
            for name in tables:
                dataset = self.dataset(name)
                connection.register(name, dataset if dataset is not None else _declared(name).empty())
            for name, data in arrow.items():
                connection.register(name, data)
            yield connection

    def history(self, table: str) -> list[dict[str, Any]]:
        """Return the commits of a table, newest first: version, timestamp, operation, and the note that was written."""
        _declared(table)
        try:
            return DeltaTable(self.path(table), storage_options=self.storage_options).history()
        except TableNotFoundError:
            return []

    def version(self, table: str) -> int | None:
        """Return the newest version number of a table, or None before its first commit."""
        try:
            return DeltaTable(self.path(table), storage_options=self.storage_options).version()
        except TableNotFoundError:
            return None

    # -- writing --------------------------------------------------------------------------------

    def replace(
        self,
        table: str,
        data: pa.Table,
        part: Mapping[str, str] | None = None,
        note: Mapping[str, str] | None = None,
    ) -> int:
        """Replace a part of a table, or all of it, in one commit; return the new version.

        ``part`` gives values of the table's partition columns; every row of ``data`` must carry them.
        """
        declared = _declared(table)
        data = declared.conform(data)
        predicate = None
        if part is not None:
            stray = [k for k in part if k not in declared.partition_by]
            if stray:
                raise LakeError(
                    f"table {table} is not partitioned by {', '.join(stray)}, but by {declared.partition_by}"
                )
            for column, value in part.items():
                others = [v for v in pc.unique(data[column]).to_pylist() if v != value]
                if others:
                    raise LakeError(
                        f"table {table}: rows of {column} {others[0]!r} can't replace the part {column} {value!r}"
                    )
            predicate = " AND ".join(f"{k} = {literal(v)}" for k, v in part.items())
        return self._commit(
            declared,
            lambda: write_deltalake(
                self.path(table),
                data,
                mode="overwrite",
                predicate=predicate,
                schema_mode="merge" if predicate else "overwrite",
                partition_by=list(declared.partition_by) or None,
                storage_options=self.storage_options,
                writer_properties=_WRITER,
                commit_properties=_note(note),
                post_commithook_properties=_KEEP_LOG,
            ),
        )

    def append(self, table: str, data: pa.Table, note: Mapping[str, str] | None = None) -> int:
        """Add rows in one commit; return the new version."""
        declared = _declared(table)
        data = declared.conform(data)
        return self._commit(
            declared,
            lambda: write_deltalake(
                self.path(table),
                data,
                mode="append",
                schema_mode="merge",
                partition_by=list(declared.partition_by) or None,
                storage_options=self.storage_options,
                writer_properties=_WRITER,
                commit_properties=_note(note),
                post_commithook_properties=_KEEP_LOG,
            ),
        )

    def upsert(self, table: str, data: pa.Table, note: Mapping[str, str] | None = None) -> int:
        """Add rows in one commit, each in the place of a row with the same key if there is one; return the version.

        Two processes that bring the same key at the same time leave one row.
        """
        declared = _declared(table)
        data = declared.conform(data)
        if data.num_rows == 0:
            return self.version(table) or 0

        def write() -> None:
            # on one machine the lock holds between look and write; beyond it the predicate makes the log look for
            # rows that another machine added in between. Not by a merge: it writes text as string_view, on which Arrow
            # can't compare.
            is_new = not self._is_shared and not self._holds_any(declared, data)
            how: dict[str, Any] = (
                {"mode": "append"} if is_new else {"mode": "overwrite", "predicate": any_of(declared, data)}
            )
            write_deltalake(
                self.path(table),
                data,
                schema_mode="merge",
                storage_options=self.storage_options,
                writer_properties=_WRITER,
                commit_properties=_note(note),
                post_commithook_properties=_KEEP_LOG,
                **how,
            )

        return self._commit(declared, write)

    def _holds_any(self, declared: Table, data: pa.Table) -> bool:
        """Return whether the table holds a row with one of the keys of ``data``."""
        keys = list(declared.key)
        there = self.read(declared.name, columns=keys, where={keys[0]: pc.unique(data[keys[0]]).to_pylist()})
        return data.select(keys).join(there, keys, join_type="left semi").num_rows > 0

    def append_after_last(
        self,
        table: str,
        order: str,
        follow: Callable[[pa.Table], pa.Table],
        note: Mapping[str, str] | None = None,
    ) -> int:
        """Add the rows that ``follow`` makes of the last row, by column ``order``; return the new version.

        For tables whose rows build on each other, ``order`` being a number that grows. If another writer comes between,
        nothing is written and ``follow`` is asked again with what is then the last row: two writers never add the same
        number.
        """
        declared = _declared(table)

        def extend() -> None:
            delta = DeltaTable(self.path(table), storage_options=self.storage_options)
            known = delta.to_pyarrow_dataset(filesystem=self._files(table))
            newest = pc.max(known.to_table(columns=[order])[order]).as_py()
            last = (
                known.to_table(filter=pc.field(order) == newest) if newest is not None else declared.empty()
            )
            fresh = declared.conform(follow(last))
            # on one machine the lock holds; beyond it, whatever was added behind the last row is a conflict
            behind = f"{order} >= {pc.min(fresh[order]).as_py()}"
            how: dict[str, Any] = (
                {"mode": "overwrite", "predicate": behind} if self._is_shared else {"mode": "append"}
            )
            # from the state that was read, so that the log is searched for all that came since
            write_deltalake(
                delta,
                fresh,
                schema_mode="merge",
                writer_properties=_WRITER,
                commit_properties=_note(note),
                post_commithook_properties=_KEEP_LOG,
                **how,
            )

        return self._commit(declared, extend)

    def path(self, table: str) -> str:
        """Return the folder or URL of a table."""
        return f"{self.root.rstrip('/')}/{table}"

    @property
    def _is_shared(self) -> bool:
        """Whether other machines may write the tables too, which no lock of this one keeps out."""
        return "://" in self.root

    def _commit(self, declared: Table, write: Callable[[], None]) -> int:
        """Run one write, with a lock on one machine and retries beyond it."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._lock(declared.name):
                    self._ensure(declared)
                    write()
                return self.version(declared.name) or 0
            except CommitFailedError as error:
                # another machine committed first; what was written is not visible, so the write is repeated
                if attempt + 1 == _ATTEMPTS:
                    raise LakeError(
                        f"table {declared.name}: {_ATTEMPTS} commits in a row lost against other writers ({error}). "
                        "Nothing was written; run the asset again."
                    ) from error
                time.sleep(min(5.0, 0.05 * 2**attempt) * (0.5 + random.random()))
            except OSError as error:
                raise LakeError(
                    f"table {declared.name} could not be written to {self.path(declared.name)}: {error}. "
                    "Its previous version is as it was; free space or repair the store, then run the asset again."
                ) from error
        raise AssertionError("unreachable")

    def _ensure(self, declared: Table) -> None:
        if self.version(declared.name) is not None:
            return
        try:
            DeltaTable.create(
                self.path(declared.name),
                schema=declared.arrow_schema,
                mode="error",
                partition_by=list(declared.partition_by) or None,
                name=declared.name,
                description=declared.description,
                configuration=_CONFIGURATION,
                storage_options=self.storage_options,
                # a table is created once: a second try would be a commit behind the first one's
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except DeltaError:
            if self.version(declared.name) is None:
                raise

    @contextlib.contextmanager
    def _lock(self, table: str) -> Iterator[None]:
        """Serialize writers of a table on this machine; between machines the log's own conflict check holds."""
        if self._is_shared:
            yield
            return
        with alone(Path(self.root) / ".locks" / f"{table}.lock"):
            yield


def _declared(table: str) -> Table:
    try:
        return TABLES[table]
    except KeyError:
        raise LakeError(f"no table is called {table!r}; there are {', '.join(sorted(TABLES))}") from None


def _note(note: Mapping[str, str] | None) -> CommitProperties:
    return CommitProperties(custom_metadata={k: str(v) for k, v in (note or {}).items()})
