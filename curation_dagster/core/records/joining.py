"""Records joined to files: each metadata row and each image file stands in exactly one row of ``records``.

Conservation can be counted: the rows with a ``path`` are the image files, and the distinct pairs of ``record_table``
and ``record_row`` are the rows of the first metadata table. Where one row describes one image, no pair occurs twice;
where it describes a patient, it occurs with each of the patient's images.

Where several records or files claim one source id, the first record meets the first file (by path); every further
record is a row without a file, every further file a row without a record. So a file is never measured twice, and a
record that is refused can't become the label of a copy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curation_dagster.core.harmonize.fields import modality_of
from curation_dagster.core.records.assessment import assess
from curation_dagster.core.records.derived import ORIGINAL, Derived, parent_rows, split
from curation_dagster.core.records.identity import image_ids
from curation_dagster.core.records.impostors import check_count
from curation_dagster.core.records.matching import matched_by_prefix
from curation_dagster.core.records.sources import (
    ReadFile,
    Source,
    absorb,
    add_columns,
    comparable,
    differing,
    read_sources,
)
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.paths import source_groups
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


@dataclass(frozen=True)
class _File:
    path: str
    sha256: str
    source_id: str
    groups: dict[str, str]
    has_id: bool


@dataclass
class _Rows:
    """The rows so far: position of the record and of the file, or None; state; what does not fit, in words."""

    source_ids: list[str] = field(default_factory=list)
    records: list[int | None] = field(default_factory=list)
    files: list[_File | None] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)
    # position of a row that was made from another image, to what was done and the position of that image's row
    derived: dict[int, tuple[str, int | None]] = field(default_factory=dict)

    def add(
        self, source_id: str, record: int | None, file: _File | None, state: str, *details: str | None
    ) -> None:
        self.source_ids.append(source_id)
        self.records.append(record)
        self.files.append(file)
        self.states.append(state)
        self.details.append("; ".join(d for d in details if d) or None)

    def note(self, said: Mapping[str, str]) -> None:
        """Add to the details of rows with a file what is said of their source ids."""
        for position, (id, file) in enumerate(zip(self.source_ids, self.files, strict=True)):
            if file is not None and id in said:
                self.details[position] = "; ".join(d for d in (self.details[position], said[id]) if d)


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
    images, made_from = split(_images(descriptor.layout, listed), descriptor.layout)
    sources, notes = read_sources(descriptor.layout, listed, read)
    rows = _Rows()
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
    if first is None:
        _files_only(rows, images, bool(descriptor.layout.metadata))
    elif first.spec.key_group == "id":
        how: dict[str, str] = {}
        if first.spec.key_match == "prefix":
            first, how = matched_by_prefix(first, (f.source_id for f in images))
        _by_image(rows, images, first)
        rows.note(how)
    else:
        _by_group(rows, images, first)
    _add_derived(rows, made_from)
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


def _images(layout: Layout, listed: Iterable[dict[str, Any]]) -> list[_File]:
    """Return the image files by path, with what their paths say of them."""
    found = []
    for item in sorted((f for f in listed if f["role"] == "image"), key=lambda f: f["path"]):
        groups = source_groups(item["path"], layout) or {}
        id = groups.get("id")
        found.append(_File(item["path"], item["sha256"], id or item["path"], groups, id is not None))
    return found


# -- who meets whom --------------------------------------------------------------------------------


def _files_only(rows: _Rows, images: Sequence[_File], records_expected: bool) -> None:
    for id, group in _grouped(images):
        _add_files(rows, id, group, "file_without_record" if records_expected else "matched")


def _by_image(rows: _Rows, images: Sequence[_File], source: Source) -> None:
    """One record describes one image."""
    files = dict(_grouped(images))
    records, refused = _usable(source)
    for id in sorted({*files, *records}):
        mine, claimed = files.get(id, []), records.get(id, [])
        if not claimed:
            _add_files(rows, id, mine, "file_without_record", refused.get(id))
            continue
        dispute = _dispute(source, claimed)
        if not mine:
            rows.add(
                id, claimed[0], None, "conflicting_record" if dispute else "record_without_file", dispute
            )
        elif dispute:
            rows.add(id, claimed[0], mine[0], "conflicting_record", dispute, _ambiguity(mine))
        else:
            state = "ambiguous_file" if _ambiguity(mine) else "matched"
            rows.add(id, claimed[0], mine[0], state, _ambiguity(mine))
        _add_further_records(rows, id, source, claimed, dispute)
        _add_further_files(rows, id, mine)
    _add_refused(rows, source)


def _by_group(rows: _Rows, images: Sequence[_File], source: Source) -> None:
    """One record describes all images of a group, such as a patient."""
    records, refused = _usable(source)
    disputes = {unit: _dispute(source, claimed) for unit, claimed in records.items()}
    met = set()
    for id, group in _grouped(images):
        unit = group[0].groups.get(source.spec.key_group, "")
        claimed = records.get(unit, [])
        if not claimed:
            _add_files(rows, id, group, "file_without_record", refused.get(unit))
            continue
        met.add(unit)
        if disputes[unit]:
            rows.add(id, claimed[0], group[0], "conflicting_record", disputes[unit], _ambiguity(group))
        else:
            rows.add(
                id,
                claimed[0],
                group[0],
                "ambiguous_file" if _ambiguity(group) else "matched",
                _ambiguity(group),
            )
        _add_further_files(rows, id, group)
    for unit, claimed in sorted(records.items()):
        if unit not in met:
            state = "conflicting_record" if disputes[unit] else "record_without_file"
            rows.add(unit, claimed[0], None, state, disputes[unit])
        _add_further_records(rows, unit, source, claimed, disputes[unit])
    _add_refused(rows, source)


def _grouped(images: Sequence[_File]) -> list[tuple[str, list[_File]]]:
    groups: dict[str, list[_File]] = {}
    for file in images:
        groups.setdefault(file.source_id, []).append(file)
    return sorted(groups.items())


def _usable(source: Source) -> tuple[dict[str, list[int]], dict[str, str]]:
    """Return the records by key, and for the keys of malformed rows what is wrong with them."""
    records: dict[str, list[int]] = {}
    refused: dict[str, str] = {}
    for i, key in enumerate(source.keys):
        if i in source.problems:
            refused[key] = f"{source.place(i)} {source.problems[i]}: its values can't be trusted"
        elif key:
            records.setdefault(key, []).append(i)
    return records, refused


def _dispute(source: Source, claimed: Sequence[int]) -> str | None:
    if len(claimed) < 2:
        return None
    columns = differing(source.data, claimed)
    return f"{len(claimed)} records differ about it: {', '.join(columns)}" if columns else None


def _ambiguity(files: Sequence[_File]) -> str | None:
    if len({f.sha256 for f in files}) < 2:
        return None
    return f"{len(files)} files have this id and not the same content"


def _add_files(rows: _Rows, id: str, files: Sequence[_File], state: str, detail: str | None = None) -> None:
    """Add files that no record describes."""
    ambiguity = _ambiguity(files)
    no_id = None if files[0].has_id else "the path does not hold an id as the descriptor describes it"
    rows.add(id, None, files[0], "ambiguous_file" if ambiguity else state, ambiguity, detail, no_id)
    _add_further_files(rows, id, files)


def _add_further_files(rows: _Rows, id: str, files: Sequence[_File]) -> None:
    ambiguity = _ambiguity(files)
    for file in files[1:]:
        if ambiguity:
            rows.add(id, None, file, "ambiguous_file", ambiguity)
        else:
            rows.add(id, None, file, "duplicate_file", f"same id and content as {files[0].path}")


def _add_further_records(
    rows: _Rows, id: str, source: Source, claimed: Sequence[int], dispute: str | None
) -> None:
    for record in claimed[1:]:
        if dispute:
            rows.add(id, record, None, "conflicting_record", dispute)
        else:
            rows.add(id, record, None, "duplicate_record", f"says the same as {source.place(claimed[0])}")


def _add_refused(rows: _Rows, source: Source) -> None:
    """Add the records that can't belong to a file: without a key, or malformed."""
    for i, key in enumerate(source.keys):
        column = source.spec.image_key
        if i in source.problems:
            rows.add(key or source.place(i), i, None, "record_without_file",
                     f"{source.place(i)} {source.problems[i]}: its values can't be trusted")  # fmt: skip
        elif not key:
            rows.add(source.place(i), i, None, "record_without_file", f"{source.place(i)} has no {column}")


# -- what the rows hold ----------------------------------------------------------------------------


def _record_columns(rows: _Rows, source: Source | None) -> pa.Table:
    """Return the columns of the first table, a row for each row of ``records``; null where there is no record."""
    if source is None:
        # a table without columns has no rows either
        return pa.table({"": pa.nulls(len(rows.records), pa.string())})
    return source.data.take(pa.array(rows.records, pa.int64()))


def _with_path_columns(data: pa.Table, rows: _Rows, layout: Layout) -> pa.Table:
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


def _add_derived(rows: _Rows, made_from: Sequence[tuple[_File, Derived]]) -> None:
    """Add the files that were made from others: each has the record of its parent, and no case of its own."""
    parents = parent_rows(
        [d.parent for _, d in made_from], rows.source_ids, [f is not None for f in rows.files]
    )
    for (file, what), parent in zip(made_from, parents, strict=True):
        rows.derived[len(rows.records)] = (what.name, parent)
        if parent is None:
            detail = f"declared as {what.name} of {what.parent}, which is not in the delivery"
            rows.add(file.source_id, None, file, "file_without_record", detail)
        else:
            detail = f"declared as {what.name} of {what.parent}; it has the record of that image"
            rows.add(file.source_id, rows.records[parent], file, rows.states[parent], detail)


def _join_keys(rows: _Rows, data: pa.Table, lookup: Source, layout: Layout) -> list[str]:
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


def _lookup_notes(rows: _Rows, lookup: Source, found: Any) -> list[str]:
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


def _json(data: pa.Table, rows: _Rows) -> list[str | None]:
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


def _table(archive_version: ArchiveVersion, rows: _Rows, source: Source | None, data: pa.Table) -> pa.Table:
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


def _order(rows: _Rows, i: int) -> tuple[str, str, int]:
    file, record = rows.files[i], rows.records[i]
    return rows.source_ids[i], file.path if file else "\uffff", -1 if record is None else record
