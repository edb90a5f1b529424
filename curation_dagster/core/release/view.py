"""What the documents of a release are made from: the tables as they were when it was put forward, and nothing else.

Every table is read at the version that the release names, so a document that is made again years later from the same
versions has the same bytes. No document may ask for the time, the machine or the newest table.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.conditions import Where
from curation_dagster.core.criteria.models import CriteriaSet
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.release import counted
from curation_dagster.core.release.settings import SplitSettings
from curation_dagster.lake import Lake
from curation_dagster.schemas import TABLES

_OF_CORPUS = "c.* EXCLUDE (split, run_id), s.split, s.component"


@dataclass(frozen=True)
class ReleaseView:
    """One release, as its documents see it.

    Parameters
    ----------
    number : int
        Number of the release, from 1.
    issued_at : datetime
        The one time that every document carries, UTC.
    lake, versions : Lake, mapping of str to int or None
        The tables, and the version of each that the release is made of; None for one that was never written.
    criteria, splits : CriteriaSet, SplitSettings
        In force for the release.
    descriptors : mapping of str to Descriptor
        The archives that have images in it, by id, each as it was.
    approval : mapping
        The row of ``approvals`` that permits the release.
    code_version : str
        Version of the code that made the tables' decisions and this release.
    audit_head : mapping
        ``seq`` and ``entry_hash`` of the last entry of the audit trail in it.
    files : mapping of str to (str, int)
        Data files that are written before the documents: path in the bundle to SHA-256 and bytes.
    inputs : mapping of str to bytes
        Declared files in the bundle, such as criteria and vocabularies, by path.
    """

    number: int
    issued_at: datetime
    lake: Lake
    versions: Mapping[str, int | None]
    criteria: CriteriaSet
    splits: SplitSettings
    descriptors: Mapping[str, Descriptor]
    approval: Mapping[str, Any]
    code_version: str
    audit_head: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    inputs: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, table: str, columns: Sequence[str] | None = None, where: Where = None) -> pa.Table:
        """Return rows of a table at the version of the release."""
        version = self.versions.get(table)
        if version is None:
            schema = TABLES[table].arrow_schema
            return pa.schema([schema.field(n) for n in columns or schema.names]).empty_table()
        return self.lake.read(table, version, columns, where)

    @contextlib.contextmanager
    def sql(self, *tables: str, **arrow: pa.Table) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB connection in which the named tables, at the versions of the release, are views.

        ``images`` may be named too: the images of the bundle, see :attr:`images`.
        """
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name in tables:
                if name == "images":
                    connection.register(name, self.images)
                    continue
                version = self.versions.get(name)
                rows = None if version is None else self.lake.dataset(name, version)
                connection.register(name, rows if rows is not None else TABLES[name].empty())
            for name, data in arrow.items():
                connection.register(name, data)
            yield connection

    def batches(
        self, table: str, columns: Sequence[str], archive: str, version: str
    ) -> Iterator[pa.RecordBatch]:
        """Give the rows of one archive version piece by piece, for tables that are too long to be held at once."""
        at = self.versions.get(table)
        rows = None if at is None else self.lake.dataset(table, at)
        if rows is not None:
            here = (pc.field("archive") == archive) & (pc.field("version") == version)
            # little is read ahead: what is read ahead is held in memory
            yield from rows.to_batches(
                columns=list(columns),
                filter=here,
                batch_size=262_144,
                batch_readahead=1,
                fragment_readahead=1,
            )

    @cached_property
    def images(self) -> pa.Table:
        """The images of the bundle: the columns of ``corpus`` with their side and component, sorted by image_id."""
        with self.sql("corpus", "splits") as sql:
            return sql.sql(
                f"SELECT {_OF_CORPUS} FROM corpus c JOIN splits s USING (image_id) WHERE s.split IS NOT NULL "
                "ORDER BY image_id"
            ).to_arrow_table()

    @cached_property
    def unpassed(self) -> pa.Table:
        """The rows of the ledger that hold an image back; see :func:`curation_dagster.core.release.counted.unpassed`."""
        return counted.unpassed(self)

    @cached_property
    def outcomes(self) -> pa.Table:
        """How often each criterion had each outcome; see :func:`curation_dagster.core.release.counted.outcomes`."""
        return counted.outcomes(self)

    @cached_property
    def fates(self) -> pa.Table:
        """Where each image that entered has ended; see :func:`curation_dagster.core.release.counted.fates`."""
        return counted.fates(self, self.unpassed)

    def declared(self, path: str) -> bytes:
        """Return a declared file as the bundle holds it, such as ``vocabularies/icd11.csv``.

        Raises
        ------
        KeyError
            If the release does not hold it.
        """
        try:
            return self.inputs[path]
        except KeyError:
            raise KeyError(
                f"{path} is not among the {len(self.inputs)} declared files of the release"
            ) from None


def as_json(value: Any) -> bytes:
    """Return a value as JSON that is the same on every machine: sorted keys, two blanks, one newline at the end."""
    return (
        json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=_plain, allow_nan=False)
        + "\n"
    ).encode()


def stamped(when: datetime) -> str:
    """Return a time as documents write it: ``2025-03-01T12:00:00Z``."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamped(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
