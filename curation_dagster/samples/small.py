"""What the small deliveries share: photographs by number, each of them sound, and tables as their publishers write them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import openpyxl
from PIL import Image

from curation_dagster.samples import encodings, skin
from curation_dagster.samples.delivery import Shot, picture_seed, zip_bytes
from curation_dagster.samples.skin import Picture

#: Photographs of a small delivery at most: they show a layout with its quirks, not a population.
MOST = 10

_KINDS = tuple(skin.KINDS)


def photograph(
    archive: str,
    seed: int,
    number: int,
    name: str,
    *,
    modality: str = "clinical",
    kind: str | None = None,
    size: tuple[int, int] = (640, 480),
    make: Callable[[Picture], bytes] = encodings.jpeg,
) -> Shot:
    """Return photograph ``number`` of an archive, to be written under ``name``; its phototype goes with its number."""
    shown = kind or _KINDS[number % len(_KINDS)]
    return Shot(
        name, partial(_draw, picture_seed(seed, archive, number), number, modality, shown, size, make)
    )


def _draw(
    seed: int, number: int, modality: str, kind: str, size: tuple[int, int], make: Callable[[Picture], bytes]
) -> bytes:
    phototype = 1 + number % 6
    if kind == "healthy":
        return make(skin.healthy(seed, size, phototype))
    return make(skin.lesion(seed, size, phototype, modality, kind))  # type: ignore[arg-type]


def crop_of(shot: Shot, name: str, make: Callable[[Picture], bytes] = encodings.jpeg) -> Shot:
    """Return the middle of a photograph under another name, as somebody crops to the lesion."""
    return Shot(name, partial(_crop, shot, make))


def _crop(shot: Shot, make: Callable[[Picture], bytes]) -> bytes:
    with Image.open(io.BytesIO(shot.draw())) as opened:
        width, height = opened.size
        middle = opened.convert("RGB").crop(
            (width // 20, height // 20, width - width // 20, height - height // 20)
        )
        return make(np.asarray(middle, np.uint8))


def workbook(rows: Sequence[Sequence[Any]], sheet: str, merged: Sequence[str] = ()) -> bytes:
    """Return an ``.xlsx`` of one sheet; the same rows give the same cells, though not the same bytes of the zip."""
    made = openpyxl.Workbook()
    assert made.active is not None
    made.active.title = sheet
    for row in rows:
        made.active.append(list(row))
    for area in merged:
        made.active.merge_cells(area)
    buffer = io.BytesIO()
    made.save(buffer)
    return _reproducible(buffer.getvalue())


def _reproducible(data: bytes) -> bytes:
    """Write the parts of a workbook anew, without the time at which they were made."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        parts = [(i.filename, opened.read(i)) for i in opened.infolist()]
    stamp = re.compile(rb"(<dcterms:(?:created|modified)[^>]*>)[^<]*")
    return zip_bytes((name, stamp.sub(rb"\g<1>2020-07-07T12:00:00Z", content)) for name, content in parts)
