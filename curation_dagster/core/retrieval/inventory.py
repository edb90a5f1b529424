"""The inventory of a staged archive version: what is kept beside the files, and its rows of the table ``files``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation_dagster.core.registry.models import PublishedFile, Version
from curation_dagster.core.registry.paths import classify
from curation_dagster.core.retrieval.containers import SEPARATOR, Entry
from curation_dagster.core.retrieval.errors import StagedFileChanged
from curation_dagster.schemas import FILES

if TYPE_CHECKING:
    from curation_dagster.core.registry.loading import ArchiveVersion

_COLUMNS = tuple(f.name for f in fields(Entry))
_STORED = pa.schema(
    [pa.field(n, {"bytes": pa.int64(), "is_container": pa.bool_()}.get(n, pa.string())) for n in _COLUMNS]
)


@dataclass(frozen=True)
class Inventory:
    """What a staged archive version holds, as facts that do not depend on its descriptor.

    Parameters
    ----------
    entries : sequence of Entry
        All files, sorted by path.
    staged_at : datetime
        When it was staged.
    made_by : str
        Digest of the code, limits and requests that the entries came from.
    """

    entries: Sequence[Entry]
    staged_at: datetime
    made_by: str

    @property
    def plain(self) -> list[Entry]:
        """The files of the delivery itself."""
        return [e for e in self.entries if e.container is None]

    def write(self, path: Path) -> None:
        """Write the inventory, replacing an older one at once or not at all."""
        data = pa.Table.from_arrays(
            [pa.array([getattr(e, c.name) for e in self.entries], c.type) for c in _STORED], schema=_STORED
        )
        about = {"staged_at": self.staged_at.isoformat(), "made_by": self.made_by}
        memory = io.BytesIO()
        pq.write_table(
            data.replace_schema_metadata({"inventory": json.dumps(about)}), memory, compression="zstd"
        )
        path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(path.name + ".new")
        temporary.unlink(missing_ok=True)  # read-only, if a run was killed before it was renamed
        temporary.write_bytes(memory.getvalue())
        temporary.chmod(0o400)
        temporary.replace(path)

    @classmethod
    def read(cls, path: Path) -> Inventory:
        """Read an inventory.

        Raises
        ------
        StagedFileChanged
            If it is gone or can't be read.
        """
        try:
            data = pq.read_table(io.BytesIO(path.read_bytes()))
            about = json.loads(data.schema.metadata[b"inventory"])
            columns = [data[c].to_pylist() for c in _COLUMNS]
            entries = [Entry(*values) for values in zip(*columns, strict=True)]
            return cls(entries, datetime.fromisoformat(about["staged_at"]), about["made_by"])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise StagedFileChanged(
                "The inventory of a staged archive version can't be read.",
                where=str(path),
                got=str(error),
                next=f"Nothing was changed. Remove {path.parent.parent} and materialize `staged` again.",
            ) from error


def published_for(path: str, version: Version) -> PublishedFile | None:
    """Return what the publisher states of a file: by its path, or by the end of it, as deliveries add folders.

    >>> from curation_dagster.core.registry.models import PublishedFile, Version
    >>> stated = Version(files={"images.zip": PublishedFile(bytes=7)})
    >>> published_for("dataverse_files/images.zip", stated).bytes
    7
    """
    if not version.files:
        return None
    if path in version.files:
        return version.files[path]
    parts = path.split("/")
    for start in range(1, len(parts)):
        # a member is not the publisher's file of the same name
        if (
            not any(p.endswith("!") for p in parts[:start])
            and (end := "/".join(parts[start:])) in version.files
        ):
            return version.files[end]
    return None


def checksum_state(entry: Entry, version: Version) -> str | None:
    """Return ``verified`` or ``mismatch``; None where the publisher states no checksum.

    A stated size is no checksum: another size is a mismatch, the same size verifies nothing.
    """
    stated = published_for(entry.path, version)
    if stated is None:
        return None
    pairs = ((stated.sha256, entry.sha256), (stated.md5, entry.md5), (stated.bytes, entry.bytes))
    if any(wanted is not None and wanted != got for wanted, got in pairs):
        return "mismatch"
    return "verified" if stated.sha256 is not None or stated.md5 is not None else None


def wants_md5(version: Version) -> Callable[[str], bool]:
    """Return a function that says whether the MD5 of the file with a path is needed."""
    if not any(f.md5 for f in version.files.values()):
        return lambda path: False
    return lambda path: (stated := published_for(path, version)) is not None and stated.md5 is not None


def missing_published(entries: Iterable[str], version: Version) -> tuple[str, ...]:
    """Return the files that the publisher states and that are not among these paths, sorted.

    That is not an error: a delivery may be the unpacked folder instead of the publisher's zip.
    """
    there = set(entries)
    for path in [p for p in there if SEPARATOR not in p]:
        parts = path.split("/")
        there.update("/".join(parts[start:]) for start in range(1, len(parts)))
    return tuple(sorted(set(version.files) - there))


def table(archive_version: ArchiveVersion, inventory: Inventory) -> pa.Table:
    """Return the inventory in the columns of the table ``files``.

    A member that the publisher states nothing of has the checksum state of its outermost container, because the
    container's checksum covers it.
    """
    version, descriptor = archive_version.version, archive_version.descriptor
    urls = descriptor.retrieval.urls
    only_url = urls[0] if len(urls) == 1 else None
    # a container may be replaced by thousands of members: state and address of each plain file are looked up once
    states: dict[str, str | None] = {}
    addresses: dict[str, str | None] = {}
    for entry in inventory.plain:
        stated = published_for(entry.path, version)
        states[entry.path] = checksum_state(entry, version)
        addresses[entry.path] = (stated.url if stated else None) or only_url
    outermost = _outermost(inventory)
    entries = inventory.entries
    columns: dict[str, list[Any]] = {
        "archive": [archive_version.key.archive] * len(entries),
        "version": [archive_version.key.version] * len(entries),
        "path": [e.path for e in entries],
        "role": ["container" if e.is_container else classify(e.path, descriptor) for e in entries],
        "container": [e.container for e in entries],
        "member": [e.member for e in entries],
        "bytes": [e.bytes for e in entries],
        "sha256": [e.sha256 for e in entries],
        "media_type": [e.media_type for e in entries],
        "checksum_state": [
            checksum_state(e, version) or states[top] or "unpublished"
            for e, top in zip(entries, outermost, strict=True)
        ],
        "retrieved_at": [inventory.staged_at] * len(entries),
        "source_url": [addresses[top] for top in outermost],
    }
    schema = FILES.arrow_schema
    return FILES.conform(pa.table({n: pa.array(v, schema.field(n).type) for n, v in columns.items()}))


def _outermost(inventory: Inventory) -> list[str]:
    """Return for each entry the path of the plain file that it is, or that it is in."""
    containers = {e.path for e in inventory.plain if e.is_container}
    found = []
    for entry in inventory.entries:
        path = entry.path
        if entry.container is not None:
            # a folder of the delivery may itself end in "!", so that the first separator need not be the one
            at = path.find(SEPARATOR)
            while path[:at] not in containers:
                at = path.find(SEPARATOR, at + 1)
            path = path[:at]
        found.append(path)
    return found
