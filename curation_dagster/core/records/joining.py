"""Records joined to files: each metadata row and each image file stands in exactly one row of ``records``.

Conservation can be counted: the rows with a ``path`` are the image files, and the distinct pairs of ``record_table``
and ``record_row`` are the rows of the first metadata table. Where one row describes one image, no pair occurs twice;
where it describes a patient, it occurs with each of the patient's images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation_dagster.core.harmonize.fields import modality_of
from curation_dagster.core.records.assessment import assess
from curation_dagster.core.records.derived import ORIGINAL, split
from curation_dagster.core.records.identity import image_ids
from curation_dagster.core.records.impostors import check_count
from curation_dagster.core.records.pairing import Rows, image_files, pair
from curation_dagster.core.records.sources import (
    ReadFile,
    Source,
    absorb,
    add_columns,
    comparable,
    read_sources,
)
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.schemas import RECORDS

_CHUNK = 20_000
_ADDED_LATER = ("verdict", "failed", "review", "run_id")


@dataclass(frozen=True)
class RecordsResult:
    """What :func:`build_records` returns.

    Parameters
    ----------
    table : pyarrow.Table
        The columns of ``records`` without verdict, failed, review and run_id.
    assessment : dict
        The protocol's initial assessment of the archive version, as in
        :func:`curation_dagster.core.records.assessment.assess`; plain values that JSON can hold.
    """

    table: pa.Table
    assessment: dict[str, Any]


def build_records(archive_version: ArchiveVersion, files: pa.Table, read: ReadFile) -> RecordsResult:
    """Join the publisher's metadata to the files of one archive version.

    Parameters
    ----------
    archive_version : ArchiveVersion
        With the descriptor that says where images and metadata stand.
    files : pyarrow.Table
        Rows of the table ``files`` of this archive version, in any order.
    read : callable
        Returns the content of a file, given its row as a dict.

    Returns
    -------
    RecordsResult
        Rows in the order of source id and path. The identities don't depend on the order of ``files``.

    Raises
    ------
    MetadataError
        If a metadata table is absent, can't be read, or is not the table that the descriptor describes; or if the
        number of records is not what the publisher states, where the version asks for that.
    """
    descriptor = archive_version.descriptor
    listed = files.to_pylist()
    images, made_from = split(image_files(descriptor.layout, listed), descriptor.layout)
    sources, notes = read_sources(descriptor.layout, listed, read)
    lookups: list[Source] = []
    first: Source | None = None
    # without the optional table that the others are joined to, there is nothing to join
    keyed = [i for i, source in enumerate(sources) if source.spec.image_key is not None]
    if keyed:
        first, lookups = absorb(sources[keyed[0]], sources[keyed[0] + 1 :])
        check_count(archive_version, len(set(zip(first.files, first.rows, strict=True))), "records")
    elif not descriptor.layout.metadata:
        check_count(archive_version, len({f.source_id for f in images if f.has_id}), "images")
    notes += [
        f"The table {s.spec.name} has nothing to be joined to."
        for s in sources[: keyed[0] if keyed else None]
    ]
    rows = pair(images, made_from, first, bool(descriptor.layout.metadata))
    data = _with_path_columns(_record_columns(rows, first), rows, descriptor.layout)
    for lookup in lookups:
        data, found, contradicted = add_columns(
            data, lookup, _join_keys(rows, data, lookup, descriptor.layout)
        )
        notes += _lookup_notes(rows, lookup, found)
        for row, detail in contradicted.items():
            if rows.records[row] is not None and rows.states[row] in {"matched", "record_without_file"}:
                rows.states[row], rows.details[row] = "conflicting_record", detail
    order = pa.array(sorted(range(len(rows.records)), key=lambda i: _order(rows, i)), pa.int64())
    table, data = _table(archive_version, rows, first, data).take(order), data.take(order)
    return RecordsResult(table, assess(archive_version, table, data, notes))


def _record_columns(rows: Rows, source: Source | None) -> pa.Table:
    """Return the columns of the first table, a row for each row of ``records``; null where there is no record."""
    if source is None:
        # a table without columns has no rows either
        return pa.table({"": pa.nulls(len(rows.records), pa.string())})
    return source.data.take(pa.array(rows.records, pa.int64()))


def _with_path_columns(data: pa.Table, rows: Rows, layout: Layout) -> pa.Table:
    """Add what the paths of the files say, where the descriptor takes it for a part of the record."""
    for name in layout.path_columns:
        values = [None if f is None else f.groups.get(name, "") for f in rows.files]
        if name in data.column_names:
            raise MetadataError(
                f"path_columns: a table has a column {name!r} as well. No records were written. Give the group of "
                "source_id another name."
            )
        data = data.append_column(name, pa.array(values, pa.string()))
    return data


def _join_keys(rows: Rows, data: pa.Table, lookup: Source, layout: Layout) -> list[str]:
    spec = lookup.spec
    if spec.join_on is not None:
        if spec.join_on not in data.column_names:
            return [""] * len(rows.records)
        return [comparable(t, layout, spec.key_strip) for t in data[spec.join_on].to_pylist()]
    keys = []
    for id, file in zip(rows.source_ids, rows.files, strict=True):
        if file is not None:
            keys.append(file.groups.get(spec.key_group, ""))
        elif spec.key_group == "id":
            keys.append(id)
        else:
            found = re.search(layout.source_id, id)
            keys.append((found.group(spec.key_group) or "") if found else "")
    return keys


def _lookup_notes(rows: Rows, lookup: Source, found: Any) -> list[str]:
    spec = lookup.spec
    described = sum(r is not None for r in rows.records)
    lacking = sum(1 for r, f in zip(rows.records, found, strict=True) if r is not None and not f)
    notes = []
    if lacking:
        notes.append(f"{lacking} of {described} records have no row in the table {spec.name}.")
    if not spec.adds_records:
        strangers = len({k for k in lookup.keys if k} - set(rows.source_ids))
        if strangers:
            notes.append(f"{strangers} ids of the table {spec.name} are in no other table.")
    malformed = len(lookup.problems)
    if malformed:
        notes.append(f"{malformed} rows of the table {spec.name} are malformed and were not joined.")
    return notes


def _json(data: pa.Table, rows: Rows) -> list[str | None]:
    """Return each record as a JSON object, in the order of its columns; None where there is no record.

    Null marks a column that the record's own file does not have: it is left out.
    """
    names = [n for n in data.column_names if n]
    found: list[str | None] = []
    for start in range(0, data.num_rows, _CHUNK):
        columns = [data[n].slice(start, _CHUNK).to_pylist() for n in names]
        cells: Iterable[tuple[str | None, ...]] = zip(*columns, strict=True)
        if not names:
            cells = ((),) * (min(start + _CHUNK, data.num_rows) - start)
        for position, values in enumerate(cells, start=start):
            given = {n: v for n, v in zip(names, values, strict=True) if v is not None}
            has_record = rows.records[position] is not None or bool(given)
            found.append(json.dumps(given, ensure_ascii=False) if has_record else None)
    return found


def _table(archive_version: ArchiveVersion, rows: Rows, source: Source | None, data: pa.Table) -> pa.Table:
    n = len(rows.records)
    source_values = pa.array(_json(data, rows), pa.string())
    key = archive_version.key
    hashes = [f.sha256 if f else None for f in rows.files]
    ids = image_ids(key.archive, list(zip(rows.source_ids, hashes, strict=True)))
    parents = [rows.derived.get(i, (ORIGINAL, None)) for i in range(n)]
    has_record = source_values.is_valid().to_numpy(zero_copy_only=False)
    modality = modality_of(archive_version.descriptor, data, has_record)
    values: dict[str, Any] = {
        "image_id": ids,
        "archive": [key.archive] * n,
        "version": [key.version] * n,
        "source_id": rows.source_ids,
        "path": [f.path if f else None for f in rows.files],
        "sha256": hashes,
        "join_state": rows.states,
        "derivation": [name for name, _ in parents],
        "parent_image_id": [None if at is None else ids[at] for _, at in parents],
        "record_table": [source.files[r] if source and r is not None else None for r in rows.records],
        "record_row": [source.rows[r] if source and r is not None else None for r in rows.records],
        "modality": list(modality.values),
        "source_values": source_values,
        "detail": rows.details,
    }
    schema = pa.schema([f for f in RECORDS.arrow_schema if f.name not in _ADDED_LATER])
    arrays = [v if isinstance(v, pa.Array) else pa.array(v, schema.field(k).type) for k, v in values.items()]
    return pa.Table.from_arrays(arrays, schema=schema)


def _order(rows: Rows, i: int) -> tuple[str, str, int]:
    file, record = rows.files[i], rows.records[i]
    return rows.source_ids[i], file.path if file else "\uffff", -1 if record is None else record
