"""Free space: asked before writing, and the error of a disk that fills up anyway."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from curation_dagster.core.retrieval.errors import NoSpace

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk and of a full quota."""


def require_space(folder: Path, needed: int, reserve: int) -> None:
    """Raise :class:`NoSpace` if writing ``needed`` bytes would leave less than ``reserve`` bytes free.

    Nothing to write needs no space: a delivery that is picked up by hard links fits on a full disk.
    """
    if needed <= 0:
        return
    free = shutil.disk_usage(folder).free
    if free < needed + reserve:
        raise no_space(
            folder, f"{needed:,} bytes to write and {reserve:,} bytes to leave free", f"{free:,} bytes free"
        )


def no_space(folder: Path, expected: str = "", got: str = "") -> NoSpace:
    """Return the error of a full disk; ``where`` is the disk's mount, as a folder may be called after a person."""
    return NoSpace(
        "There is not enough space for the archive version on the disk of the staging folder.",
        where=str(_mount_of(folder)),
        expected=expected,
        got=got,
        next="What was written of it was removed, and everything staged before is as it was. Free space or move the "
        "staging folder (CURATION_HOME) to a larger disk, then materialize `staged` again.",
    )


def _mount_of(folder: Path) -> Path:
    path = folder.resolve()
    while not path.is_mount() and path != path.parent:
        path = path.parent
    return path
