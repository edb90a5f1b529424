"""A publisher's table as text: what was read, and what does not fit.

Nothing is interpreted here. ``3`` stays ``3``, ``3.0`` stays ``3.0``, ``NA`` stays ``NA``, a blank cell stays blank:
which of them mean the same is for harmonization to say, with the descriptor at hand.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from curation_dagster.core.registry.layout import MetadataTable


class MetadataError(ValueError):
    """A table can't be read, or is not the table that the descriptor describes.

    Attributes
    ----------
    names_files : bool
        False for the kinds whose message holds neither names of files nor anything that stands in them.
    """

    names_files = True


@dataclass(frozen=True)
class TextTable:
    """One file of a metadata table.

    Parameters
    ----------
    name : str
        Path of the file in the inventory.
    data : pyarrow.Table
        One string column for each column of the file, in its order, without nulls: a blank cell is ``''``.
    rows : tuple of int
        Number of each row in the file, 1 for the first below the header; blank rows are counted, but not kept.
    problems : dict of int to str
        Position in ``data`` (from 0) of each row that is malformed, to what is wrong with it, as a clause such as
        "has 27 cells, expected 26". Its cells stand in the columns where they were found, a surplus in further ones.
    notes : tuple of str
        What a reader should know of the file, a sentence each.
    """

    name: str
    data: pa.Table
    rows: tuple[int, ...]
    problems: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.data.column_names)


def column_names(header: Sequence[str], spec: MetadataTable, name: str) -> tuple[str, ...]:
    """Return the names of the columns, from the cells of the header.

    Outer blanks go, and a line break inside a name becomes a blank. A column without a name is called by its
    position, ``column_1``. Aliases of the descriptor are applied.

    Raises
    ------
    MetadataError
        If two columns have one name, a column that the descriptor needs is absent, or one is there that the
        descriptor does not permit. All such problems are in one message, with the nearest names.
    """
    names = [" ".join(cell.split()) or f"column_{i}" for i, cell in enumerate(header, start=1)]
    # an alias that is spelled exactly so goes before one that differs in case
    folded = {alias.casefold(): target for alias, target in spec.aliases.items()}
    names = [spec.aliases.get(n, folded.get(n.casefold(), n)) for n in names]
    problems = [
        f"the column {n!r} occurs {names.count(n)} times, after aliases" if spec.aliases else
        f"the column {n!r} occurs {names.count(n)} times"
        for n in sorted({n for n in names if names.count(n) > 1})
    ]  # fmt: skip
    needed = _needed(spec)
    problems += [f"the column {n!r} is missing{_nearest(n, names)}" for n in needed if n not in names]
    if spec.optional_columns is not None:
        known = {*needed, *spec.optional_columns}
        problems += [f"the column {n!r} is not expected{_nearest(n, known)}" for n in names if n not in known]
    if problems:
        raise MetadataError(
            f"{name}, line {spec.header_row}: this is not the table {spec.name!r} of the descriptor: "
            f"{'; '.join(problems)}. Expected the columns {', '.join(needed)}; got {_shown(names)}. "
            "Nothing was read from the file. It is another file, another release with other names (then add "
            "aliases to the descriptor), or its header is not in that line."
        )
    return tuple(names)


def _needed(spec: MetadataTable) -> list[str]:
    keys = [c for c in (spec.key, spec.join_on) if c is not None and c != spec.row_number]
    return list(dict.fromkeys([*keys, *spec.image_columns, *spec.required_columns]))


def _nearest(name: str, known: Iterable[str]) -> str:
    by_folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)
    return f" (close: {', '.join(by_folded[c] for c in close)})" if close else ""


def _shown(names: Sequence[str]) -> str:
    text = ", ".join(n if len(n) <= 40 else n[:37] + "..." for n in names[:40])
    return text + (f" and {len(names) - 40} more" if len(names) > 40 else "")
