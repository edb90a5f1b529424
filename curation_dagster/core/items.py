"""Files as the pixel passes see them: a plain file, or a member of a zip that is read in place."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

_OPEN_CONTAINERS = 4


@dataclass(frozen=True)
class FileItem:
    """One distinct file.

    Parameters
    ----------
    sha256 : str
        SHA-256 of the content, as staged.
    path : str
        Absolute path of the file, or of the zip that holds it.
    member : str or None
        Name inside the zip.
    bytes : int
        Size of the content in bytes, as staged.
    """

    sha256: str
    path: str
    member: str | None
    bytes: int


# zips open in this process, most recently used last; a worker reads thousands of members of the same few
_containers: OrderedDict[str, zipfile.ZipFile] = OrderedDict()


def read_item(item: FileItem) -> bytes:
    """Return the content of the file.

    Raises
    ------
    OSError
        If the file or its container is gone or can't be read.
    zipfile.BadZipFile
        If the container is damaged, or the member's CRC does not match.
    KeyError
        If the container has no such member.
    """
    if item.member is None:
        return Path(item.path).read_bytes()
    container = _containers.pop(item.path, None)
    if container is None:
        container = zipfile.ZipFile(item.path)
    _containers[item.path] = container
    while len(_containers) > _OPEN_CONTAINERS:
        _containers.popitem(last=False)[1].close()
    return container.read(item.member)
