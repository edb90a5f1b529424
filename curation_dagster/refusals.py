"""Refused deliveries: what everybody may read of them, and what only the intake may.

A refusal of a delivery has to name the files that it is about, and a file's name may be a patient's. So the whole message
goes to a file beside the staged archives, for those who may read those; the run, its log and its events say what kind of
refusal it was and where that file is. The same holds for tables that are not what the descriptor describes: the message quotes
them. A refusal of a fetch speaks of a machine, a credential or a disk, and is told whole:
whoever runs the pipeline has to act on it. Which kind is which stands at the kinds (``names_files``).
"""

from __future__ import annotations

import inspect
from pathlib import Path

from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.retrieval.errors import RetrievalError
from curation_dagster.core.retrieval.sources.secrets import machine_of


class DeliveryRefused(RuntimeError):
    """A delivery was refused; the message names no file of it."""


def refusal_file(staging: Path, key: ArchiveVersionKey) -> Path:
    """Return where the whole message about a refused delivery lies."""
    return staging / ".refused" / f"{key}.txt"


def refused(error: RetrievalError | MetadataError, staging: Path, key: ArchiveVersionKey) -> Exception:
    """Return the error to raise instead, which names no file of a delivery; the whole message goes to a file.

    An error whose kind names no files comes back as it is, with the machine instead of the whole address. Of any other
    its kind, the archive version and the message file are told. The message file is readable by its owner only. It is
    replaced by the next refusal of the same archive version.
    """
    path = refusal_file(staging, key)
    asset = "records" if isinstance(error, MetadataError) else "staged"
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(f"{type(error).__name__}\n{error}\n", encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
    if isinstance(error, MetadataError) and not error.names_files:
        return error
    if isinstance(error, RetrievalError) and not error.names_files:
        machine = machine_of(error.where)
        rest = f"\n  address:  in {path}" if machine != error.where else ""
        return type(error)(error.what, machine, error.expected, error.got, error.next + rest)
    kind = (inspect.getdoc(type(error)) or "").split("\n\n")[0]
    return DeliveryRefused(
        f"{type(error).__name__}: {kind}\n"
        f"  where:    the delivery of {key}; which files, what was expected and what came stands in {path}, and not here, "
        "because the name of a file may name a person\n"
        f"  next:     nothing of the delivery was used; read that file, mend the delivery and materialize `{asset}` again"
    )
