"""Stand-ins that speak the public interfaces of data repositories, in the form of their real answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from curation_dagster_tests.servers import Answer, Asked, HttpServer


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def dataverse(
    server: HttpServer, doi: str, version: str, files: Mapping[str, bytes], ingested: str = ""
) -> None:
    """Native API: ``/api/datasets/:persistentId/versions/<v>`` and ``/api/access/datafile/<id>``."""
    major, minor = version.split(".")
    entries = []
    for number, (path, content) in enumerate(files.items(), start=3345001):
        folder, _, name = path.rpartition("/")
        entry: dict[str, Any] = {
            "label": name, "restricted": False, "version": 1, "datasetVersionId": 151,
            "dataFile": {
                "id": number, "persistentId": "", "filename": name, "contentType": "application/zip",
                "filesize": len(content), "storageIdentifier": f"s3://dvn-cloud:1-{number}", "rootDataFileId": -1,
                "md5": md5(content), "checksum": {"type": "MD5", "value": md5(content)},
                "creationDate": "2018-06-04",
            },
        }  # fmt: skip
        if folder:
            entry["directoryLabel"] = folder
        url = f"/api/access/datafile/{number}"
        if path == ingested:
            entry["label"] = name + ".tab"
            entry["dataFile"] |= {
                "filename": name + ".tab", "originalFileFormat": "text/csv", "originalFileName": name,
                "originalFileSize": len(content), "filesize": len(content) + 9, "UNF": "UNF:6:abc==",
                "md5": "0" * 32, "checksum": {"type": "MD5", "value": "0" * 32},
            }  # fmt: skip
            url += "?format=original"
        server.add(url, content)
        entries.append(entry)
    data = {
        "id": 151, "datasetId": 3172581, "datasetPersistentId": f"doi:{doi}", "versionNumber": int(major),
        "versionMinorNumber": int(minor), "versionState": "RELEASED", "lastUpdateTime": "2023-02-05T12:00:00Z",
        "files": entries,
    }  # fmt: skip
    answer = {"status": "OK", "data": data}
    for name in (version, ":latest-published"):
        server.add_json(f"/api/datasets/:persistentId/versions/{name}?persistentId=doi:{doi}", answer)


def zenodo(server: HttpServer, number: int, files: Mapping[str, bytes], latest: int | None = None) -> None:
    """REST API: ``/api/records/<id>``."""
    entries = []
    for name, content in files.items():
        at = server.add(f"/api/records/{number}/files/{name}/content", content)
        entries.append(
            {"id": f"{number}-{name}", "key": name, "size": len(content), "checksum": f"md5:{md5(content)}",
             "links": {"self": at}}
        )  # fmt: skip
    record = {
        "created": "2025-12-18T10:00:00+00:00", "id": number, "recid": str(number), "conceptrecid": str(number - 1),
        "doi": f"10.5281/zenodo.{number}", "conceptdoi": f"10.5281/zenodo.{number - 1}",
        "metadata": {"version": "v1", "relations": {"version": [{"index": 0, "is_last": True}]}},
        "files": entries, "revision": 3, "state": "done", "submitted": True,
    }  # fmt: skip
    server.add_json(f"/api/records/{number}", record)
    server.add_json(f"/api/records/{number}/versions/latest", {**record, "id": latest or number})


def figshare(server: HttpServer, article: int, version: int, files: Mapping[str, bytes]) -> None:
    """API v2: ``/v2/articles/<id>/versions/<v>``."""
    entries: list[dict[str, Any]] = []
    for number, (name, content) in enumerate(files.items(), start=44937931):
        at = server.add(f"/files/{number}", content)
        entries.append(
            {"id": number, "name": name, "size": len(content), "is_link_only": False, "download_url": at,
             "supplied_md5": md5(content), "computed_md5": md5(content), "mimetype": "application/zip"}
        )  # fmt: skip
    entries.append({"id": 1, "name": "elsewhere", "size": 0, "is_link_only": True, "download_url": "https://x.org",
                    "supplied_md5": "", "computed_md5": "", "mimetype": "undefined"})  # fmt: skip
    about = {
        "id": article,
        "version": version,
        "doi": f"10.6084/m9.figshare.{article}.v{version}",
        "files": entries,
    }
    server.add_json(f"/v2/articles/{article}/versions/{version}", about)
    listed = [
        {"version": v, "url": f"https://api.figshare.com/v2/articles/{article}/versions/{v}"}
        for v in range(1, version + 1)
    ]
    server.add_json(f"/v2/articles/{article}/versions", listed)


def mendeley(server: HttpServer, id: str, version: int, files: Mapping[str, bytes]) -> None:
    """The public interface: ``/public-api/datasets/<id>/folders/<v>`` and ``.../files?folder_id=...&version=...``."""
    folders: dict[str, dict[str, Any]] = {}
    by_folder: dict[str, list[dict[str, Any]]] = {"root": []}
    for number, (path, content) in enumerate(files.items()):
        *above, name = path.split("/")
        parent: str | None = None
        for depth in range(len(above)):
            full = "/".join(above[: depth + 1])
            key = f"folder-{full.replace('/', '-')}"
            folders[key] = {"id": key, "name": above[depth], "created_time": "2020-07-07"} | (
                {"parent_id": parent} if parent else {}
            )
            by_folder.setdefault(key, [])
            parent = key
        at = server.add(f"/public-files/datasets/{id}/files/{number}/file_downloaded", content)
        by_folder[parent or "root"].append(
            {"filename": name, "id": f"file-{number}", "size": len(content), "content_details": {
                "id": f"content-{number}", "sha256_hash": hashlib.sha256(content).hexdigest(),
                "sha1_hash": hashlib.sha1(content).hexdigest(), "content_type": "application/zip", "size": len(content),
                "created_date": "2020-07-07", "download_url": at, "view_url": at, "download_expiry_time": "2020-07-08"}}
        )  # fmt: skip
    base = f"/public-api/datasets/{id}"
    server.add_json(f"{base}/folders/{version}", list(folders.values()))
    for key, listed in by_folder.items():
        server.add_json(f"{base}/files?folder_id={key}&version={version}", listed)
    server.add_json(base, {"id": id, "version": version, "doi": {"id": f"10.17632/{id}.{version}"}})


def isic(server: HttpServer, images: Mapping[str, bytes], page: int = 2, counted: int | None = None) -> None:
    """API v2: pages by cursor, the count on the first one only; addresses of files are signed."""
    ids = sorted(images)

    def record(id: str) -> dict[str, Any]:
        content = images[id]
        url = server.add(f"/blobs/{id}.jpg", content)
        return {
            "isic_id": id, "public": True, "copyright_license": "CC-0" if id.endswith("0") else "CC-BY-NC",
            "attribution": "Department of Dermatology, Nowhere",
            "files": {"full": {"url": f"{url}?Expires=1&Signature=abc{len(server.asked)}", "size": len(content)},
                      "thumbnail_256": {"url": f"{url}?thumbnail", "size": 10}},
            "metadata": {"acquisition": {"pixels_x": 8, "pixels_y": 8, "image_type": "dermoscopic"},
                         "clinical": {"sex": "female", "age_approx": 55, "diagnosis_1": "Benign"}},
        }  # fmt: skip

    def search(asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        at = int(query.get("cursor", ["0"])[0])
        more = at + page < len(ids)
        body = {
            "results": [record(i) for i in ids[at : at + page]],
            "count": (len(ids) if counted is None else counted) if at == 0 else None,
            "next": server.url(f"/api/v2/images/search/?limit=100&cursor={at + page}") if more else None,
            "previous": None,
        }
        return Answer(json.dumps(body).encode())

    server.answers["/api/v2/images/search/"] = search
    for id in ids:
        server.answers[f"/api/v2/images/{id}/"] = lambda asked, id=id: Answer(  # type: ignore[misc]
            json.dumps(record(id)).encode()
        )
