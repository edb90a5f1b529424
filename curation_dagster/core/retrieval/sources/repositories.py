"""Data repositories: the file list of a record with a DOI, in the public interface of each kind of repository.

Written after the interfaces' own documents: Dataverse Native and Data Access API (guides.dataverse.org), Zenodo REST API
(developers.zenodo.org), figshare API v2 (docs.figshare.com), and the public interface of Mendeley Data that its own
pages use (``/public-api/datasets``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from curation_dagster.core.registry.retrieval import Doi
from curation_dagster.core.retrieval.errors import SourceRefused, UnexpectedAnswer
from curation_dagster.core.retrieval.sources.plan import ALGORITHMS, RemoteFile
from curation_dagster.core.retrieval.sources.secrets import Secrets, plain_url

Ask = Callable[[str], Any]
"""Returns the JSON behind an address."""

_MENDELEY = "application/vnd.mendeley-public-dataset.1+json"


def credentials_of(source: Doi, secrets: Secrets) -> dict[str, str]:
    """Return the header that each repository wants its token in."""
    if source.token_env is None:
        return {}
    token = secrets.get(source.token_env)
    if source.repository == "dataverse":
        return {"X-Dataverse-key": token}
    if source.repository == "figshare":
        return {"Authorization": f"token {token}"}
    return {"Authorization": f"Bearer {token}"}


def accept_of(source: Doi) -> str:
    """Return the media type that an interface wants to be asked for."""
    return _MENDELEY if source.repository == "mendeley" else "application/json"


def list_files(source: Doi, version: str, ask: Ask) -> list[RemoteFile]:
    """Return all files of a version of a record.

    Raises
    ------
    UnexpectedAnswer
        If the answer is not in the interface's form, or is of another record or version.
    SourceRefused
        If files of the record are restricted.
    """
    listing = {"dataverse": _dataverse, "zenodo": _zenodo, "figshare": _figshare, "mendeley": _mendeley}
    try:
        return listing[source.repository](source, version, ask)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise _other_form(source, f"{type(error).__name__}: {error}") from error


def latest_version(source: Doi, current: str, ask: Ask) -> str:
    """Return what the repository calls the newest published version of the record.

    Raises
    ------
    UnexpectedAnswer
        If the answer is not in the interface's form.
    """
    api, record = source.api.rstrip("/"), source.record
    try:
        if source.repository == "dataverse":
            found = ask(
                f"{api}/api/datasets/:persistentId/versions/:latest-published?persistentId={_doi(record)}"
            )
            return _dataverse_version(found["data"])
        if source.repository == "zenodo":
            return str(ask(f"{api}/api/records/{number_of(current)}/versions/latest")["id"])
        if source.repository == "figshare":
            return str(max(int(v["version"]) for v in ask(f"{api}/v2/articles/{number_of(record)}/versions")))
        return str(ask(f"{api}/public-api/datasets/{quote(record, safe='')}")["version"])
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise _other_form(source, f"{type(error).__name__}: {error}") from error


def _dataverse(source: Doi, version: str, ask: Ask) -> list[RemoteFile]:
    api = source.api.rstrip("/")
    answer = ask(
        f"{api}/api/datasets/:persistentId/versions/{quote(version, safe=':')}?persistentId={_doi(source.record)}"
    )
    data = answer["data"]
    _expect(source, "version", _dataverse_version(data), version)
    restricted = [f["label"] for f in data["files"] if f.get("restricted")]
    if restricted and source.token_env is None:
        raise SourceRefused(
            f"{len(restricted)} files of the record are restricted.",
            where=plain_url(source.api),
            expected="files that everybody may read, or a token",
            got=f"{len(restricted)} of {len(data['files'])} restricted",
            next="Nothing was fetched. Ask for access, and name the variable of the token as `retrieval.token_env`.",
        )
    found = []
    for entry in data["files"]:
        file = entry["dataFile"]
        folder = entry.get("directoryLabel")
        # a table that was ingested is kept in two forms; the original is what the publisher uploaded. Whether the
        # stated checksum is that of the original depends on the installation, so it is not held against it
        ingested = "originalFileFormat" in file
        name = file.get("originalFileName") or entry["label"] if ingested else entry["label"]
        checksum = file.get("checksum") or ({"type": "MD5", "value": file["md5"]} if file.get("md5") else {})
        found.append(
            RemoteFile(
                path=f"{folder}/{name}" if folder else name,
                url=f"{api}/api/access/datafile/{int(file['id'])}" + ("?format=original" if ingested else ""),
                bytes=file.get("originalFileSize") if ingested else file.get("filesize"),
                digests={} if ingested else _digest(checksum.get("type", ""), checksum.get("value", "")),
            )
        )
    return found


def _dataverse_version(data: Mapping[str, Any]) -> str:
    return f"{data['versionNumber']}.{data.get('versionMinorNumber', 0)}"


def _zenodo(source: Doi, version: str, ask: Ask) -> list[RemoteFile]:
    api = source.api.rstrip("/")
    number = number_of(version)
    record = ask(f"{api}/api/records/{number}")
    _expect(source, "record", str(record["id"]), number)
    found = []
    for entry in record["files"]:
        kind, _, value = entry["checksum"].partition(":")
        found.append(
            RemoteFile(entry["key"], entry["links"]["self"], entry.get("size"), digests=_digest(kind, value))
        )
    return found


def _figshare(source: Doi, version: str, ask: Ask) -> list[RemoteFile]:
    api = source.api.rstrip("/")
    article = ask(f"{api}/v2/articles/{number_of(source.record)}/versions/{int(version)}")
    _expect(source, "version", str(article["version"]), version)
    found = []
    for entry in article["files"]:
        if entry.get("is_link_only"):
            continue  # an address elsewhere, of which the repository states nothing
        stated = entry.get("computed_md5") or entry.get("supplied_md5") or ""
        found.append(
            RemoteFile(
                entry["name"], entry["download_url"], entry.get("size"), digests=_digest("md5", stated)
            )
        )
    return found


def _mendeley(source: Doi, version: str, ask: Ask) -> list[RemoteFile]:
    base = f"{source.api.rstrip('/')}/public-api/datasets/{quote(source.record, safe='')}"
    folders = _folder_paths(ask(f"{base}/folders/{int(version)}"))
    found = []
    for id, path in [("root", ""), *folders.items()]:
        for entry in ask(f"{base}/files?folder_id={quote(id, safe='')}&version={int(version)}"):
            details = entry["content_details"]
            name = entry["filename"]
            found.append(
                RemoteFile(
                    path=f"{path}/{name}" if path else name,
                    url=details["download_url"],
                    bytes=details.get("size", entry.get("size")),
                    digests=_digest("sha256", details.get("sha256_hash") or "")
                    or _digest("sha1", details.get("sha1_hash") or ""),
                )
            )
    return found


def _folder_paths(folders: list[dict[str, Any]]) -> dict[str, str]:
    """Return the path of each folder, whether the list is flat with parents or nested with children."""
    flat: list[tuple[dict[str, Any], str | None]] = []

    def walk(level: list[dict[str, Any]], parent: str | None) -> None:
        for folder in level:
            flat.append((folder, folder.get("parent_id") or parent))
            walk(folder.get("children") or [], folder["id"])

    walk(folders, None)
    by_id = {folder["id"]: (folder["name"], parent) for folder, parent in flat}
    paths = {}
    for id in by_id:
        parts: list[str] = []
        at: str | None = id
        while at in by_id and len(parts) <= len(by_id):
            name, parent = by_id[at]
            parts.append(name)
            at = parent
        if len(parts) > len(by_id):
            raise ValueError("folders that hold each other")
        paths[id] = "/".join(reversed(parts))
    return paths


def _digest(kind: str, value: str) -> dict[str, str]:
    """Return a stated checksum by algorithm; nothing where none is stated or its kind is not known."""
    name = kind.lower().replace("-", "")
    return {name: value.lower()} if name in ALGORITHMS and value else {}


def number_of(text: str) -> str:
    """Return the number of a record: alone, or at the end of a DOI such as ``10.5281/zenodo.123`` or ``...figshare.123.v2``."""
    for part in reversed(text.rstrip("/").replace("/", ".").split(".")):
        if part.isdigit():
            return part
    raise ValueError(f"no number of a record in {text!r}")


def _doi(text: str) -> str:
    return quote(text if text.startswith("doi:") else f"doi:{text}", safe=":/.")


def _expect(source: Doi, what: str, got: str, expected: str) -> None:
    if got != expected:
        raise UnexpectedAnswer(
            f"The repository answered with another {what} than was asked for.",
            where=plain_url(source.api),
            expected=f"{what} {expected}",
            got=f"{what} {got}",
            next="Nothing was fetched. Write the version as the repository calls it into `versions.<version>.source`.",
        )


def _other_form(source: Doi, got: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"The answer is not in the form of {source.repository}.",
        where=plain_url(source.api),
        expected=f"the public interface of {source.repository}",
        got=got,
        next="Nothing was fetched. The interface may have changed, or `retrieval.api` is another kind of repository.",
    )
