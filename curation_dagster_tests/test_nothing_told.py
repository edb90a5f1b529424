"""Fetches that fail in every way: the run says plainly why, and no credential and no file name is in what it wrote.

Each method is asked with a planted credential, by a server that repeats it wherever a server can. Afterwards everything
below the installation's folder is searched, decoded where it is packed, with the event log and the exceptions.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import boto3
import dagster as dg
import pyarrow.parquet as pq
import pytest

from curation_dagster import watching
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.retrieval import errors, space
from curation_dagster.refusals import DeliveryRefused, refusal_file
from curation_dagster_tests.installation import Installation, open_installation
from curation_dagster_tests.servers import HttpServer, SftpServer, s3_server
from curation_dagster_tests.test_retrieving import BODY, SHA, declare, stage

__all__ = ["s3_server"]
TOKEN = "PLANTED-t0ken/8c1f+A"
PASSWORD = "PLANTED pass word"
PERSON = "Jane_Roe_1961-05-04"
VARIABLES = {"PLANTED_TOKEN": TOKEN, "PLANTED_USER": "PLANTEDreader", "PLANTED_PASSWORD": PASSWORD}
NEEDLES = [
    shape
    for secret in (TOKEN, PASSWORD)
    for shape in (
        secret, quote(secret), quote(secret, safe=""), secret.replace("/", "\\/"),
        base64.b64encode(secret.encode()).decode(), base64.b64encode(f"PLANTEDreader:{secret}".encode()).decode(),
    )
]  # fmt: skip
HTTP = {"plain_http_reason": "loopback", "instructions": "x"}


class _Full:
    """What a full disk says of itself."""

    free = 0


class Case(NamedTuple):
    """One fetch: what is declared, what is raised, and what the message must and must not say."""

    name: str
    raises: type[Exception] | None
    says: tuple[str, ...]
    declared: Callable[[], dict[str, Any]]


class Told(NamedTuple):
    """What all fetches left behind."""

    installation: Installation
    messages: dict[str, str]
    logged: str
    servers: HttpServer


def https(files: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"files": files, "method": "https", "token_env": "PLANTED_TOKEN", **HTTP, **rest}


def cases(server: HttpServer, sftp: SftpServer, endpoint: str, bucket: str) -> list[Case]:
    """Return the fetches; every address that names a file names a person as well."""
    path = f"/{PERSON}.zip"
    echo = {"Location": f"/moved/{TOKEN}{path}?sig={TOKEN}", "X-Echo": TOKEN}
    server.add("/redirects" + path, status=302, headers=echo)
    server.add(f"/moved/{TOKEN}{path}?sig={TOKEN}", BODY)
    server.add("/401" + path, f"no {TOKEN}".encode(), status=401)
    server.add("/404" + path, f"no {TOKEN}".encode(), status=404)
    server.add("/busy" + path, faults=-1, fault_status=503, fault_headers={"Retry-After": "86400"})
    server.add("/page" + path, f"<!doctype html><html>{TOKEN} is wrong</html>".encode())
    server.add("/other" + path, b"other bytes " + TOKEN.encode())
    server.add_json("/api/records/7", {"message": f"{TOKEN} {PERSON}", "files": f"{TOKEN}"})
    server.add("/api/v2/images/search/", f"token {TOKEN}".encode(), status=403)
    login = {
        "host": "127.0.0.1",
        "port": sftp.port,
        "user_env": "PLANTED_USER",
        "password_env": "PLANTED_PASSWORD",
    }
    at = server.url("").rstrip("/")
    zenodo = {
        "method": "doi",
        "repository": "zenodo",
        "record": "6",
        "api": at,
        "token_env": "PLANTED_TOKEN",
        **HTTP,
    }
    s3 = {"method": "s3", "bucket": bucket, "endpoint": endpoint, "access_key_env": "PLANTED_USER",
          "secret_key_env": "PLANTED_PASSWORD", **HTTP}  # fmt: skip

    def at_path(where: str, **stated: Any) -> dict[str, Any]:
        return {f"{PERSON}.zip": {"url": server.url(f"/{where}{path}"), **stated}}

    return [
        Case("fetched", None, (), lambda: https(at_path("redirects", sha256=SHA))),
        Case("refused", errors.SourceRefused, ("refuses us", "status 401", at, "credentials"), lambda: https(at_path("401"))),
        Case("gone", errors.SourceGone, ("not there any more", "status 404", at), lambda: https(at_path("404"))),
        Case("busy", errors.SourceUnreachable, ("does not serve", "status 503", "86400"), lambda: https(at_path("busy"))),
        Case("basic", errors.SourceRefused, ("status 401",), lambda: https(
            at_path("401"), token_env=None, user_env="PLANTED_USER", password_env="PLANTED_PASSWORD")),
        Case("unset", errors.CredentialMissing, ("Neither the variable PLANTED_NOT_SET nor a readable file",), lambda: https(
            at_path("401"), token_env="PLANTED_NOT_SET")),
        Case("page", DeliveryRefused, ("PageInstead", ".refused"), lambda: https(at_path("page"))),
        Case("mismatch", DeliveryRefused, ("ChecksumMismatch", ".refused"), lambda: https(at_path("other", sha256=SHA))),
        Case("norecord", errors.SourceGone, ("status 404",), lambda: {"files": {}, **zenodo, "source": "6"}),
        Case("form", DeliveryRefused, ("UnexpectedAnswer",), lambda: {"files": {}, **zenodo, "source": "7"}),
        Case("isic", errors.SourceRefused, ("status 403",), lambda: {
            "files": {}, "method": "isic", "api": server.url("/api/v2"), "collections": [1],
            "token_env": "PLANTED_TOKEN", **HTTP}),
        Case("sftp", errors.SourceRefused, ("PermissionDenied", f"sftp://127.0.0.1:{sftp.port}"), lambda: {
            "files": {}, "method": "sftp", "folder": f"/{PERSON}", "host_keys": [sftp.host_key], "instructions": "x", **login}),
        Case("s3", errors.SourceGone, ("The bucket or object is not there",), lambda: {"files": {}, **s3, "bucket": "none"}),
        Case("s3file", DeliveryRefused, ("ChecksumMismatch",), lambda: {
            "files": {f"{PERSON}.zip": {"sha256": SHA}}, **s3}),
        Case("full", errors.NoSpace, ("not enough space", "0 bytes free"), lambda: https(at_path("redirects", bytes=len(BODY)))),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, s3_server: str) -> Iterator[Told]:
    """All fetches done in one installation."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "sftp").mkdir()
    server, sftp = HttpServer(), SftpServer(folder / "sftp")
    client = boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1", aws_access_key_id="a",
                          aws_secret_access_key="a")  # fmt: skip
    client.create_bucket(Bucket="planted-names")
    client.put_object(Bucket="planted-names", Key=f"{PERSON}.zip", Body=b"other")
    logged: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(self.format(record))

    kept = Keep()
    with pytest.MonkeyPatch.context() as patch:
        installation = open_installation(folder / "home", patch)
        for name, value in {**VARIABLES, "CURATION_OFFLINE": "0", "CURATION_PRIVATE_SOURCES": "1"}.items():
            patch.setenv(name, value)
        logging.getLogger().addHandler(kept)
        messages: dict[str, str] = {}
        for case in cases(server, sftp, s3_server, "planted-names"):
            said = case.declared()
            source, files = said.pop("source", None), said.pop("files")
            version = f"0-{case.name}"
            key = declare(
                installation.home, files, version, **{k: v for k, v in said.items() if v is not None}
            )
            if source is not None:
                text = (installation.home / "archives/ham10000.yaml").read_text()
                (installation.home / "archives/ham10000.yaml").write_text(
                    text.replace(f"  {version}:\n", f"  {version}:\n    source: '{source}'\n")
                )
            with pytest.MonkeyPatch.context() as disk:
                if case.name == "full":
                    disk.setattr(space.shutil, "disk_usage", lambda _: _Full())
                try:
                    stage(installation, key)
                    raised: BaseException | None = None
                except Exception as error:
                    raised = error
            assert (type(raised) if raised else None) is case.raises, (case.name, raised)
            messages[case.name] = "".join(traceback.format_exception(raised)) if raised else ""
            for text in case.says:
                assert text in str(raised), (case.name, str(raised))
            # probes ask the same sources with the same credentials
            watching.look_at_sources(installation.workspace, ["ham10000"], logging.getLogger("probe").warning)
        yield Told(installation, messages, "\n".join(logged), server)
        logging.getLogger().removeHandler(kept)
    server.close()
    sftp.close()


def contents(home: Path) -> Iterator[tuple[str, str]]:
    """Yield every file below an installation with its content as text, Parquet and SQLite decoded."""
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        name = str(path.relative_to(home))
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += json.dumps(pq.ParquetFile(path).read().to_pylist(), default=str, ensure_ascii=False)
        if path.suffix == ".db":
            with sqlite3.connect(path) as database:
                text += "\n".join(database.iterdump())
        yield name, name + "\n" + text


def test_the_servers_were_sent_the_credentials_and_named_them(told: Told) -> None:
    """Else the search below could not find anything."""
    sent = {a.headers.get("authorization", "") for a in told.servers.asked}
    assert {f"Bearer {TOKEN}", NEEDLES[-1].join(("Basic ", ""))} <= sent
    assert any(TOKEN in a.path for a in told.servers.asked)


def test_no_credential_is_in_anything_that_was_written(told: Told) -> None:
    found = [
        (name, needle)
        for name, text in contents(told.installation.home)
        for needle in NEEDLES
        if needle in text
    ]
    assert found == []
    assert sum(1 for _ in contents(told.installation.home)) > 40


def test_no_credential_is_in_logs_and_exceptions(told: Told) -> None:
    for text in (told.logged, *told.messages.values()):
        assert [n for n in NEEDLES if n in text] == []
    assert "next try in" not in told.messages["busy"]


def test_no_file_name_is_in_the_event_log_of_a_run(told: Told) -> None:
    events = [
        dg.serialize_value(e)
        for run in told.installation.instance.get_runs()
        for e in told.installation.instance.all_logs(run.run_id)
    ]
    assert len(events) > 100
    assert [e for e in events if PERSON in e] == []
    assert "status 401" in "".join(events), "the reason itself is told"


def test_the_address_in_full_is_told_in_private(told: Told) -> None:
    settings = told.installation.workspace.settings
    for name in ("refused", "gone", "mismatch"):
        path = refusal_file(settings.staging, parse_key(f"ham10000@0-{name}"))
        assert PERSON in path.read_text()
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_the_table_of_retrievals_hides_what_the_server_repeated(told: Told) -> None:
    (row,) = told.installation.workspace.part("retrievals", parse_key("ham10000@0-fetched")).to_pylist()
    assert row["url"].endswith(f"/moved/***/{PERSON}.zip?sig=***")
