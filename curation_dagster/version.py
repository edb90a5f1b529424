"""Which code decided: the package's version and a digest of its own files."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

__version__ = "0.1.0"

_KINDS = {".py", ".yaml", ".csv"}
_DECIDING = {
    ("core", name)
    for name in ("records", "harmonize", "deidentification", "criteria", "duplicates", "review", "registry")
}
_JOINING = {"stage.py", "views.py", "grouping.py", "linking.py", "completing.py"}
# how sources are asked, and what was recorded of versions, decides nothing about an image
_DECIDING_NOTHING = {"hosts.yaml", "retrieval.yaml", "versions.yaml"}


@functools.cache
def code_version() -> str:
    """Return the version with a digest of every source and data file of the package, such as ``0.1.0+3f9a1c0b``."""
    return f"{__version__}+{_digest(lambda path: True)[:12]}"


@functools.cache
def deciding_code() -> str:
    """Return the digest of what turns records and measurements into decisions: code, vocabularies, patterns.

    A stage that was made by other code is out of date, and the corpus refuses its archive version until it is
    materialized again. That reads no pixel: the code that measures has a digest of its own.
    """
    return _digest(
        lambda path: (
            (path.parts[0] == "vocabularies" and path.name not in _DECIDING_NOTHING)
            or path.parts[:2] in _DECIDING
            or path.name in _JOINING
        )
    )


def _digest(wanted: Callable[[Path], bool]) -> str:
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.suffix in _KINDS and "__pycache__" not in p.parts):
        name = path.relative_to(root)
        if wanted(name):
            digest.update(name.as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
