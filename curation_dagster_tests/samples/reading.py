"""Reads deliveries with nothing but the standard library, apart from the pipeline's own reading."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path


def table(data: bytes) -> tuple[list[str], list[dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(data.decode(), newline=""))
    rows = list(reader)
    return list(reader.fieldnames or []), rows


def inventory(folder: Path) -> dict[str, bytes]:
    """All files, members of zips included, by the path that an inventory gives them."""
    found: dict[str, bytes] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        _add(found, path.relative_to(folder).as_posix(), path.read_bytes())
    return found


def _add(found: dict[str, bytes], name: str, data: bytes) -> None:
    if not name.endswith(".zip"):
        found[name] = data
        return
    with zipfile.ZipFile(io.BytesIO(data)) as container:
        for member in container.namelist():
            _add(found, f"{name}!/{member}", container.read(member))
