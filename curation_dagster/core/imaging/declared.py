"""Files of networks, each of which must be the declared one."""

from __future__ import annotations

import hashlib
from pathlib import Path

MODELS = Path(__file__).resolve().parents[2] / "models"


class ModelError(RuntimeError):
    """A network's file is not the declared one: the fault of the installation, not of a picture."""


def declared_file(name: str, sha256: str) -> bytes:
    """Return the content of a file of ``models/``, which must have the declared digest."""
    data = (MODELS / name).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{name} has SHA-256 {found}, but vocabularies/detecting.yaml declares {sha256}. No picture is searched "
            "with a network that nobody has declared. Install the package again."
        )
    return data
