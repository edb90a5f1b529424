"""Picking files up: from the landing folder into staging, by hard link or copy, with their digests."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from curation_dagster.core.retrieval import sniff
from curation_dagster.core.retrieval.containers import Entry
from curation_dagster.core.retrieval.errors import UnsafeDelivery
from curation_dagster.core.retrieval.landing import DeliveredFile, Delivery, unfinished_delivery
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.names import shown
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.space import require_space
from curation_dagster.core.retrieval.zips import CHUNK

# a link is impossible (other file system, no links there), or forbidden (somebody else's file under
# fs.protected_hardlinks, or a mode that can't be changed): then the file is copied
_NO_LINK = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
)
_READ_ONLY = 0o400


def pick_up(
    delivery: Delivery,
    target: Path,
    limits: ContainerLimits,
    wants_md5: Callable[[str], bool],
    progress: Progress,
) -> list[Entry]:
    """Bring all files of a delivery into an empty folder, and return their entries.

    Hard links cost neither time nor space. They share the file with the landing folder, which is why it is made
    read-only; a change behind that is found, because everything is checked against its SHA-256 when it is used.

    Raises
    ------
    DeliveryUnfinished
        If a file changes while it is read.
    NoSpace
        If files must be copied and the disk has no room for them.
    """
    here = target.stat().st_dev
    require_space(target, sum(f.bytes for f in delivery.files if f.device != here), limits.reserve_bytes)
    for folder in sorted({(target / f.path).parent for f in delivery.files}):
        _make_private(folder, target)
    copied, total = 0, delivery.bytes
    for file in delivery.files:
        staged = target / file.path
        if file.device != here or not _link(file.absolute, staged):
            require_space(target, file.bytes, limits.reserve_bytes)
            for written in _copy(file.absolute, staged):
                copied += written
                progress.report(copied, total, "bytes of the delivery copied")
    return digest_files(delivery, delivery.files, target, wants_md5, progress)


def digest_files(
    delivery: Delivery,
    files: Sequence[DeliveredFile],
    folder: Path,
    wants_md5: Callable[[str], bool],
    progress: Progress,
) -> list[Entry]:
    """Return the entries of a delivery's files as they lie below ``folder``, reading each once.

    Raises
    ------
    DeliveryUnfinished
        If a delivered file is another one than when the delivery was listed.
    """
    total, done = sum(f.bytes for f in files), 0
    entries = []
    what = "bytes of the delivery read"
    for file in files:
        sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with_md5 = wants_md5(file.path)
        head, size = b"", 0
        for chunk in _chunks(folder / file.path):
            head = head or chunk[: sniff.HEAD]
            size += len(chunk)
            sha256.update(chunk)
            if with_md5:
                md5.update(chunk)
            progress.report(done + size, total, what)
        done += size
        entries.append(
            Entry(
                path=file.path,
                container=None,
                member=None,
                bytes=size,
                sha256=sha256.hexdigest(),
                md5=md5.hexdigest() if with_md5 else None,
                media_type=sniff.media_type(head),
                is_container=False,
            )
        )
    _expect_unchanged(delivery, files, entries)
    progress.report(done, total, what, last=True)
    return entries


def _chunks(path: Path) -> Iterable[bytes]:
    # O_NOFOLLOW: between listing and opening, somebody may have put a link into the file's place
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as handle:
        if not stat.S_ISREG(os.fstat(handle.fileno()).st_mode):
            raise _replaced(path)
        while chunk := handle.read(CHUNK):
            yield chunk


def _expect_unchanged(delivery: Delivery, files: Sequence[DeliveredFile], entries: Sequence[Entry]) -> None:
    changed = []
    for file, entry in zip(files, entries, strict=True):
        try:
            state = file.absolute.lstat()
        except (FileNotFoundError, NotADirectoryError):
            changed.append(f"{shown(file.path)} vanished while it was read")
            continue
        if (state.st_size, state.st_mtime_ns, entry.bytes) != (file.bytes, file.modified_ns, file.bytes):
            changed.append(f"{shown(file.path)} changed while it was read")
    if changed:
        raise unfinished_delivery(delivery.folder, changed)


def _make_private(folder: Path, top: Path) -> None:
    """Make a folder and those above it up to ``top``, for the owner only whatever the umask."""
    if folder == top or folder.is_dir():
        return
    _make_private(folder.parent, top)
    folder.mkdir(mode=0o700)


def _link(source: Path, target: Path) -> bool:
    """Hard-link a file and make it read-only; return False where that can't be."""
    try:
        os.link(source, target, follow_symlinks=False)
        if not stat.S_ISREG(target.lstat().st_mode):
            raise _replaced(source)
        target.chmod(_READ_ONLY)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        target.unlink(missing_ok=True)
        return False
    return True


def _copy(source: Path, target: Path) -> Iterable[int]:
    """Copy a file and make the copy read-only; yields the bytes written, chunk by chunk."""
    with os.fdopen(
        os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0
    ) as written:
        for chunk in _chunks(source):
            view = memoryview(chunk)
            while view:
                view = view[written.write(view) :]
            yield len(chunk)
        os.fchmod(written.fileno(), _READ_ONLY)


def _replaced(path: Path) -> UnsafeDelivery:
    return UnsafeDelivery(
        "A file of the delivery was replaced while it was picked up.",
        where=str(path),
        expected="a plain file",
        got="something else",
        next="Nothing was staged. Find out who writes to the landing folder.",
    )
