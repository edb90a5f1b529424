"""A file on its way: a temporary name in the destination folder, digests while it streams, then verified and moved.

``a.zip.part`` holds the bytes, ``a.zip.note.part`` what they are bytes of. Both names are unfinished ones to the landing
folder, so nothing of them is ever picked up. A killed process leaves them behind, and the next one goes on with them if
the source still calls the file the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from curation_dagster.core.retrieval.errors import ChecksumMismatch
from curation_dagster.core.retrieval.names import shown
from curation_dagster.core.retrieval.sources.plan import ALGORITHMS, Fetched, RemoteFile
from curation_dagster.core.retrieval.sources.secrets import plain_url
from curation_dagster.core.retrieval.zips import CHUNK


class Partial:
    """The unfinished part of one file."""

    def __init__(self, file: RemoteFile, folder: Path) -> None:
        self.file = file
        self.target = folder / file.path
        self.part = self.target.with_name(self.target.name + ".part")
        self.note = self.target.with_name(self.target.name + ".note.part")
        self.resumed_from = 0
        self.went_on = False
        self._furthest = 0
        self.size = 0
        self.validator: str | None = None
        self._digests = _fresh(file.digests)
        self._handle: IO[bytes] | None = None

    def resume(self) -> int:
        """Take up what an earlier try left; return its size in bytes, 0 if there is nothing that can be gone on with.

        The bytes are gone on with if the note names the same file, and there is a way to tell afterwards that both
        halves are of one file: the source's own name of its state, or a published digest.
        """
        self._close()
        if self.size and self._can_go_on() and self.part.is_file() and self.part.stat().st_size == self.size:
            self.resumed_from, self.went_on = self.size, True
            return self.size  # written by this process, which still has the digests
        known = self._read_note()
        same = known.get("file") == self.file.identity and known.get("digests") == dict(self.file.digests)
        self.validator = known.get("validator") or None
        if not same or not self.part.is_file() or not self._can_go_on():
            self.restart()
            return 0
        self._digests, self.size = _fresh(self.file.digests), 0
        with self.part.open("rb") as handle:
            while chunk := handle.read(CHUNK):
                self._take(chunk)
        self.resumed_from = self.size
        self.went_on = self.went_on or self.size > 0
        return self.size

    def restart(self) -> None:
        """Forget what was written."""
        self._close()
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self._digests, self.size, self.resumed_from, self.validator = _fresh(self.file.digests), 0, 0, None

    def begin(self, validator: str | None) -> None:
        """Open the part for further bytes, and note what they are bytes of."""
        self.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.validator = validator
        text = json.dumps(
            {"file": self.file.identity, "digests": dict(self.file.digests), "validator": validator}
        )
        descriptor = os.open(self.note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as note:
            note.write(text)
        descriptor = os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        # unbuffered: what a killed process has written is what it has counted
        self._handle = os.fdopen(descriptor, "ab", buffering=0)

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        assert self._handle is not None, "begin comes first"
        view = memoryview(chunk)
        while view:
            view = view[self._handle.write(view) :]
        self._take(chunk)

    def pause(self) -> None:
        """Close the part; it can be gone on with."""
        self._close()

    def finish(self, tries: int, url: str | None = None, moved: bool = False) -> Fetched:
        """Verify the whole file, bring it safely to disk, and give it its name.

        Raises
        ------
        ChecksumMismatch
            If size or digest differ from what the source states. The bytes are removed: going on with them is useless.
        """
        self._verify()
        if self._handle is None:
            self.begin(self.validator)
        assert self._handle is not None
        os.fsync(self._handle.fileno())
        self._close()
        self.part.replace(self.target)
        self.note.unlink(missing_ok=True)
        _sync_folder(self.target.parent)
        return Fetched(
            path=self.file.path,
            url=plain_url(url or self.file.url),
            bytes=self.size,
            sha256=self._digests["sha256"].hexdigest(),
            verified_by=next((a for a in ALGORITHMS if a in self.file.digests), None),
            validator=self.validator,
            resumed_from=self.resumed_from,
            tries=tries,
            fetched_at=datetime.now(UTC),
            moved=moved,
        )

    def advanced(self) -> bool:
        """Return whether this try has come further than all tries before it."""
        before, self._furthest = self._furthest, max(self._furthest, self.size)
        return self.size > before

    def _can_go_on(self) -> bool:
        strong = self.validator is not None and not self.validator.startswith("W/")
        return strong or bool(self.file.digests)

    def _verify(self) -> None:
        stated = [("size", str(self.file.bytes), str(self.size))] if self.file.bytes is not None else []
        stated += [(a, d, self._digests[a].hexdigest()) for a, d in sorted(self.file.digests.items())]
        for what, expected, got in stated:
            if expected != got:
                size = self.size
                self.restart()
                raise ChecksumMismatch(
                    f"The {what} of {shown(self.file.path)} is {got}, but its source states {expected}.",
                    where=plain_url(self.file.url),
                    expected=f"{what} {expected}",
                    got=f"{what} {got}, after {size:,} bytes",
                    next="What was fetched of it was removed. If it happens again, the source has changed the file or "
                    "its statement: ask the publisher.",
                )

    def _take(self, chunk: bytes) -> None:
        self.size += len(chunk)
        for digest in self._digests.values():
            digest.update(chunk)

    def _read_note(self) -> dict[str, Any]:
        try:
            found = json.loads(self.note.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _fresh(digests: Mapping[str, str]) -> dict[str, hashlib._Hash]:
    return {a: hashlib.new(a, usedforsecurity=False) for a in {"sha256", *digests}}


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
