"""What all synthetic deliveries share: drawing in parallel, reproducible containers, and the list of what was planted."""

from __future__ import annotations

import csv
import io
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

Draw = Callable[[], bytes]
Role = Literal["new", "repeat", "copy"]

# Members of a zip carry a time; a fixed one keeps the bytes the same in every run.
_ZIP_TIME = (2020, 7, 7, 12, 0, 0)


@dataclass(frozen=True)
class Planted:
    """One thing that was put into a delivery on purpose.

    ``path`` is the path of the inventory (``outer.zip!/inner.png``), None for a record without a file. ``expected``
    names what a pipeline should find, such as ``integrity``, ``resolution``, ``focus``, ``underexposed``,
    ``overexposed``, ``hair``, ``ruler``, ``vignette``, ``hidden:gps``, ``name_in_path``, ``licence``,
    ``nonspecific``, ``unmapped``, ``modality``, ``manipulation``, ``anatomy``, ``join:record_without_file``,
    ``exact_duplicate_of:<archive>/<source id>``, ``near_duplicate_of:<archive>/<source id>``; an
    expectation that begins with ``not:`` must *not* be found.
    """

    archive: str
    path: str | None
    source_id: str
    defect: str
    expected: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the item as plain values for JSON."""
        return {**asdict(self), "expected": list(self.expected)}


@dataclass(frozen=True)
class Delivery:
    """What was written for one archive: files that are images, rows of metadata, and what was planted."""

    archive: str
    folder: Path
    images: int
    records: int
    planted: tuple[Planted, ...]


@dataclass(frozen=True)
class Shot:
    """A file that is still to be drawn: its name inside the delivery, and how."""

    name: str
    draw: Draw


def draw_all(shots: Sequence[Shot]) -> list[tuple[str, bytes]]:
    """Return name and bytes of each shot, in order. Threads are enough: the work is in NumPy and OpenCV."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(zip((s.name for s in shots), pool.map(lambda s: s.draw(), shots), strict=True))


def picture_seed(seed: int, archive: str, number: int) -> int:
    """Return the seed of one picture, so that pictures of different archives and seeds have nothing in common."""
    return zlib.crc32(f"{archive} {seed} {number}".encode())


def generator(seed: int, archive: str) -> np.random.Generator:
    """Return the generator of an archive's metadata."""
    return np.random.default_rng([seed, zlib.crc32(archive.encode())])


def quotas(rng: np.random.Generator, weights: Mapping[str, float], count: int) -> list[str]:
    """Return ``count`` labels in random order, in the proportions of ``weights``, each at least once if there is room.

    Proportions are met exactly but for rounding: a small sample keeps its rare classes.
    """
    labels = list(weights)
    shares = np.array([weights[k] for k in labels], float)
    numbers = np.maximum(np.floor(shares / shares.sum() * count).astype(int), 1)
    while numbers.sum() > count:
        numbers[int(np.argmax(numbers))] -= 1
    while numbers.sum() < count:
        numbers[int(np.argmax(shares / shares.sum() * count - numbers))] += 1
    drawn = [label for label, n in zip(labels, numbers, strict=True) for _ in range(n)]
    return [drawn[i] for i in rng.permutation(len(drawn))]


def slots(defects: Sequence[str], images: int, step: int = 3) -> dict[int, str]:
    """Return which image gets which defect: every ``step``-th, so that the image before a defect is always sound."""
    return dict(zip(range(1, images, step), defects, strict=False))


def roles(
    rng: np.random.Generator,
    images: int,
    planted: Mapping[int, str],
    copies: Collection[str],
    repeat_chance: float,
) -> list[Role]:
    """Return what each photograph is to the one before: ``new``, a ``repeat`` of its lesion, or a ``copy`` of it.

    A repeat never follows a defect and never precedes a copy, so that what was planted can be told apart.
    """
    found: list[Role] = []
    for number in range(images):
        free = number > 0 and number not in planted and number - 1 not in planted
        if planted.get(number) in copies:
            found.append("copy")
        elif (
            free
            and found[-1] == "new"
            and planted.get(number + 1) not in copies
            and rng.random() < repeat_chance
        ):
            found.append("repeat")
        else:
            found.append("new")
    return found


def csv_bytes(columns: Sequence[str], rows: Iterable[Mapping[str, str]], newline: str = "\n") -> bytes:
    """Return a CSV table; cells that a row lacks are blank."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, list(columns), restval="", lineterminator=newline, extrasaction="raise")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def zip_bytes(members: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a zip with the members stored, in order, the same bytes every time."""
    buffer = io.BytesIO()
    _write(buffer, members)
    return buffer.getvalue()


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write the zip of :func:`zip_bytes` to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        _write(handle, members)


def write_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write plain files below ``folder``."""
    for name, data in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _write(handle: Any, members: Iterable[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(handle, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, _ZIP_TIME)
            info.create_system = 3  # not the system that happens to run this
            info.external_attr = 0o644 << 16
            # pictures don't shrink further; tables do
            small = name.endswith((".csv", ".txt")) or "." not in name
            info.compress_type = zipfile.ZIP_DEFLATED if small else zipfile.ZIP_STORED
            archive.writestr(info, data)
