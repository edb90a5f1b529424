"""The bundle on disk: written into a temporary folder, summed, sealed, and checked again.

A bundle has a fixed set of places. ``data/<side>/`` holds images and metadata that a loader takes as they are,
``sequestered/`` those that nobody trains or tunes on. ``tables/`` holds the ledger and what else an auditor asks for.
``SHA256SUMS`` covers every file but three: itself, ``environment.json``, which differs from machine to machine, and
``SEAL.json``, which names the digests of the other two.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation_dagster.core.release.view import ReleaseView, as_json
from curation_dagster.schemas import SIDES, TABLES

SUMS, SEAL, ENVIRONMENT, MANIFEST = "SHA256SUMS", "SEAL.json", "environment.json", "MANIFEST.json"
_UNSUMMED = (SUMS, SEAL, ENVIRONMENT)
# what an auditor asks for; the intake tables hold source ids, the measurements pictures, and stay where they are
BUNDLED_TABLES = (
    "corpus", "splits", "split_history", "decisions", "admissions", "duplicates", "published", "stages",
    "check_results", "review_queue", "reviews", "approvals", "withdrawals", "audit", "criteria_files",
    "releases", "deidentification_record",
)  # fmt: skip


class BundleError(RuntimeError):
    """A bundle can't be written or is not as it was sealed; the message lists every problem."""


def folder_of(side: str) -> str:
    """Return the folder of a side in the bundle; the sequestered one lies apart from what loaders find."""
    return side if side == "sequestered" else f"data/{side}"


def write_images(view: ReleaseView, corpus: Path, target: Path, workers: int = 4) -> list[str]:
    """Put each image of the release into its side's folder; return what is wrong with any, a sentence each.

    Files are linked where the file system can, else copied; each is read and has the checksum that the corpus states.
    """
    rows = view.images.select(["file", "sha256", "split"]).to_pylist()
    for folder in sorted({str(Path(folder_of(r["split"])) / Path(r["file"]).parent) for r in rows}):
        (target / folder).mkdir(parents=True, exist_ok=True)

    def put(row: dict[str, Any]) -> str | None:
        source = corpus / row["file"]
        if not source.is_file():
            return f"{row['file']} is not there"
        found = sha256_of(source)
        if found != row["sha256"]:
            return f"{row['file']} has SHA-256 {found[:16]}, expected {row['sha256'][:16]}"
        destination = target / folder_of(row["split"]) / row["file"]
        try:
            os.link(source, destination)
        except OSError:
            shutil.copyfile(source, destination)
        return None

    with ThreadPoolExecutor(workers) as pool:
        return [p for p in pool.map(put, rows) if p is not None]


def write_data(view: ReleaseView, target: Path) -> None:
    """Write the metadata of each side, a row per image with ``file_name``, and the tables for auditors."""
    images = view.images
    names = [n for n in images.column_names if n != "file"]
    for side in SIDES:
        mine = images.filter(pa.compute.equal(images["split"], side))
        folder = target / folder_of(side)
        folder.mkdir(parents=True, exist_ok=True)
        write_parquet(
            folder / "metadata.parquet", [mine.select(["file", *names]).rename_columns(["file_name", *names])]
        )
    (target / "tables").mkdir(exist_ok=True)
    for table in BUNDLED_TABLES:
        write_parquet(target / "tables" / f"{table}.parquet", _parts(view, table))


def write_parquet(path: Path, parts: Iterable[pa.Table]) -> None:
    """Write tables of one schema as one Parquet file whose bytes depend on the rows alone."""
    writer: pq.ParquetWriter | None = None
    for part in parts:
        plain = part.replace_schema_metadata(None)
        plain = plain.cast(pa.schema([f.remove_metadata() for f in plain.schema])).combine_chunks()
        if writer is None:
            writer = pq.ParquetWriter(
                path, plain.schema, version="2.6", compression="zstd", compression_level=3, store_schema=False,
                use_dictionary=True, write_statistics=True, coerce_timestamps="us",
            )  # fmt: skip
        writer.write_table(plain, row_group_size=100_000)
    assert writer is not None
    writer.close()


def write_files(files: Mapping[str, bytes], target: Path) -> None:
    """Write small files by their paths in the bundle."""
    for path, content in sorted(files.items()):
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def facts_of(target: Path, known: Mapping[str, str] | None = None) -> dict[str, tuple[str, int]]:
    """Return path, SHA-256 and bytes of every file that the sums cover; ``known`` spares reading a file again."""
    found = {}
    for path in sorted(p for p in target.rglob("*") if p.is_file()):
        name = path.relative_to(target).as_posix()
        if name not in _UNSUMMED:
            found[name] = ((known or {}).get(name) or sha256_of(path), path.stat().st_size)
    return found


def seal(view: ReleaseView, target: Path, environment: Mapping[str, Any]) -> tuple[str, str]:
    """Write sums, environment and seal of a finished bundle; return the SHA-256 of the seal and of the sums."""
    known = {f"{folder_of(r['split'])}/{r['file']}": r["sha256"] for r in view.images.to_pylist()}
    sums = "".join(f"{digest}  {name}\n" for name, (digest, _) in facts_of(target, known).items()).encode()
    described = as_json(environment)
    (target / SUMS).write_bytes(sums)
    (target / ENVIRONMENT).write_bytes(described)
    checksums = hashlib.sha256(sums).hexdigest()
    said = as_json(
        {
            "release": view.number,
            "sha256_of_SHA256SUMS": checksums,
            "sha256_of_environment": hashlib.sha256(described).hexdigest(),
        }
    )
    (target / SEAL).write_bytes(said)
    return hashlib.sha256(said).hexdigest(), checksums


def read_sums(bundle: Path) -> dict[str, str]:
    """Return path to SHA-256 as the bundle's ``SHA256SUMS`` states them."""
    lines = (bundle / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}


def broken_seals(bundle: Path, seal_digest: str | None = None, removed: Iterable[str] = ()) -> list[str]:
    """Return what in a bundle is not as it was sealed, a sentence each; empty if all is.

    Parameters
    ----------
    seal_digest : str, optional
        SHA-256 of ``SEAL.json`` as the table ``releases`` holds it.
    removed : iterable of str
        image_ids that were withdrawn since: their files must be gone.
    """
    absent = [n for n in (SEAL, SUMS, ENVIRONMENT) if not (bundle / n).is_file()]
    if absent:
        return [f"{n} is not there" for n in absent]
    found = []
    said = json.loads((bundle / SEAL).read_bytes())
    if seal_digest is not None and sha256_of(bundle / SEAL) != seal_digest:
        found.append("SEAL.json is not the one that the table of releases names")
    for name, key in ((SUMS, "sha256_of_SHA256SUMS"), (ENVIRONMENT, "sha256_of_environment")):
        if said.get(key) != sha256_of(bundle / name):
            found.append(f"{name} was changed after it was sealed")
    sums, gone = read_sums(bundle), set(removed)
    there = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()} - set(_UNSUMMED)
    found += [f"{name} is not part of the release" for name in sorted(there - set(sums))]
    for name, digest in sums.items():
        withdrawn = image_of(name) in gone
        if withdrawn and name in there:
            found.append(f"{name} was withdrawn, but is still there")
        elif not withdrawn and name not in there:
            found.append(f"{name} is missing")
        elif not withdrawn and sha256_of(bundle / name) != digest:
            found.append(f"{name} has other bytes than were sealed")
    return found


def image_of(path: str) -> str | None:
    """Return the image_id that a path in a bundle or in the corpus names; None for a file that is no image."""
    name = path.rsplit("/", 1)[-1]
    return name[:36] if "/images/" in f"/{path}" and len(name) > 36 else None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parts(view: ReleaseView, table: str) -> Iterator[pa.Table]:
    """Return the rows of a table by archive version, each sorted by the table's key: the same in every reading."""
    declared = TABLES[table]
    order = [(k, "ascending") for k in declared.key]
    if "archive" not in declared.partition_by:
        yield view.read(table).sort_by(order)
        return
    with view.sql(table) as sql:
        keys = sql.execute(f"SELECT DISTINCT archive, version FROM {table} ORDER BY ALL").fetchall()
    yield declared.empty()
    for archive, version in keys:
        yield view.read(table, where={"archive": archive, "version": version}).sort_by(order)
