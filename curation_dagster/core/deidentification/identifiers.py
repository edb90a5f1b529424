"""Identifiers in file names and records: found by declared rules, recorded by kind and never by value.

Rules are in ``vocabularies/identifiers.yaml``. A cell is looked at once for each of its distinct texts, because the
columns of a hundred thousand records hold few different ones.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import yaml

from curation_dagster.core.deidentification.checksums import CHECKSUMS, holds

# numbers of up to six digits, decimals and single words without a mark are nothing that any rule finds
# a long text is looked at in windows: some patterns take time with the square of a text's length
_WINDOW, _OVERLAP = 512, 96
_ANY_DIGIT = str.maketrans("123456789", "000000000")
_PLAIN = re.compile(r"-?\d{1,6}(?:\.\d{1,4})?|[A-Za-z]*", re.ASCII)


@dataclass(frozen=True)
class Pattern:
    """One declared pattern: the kind of identifier, where it is looked for, and a rule that its text must hold too."""

    kind: str
    carriers: frozenset[str]
    expression: re.Pattern[str]
    checksum: str | None = None
    any_digits: bool = False
    min_digits: int = 0

    def finds(self, text: str) -> bool:
        """Return whether ``text`` holds such an identifier."""
        if self.checksum is None:
            return self.expression.search(text) is not None
        return any(holds(self.checksum, m.group()) for m in self.expression.finditer(text))


@dataclass(frozen=True)
class Rules:
    """All declared rules."""

    version: str
    patterns: tuple[Pattern, ...]
    headers: tuple[tuple[str, re.Pattern[str]], ...]
    free_text_kind: str
    free_text_characters: int
    free_text_words: int

    def of(self, carrier: str) -> tuple[Pattern, ...]:
        """Return the patterns that are looked for in a carrier."""
        return tuple(p for p in self.patterns if carrier in p.carriers)


@functools.cache
def rules() -> Rules:
    """Return the rules of ``vocabularies/identifiers.yaml``.

    Raises
    ------
    ValueError
        If a pattern names a list or a checksum that there is none of.
    """
    text = (
        resources.files("curation_dagster")
        .joinpath("vocabularies/identifiers.yaml")
        .read_text(encoding="utf-8")
    )
    data = yaml.safe_load(text)
    lists = {name: _alternatives(words) for name, words in data["lists"].items()}
    found = []
    for p in data["patterns"]:
        checksum = p.get("checksum")
        if checksum is not None and checksum not in CHECKSUMS:
            raise ValueError(f"identifiers.yaml > patterns > {p['kind']}: no checksum is called {checksum!r}")
        expression = p["pattern"]
        for name, words in lists.items():
            expression = expression.replace("{" + name + "}", words)
        unknown = re.search(r"\{[a-z_]+\}", expression)
        if unknown:
            raise ValueError(
                f"identifiers.yaml > patterns > {p['kind']}: no list is called {unknown.group()}"
            )
        found.append(
            Pattern(
                p["kind"],
                frozenset(p["carriers"]),
                re.compile(expression, re.IGNORECASE),
                checksum,
                bool(p.get("any_digits")),
                int(p.get("min_digits", 0)),
            )
        )
    return Rules(
        version=str(data["version"]),
        patterns=tuple(found),
        headers=tuple((h["kind"], re.compile(h["header"], re.IGNORECASE)) for h in data["headers"]),
        free_text_kind=data["free_text"]["kind"],
        free_text_characters=data["free_text"]["min_characters"],
        free_text_words=data["free_text"]["min_words"],
    )


def _alternatives(words: Iterable[str]) -> str:
    # the longest first: an alternation takes the first that fits
    return "(?:" + "|".join(re.escape(w) for w in sorted(words, key=lambda w: (-len(w), w))) + ")"


class _Texts:
    """Applies the patterns of one carrier to texts, as far as possible once for all that differ in digits only."""

    def __init__(self, carrier: str) -> None:
        patterns = rules().of(carrier)
        self._by_shape = [p for p in patterns if p.any_digits]
        self._by_text = [p for p in patterns if not p.any_digits]
        self._shapes: dict[str, frozenset[str]] = {}

    def kinds(self, text: str) -> set[str]:
        """Return the kinds of identifiers in a text."""
        if _PLAIN.fullmatch(text):
            return set()
        shape = text.translate(_ANY_DIGIT)
        in_shape = self._shapes.get(shape)
        if in_shape is None:
            in_shape = frozenset(p.kind for p in self._by_shape if p.finds(shape))
            self._shapes[shape] = in_shape
        digits = shape.count("0")
        found = set(in_shape)
        for p in self._by_text:
            if digits >= p.min_digits and p.kind not in found and p.finds(text):
                found.add(p.kind)
        return found


class NameScanner:
    """Finds identifiers in paths."""

    def __init__(self) -> None:
        self._texts = _Texts("name")

    def kinds_in_name(self, path: str) -> list[str]:
        """Return the kinds of identifiers in a path, sorted; containers and folders are part of it."""
        return sorted(self._texts.kinds(path.replace("!/", "/")))


def kinds_in_name(path: str) -> list[str]:
    """Return the kinds of identifiers in one path, sorted; see :class:`NameScanner`.

    >>> kinds_in_name("MRN_00123/2019-03-04_Erika_Mustermann.jpg")
    ['full_date', 'person_name', 'record_number', 'two_part_name']
    """
    return NameScanner().kinds_in_name(path)


class RecordScanner:
    """Finds identifiers in records, looking at each distinct cell of each column once."""

    def __init__(self, ignored: Iterable[str] = ()) -> None:
        """Take the names of columns that are known to hold something else, such as a licence's address."""
        self._rules = rules()
        self._texts = _Texts("record")
        self._skip = set(ignored)
        self._headers: dict[str, tuple[str, ...]] = {}
        self._cells: dict[str, tuple[str, ...]] = {}

    def kinds_in_record(self, source_values: str | None) -> list[str]:
        """Return ``column:kind`` for the identifiers in a record's cells, sorted.

        A column whose own name holds an identifier, as in a table that was turned on its side, is called by its
        place: ``#3``.

        Parameters
        ----------
        source_values : str or None
            The record as a JSON object of column to text.
        """
        if not source_values:
            return []
        found: set[str] = set()
        for place, (column, cell) in enumerate(json.loads(source_values).items(), start=1):
            in_name = self.kinds_in_cell(column)
            if in_name:
                column = f"#{place}"
                found.update(f"{column}:{kind}" for kind in in_name)
            if not cell or column in self._skip:
                continue
            found.update(f"{column}:{kind}" for kind in self.kinds_in_header(column))
            found.update(f"{column}:{kind}" for kind in self.kinds_in_cell(cell))
        return sorted(found)

    def kinds_in_header(self, column: str) -> tuple[str, ...]:
        """Return the kinds that the name of a column says of all its cells."""
        if column not in self._headers:
            self._headers[column] = tuple(
                kind for kind, expression in self._rules.headers if expression.search(column.strip())
            )
        return self._headers[column]

    def kinds_in_cell(self, cell: str) -> tuple[str, ...]:
        """Return the kinds of identifiers in the text of a cell, sorted."""
        known = self._cells.get(cell)
        if known is None:
            known = self._cells[cell] = self._looked(cell)
        return known

    def _looked(self, cell: str) -> tuple[str, ...]:
        found: set[str] = set()
        for start in range(0, max(1, len(cell) - _OVERLAP), _WINDOW - _OVERLAP):
            found |= self._texts.kinds(cell[start : start + _WINDOW])
        if len(cell) >= self._rules.free_text_characters and len(cell.split()) >= self._rules.free_text_words:
            found.add(self._rules.free_text_kind)
        return tuple(sorted(found))


def kinds_in_record(source_values: str | None, ignored: Iterable[str] = ()) -> list[str]:
    """Return ``column:kind`` for the identifiers in one record, sorted; see :class:`RecordScanner`."""
    return RecordScanner(ignored).kinds_in_record(source_values)
