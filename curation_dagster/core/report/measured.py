"""Which measured values have bounds, taken from the criteria themselves, and where the values of a table lie beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import DEFAULT, Condition, Criterion
from curation_dagster.core.criteria.rules import judge
from curation_dagster.schemas import TABLES

_SIDES = {"minimum": "≥", "maximum": "≤"}
KEPT, WAITS, EXCLUDED = range(3)


@dataclass(frozen=True)
class Bound:
    """One number that a criterion compares a column with.

    Parameters
    ----------
    side : {"minimum", "maximum"}
        The rule.
    modality : str or None
        The modality that it holds for; None for all.
    """

    criterion: str
    column: str
    side: str
    value: float
    modality: str | None
    on_fail: str

    @property
    def label(self) -> str:
        """The bound as a reader of the drawing sees it, such as ``clinical ≥ 400``."""
        of = "" if self.modality is None else "others " if self.modality == DEFAULT else f"{self.modality} "
        return f"{of}{_SIDES[self.side]} {self.value:g}"


@dataclass(frozen=True)
class Measured:
    """The values of one column, with all bounds on it.

    Parameters
    ----------
    values : numpy.ndarray
        float64, one for each image that has the value.
    fate : numpy.ndarray
        Of each of them, what the criteria that bound the column say: ``KEPT``, ``WAITS`` or ``EXCLUDED``.
    missing : int
        Images that have no such value.
    """

    column: str
    unit: str
    values: np.ndarray
    fate: np.ndarray
    missing: int
    bounds: tuple[Bound, ...]

    def span(self) -> tuple[float, float]:
        """Return what a drawing shows: the values but for one in a hundred at each end, and every bound with room around it."""
        ends = [b.value for b in self.bounds]
        if len(self.values):
            ends += [float(v) for v in np.percentile(self.values, [1, 99])]
        low, high = min(ends), max(ends)
        room = (high - low) * 0.06 or max(abs(high), 1.0) * 0.1
        floor = 0.0 if low >= 0 else -np.inf
        return max(low - room, floor), high + room


def bounds_of(criteria: Iterable[Criterion]) -> list[Bound]:
    """Return every number that the criteria compare a column with, in the order of the file."""
    found: list[Bound] = []
    for criterion in criteria:
        found += _bounds(criterion, criterion)
    return found


def measured_values(criteria: Sequence[Criterion], facts: pa.Table) -> list[Measured]:
    """Return the values of every column of a table that a criterion bounds by a number.

    Parameters
    ----------
    facts : pyarrow.Table
        What the criteria looked at; a row per image.
    """
    found = bounds_of(criteria)
    units = {c.name: c.unit or "" for table in TABLES.values() for c in table.columns}
    fates = {c.id: _fate(c, facts) for c in criteria if any(b.criterion == c.id for b in found)}
    measured = []
    for column in dict.fromkeys(b.column for b in found):
        values = facts[column].cast(pa.float64()).to_numpy(zero_copy_only=False)
        known = np.isfinite(values)
        bounds = tuple(b for b in found if b.column == column)
        fate = np.max([fates[b.criterion] for b in bounds], axis=0)[known]
        if not known.any() or (np.ptp(values[known]) == 0 and not fate.any()):
            continue  # the same harmless value everywhere, such as one frame in each file
        measured.append(
            Measured(column, units.get(column, ""), values[known], fate, int((~known).sum()), bounds)
        )
    return measured


def _fate(criterion: Criterion, facts: pa.Table) -> np.ndarray:
    """Return for each row what becomes of it by one criterion, as the ledger has it."""
    columns = {n: facts[n].combine_chunks() for n in criterion.reads}
    said = judge(criterion, columns, facts.num_rows)
    broken = pc.and_(said.applies, pc.fill_null(pc.invert(said.holds), False))
    fate = EXCLUDED if criterion.on_fail == "exclude" else WAITS
    return np.where(broken.to_numpy(zero_copy_only=False), fate, KEPT)


def _bounds(criterion: Criterion, condition: Condition) -> list[Bound]:
    found: list[Bound] = []
    if condition.rule in _SIDES:
        bound = condition.bound
        values = bound if isinstance(bound, dict) else {None: bound} if isinstance(bound, int | float) else {}
        for modality, value in values.items():
            found += [
                Bound(criterion.id, column, condition.rule, float(value), modality, criterion.on_fail)  # type: ignore[arg-type]
                for column in condition.columns
            ]
    for part in condition.parts:
        found += _bounds(criterion, part)
    return found
