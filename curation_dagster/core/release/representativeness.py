"""Whom a release shows: how many images of which diagnosis, phototype, age, sex, site and origin, alone and crossed.

What counts as thin is declared in ``vocabularies/representativeness.yaml``. Patients are counted where sources name them.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

DECLARED = "vocabularies/representativeness.yaml"
NOT_STATED = "not stated"
ROMAN = ("I", "II", "III", "IV", "V", "VI")
Name = Literal[
    "icd11_category", "fitzpatrick", "age_band", "sex", "anatomy", "modality", "source", "confirmation"
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thin(_Strict):
    """From when on a group counts as thin."""

    minimum_images: Annotated[int, Field(ge=1)]
    minimum_share: Annotated[float, Field(ge=0, le=1)]
    missing_share: Annotated[float, Field(ge=0, le=1)]
    rationale: Annotated[str, Field(min_length=1)]


class Dimension(_Strict):
    """A property of images; ``expected`` are groups that are named even where no image shows them."""

    id: Name
    title: str
    expected: tuple[str, ...] = ()


class Measures(_Strict):
    """What is counted, and what is thin."""

    version: str
    clause: str
    age_band_years: Annotated[int, Field(ge=1, le=89)]
    oldest_band: Annotated[int, Field(ge=1, le=89)]
    thin: Thin
    dimensions: tuple[Dimension, ...]
    crosses: tuple[tuple[Name, Name], ...]

    def expected(self, dimension: Dimension) -> tuple[str, ...]:
        """Return the groups that must be named."""
        if dimension.id == "age_band":
            return tuple(self.band(age) for age in range(0, self.oldest_band + 1, self.age_band_years))
        return dimension.expected

    def band(self, age: float) -> str:
        """Return the band of an age in years, such as ``40 to 49``; the oldest is open."""
        low = int(age // self.age_band_years) * self.age_band_years
        return (
            f"{self.oldest_band} and over"
            if low >= self.oldest_band
            else f"{low} to {low + self.age_band_years - 1}"
        )


def measures_of(view: ReleaseView) -> Measures:
    """Return the measures that the release declares."""
    return Measures.model_validate(yaml.safe_load(view.declared(DECLARED)))


def representativeness(view: ReleaseView) -> dict[str, Any]:
    """Return all counts.

    Returns
    -------
    dict
        ``images``, ``patients``; ``thin``: the declared measures; ``dimensions``: each with id, title, ``stated`` images,
        ``not_stated``, and ``values``: value, images, patients, state (fine, thin, absent); ``crosses``: rows, columns, their
        values, ``cells`` (rows of counts), ``empty`` and ``thin`` cells. Sequestered images are counted like all others.
    """
    measures = measures_of(view)
    columns = _columns(view, measures)
    patients = view.images["patient_key"].to_pylist()
    dimensions = [_dimension(d, columns[d.id], patients, measures) for d in measures.dimensions]
    known = {d["id"]: [v["value"] for v in d["values"]] for d in dimensions}
    return {
        "release": view.number,
        "images": view.images.num_rows,
        "patients": len({p for p in patients if p is not None}),
        "without_patient": sum(p is None for p in patients),
        "thin": measures.thin.model_dump(mode="json") | {"measures_version": measures.version},
        "dimensions": dimensions,
        "crosses": [_cross(a, b, columns, known, measures) for a, b in measures.crosses],
    }


def _columns(view: ReleaseView, measures: Measures) -> dict[str, list[str | None]]:
    """Return the group of each image, by dimension, in the order of the images."""
    images = view.images
    category, region = _categories(view), _regions(view)
    ages = zip(images["age_years"].to_pylist(), images["age_low"].to_pylist(), strict=True)
    bands = [a if a is not None else low for a, low in ages]
    sources = zip(images["archive"].to_pylist(), images["version"].to_pylist(), strict=True)
    return {
        "icd11_category": [category.get(c, c) if c else None for c in images["icd11_code"].to_pylist()],
        "fitzpatrick": [ROMAN[f - 1] if f else None for f in images["fitzpatrick"].to_pylist()],
        "age_band": [None if a is None else measures.band(a) for a in bands],
        "sex": images["sex"].to_pylist(),
        "anatomy": [region.get(c, c) if c else None for c in images["anatomy_code"].to_pylist()],
        "modality": images["modality"].to_pylist(),
        "source": [f"{a}@{v}" for a, v in sources],
        "confirmation": images["confirmation"].to_pylist(),
    }


def _categories(view: ReleaseView) -> dict[str, str]:
    """Return each code to the lowest block of ICD-11 MMS that holds it."""
    rows = csv.DictReader(io.StringIO(view.declared("vocabularies/icd11.csv").decode("utf-8")))
    return {r["code"]: r["block"].rsplit(" > ", 1)[-1] or f"chapter {r['chapter']}" for r in rows}


def _regions(view: ReleaseView) -> dict[str, str]:
    """Return each site to the label of the largest site that holds it."""
    text = view.declared("vocabularies/anatomy.csv").decode("utf-8")
    rows = {r["code"]: r for r in csv.DictReader(io.StringIO(text))}
    found = {}
    for code in rows:
        top = code
        while rows[top]["parent"] in rows:
            top = rows[top]["parent"]
        found[code] = rows[top]["label"]
    return found


def _dimension(
    dimension: Dimension, column: Sequence[str | None], patients: Sequence[str | None], measures: Measures
) -> dict[str, Any]:
    counts = Counter(v for v in column if v is not None)
    people: dict[str, set[str]] = defaultdict(set)
    for value, patient in zip(column, patients, strict=True):
        if value is not None and patient is not None:
            people[value].add(patient)
    stated = counts.total()
    expected = measures.expected(dimension)
    others = sorted((v for v in counts if v not in expected), key=lambda v: (-counts[v], v))
    values = [
        {
            "value": v,
            "images": counts[v],
            "patients": len(people[v]),
            "state": _state(counts[v], stated, measures),
        }
        for v in (*expected, *others)
    ]
    return {
        "id": dimension.id,
        "title": dimension.title,
        "stated": stated,
        "not_stated": len(column) - stated,
        "values": values,
    }


def _state(n: int, stated: int, measures: Measures) -> str:
    if n == 0:
        return "absent"
    few = n < measures.thin.minimum_images or n < measures.thin.minimum_share * stated
    return "thin" if few else "fine"


def _cross(
    rows: str,
    columns: str,
    of: Mapping[str, Sequence[str | None]],
    known: Mapping[str, list[str]],
    measures: Measures,
) -> dict[str, Any]:
    counts = Counter(zip(of[rows], of[columns], strict=True))
    cells = [[counts[a, b] for b in known[columns]] for a in known[rows]]
    flat = [n for row in cells for n in row]
    return {
        "rows": rows,
        "columns": columns,
        "row_values": known[rows],
        "column_values": known[columns],
        "cells": cells,
        "without": sum(n for (a, b), n in counts.items() if a is None or b is None),
        "empty": sum(n == 0 for n in flat),
        "thin": sum(0 < n < measures.thin.minimum_images for n in flat),
        "of": len(flat),
    }
