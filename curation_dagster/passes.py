"""A resumable pass over files: rows go to chunk files as they come, and to the table when all are there.

A chunk file is written to a temporary name and renamed, so it is either whole or absent. A run that was killed
finds the chunks of its predecessor and goes on behind them. Chunks are kept apart by the version of the code that
made them: a change of the code never takes up old rows.
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation_dagster.compute import Failure, map_files
from curation_dagster.core.alone import alone
from curation_dagster.core.progress import told_by
from curation_dagster.engine import MapFiles
from curation_dagster.lake import Lake
from curation_dagster.schemas import TABLES

CHUNK_ROWS = 256
CHUNK_SECONDS = 20.0
COMMIT_ROWS = 20_000
REPORT_SECONDS = 10.0


@dataclass(frozen=True)
class Pass:
    """What is done to each item, and where its row goes.

    Parameters
    ----------
    table : str
        Table of the lake that takes the rows.
    function : callable
        Module-level function from an item to a row; see :func:`curation_dagster.compute.map_files`.
    key : str
        Column of the row that identifies the item.
    key_of : callable
        From an item to the value of ``key``.
    row_of_failure : callable
        From an item and its failure to a row: no item goes without one.
    code_version : str
        Version of the code; chunks of another version are not taken up.
    """

    table: str
    function: Callable[[Any], dict[str, Any]]
    key: str
    key_of: Callable[[Any], str]
    row_of_failure: Callable[[Any, Failure], dict[str, Any]]
    code_version: str


@dataclass(frozen=True)
class PassReport:
    """How a pass went."""

    items: int
    resumed: int
    done: int
    failures: int
    seconds: float


def run_pass(
    work: Pass,
    items: Sequence[Any],
    lake: Lake,
    folder: Path,
    workers: int,
    log: Callable[[str], None],
    note: dict[str, str] | None = None,
    timeout_s: float = 120.0,
    over: MapFiles = map_files,
    report_s: float = REPORT_SECONDS,
) -> PassReport:
    """Do ``work`` to each item, resuming from the chunks below ``folder``, and add the rows to the table.

    Parameters
    ----------
    items : sequence
        Items whose key is not in the table yet; keys must be distinct.
    folder : Path
        Folder for chunk files; one for each caller that may run at the same time.
    over : callable
        What maps over the files: :func:`curation_dagster.compute.map_files`, or that of a cluster.
    report_s : float
        Seconds between two lines of log.

    Raises
    ------
    curation_dagster.lake.LakeError
        If the rows can't be committed. Finished chunks stay and are taken up by the next run.
    """
    # two runs of the same work take turns; the second finds the rows of the first
    with alone(folder.parent / f".{folder.name}.lock"):
        return _run_locked(work, items, lake, folder, workers, log, note, timeout_s, over, report_s)


def _run_locked(
    work: Pass,
    items: Sequence[Any],
    lake: Lake,
    folder: Path,
    workers: int,
    log: Callable[[str], None],
    note: dict[str, str] | None,
    timeout_s: float,
    over: MapFiles,
    report_s: float,
) -> PassReport:
    started = time.monotonic()
    chunks = folder / work.code_version
    chunks.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale != chunks:
            shutil.rmtree(stale, ignore_errors=True)
    wanted = {work.key_of(item) for item in items}
    finished = {k for path in _chunk_files(chunks) for k in _keys(path, work.key)} & wanted
    remaining = [item for item in items if work.key_of(item) not in finished]
    if finished:
        log(
            f"{work.table}: {len(finished)} of {len(items)} files were done by an earlier run; {len(remaining)} remain"
        )
    failures = 0
    second_try = []
    writer = _ChunkWriter(chunks, work.table)
    tell = told_by(log, name=work.table, seconds=report_s)
    tell(0, len(remaining), "files")
    for number, (index, row, failure) in enumerate(
        over(work.function, remaining, workers=workers, timeout_s=timeout_s), start=1
    ):
        if failure is None:
            writer.add(row)
        else:
            second_try.append(remaining[index])
        tell(number, len(remaining), "files")
    # a busy machine can time a good file out or starve it of memory; alone, with all the time, it gets another try
    for index, row, failure in over(work.function, second_try, workers=1, timeout_s=2 * timeout_s):
        if failure is not None:
            failures += 1
            row = work.row_of_failure(second_try[index], failure)
            log(f"{work.table}: one file failed twice: {failure.kind}: {failure.detail}")
        writer.add(row)
    writer.flush()
    for rows in _batches(_chunk_files(chunks), work, wanted):
        lake.upsert(work.table, rows, note)
    shutil.rmtree(folder)
    return PassReport(len(items), len(finished), len(remaining), failures, time.monotonic() - started)


class _ChunkWriter:
    def __init__(self, folder: Path, table: str) -> None:
        self.folder, self.declared = folder, TABLES[table]
        self.rows: list[dict[str, Any]] = []
        self.since = time.monotonic()

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if len(self.rows) >= CHUNK_ROWS or time.monotonic() - self.since >= CHUNK_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            name = uuid.uuid4().hex
            temporary = self.folder / f".{name}.tmp"
            pq.write_table(self.declared.conform(self.rows), temporary, compression="zstd")
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            temporary.rename(self.folder / f"{name}.parquet")
        self.rows, self.since = [], time.monotonic()


def _chunk_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _keys(path: Path, key: str) -> list[str]:
    return pq.read_table(path, columns=[key])[key].to_pylist()


def _batches(paths: Iterable[Path], work: Pass, wanted: set[str]) -> Iterator[pa.Table]:
    """Yield the rows of the chunks, each key once, in tables of about ``COMMIT_ROWS`` rows."""
    seen: set[str] = set()
    batch: list[pa.Table] = []
    for path in paths:
        rows = pq.read_table(path)
        fresh = []
        for index, key in enumerate(rows[work.key].to_pylist()):
            if key in wanted and key not in seen:
                seen.add(key)
                fresh.append(index)
        batch.append(rows.take(fresh))
        if sum(t.num_rows for t in batch) >= COMMIT_ROWS:
            yield pa.concat_tables(batch)
            batch = []
    if sum(t.num_rows for t in batch):
        yield pa.concat_tables(batch)
