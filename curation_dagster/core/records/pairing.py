"""Which record meets which image file, and what is said of those that meet none.

Where several records or files claim one source id, the first record meets the first file (by path); every further
record is a row without a file, every further file a row without a record. So a file is never measured twice, and a
record that is refused can't become the label of a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation_dagster.core.records.derived import Derived, parent_rows
from curation_dagster.core.records.matching import matched_by_prefix
from curation_dagster.core.records.sources import Source, differing
from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.paths import source_groups


@dataclass(frozen=True)
class ImageFile:
    """An image file, and what its path says of it."""

    path: str
    sha256: str
    source_id: str
    groups: dict[str, str]
    has_id: bool


@dataclass
class Rows:
    """The rows so far: position of the record and of the file, or None; state; what does not fit, in words."""

    source_ids: list[str] = field(default_factory=list)
    records: list[int | None] = field(default_factory=list)
    files: list[ImageFile | None] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    details: list[str | None] = field(default_factory=list)
    # position of a row that was made from another image, to what was done and the position of that image's row
    derived: dict[int, tuple[str, int | None]] = field(default_factory=dict)

    def add(
        self, source_id: str, record: int | None, file: ImageFile | None, state: str, *details: str | None
    ) -> None:
        """Add a row; of the details, those that say something."""
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


def image_files(layout: Layout, listed: Iterable[dict[str, Any]]) -> list[ImageFile]:
    """Return the image files by path, with what their paths say of them."""
    found = []
    for item in sorted((f for f in listed if f["role"] == "image"), key=lambda f: f["path"]):
        groups = source_groups(item["path"], layout) or {}
        id = groups.get("id")
        found.append(ImageFile(item["path"], item["sha256"], id or item["path"], groups, id is not None))
    return found


def pair(
    images: Sequence[ImageFile],
    made_from: Sequence[tuple[ImageFile, Derived]],
    source: Source | None,
    records_expected: bool,
) -> Rows:
    """Let the records of the first metadata table meet the image files.

    Parameters
    ----------
    images : sequence of ImageFile
        The originals, by path.
    made_from : sequence of (ImageFile, Derived)
        The files that were made from other images: each has the record of its parent.
    source : Source or None
        The first metadata table; None where the delivery has none.
    records_expected : bool
        Whether the descriptor names metadata tables: without one, a file without a record lacks nothing.

    Returns
    -------
    Rows
        Each file stands in exactly one of them; each record too, unless it describes a group: then in one per image.
    """
    rows = Rows()
    if source is None:
        _files_only(rows, images, records_expected)
    elif source.spec.key_group == "id":
        how: dict[str, str] = {}
        if source.spec.key_match == "prefix":
            source, how = matched_by_prefix(source, (f.source_id for f in images))
        _by_image(rows, images, source)
        rows.note(how)
    else:
        _by_group(rows, images, source)
    _add_derived(rows, made_from)
    return rows


def _files_only(rows: Rows, images: Sequence[ImageFile], records_expected: bool) -> None:
    for id, group in _grouped(images):
        _add_files(rows, id, group, "file_without_record" if records_expected else "matched")


def _by_image(rows: Rows, images: Sequence[ImageFile], source: Source) -> None:
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


def _by_group(rows: Rows, images: Sequence[ImageFile], source: Source) -> None:
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


def _grouped(images: Sequence[ImageFile]) -> list[tuple[str, list[ImageFile]]]:
    groups: dict[str, list[ImageFile]] = {}
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


def _ambiguity(files: Sequence[ImageFile]) -> str | None:
    if len({f.sha256 for f in files}) < 2:
        return None
    return f"{len(files)} files have this id and not the same content"


def _add_files(
    rows: Rows, id: str, files: Sequence[ImageFile], state: str, detail: str | None = None
) -> None:
    """Add files that no record describes."""
    ambiguity = _ambiguity(files)
    no_id = None if files[0].has_id else "the path does not hold an id as the descriptor describes it"
    rows.add(id, None, files[0], "ambiguous_file" if ambiguity else state, ambiguity, detail, no_id)
    _add_further_files(rows, id, files)


def _add_further_files(rows: Rows, id: str, files: Sequence[ImageFile]) -> None:
    ambiguity = _ambiguity(files)
    for file in files[1:]:
        if ambiguity:
            rows.add(id, None, file, "ambiguous_file", ambiguity)
        else:
            rows.add(id, None, file, "duplicate_file", f"same id and content as {files[0].path}")


def _add_further_records(
    rows: Rows, id: str, source: Source, claimed: Sequence[int], dispute: str | None
) -> None:
    for record in claimed[1:]:
        if dispute:
            rows.add(id, record, None, "conflicting_record", dispute)
        else:
            rows.add(id, record, None, "duplicate_record", f"says the same as {source.place(claimed[0])}")


def _add_refused(rows: Rows, source: Source) -> None:
    """Add the records that can't belong to a file: without a key, or malformed."""
    for i, key in enumerate(source.keys):
        column = source.spec.image_key
        if i in source.problems:
            rows.add(key or source.place(i), i, None, "record_without_file",
                     f"{source.place(i)} {source.problems[i]}: its values can't be trusted")  # fmt: skip
        elif not key:
            rows.add(source.place(i), i, None, "record_without_file", f"{source.place(i)} has no {column}")


def _add_derived(rows: Rows, made_from: Sequence[tuple[ImageFile, Derived]]) -> None:
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
