"""The documents of a release, each a function from the release's view to files.

To add one, put a module into this folder with a function marked ``@document``; nothing else needs to know of it:

>>> from curation_dagster.core.release.documents import document
>>> @document                                                             # doctest: +SKIP
... def flow(view):
...     \"\"\"The exclusion flow as SVG and JSON.\"\"\"
...     return {"documents/flow.svg": svg(view), "documents/flow.json": numbers(view)}

A document returns paths inside the bundle (relative, with ``/``) and bytes. It reads the tables through the view only, so
that the same view gives the same bytes on every machine, whenever it is made; two documents never write the same path.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from curation_dagster.core.release.contents import contents
from curation_dagster.core.release.view import ReleaseView

Document = Callable[[ReleaseView], Mapping[str, bytes]]
DOCUMENTS: dict[str, Document] = {}

# parts of the bundle that are data, checksums or seal: no document may write there
RESERVED = (
    "data/",
    "sequestered/",
    "tables/",
    "SHA256SUMS",
    "SEAL.json",
    "MANIFEST.json",
    "environment.json",
)


class DocumentError(RuntimeError):
    """A document can't be made, so the release isn't; the message says which and why."""


def document(make: Document) -> Document:
    """Enter a function into the documents of every release, under its own name."""
    name = getattr(make, "__name__", str(make))
    known = DOCUMENTS.get(name)
    if known is not None and known.__module__ != make.__module__:
        raise DocumentError(
            f"two documents are called {name}: {known.__module__} and {make.__module__}; rename one"
        )
    DOCUMENTS[name] = make
    return make


def all_documents() -> dict[str, Document]:
    """Return every document by its name, in order of name; all modules of this folder are loaded first."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(DOCUMENTS.items()))


def written_documents(view: ReleaseView) -> dict[str, bytes]:
    """Return the files of all documents of a release, and the page that leads to them.

    Raises
    ------
    DocumentError
        If a document writes a path that another wrote, one outside the bundle, or one that is kept for data.
    """
    files: dict[str, bytes] = {}
    for name, make in all_documents().items():
        for path, content in make(view).items():
            pure = PurePosixPath(path)
            if pure.is_absolute() or ".." in pure.parts or path.startswith(RESERVED):
                raise DocumentError(f"the document {name} may not write {path!r} into the bundle")
            if path in files:
                raise DocumentError(f"the document {name} writes {path!r}, which another document wrote")
            files[path] = content
    return files | contents(view, files)
