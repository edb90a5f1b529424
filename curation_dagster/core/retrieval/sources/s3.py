"""S3: objects below a prefix, at Amazon or any endpoint that speaks the same; anonymous, or with credentials by name."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore
import botocore.config
import botocore.exceptions

from curation_dagster.core.registry.retrieval import S3
from curation_dagster.core.retrieval.errors import SourceGone, SourceRefused, UnexpectedAnswer
from curation_dagster.core.retrieval.sources.plan import Fetched, RemoteFile
from curation_dagster.core.retrieval.sources.session import Passing, Session
from curation_dagster.core.retrieval.sources.writing import Partial
from curation_dagster.core.retrieval.space import require_space
from curation_dagster.core.retrieval.zips import CHUNK

_REFUSED = frozenset(
    {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"}
)
_GONE = frozenset({"404", "NoSuchKey", "NoSuchBucket"})
_CHANGED = frozenset({"412", "PreconditionFailed"})


def client_of(session: Session, source: S3) -> Any:
    """Return a client that speaks to the declared endpoint only.

    Raises
    ------
    SourceRefused
        If the endpoint is plain HTTP without a reason, or not a public machine.
    CredentialMissing
        If a variable that the descriptor names is not set.
    """
    host = f"s3.{source.region}.amazonaws.com"
    if source.endpoint is not None:
        parts = urlsplit(source.endpoint)
        if parts.scheme != "https" and not (parts.scheme == "http" and source.plain_http_reason):
            raise SourceRefused(
                "The endpoint is not one that is asked.",
                where=source.endpoint,
                expected="https://",
                got=f"{parts.scheme or 'no scheme'}://",
                next="Nothing was asked. Where an endpoint has no HTTPS, say so by `retrieval.plain_http_reason`.",
            )
        host = parts.hostname or ""
        session.guard.address_of(host, parts.port or 443)
    assert session.paces is not None
    session.paces.take(host)
    settings: dict[str, Any] = {
        "connect_timeout": session.limits.connect_seconds,
        "read_timeout": session.limits.read_seconds,
        "retries": {"total_max_attempts": 1},
        "proxies": {},
        "s3": {"addressing_style": "path" if source.endpoint else "auto"},
    }
    login: dict[str, Any] = {}
    if source.access_key_env is None or source.secret_key_env is None:
        settings["signature_version"] = botocore.UNSIGNED
    else:
        login = {
            "aws_access_key_id": session.secrets.get(source.access_key_env),
            "aws_secret_access_key": session.secrets.get(source.secret_key_env),
        }
        if source.session_token_env is not None:
            login["aws_session_token"] = session.secrets.get(source.session_token_env)
    # a session of its own: neither profiles nor the machine's role are looked for
    return boto3.session.Session(region_name=source.region, **login).client(
        "s3", endpoint_url=source.endpoint, verify=True, config=botocore.config.Config(**settings)
    )


def list_objects(session: Session, source: S3, prefix: str) -> list[RemoteFile]:
    """Return all objects below a prefix, with their ETags; empty markers of folders are left out."""
    where = f"s3://{source.bucket}/{prefix}"

    def work() -> list[RemoteFile]:
        found: list[RemoteFile] = []
        try:
            pages = client_of(session, source).get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=source.bucket, Prefix=prefix):
                for entry in page.get("Contents", []):
                    path = entry["Key"][len(prefix) :].lstrip("/")
                    if not path or (path.endswith("/") and entry["Size"] == 0):
                        continue
                    url = f"s3://{source.bucket}/{entry['Key']}"
                    about = {"key": entry["Key"]}
                    found.append(RemoteFile(path, url, entry["Size"], validator=entry["ETag"], about=about))
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise _told(error, where) from error
        return found

    return session.retried(where, work)


def fetch(
    session: Session, source: S3, file: RemoteFile, target: Path, done_before: int, total: int
) -> Fetched:
    """Fetch one object, going on where an earlier try ended; ``If-Match`` keeps both halves of one state.

    A full-object SHA-256 that the bucket states is a published checksum. An ETag is a name of a state, no checksum.
    """
    client = client_of(session, source)
    key = file.about["key"]
    tries = 0
    partial: Partial | None = None

    def work() -> Fetched:
        nonlocal tries, partial
        tries += 1
        try:
            if partial is None:
                partial = Partial(_with_checksum(client, source, file), target)
            offset = partial.resume()
            if offset and partial.validator != file.validator:
                partial.restart()
                offset = 0
            if offset and offset == file.bytes:
                return partial.finish(tries)
            asked = {"Range": f"bytes={offset}-"} if offset else {}
            answer = client.get_object(Bucket=source.bucket, Key=key, IfMatch=file.validator, **asked)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise _told(error, file.url) from error
        partial.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_space(partial.target.parent, (file.bytes or 0) - offset, session.limits.margin_bytes)
        partial.begin(file.validator)
        try:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                partial.write(chunk)
                session.progress.report(done_before + partial.size, total, "bytes fetched")
        except (botocore.exceptions.BotoCoreError, OSError) as error:
            partial.pause()
            if isinstance(error, OSError) and error.filename is not None:
                raise
            raise Passing(type(error).__name__, progress=partial.advanced()) from error
        return partial.finish(tries)

    try:
        return session.retried(file.url, work)
    finally:
        if partial is not None:
            partial.pause()


def _with_checksum(client: Any, source: S3, file: RemoteFile) -> RemoteFile:
    head = client.head_object(Bucket=source.bucket, Key=file.about["key"], ChecksumMode="ENABLED")
    stated = head.get("ChecksumSHA256")
    if not stated or head.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT" or "-" in stated:
        return file
    digests = {"sha256": base64.b64decode(stated).hex()}
    return RemoteFile(file.path, file.url, file.bytes, digests, file.validator, file.about)


def _told(error: Exception, where: str) -> Exception:
    """Return botocore's error as one of ours."""
    if not isinstance(error, botocore.exceptions.ClientError):
        return Passing(type(error).__name__)
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    about = {"where": where, "got": f"{code or 'no code'}, status {status}"}
    if {code, status} & _REFUSED:
        return SourceRefused(
            "The bucket refuses us.", expected="leave to read", **about,
            next="Nothing was fetched. Check the credentials that the descriptor names.",
        )  # fmt: skip
    if {code, status} & _GONE:
        return SourceGone(
            "The bucket or object is not there.", expected="the bucket and prefix of the descriptor", **about,
            next="Nothing was fetched. Correct the descriptor.",
        )  # fmt: skip
    if {code, status} & _CHANGED:
        return UnexpectedAnswer(
            "An object changed while it was fetched.", expected="the object that was listed", **about,
            next="Nothing was taken of it. Materialize `staged` again when the publisher is done.",
        )  # fmt: skip
    return Passing(about["got"])
