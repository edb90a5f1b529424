"""The records of an archive version: all its metadata tables read, stacked and ready to be joined to files.

The first table describes the images, or what several images share, such as the patient. Further tables add columns
to it: by a column that both have, or by the id that the path of an image holds. A further table of images whose ids
the tables before it don't know adds records of its own, so that a training and a test table may be two tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.records.impostors import foreign_keys
from curation_dagster.core.records.reading import read_table
from curation_dagster.core.records.tables import MetadataError, TextTable
from curation_dagster.core.registry.layout import IMAGE_COLUMN, IMAGE_ID_COLUMN, Layout, MetadataTable
from curation_dagster.core.registry.paths import matches

ReadFile = Callable[[dict[str, Any]], bytes]


@dataclass(frozen=True)
class Source:
    """All files of one metadata table, one below the other.

    Parameters
    ----------
    spec : MetadataTable
        What the descriptor says of the table.
    data : pyarrow.Table
        String columns; null where the file of a row does not have the column, ``''`` where the cell is blank.
    files, rows : sequence, length rows
        Metadata file of each row, and its number in that file.
    keys : tuple of str, length rows
        Value of the key, or of the column to join on, as ids are compared; ``''`` where it is blank.
    problems : dict of int to str
        Position of each malformed row, to what is wrong with it.
    """

    spec: MetadataTable
    data: pa.Table
    files: tuple[str, ...]
    rows: tuple[int, ...]
    keys: tuple[str, ...]
    problems: Mapping[int, str]

    def place(self, position: int) -> str:
        """Return where a row stands, such as "row 3 of metadata.csv"."""
        return f"row {self.rows[position]} of {self.files[position]}"

    def take(self, positions: Sequence[int]) -> Source:
        """Return the rows at the given positions."""
        index = {old: new for new, old in enumerate(positions)}
        return Source(
            self.spec,
            self.data.take(pa.array(positions, pa.int64())),
            tuple(self.files[p] for p in positions),
            tuple(self.rows[p] for p in positions),
            tuple(self.keys[p] for p in positions),
            {index[p]: text for p, text in self.problems.items() if p in index},
        )


def read_sources(
    layout: Layout, files: Sequence[dict[str, Any]], read: ReadFile
) -> tuple[list[Source], list[str]]:
    """Read all metadata tables that the archive version has.

    Parameters
    ----------
    layout : Layout
        With the tables in their order.
    files : sequence of dict
        Rows of the table ``files`` of this archive version.
    read : callable
        Returns the content of one of them.

    Returns
    -------
    sources : list of Source
        In the order of the descriptor; an optional table that the delivery lacks is left out.
    notes : list of str
        What a reader should know of the files, a sentence each.

    Raises
    ------
    MetadataError
        If a table is absent, or one of its files can't be read.
    """
    tables = sorted((f for f in files if f["role"] == "metadata"), key=lambda f: f["path"])
    sources: list[Source] = []
    notes: list[str] = []
    present_of = {
        spec.name: [f for f in tables if matches(f["path"], spec.files)] for spec in layout.metadata
    }
    instead_of = _forms(layout, present_of)
    for spec in layout.metadata:
        mine, head = present_of[spec.name], spec.alternative_to or spec.name
        chosen = instead_of.get(head)
        if mine and chosen is not None and chosen != spec.name:
            notes.append(f"The metadata table {spec.name} is not read, because {chosen} says the same.")
        elif not mine and (spec.alternative_to is not None or chosen is not None):
            continue  # the delivery comes in the other form, or its head reports that none is there
        elif not mine and spec.optional:
            notes.append(f"The optional metadata table {spec.name} is not in the delivery.")
        elif not mine:
            present = ", ".join(f["path"] for f in tables) or "none"
            forms = [t for t in layout.metadata if head in (t.name, t.alternative_to)]
            globs = " or ".join(g for t in forms for g in t.files)
            raise MetadataError(
                f"metadata table {spec.name!r}: expected a file that matches {globs}, got none of "
                f"{len(files)} files (files of metadata: {present}). No records were written. Add the file to the "
                "delivery, or say in the descriptor how it is called there."
            )
        else:
            parts = [read_table(read(f), spec, f["path"]) for f in mine]
            notes += [note for part in parts for note in part.notes]
            sources.append(_stacked(spec, parts, layout))
    return sources, notes


def _forms(layout: Layout, present_of: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Return for each table with alternatives the one of them that is read: the first one that is there."""
    found: dict[str, str] = {}
    heads = {t.alternative_to for t in layout.metadata} - {None}
    for spec in layout.metadata:
        head = spec.alternative_to or spec.name
        if head in heads and present_of[spec.name]:
            found.setdefault(head, spec.name)
    return found


def _stacked(spec: MetadataTable, parts: Sequence[TextTable], layout: Layout) -> Source:
    data = pa.concat_tables([p.data for p in parts], promote_options="default")
    problems: dict[int, str] = {}
    offset = 0
    key = spec.image_key or spec.join_on or ""
    for part in parts:
        wrong = dict(part.problems)
        if key in part.data.column_names:
            own = tuple(comparable(t, layout, spec.key_strip) for t in part.data[key].to_pylist())
            wrong |= foreign_keys(spec, own, part.problems, part.name)
        problems |= {offset + position: text for position, text in wrong.items()}
        offset += part.data.num_rows
    names = tuple(p.name for p in parts for _ in p.rows)
    rows = tuple(r for p in parts for r in p.rows)
    if spec.row_number is not None:
        data = _with_column(data, spec.row_number, [str(r) for r in rows], spec)
    source = Source(spec, data, names, rows, ("",) * len(rows), problems)
    if spec.image_columns:
        source = _one_row_per_image(source, layout)
    keys = tuple(comparable(t, layout, spec.key_strip) for t in source.data[key].to_pylist())
    problems = dict(source.problems)
    if spec.image_columns:
        # a row may name no image at all: that is no other table
        named = [i for i, k in enumerate(keys) if k]
        foreign = foreign_keys(spec, tuple(keys[i] for i in named), {}, parts[0].name)
        problems |= {named[i]: text for i, text in foreign.items()}
    return Source(spec, source.data, source.files, source.rows, keys, problems)


def _with_column(data: pa.Table, name: str, values: Sequence[str | None], spec: MetadataTable) -> pa.Table:
    if name in data.column_names:
        raise MetadataError(
            f"metadata table {spec.name!r}: the column {name!r} is to be added, but the file has one of that name. "
            "Rename the file's column by an alias in the descriptor."
        )
    return data.append_column(name, pa.array(values, pa.string()))


def _one_row_per_image(source: Source, layout: Layout) -> Source:
    """Make one row for each image that a row names; a row that names none stays one row without a key.

    Where a row names one image in two columns, the first of them in the descriptor's order holds.
    """
    spec = source.spec
    cells = [source.data[c].to_pylist() for c in spec.image_columns]
    positions: list[int] = []
    ids: list[str] = []
    columns: list[str] = []
    for position, values in enumerate(zip(*cells, strict=True)):
        found: dict[str, tuple[str, str]] = {}
        for column, value in zip(spec.image_columns, values, strict=True):
            id = comparable(value, layout, spec.key_strip)
            if id:
                found.setdefault(id, (value or "", column))
        for value, column in found.values() or [("", "")]:
            positions.append(position)
            ids.append(value)
            columns.append(column)
    taken = source.data.take(pa.array(positions, pa.int64()))
    taken = _with_column(taken, IMAGE_ID_COLUMN, ids, spec)
    taken = _with_column(taken, IMAGE_COLUMN, columns, spec)
    return Source(
        spec,
        taken,
        tuple(source.files[p] for p in positions),
        tuple(source.rows[p] for p in positions),
        source.keys,
        {new: source.problems[old] for new, old in enumerate(positions) if old in source.problems},
    )


def comparable(text: str | None, layout: Layout, strip: str | None = None) -> str:
    """Return an id as ids are compared: composed Unicode, without outer blanks and what ``strip`` matches.

    In lower case if the archive's ids don't tell case.
    """
    found = unicodedata.normalize("NFC", text or "").strip()
    if strip is not None:
        found = re.sub(strip, "", found).strip()
    return found if layout.case_sensitive_ids else found.lower()


def absorb(first: Source, later: Iterable[Source]) -> tuple[Source, list[Source]]:
    """Give the records of later tables of images that nobody described before to the first table.

    Returns
    -------
    records : Source
        The first table with those rows below it.
    lookups : list of Source
        The later tables without them.
    """
    lookups = []
    for source in later:
        if first.spec.key_group != "id" or source.spec.image_key is None or source.spec.key_group != "id":
            lookups.append(source)
            continue
        known = set(first.keys)
        if not source.spec.adds_records:
            lookups.append(source)
            continue
        own = [i for i, key in enumerate(source.keys) if key not in known or i in source.problems]
        lookups.append(
            source.take([i for i, key in enumerate(source.keys) if key in known and i not in source.problems])
        )
        if own:
            added = source.take(own)
            offset = len(first.keys)
            first = Source(
                first.spec,
                pa.concat_tables([first.data, added.data], promote_options="default"),
                first.files + added.files,
                first.rows + added.rows,
                first.keys + added.keys,
                {**first.problems, **{offset + p: text for p, text in added.problems.items()}},
            )
    return first, lookups


def add_columns(
    data: pa.Table, lookup: Source, keys: Sequence[str]
) -> tuple[pa.Table, np.ndarray, dict[int, str]]:
    """Add the columns of a further table to rows.

    A column that the rows have already is added as ``table.column`` as well, unless it says the same in every row.

    Parameters
    ----------
    data : pyarrow.Table
        Rows with string columns.
    lookup : Source
        The further table.
    keys : sequence of str, length rows
        What each row is joined by; ``''`` joins nothing.

    Returns
    -------
    data : pyarrow.Table
        With the further columns, null in rows that found nothing.
    found : numpy.ndarray of bool, shape (rows,)
        Which rows found something.
    contradicted : dict of int to str
        Rows for which the further table has several rows that differ, or another value in a column of the same name
        in a table of the same images.
    """
    positions: dict[str, list[int]] = {}
    for i, key in enumerate(lookup.keys):
        if key and i not in lookup.problems:
            positions.setdefault(key, []).append(i)
    contradicted: dict[int, str] = {}
    disputed = {
        key: f"{len(rows)} rows of table {lookup.spec.name} differ about it ({', '.join(differing(lookup.data, rows))})"
        for key, rows in positions.items()
        if len(rows) > 1 and differing(lookup.data, rows)
    }
    index = [positions[key][0] if key in positions else None for key in keys]
    taken = lookup.data.take(pa.array(index, pa.int64()))
    for row, key in enumerate(keys):
        if key in disputed:
            contradicted[row] = disputed[key]
    joined_by = lookup.spec.join_on or lookup.spec.image_key
    for name in taken.column_names:
        if name == joined_by and name in data.column_names:
            continue
        if name not in data.column_names:
            data = data.append_column(name, taken[name])
            continue
        ours, theirs = data[name], taken[name]
        if pc.any(pc.not_equal(ours, theirs)).as_py():
            data = data.append_column(f"{lookup.spec.name}.{name}", theirs)
            if lookup.spec.key_group == "id" and lookup.spec.image_key is not None:
                # a blank cell contradicts nothing
                stated = pc.and_(pc.not_equal(ours, ""), pc.not_equal(theirs, ""))
                differs = pc.fill_null(pc.and_(pc.not_equal(ours, theirs), stated), False)
                for position in np.flatnonzero(differs.to_numpy()):
                    contradicted.setdefault(
                        int(position), f"table {lookup.spec.name} has another value of {name}"
                    )
        # rows whose own file lacks the column take it from the further table
        data = data.set_column(data.column_names.index(name), name, pc.coalesce(ours, theirs))
    return data, np.array([i is not None for i in index], dtype=bool), contradicted


def differing(data: pa.Table, rows: Sequence[int]) -> list[str]:
    """Return the columns in which rows differ."""
    part = data.take(pa.array(rows, pa.int64()))
    return [name for name in part.column_names if len(set(part[name].to_pylist())) > 1]
