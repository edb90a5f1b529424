"""Contact sheets: which images of a criterion are shown, and the sheet as one picture.

What people ask of a bound is whether it cuts in the right place, so the images nearest to it come first: those that it just
excludes, and those that it just lets through. A criterion without a number has no nearest; the order of the ids, which are
digests, is as good as a random one and the same in every run.

A tile is grey, small, and made anew from pixels; whether an image may be shown at all is decided by
:mod:`curation_dagster.archive_pages`. One that may not is not on a sheet; beside the image that it duplicates it is an empty
tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.report.measured import bounds_of

TILE = 132
_COLUMNS = 6
_GAP = 6
_PAPER, _EMPTY, _INK = 255, 232, 70
_QUALITY = 82


@dataclass(frozen=True)
class Shown:
    """One image on a sheet: ``thumbnail`` is a grey JPEG, or None where the picture may not be shown."""

    image_id: str
    measured: str
    thumbnail: bytes | None = None


@dataclass(frozen=True)
class Chosen:
    """The images of a criterion that its sheets show, as row numbers of the table of facts.

    ``beyond_of`` counts all images beyond the bound, ``held_back`` those of them that may not be shown.
    """

    beyond: tuple[int, ...]
    inside: tuple[int, ...]
    beyond_of: int
    held_back: int


def choose(criterion: Criterion, facts: pa.Table, outcome: np.ndarray, may: np.ndarray, most: int) -> Chosen:
    """Return which images to show of a criterion.

    Parameters
    ----------
    facts : pyarrow.Table
        What the criterion looked at; a row per image.
    outcome : numpy.ndarray of str
        The outcome of the criterion for each row of ``facts``.
    may : numpy.ndarray of bool
        Whether each image may be shown.
    most : int
        The most images on one sheet.

    Returns
    -------
    Chosen
        ``beyond``: failed or waiting, nearest to the bound first. ``inside``: passed, nearest to the bound first; empty where
        the criterion compares no number.
    """
    ids = np.asarray(facts["image_id"].to_pylist(), object)
    distance, numeric = _distance(criterion, facts)
    beyond = np.flatnonzero(np.isin(outcome, ("fail", "review")))
    inside = np.flatnonzero((outcome == "pass") & np.isfinite(distance)) if numeric else np.array([], int)

    def nearest(rows: np.ndarray) -> tuple[int, ...]:
        return tuple(int(i) for i in sorted(rows, key=lambda i: (distance[i], ids[i]))[:most])

    held_back = int((~may[beyond]).sum())
    return Chosen(nearest(beyond[may[beyond]]), nearest(inside[may[inside]]), len(beyond), held_back)


def _distance(criterion: Criterion, facts: pa.Table) -> tuple[np.ndarray, bool]:
    """Return how far each row is from the nearest bound, in units of the column's spread; infinite where no number is known."""
    distance = np.full(facts.num_rows, np.inf)
    numeric = False
    modality = facts["modality"].to_pylist() if "modality" in facts.column_names else []
    for bound in bounds_of([criterion]):
        values = facts[bound.column].cast(pa.float64()).to_numpy(zero_copy_only=False)
        known = np.isfinite(values)
        if bound.modality is not None and bound.modality != "default":
            known &= np.array([m == bound.modality for m in modality], bool)
        if known.any():
            numeric = True
            spread = float(np.std(values[known])) or 1.0
            gap = np.where(known, np.abs(values - bound.value) / spread, np.inf)
            distance = np.minimum(distance, gap)
    return distance, numeric


def mosaic(tiles: Sequence[Shown]) -> bytes:
    """Return a sheet as a grey JPEG: tiles in rows of six, each with its number at the top left.

    Raises
    ------
    ValueError
        If there are no tiles.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one tile")
    rows = (len(tiles) + _COLUMNS - 1) // _COLUMNS
    columns = min(len(tiles), _COLUMNS)
    step = TILE + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP), _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = _GAP + number // _COLUMNS * step, _GAP + number % _COLUMNS * step
        sheet[top : top + TILE, left : left + TILE] = _square(tile.thumbnail)
        _label(sheet, str(number + 1), left, top)
        if tile.thumbnail is None:
            cv2.putText(
                sheet, "not shown", (left + 28, top + TILE // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA
            )  # fmt: skip
    done, encoded = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise ValueError("the contact sheet could not be encoded")
    return encoded.tobytes()


def _square(thumbnail: bytes | None) -> np.ndarray:
    """Return a tile: the whole thumbnail, centred on grey."""
    tile = np.full((TILE, TILE), _EMPTY, np.uint8)
    pixels = (
        cv2.imdecode(np.frombuffer(thumbnail, np.uint8), cv2.IMREAD_GRAYSCALE)
        if thumbnail is not None
        else None
    )
    if pixels is None:
        return tile
    scale = TILE / max(pixels.shape)
    width, height = (max(1, round(n * scale)) for n in (pixels.shape[1], pixels.shape[0]))
    pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = pixels
    return tile


def _label(sheet: np.ndarray, text: str, left: int, top: int) -> None:
    width = 8 + 9 * len(text)
    sheet[top : top + 16, left : left + width] = 250
    cv2.putText(sheet, text, (left + 4, top + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 30, 1, cv2.LINE_AA)


def outcomes_of(verdicts: pa.Table, criterion: str, image_ids: pa.ChunkedArray) -> np.ndarray:
    """Return the outcome of a criterion for each image, in their order; an empty text where there is none."""
    mine = verdicts.filter(pc.equal(verdicts["criterion"], criterion))
    place = pc.index_in(image_ids, value_set=mine["image_id"].combine_chunks())
    found = (
        mine["outcome"].take(place)
        if mine.num_rows
        else pa.chunked_array([pa.nulls(len(image_ids), pa.string())])
    )
    return np.asarray(pc.fill_null(found, "").to_pylist(), object)
