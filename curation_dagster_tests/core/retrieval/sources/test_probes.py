"""Probes of every kind of source: what tells a version, what a new one, what changed bytes, and how long one may take."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import Version
from curation_dagster.core.registry.retrieval import METHODS
from curation_dagster.core.retrieval.probes import Look, is_probed, probe, probing
from curation_dagster.watching import rows_of
from curation_dagster_tests.servers import HttpServer, SftpServer

from . import repositories
from .conftest import WHY, Field

KINDS = {"https", "sftp", "s3", "doi", "isic", "drop"}
FILES = {"a.zip": b"PK" * 50, "meta.csv": b"image_id\na\n"}


def versions(base: ArchiveVersion, **named: dict[str, Any]) -> list[ArchiveVersion]:
    """Return further versions of an archive."""
    declared = {n: Version.model_validate(said) for n, said in named.items()}
    descriptor = base.descriptor.model_copy(update={"versions": declared})
    return [
        replace(base, key=ArchiveVersionKey(base.key.archive, n), descriptor=descriptor, version=v)
        for n, v in declared.items()
    ]


def look(place: Field, declared: list[ArchiveVersion], **limits: Any) -> Look:
    place.limits |= limits
    with place.session() as session, probing(session) as cheap:
        return probe(declared, cheap, place.landing)


class Rows:
    """What the table ``source_probes`` would hold after looks in a row."""

    def __init__(self, place: Field, declared: list[ArchiveVersion]) -> None:
        self.place, self.declared, self.rows = place, declared, {}

    def look(self) -> dict[str, str]:
        source = self.declared[0].descriptor.retrieval
        names = [v.key.version for v in self.declared]
        found = rows_of("testset", source.method, names, look(self.place, self.declared), self.rows)
        self.rows |= {r["version"]: r for r in found}
        return {v: r["state"] for v, r in self.rows.items()}


def test_every_method_but_deliveries_by_hand_and_lists_has_a_probe() -> None:
    assert set(METHODS) - KINDS == {"landing", "url_list"}


def test_https_is_told_by_etag_time_and_length(http_server: HttpServer, place: Field, archive) -> None:
    place.environment = {"REPO_USER": "reader", "REPO_PASSWORD": "hunter2hunter2"}
    files = {"a.zip": {"url": http_server.add("/a.zip", b"one")},
             "b.zip": {"url": http_server.add("/b.zip", b"two", etag=None, modified="Mon, 01 Jan 2024 00:00:00 GMT")}}  # fmt: skip
    version = archive(
        files, method="https", plain_http_reason=WHY, user_env="REPO_USER", password_env="REPO_PASSWORD"
    )
    seen = Rows(place, [version])
    assert seen.look() == seen.look() == {"1": "known"}
    assert {a.method for a in http_server.asked} == {"HEAD"}, "a probe fetches nothing"
    assert all(a.headers["authorization"].startswith("Basic ") for a in http_server.asked)
    http_server.add("/b.zip", b"two", etag=None, modified="Tue, 02 Jan 2024 00:00:00 GMT")
    assert seen.look() == {"1": "changed"}


def test_an_https_server_that_names_no_state_is_never_an_incident(http_server, place, archive) -> None:
    files = {"a.zip": {"url": http_server.add("/a.zip", b"one", etag=None)}}
    seen = Rows(place, [archive(files, method="https", plain_http_reason=WHY)])
    seen.look()
    http_server.add("/a.zip", b"another", etag=None)
    assert seen.look() == {"1": "known"}
    assert seen.rows["1"]["signature"] is None


@pytest.mark.parametrize("repository", ["dataverse", "zenodo", "figshare", "mendeley"])
def test_a_record_is_told_by_its_files_and_its_newest_version(
    repository, http_server, place, archive
) -> None:
    record, first, second = {
        "dataverse": ("10.7910/DVN/X", "1.0", "2.0"), "zenodo": ("5", "5", "9"), "figshare": ("7", "1", "2"),
        "mendeley": ("abc", "1", "2"),
    }[repository]  # fmt: skip

    def publish(files: dict[str, bytes], newest: bool = False) -> None:
        if repository == "dataverse":
            repositories.dataverse(http_server, record, first, files)
            if newest:
                mine = http_server.answers[
                    f"/api/datasets/:persistentId/versions/{first}?persistentId=doi:{record}"
                ]
                repositories.dataverse(http_server, record, second, files)
                http_server.answers[
                    f"/api/datasets/:persistentId/versions/{first}?persistentId=doi:{record}"
                ] = mine
        elif repository == "zenodo":
            repositories.zenodo(http_server, 5, files, latest=9 if newest else None)
        elif repository == "figshare":
            repositories.figshare(http_server, 7, 1, files)
            if newest:
                repositories.figshare(http_server, 7, 2, files)
        else:
            repositories.mendeley(http_server, "abc", 1, files)
            if newest:
                repositories.mendeley(http_server, "abc", 2, files)

    publish(FILES)
    version = archive(
        source=first, method="doi", repository=repository, record=record, api=http_server.url("").rstrip("/"),
        plain_http_reason=WHY,
    )  # fmt: skip
    seen = Rows(place, [version])
    assert seen.look() == seen.look() == {"1": "known"}
    assert not [
        p
        for p in http_server.paths()
        if "datafile" in p or "/content" in p or "/files/4" in p or "downloaded" in p
    ]
    publish(FILES, newest=True)
    assert seen.look() == {"1": "known", second: "new_version"}
    publish({**FILES, "meta.csv": b"image_id\nother\n"})
    assert seen.look()["1"] == "changed"


def test_the_isic_archive_has_states_and_no_incidents(http_server, place, archive) -> None:
    images = {f"ISIC_000000{n}": b"\xff\xd8\xff\xe0" + bytes([n]) * 300 for n in range(3)}
    repositories.isic(http_server, images)
    base = archive(method="isic", api=http_server.url("/api/v2"), plain_http_reason=WHY, collections=[1])
    seen = Rows(place, [base])
    assert seen.look() == seen.look() == {"1": "known"}
    assert {p.split("?")[0] for p in http_server.paths()} == {"/api/v2/images/search/"}
    assert len(http_server.asked) == 2, "one page a look"
    repositories.isic(http_server, {**images, "ISIC_0000009": b"\xff\xd8\xff\xe0more"})
    states = seen.look()
    (new,) = set(states) - {"1"}
    assert (new[:2], states[new], states["1"]) == ("4-", "new_version", "known")
    # once it is declared, by its signature, it is what the source has
    seen.declared = versions(base, **{"1": {}, new: {"source": seen.rows[new]["source"]}})
    assert seen.look() == states
    repositories.isic(http_server, images)
    assert {v for v, s in seen.look().items() if s == "new_version" and v.startswith("3-")}


def test_a_folder_of_an_sftp_server_is_told_by_sizes_and_times(
    sftp_server: SftpServer, place, archive
) -> None:
    place.environment = {"SFTP_USER": "reader", "SFTP_PASSWORD": "a secret word"}
    for name in ("v1", "v2"):
        (sftp_server.root / "share" / name).mkdir(parents=True)
        (sftp_server.root / "share" / name / "meta.csv").write_bytes(name.encode())
    base = archive(
        source="v1", method="sftp", host="127.0.0.1", port=sftp_server.port, folder="/share", user_env="SFTP_USER",
        password_env="SFTP_PASSWORD", host_keys=[sftp_server.host_key],
    )  # fmt: skip
    seen = Rows(place, [base])
    assert seen.look() == seen.look() == {"1": "known", "v2": "new_version"}
    os.utime(sftp_server.root / "share/v1/meta.csv", (1e9, 1e9))
    assert seen.look()["1"] == "changed"


def test_a_prefix_of_a_bucket_is_told_by_etags(s3_server: str, place, archive) -> None:
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="a")  # fmt: skip
    name = f"p-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    for key in ("data/v1/meta.csv", "data/v2/meta.csv"):
        client.put_object(Bucket=name, Key=key, Body=b"one")
    place.environment = {"S3_KEY": "testing", "S3_SECRET": "testing-secret"}
    base = archive(
        source="v1/", method="s3", bucket=name, prefix="data/", endpoint=s3_server, plain_http_reason=WHY,
        access_key_env="S3_KEY", secret_key_env="S3_SECRET",
    )  # fmt: skip
    seen = Rows(place, [base])
    assert seen.look() == seen.look() == {"1": "known", "v2": "new_version"}
    client.put_object(Bucket=name, Key="data/v1/meta.csv", Body=b"two")
    assert seen.look()["1"] == "changed"


def test_a_gated_delivery_is_told_by_its_manifest(place: Field, archive) -> None:
    seen = Rows(place, [archive(method="drop")])
    assert seen.look() == {}
    for name in ("testset@1", "testset@2"):
        (place.landing / name).mkdir(parents=True)
        (place.landing / name / "manifest.json").write_text(json.dumps({"files": {}}))
    assert seen.look() == {"1": "known", "2": "new_version"}
    (place.landing / "testset@1/manifest.json").write_text("{}")
    assert seen.look()["1"] == "changed"
    assert seen.rows["1"]["seen"] == hashlib.sha256(b"{}").hexdigest()


# -- cheap, and never for long ---------------------------------------------------------------------


def silent(kind: str, server: HttpServer, archive: Any) -> ArchiveVersion:
    """Return an archive version whose source takes the question and says nothing."""
    slow = {"chunk": 1, "chunk_seconds": 2.0, "etag": None}
    for path in ("/a.zip", "/api/v2/images/search/", "/api/records/5"):
        server.answers[path] = lambda asked: time.sleep(2.5) or server.answers["/slow"]
    server.add("/slow", b"{}", **slow)
    at = server.url("").rstrip("/")
    said = {
        "https": {"files": {"a.zip": {"url": f"{at}/a.zip"}}},
        "doi": {"repository": "zenodo", "record": "5", "api": at, "source": "5"},
        "isic": {"api": f"{at}/api/v2", "collections": [1]},
        "s3": {"bucket": "b", "endpoint": at, "source": "v1/"},
    }[kind]  # fmt: skip
    files, source = said.pop("files", None), said.pop("source", None)
    return archive(files, source=source, method=kind, plain_http_reason=WHY, **said)


@pytest.mark.parametrize("kind", ["https", "doi", "isic", "s3"])
def test_a_silent_source_costs_a_probe_its_own_time_out_and_no_more(
    kind, http_server, place, archive
) -> None:
    version = silent(kind, http_server, archive)
    if kind == "s3":
        http_server.answers["/b"] = http_server.answers["/a.zip"]
    began = time.monotonic()
    found = look(place, [version], probe_seconds=0.5, read_seconds=60, connect_seconds=60)
    assert time.monotonic() - began < 2.4
    assert found.problem
    assert len(http_server.asked) == 1, "asked once"


def test_a_silent_sftp_server_costs_a_probe_its_own_time_out(place, archive, sftp_server: SftpServer) -> None:
    """A socket that takes the connection and never greets."""
    import socket

    place.environment = {"SFTP_USER": "reader", "SFTP_PASSWORD": "a secret word"}
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        version = archive(
            source="v1", method="sftp", host="127.0.0.1", port=mute.getsockname()[1], folder="/share",
            user_env="SFTP_USER", password_env="SFTP_PASSWORD", host_keys=[sftp_server.host_key],
        )  # fmt: skip
        began = time.monotonic()
        found = look(place, [version], probe_seconds=0.5, read_seconds=60, connect_seconds=60)
        assert time.monotonic() - began < 5
    assert found.problem


def test_what_is_delivered_by_hand_is_not_probed(place: Field, archive) -> None:
    for method in ("landing", "url_list"):
        rest = {"list": "list.csv"} if method == "url_list" else {}
        assert not is_probed(archive(method=method, **rest).descriptor)
    assert Path(place.landing).exists() is False
