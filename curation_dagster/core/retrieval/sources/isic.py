"""The ISIC Archive through its API v2: every image of a query, with the licence and the metadata that it carries.

One line of JSON for each image goes into ``metadata.jsonl``, flat and with the column names of the archive's own export
(``isic_id``, ``attribution``, ``copyright_license``, then the fields of acquisition and diagnosis), and the image itself
into ``images/``. Pages come by cursor; the count stands on the first page only, and what was listed is held against it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlencode, urlsplit

from curation_dagster.core.registry.retrieval import Isic
from curation_dagster.core.retrieval.errors import UnexpectedAnswer
from curation_dagster.core.retrieval.sources.plan import RemoteFile
from curation_dagster.core.retrieval.sources.repositories import Ask
from curation_dagster.core.retrieval.sources.secrets import plain_url

METADATA = "metadata.jsonl"
_ID = re.compile(r"ISIC_\d{7,}")
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".dcm"})
_PAGE = 100


def search_url(source: Isic) -> str:
    """Return the address of the first page."""
    asked: dict[str, Any] = {"limit": _PAGE}
    if source.collections:
        asked["collections"] = ",".join(str(n) for n in source.collections)
    if source.query:
        asked["query"] = source.query
    return f"{source.api.rstrip('/')}/images/search/?{urlencode(asked)}"


def list_images(source: Isic, ask: Ask, most: int) -> tuple[list[RemoteFile], list[str]]:
    """Return the images of the query, and a line of JSON for each; both in the order of their ids.

    Raises
    ------
    UnexpectedAnswer
        If the answer is not in the interface's form, pages point elsewhere, or the images are not as many as counted.
    """
    try:
        records = list(_pages(source, ask, most))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _other(source, "the form of API v2", f"{type(error).__name__}: {error}") from error
    by_id = {r["isic_id"]: r for r in records}
    if len(by_id) != len(records):
        raise _other(
            source, "each image once", f"{len(records) - len(by_id):,} twice: the archive changed meanwhile"
        )
    files, lines = [], []
    for id in sorted(by_id):
        record = by_id[id]
        full = record["files"]["full"]
        suffix = PurePosixPath(urlsplit(full["url"]).path).suffix.lower()
        path = f"images/{id}{suffix if suffix in _SUFFIXES else '.jpg'}"
        # the address is signed and differs from hour to hour; the id is what stays
        files.append(RemoteFile(path, full["url"], full.get("size"), about={"id": id}))
        lines.append(json.dumps(flat(record), ensure_ascii=False, sort_keys=True))
    return files, lines


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return an image's record with the columns of the archive's export.

    >>> flat({"isic_id": "ISIC_0000000", "attribution": "A", "copyright_license": "CC-0", "public": True,
    ...       "metadata": {"acquisition": {"pixels_x": 4}, "clinical": {"sex": "male"}}})["sex"]
    'male'
    """
    row: dict[str, Any] = {k: record[k] for k in ("isic_id", "attribution", "copyright_license")}
    for part in record.get("metadata", {}).values():
        row |= {k: v for k, v in part.items() if v is not None}
    return row


def _pages(source: Isic, ask: Ask, most: int) -> Iterator[dict[str, Any]]:
    url: str | None = search_url(source)
    origin = urlsplit(source.api)[:2]
    counted: int | None = None
    seen, listed = set(), 0
    while url:
        if url in seen or urlsplit(url)[:2] != origin:
            raise _other(source, "a next page of the same interface", plain_url(url))
        seen.add(url)
        page = ask(url)
        counted = page["count"] if counted is None else counted
        for record in page["results"]:
            if not _ID.fullmatch(record["isic_id"]):
                raise _other(source, "ids like ISIC_0000000", "others")
            listed += 1
            if listed > most:
                raise _other(source, f"at most {most:,} images", "more")
            yield record
        url = page["next"]
    if counted is not None and listed != counted:
        raise _other(source, f"{counted:,} images, as the first page counts", f"{listed:,}")


def _other(source: Isic, expected: str, got: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        "The archive's interface gave another answer than was asked for.",
        where=plain_url(source.api),
        expected=expected,
        got=got,
        next="Nothing was fetched. Materialize `staged` again; if it stays, the interface has changed.",
    )
