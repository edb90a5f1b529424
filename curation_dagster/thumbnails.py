"""Thumbnails of the images that are compared: one pass over the table, however many pairs there are.

They are most of the table's bytes and lie in it in no order that a search could use. Asking for those of each batch of
pairs would read them all each time, so the ones that will be needed are copied to a file once and read from there.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from curation_dagster.core.duplicates.verification import ReadThumbnails, Thumbnails
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.lake import Lake

_COLUMNS = ("thumbnail_64", "thumbnail_256")
_ROWS = 2048  # decoded at once: some 25 MB
# page by page: whole row groups, several ahead, would be gigabytes
_READ = ds.ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=1 << 20, pre_buffer=False)
_Place: TypeAlias = tuple[
    int, int | None, int | None
]  # where in the file; bytes of each thumbnail, None for null


def stored_thumbnails(lake: Lake, sha_of: Mapping[str, str], folder: Path) -> Thumbnails:
    """Return a reader of the thumbnails in ``measurements``.

    Parameters
    ----------
    sha_of : mapping of str to str
        The file of each image.
    folder : Path
        Where the file lies while it is open: as large as the thumbnails that are needed, some 12 kB an image.
    """

    @contextlib.contextmanager
    def opened(image_ids: list[str]) -> Iterator[ReadThumbnails]:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            places = _copied(lake, {sha_of[i] for i in image_ids}, file)

            def read(ids: list[str]) -> pa.Table:
                found = [i for i in ids if sha_of[i] in places]
                values = [_at(file, places[sha_of[i]]) for i in found]
                columns = {
                    name: pa.array([v[k] for v in values], pa.binary()) for k, name in enumerate(_COLUMNS)
                }
                return pa.table({"image_id": pa.array(found, pa.string()), **columns})

            yield read

    return opened


def _copied(lake: Lake, wanted: set[str], file: IO[bytes]) -> dict[str, _Place]:
    """Write the thumbnails of the wanted files one behind the other, and return where each is."""
    places: dict[str, _Place] = {}
    dataset = lake.dataset("measurements")
    if dataset is None:
        return places
    mine = pc.field("sha256").isin(pa.array(sorted(wanted), pa.string()))
    batches = dataset.to_batches(
        columns=["sha256", *_COLUMNS],
        filter=mine & (pc.field("measured_by") == measured_by()),
        batch_size=_ROWS,
        batch_readahead=2,
        fragment_readahead=1,
        fragment_scan_options=_READ,
    )
    end = 0
    for batch in batches:
        for sha256, *values in zip(*(batch[n].to_pylist() for n in ("sha256", *_COLUMNS)), strict=True):
            if sha256 not in places:
                small, large = (None if v is None else len(v) for v in values)
                places[sha256] = (end, small, large)
                end += file.write(b"".join(v for v in values if v is not None))
    return places


def _at(file: IO[bytes], place: _Place) -> tuple[bytes | None, bytes | None]:
    start, small, large = place
    file.seek(start)
    data = file.read((small or 0) + (large or 0))
    return (None if small is None else data[:small]), (None if large is None else data[small or 0 :])
