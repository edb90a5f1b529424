"""Staging: a delivery becomes an immutable, private, fully inventoried archive version, at once or not at all.

``<staging>/<archive>@<version>/`` holds the files of the delivery under their own paths, and in its folder
``.staged/`` the inner containers and the inventory. It is built as ``<staging>/.<archive>@<version>.incoming/`` and
renamed when it is complete, so that a half-staged version is never seen; what a killed run left behind is removed by
the next one. A lock per archive version keeps two runs from building the same folder.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from curation_dagster.core.alone import alone
from curation_dagster.core.imaging import formats
from curation_dagster.core.registry.models import Version
from curation_dagster.core.retrieval import containers, expanding, inventory, names, sniff, tars, zips
from curation_dagster.core.retrieval.containers import PRIVATE, Entry, staged_changed
from curation_dagster.core.retrieval.errors import (
    ChecksumMismatch,
    DeliveryMissing,
    StagingFailed,
    VersionChanged,
    some,
)
from curation_dagster.core.retrieval.expanding import expand
from curation_dagster.core.retrieval.inventory import Inventory
from curation_dagster.core.retrieval.landing import DeliveredFile, Delivery, scan
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.pickup import digest_files, pick_up
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.space import FULL, no_space

if TYPE_CHECKING:
    from curation_dagster.core.registry.loading import ArchiveVersion

INVENTORY = f"{PRIVATE}/inventory.parquet"
QUARANTINE = "quarantine"
_NAMED = 5


def stage(
    archive_version: ArchiveVersion,
    landing: Path,
    staging: Path,
    progress: Callable[[int, int, str], None] | None = None,
    limits: ContainerLimits | None = None,
) -> pa.Table:
    """Stage the delivery of an archive version and return its inventory.

    Parameters
    ----------
    archive_version : ArchiveVersion
        Key, descriptor and version.
    landing : Path
        Folder of deliveries; this one is looked for in ``<landing>/<archive>@<version>/``.
    staging : Path
        Private folder of staged archive versions.
    progress : callable, optional
        Called with (done, total, what is counted) at most twice a second.
    limits : ContainerLimits, optional
        The declared ones by default.

    Returns
    -------
    pyarrow.Table
        Rows of the table ``files``, sorted by path: one per file, and one per member of each container. Staging the
        same bytes again copies nothing and gives the same rows; so does a version whose delivery was cleared away.

    Raises
    ------
    DeliveryMissing, DeliveryUnfinished, UnsafeDelivery
        If the delivery is not one that can be picked up.
    ChecksumMismatch
        If files differ from what their publisher states. Its ``table`` holds the inventory; what was staged lies in
        ``<staging>/quarantine/<archive>@<version>/``.
    HostileContainer, DamagedContainer, UnsupportedContainer
        If a container is not read.
    VersionChanged
        If the version is staged already, with other bytes. What is staged stays.
    StagedFileChanged
        If what is staged is no longer what was staged.
    NoSpace, StagingFailed
        If the disk is full, or the operating system refuses. After every error the staging folder is as it was
        before, but for the quarantine.
    """
    limits = limits or ContainerLimits.load()
    key = str(archive_version.key)
    told = Progress(progress)
    try:
        staging.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(staging / f".{key}.lock"):
            incoming = staging / f".{key}.incoming"
            _discard(incoming)
            try:
                if (staging / key).exists():
                    found = _stage_again(archive_version, landing, staging / key, limits, told)
                else:
                    delivery = scan(archive_version, landing, limits)
                    found = _stage_first(archive_version, delivery, incoming, staging / key, limits, told)
            finally:
                _discard(incoming)
    except OSError as error:
        if error.errno in FULL:
            raise no_space(staging, got=error.strerror or "") from error
        raise StagingFailed(
            f"{key} can't be staged.",
            where=str(error.filename or staging),
            got=str(error),
            next="Everything staged before is as it was. The pipeline's user must be able to read the landing folder "
            "and to write the staging folder.",
        ) from error
    return inventory.table(archive_version, found)


def _stage_first(
    archive_version: ArchiveVersion,
    delivery: Delivery,
    incoming: Path,
    target: Path,
    limits: ContainerLimits,
    progress: Progress,
) -> Inventory:
    version = archive_version.version
    md5 = inventory.wants_md5(version)
    incoming.mkdir(mode=0o700)
    # publishers' checksums come first: a file that is not the publisher's is not opened
    entries = pick_up(delivery, incoming, limits, md5, progress)
    _expect_published(archive_version, entries, incoming, target, delivery)
    entries = expand(incoming, entries, limits, md5, progress)
    _expect_published(archive_version, entries, incoming, target, delivery)
    found = Inventory(entries, datetime.now(UTC), made_by(limits, version))
    found.write(incoming / INVENTORY)
    incoming.rename(target)
    return found


def _stage_again(
    archive_version: ArchiveVersion, landing: Path, target: Path, limits: ContainerLimits, progress: Progress
) -> Inventory:
    """Return the inventory of a version that is staged, after proving that delivery and staged files are the same."""
    version = archive_version.version
    before = Inventory.read(target / INVENTORY)
    md5 = inventory.wants_md5(version)
    try:
        delivery = scan(archive_version, landing, limits)
    except DeliveryMissing:
        delivery = _as_delivery(target, before)
    now = digest_files(delivery, delivery.files, delivery.folder, md5, progress)
    _expect_same(archive_version, before, now, delivery, target)
    # roles and checksum states follow the descriptor of today; the members only change with the code that reads them
    code = made_by(limits, version)
    if code == before.made_by:
        after = before
    else:
        after = replace(before, entries=expand(target, now, limits, md5, progress), made_by=code)
    _expect_published(archive_version, after.entries, None, target, delivery)
    if after is not before:
        after.write(target / INVENTORY)
    return after


@functools.cache
def _code() -> str:
    digest = hashlib.sha256()
    for module in (containers, expanding, formats, names, sniff, tars, zips):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def made_by(limits: ContainerLimits, version: Version) -> str:
    """Return the digest of what an inventory's entries depend on besides the files: code, limits, MD5s asked for."""
    wanted = sorted(name for name, file in version.files.items() if file.md5)
    settings = [sorted(v) if isinstance(v, frozenset) else v for v in vars(limits).values()]
    return hashlib.sha256(f"{_code()}\n{settings}\n{wanted}".encode()).hexdigest()


def _as_delivery(target: Path, before: Inventory) -> Delivery:
    """Return the staged files as if they were delivered, where the delivery was cleared away."""
    files = []
    for entry in before.plain:
        path = target / entry.path
        try:
            state = path.lstat()
        except FileNotFoundError as error:
            raise staged_changed(str(path), entry.sha256, "no file") from error
        files.append(DeliveredFile(entry.path, path, state.st_size, state.st_mtime_ns, state.st_dev))
    return Delivery(target, tuple(files))


def _expect_same(
    archive_version: ArchiveVersion, before: Inventory, now: Sequence[Entry], delivery: Delivery, target: Path
) -> None:
    """Make sure that the delivery holds what is staged, and that what is staged is still there."""
    then = {e.path: e for e in before.plain}
    differences = []
    for entry in now:
        known = then.pop(entry.path, None)
        if known is None:
            differences.append(f"{names.shown(entry.path)} is new")
            continue
        staged = target / entry.path
        if not staged.is_file() or staged.stat().st_size != known.bytes:
            raise staged_changed(str(staged), known.sha256, "no file, or one of another size")
        if entry.sha256 != known.sha256:
            if staged.samefile(delivery.folder / entry.path):
                raise staged_changed(str(staged), known.sha256, entry.sha256)
            differences.append(
                f"{names.shown(entry.path)} has SHA-256 {entry.sha256} instead of {known.sha256}"
            )
    differences += [f"{names.shown(path)} is missing" for path in then]
    if differences:
        more = "" if len(differences) <= _NAMED else f"; and {len(differences) - _NAMED:,} more"
        raise VersionChanged(
            f"{archive_version.key} came with other bytes than are staged: {'; '.join(differences[:_NAMED])}{more}.",
            where=str(delivery.folder),
            expected=f"the {len(before.plain):,} files staged at {before.staged_at:%Y-%m-%d %H:%M} UTC",
            got=f"{len(now):,} files, {len(differences):,} differences",
            next="What is staged stays as it was: a version is immutable. If the publisher released new files, declare "
            "a new version in the archive's descriptor and deliver them under its name; else deliver the old files.",
        )


def _expect_published(
    archive_version: ArchiveVersion,
    entries: Sequence[Entry],
    incoming: Path | None,
    target: Path,
    delivery: Delivery,
) -> None:
    """Make sure that no file differs from its publisher's checksum; the delivery's staged copy goes to quarantine."""
    version = archive_version.version
    wrong = [e for e in entries if inventory.checksum_state(e, version) == "mismatch"]
    if not wrong:
        return
    expected, got = zip(*(_difference(e, version) for e in wrong), strict=True)
    first = wrong[0]
    if incoming is None:
        done = "What is staged stays as it was, but is not used. Correct the descriptor's checksum if it is wrong."
    else:
        content = hashlib.sha256("".join(f"{e.path}\0{e.sha256}\n" for e in entries).encode()).hexdigest()
        kept = target.parent / QUARANTINE / target.name / content[:12]
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _discard(kept)
        incoming.rename(kept)
        done = f"The staged copy of the delivery was moved to {kept}. The file was probably cut off during download; fetch it again."
    more = f" {len(wrong) - 1:,} further files differ, too." if len(wrong) > 1 else ""
    error = ChecksumMismatch(
        f"{got[0]}, but the publisher states {expected[0].rsplit(' ', 1)[1]}.{more}",
        where=str(delivery.folder / first.path),
        expected=some(expected),
        got=some(got),
        next=done,
    )
    code = made_by(ContainerLimits.load(), version)
    error.table = inventory.table(
        archive_version, Inventory(sorted(entries, key=lambda e: e.path), datetime.now(UTC), code)
    )
    raise error


def _difference(entry: Entry, version: Version) -> tuple[str, str]:
    """Return what is stated of a file and what it is, each as `SHA-256 of name is ...`."""
    stated = inventory.published_for(entry.path, version)
    assert stated is not None, "a mismatch is one with a statement"
    for what, wanted, got in (
        ("SHA-256", stated.sha256, entry.sha256),
        ("MD5", stated.md5, entry.md5),
        ("Size in bytes", stated.bytes, entry.bytes),
    ):
        if wanted is not None and wanted != got:
            name = names.shown(entry.path)
            return f"{what} of {name} is {wanted}", f"{what} of {name} is {got}"
    raise AssertionError("no difference")


def _discard(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
