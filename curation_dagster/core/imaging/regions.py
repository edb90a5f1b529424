"""Regions of a picture that may identify a person: text and faces, as boxes, and what they mean for the picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from curation_dagster.core.imaging.detecting import Detecting
from curation_dagster.core.imaging.halved import Halved

Region = dict[str, Any]
"""kind (text or face), left, top, width, height in px of the upright picture, score, certain."""


def prepare(settings: Detecting) -> None:
    """Load what the search needs, better before a pass than in each worker, and compile what no run has compiled yet.

    Raises
    ------
    curation_dagster.core.imaging.declared.ModelError
        If a network's file is not the declared one.
    """
    from curation_dagster.core.imaging.faces import check_faces
    from curation_dagster.core.imaging.glyphs import compile_rows
    from curation_dagster.core.imaging.letters import check_letters, compile_letters

    check_faces(settings.faces)
    check_letters(settings.letters)
    compile_rows(settings.strokes, settings.gate)
    compile_letters()


def find_regions(raster: np.ndarray, settings: Detecting) -> dict[str, Any]:
    """Return the columns of ``measurements`` that tell of text and faces.

    Parameters
    ----------
    raster : numpy.ndarray
        uint8, RGB or grey, upright.
    """
    # the compiler and the networks' runtime are loaded where pictures are searched; importing the package must not cost it
    from curation_dagster.core.imaging.faces import find_faces
    from curation_dagster.core.imaging.text import find_text

    halved = Halved(raster)
    faces, face_score = find_faces(raster, settings.faces, halved)
    text = find_text(raster, settings, halved)
    regions = [_region("face", box, score, settings.faces.score) for box, score in faces]
    regions += [_region("text", box, score, settings.reading.score) for box, score in text]
    regions.sort(key=lambda r: (r["kind"], r["top"], r["left"], r["score"]))
    sure = [r for r in regions if r["certain"]]
    return {
        "regions": regions,
        "faces": sum(r["kind"] == "face" for r in sure),
        "text_regions": sum(r["kind"] == "text" for r in sure),
        "text_doubtful": sum(r["kind"] == "text" for r in regions) - sum(r["kind"] == "text" for r in sure),
        "face_score": face_score,
        **harm(sure, raster.shape[1], raster.shape[0], settings),
    }


def boxes_to_fill(
    regions: list[Region], width: int, height: int, settings: Detecting
) -> list[tuple[int, int, int, int]]:
    """Return left, top, right and bottom of what is filled: the certain regions with their padding."""
    found = []
    for region in regions:
        if region["certain"]:
            room = math.ceil(settings.diagnostic.padding * min(region["width"], region["height"])) + 2
            found.append(
                (
                    max(0, region["left"] - room),
                    max(0, region["top"] - room),
                    min(width, region["left"] + region["width"] + room),
                    min(height, region["top"] + region["height"] + room),
                )
            )
    return found


def harm(regions: list[Region], width: int, height: int, settings: Detecting) -> dict[str, float]:
    """Return which share of the picture, and of its diagnostic middle, filling the certain regions would take."""
    boxes = boxes_to_fill(regions, width, height, settings)
    if not boxes:
        return {"regions_share": 0.0, "regions_core_share": 0.0}
    mask = np.zeros((height, width), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    edge = (1 - settings.diagnostic.core) / 2
    middle = mask[
        math.floor(height * edge) : math.ceil(height * (1 - edge)),
        math.floor(width * edge) : math.ceil(width * (1 - edge)),
    ]
    return {"regions_share": float(mask.mean()), "regions_core_share": float(middle.mean())}


def _region(kind: str, box: tuple[float, float, float, float], score: float, sure: float) -> Region:
    left, top = math.floor(box[0]), math.floor(box[1])
    return {
        "kind": kind,
        "left": left,
        "top": top,
        "width": max(1, math.ceil(box[2]) - left),
        "height": max(1, math.ceil(box[3]) - top),
        "score": score,
        "certain": score >= sure,
    }
