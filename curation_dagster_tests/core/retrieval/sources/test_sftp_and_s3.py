"""Files from an SFTP server and from a bucket, both real and on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid

import boto3
import pytest

from curation_dagster.core.registry.retrieval import S3
from curation_dagster.core.retrieval import errors
from curation_dagster.core.retrieval.sources import s3 as s3_source
from curation_dagster.core.retrieval.sources.plan import RemoteFile
from curation_dagster_tests.servers import HttpServer, SftpServer

from .conftest import WHY, Field

BODY = random.Random(7).randbytes(3_000_000)
SHA = hashlib.sha256(BODY).hexdigest()
LOGIN = {"SFTP_USER": "reader", "SFTP_PASSWORD": "a secret word"}


@pytest.fixture
def sftp(archive, sftp_server: SftpServer, place: Field):
    place.environment = dict(LOGIN)
    (sftp_server.root / "share/v1/images").mkdir(parents=True)
    (sftp_server.root / "share/v1/images/a.jpg").write_bytes(BODY)
    (sftp_server.root / "share/v1/meta.csv").write_bytes(b"image_id\na\n")

    def make(files=None, **changes):
        said = {
            "host": "127.0.0.1", "port": sftp_server.port, "folder": "/share", "user_env": "SFTP_USER",
            "password_env": "SFTP_PASSWORD", "host_keys": [sftp_server.host_key],
        }  # fmt: skip
        return archive(files, source="v1", method="sftp", **{**said, **changes})

    return make


def test_a_folder_of_an_sftp_server(sftp, place: Field):
    got = place.retrieve(sftp({"images/a.jpg": {"sha256": SHA}}))
    assert place.content() == {"images/a.jpg": BODY, "meta.csv": b"image_id\na\n"}
    assert {f.path: f.verified_by for f in got.files} == {"images/a.jpg": "sha256", "meta.csv": None}
    assert "secret" not in "".join(f.url for f in got.files)
    place.retrieve(sftp(include=["**/*.csv"]))
    assert list(place.content()) == ["meta.csv"]


def test_a_cut_sftp_transfer_goes_on(sftp, sftp_server: SftpServer, place: Field):
    sftp_server.cut_after, sftp_server.cuts = 1 << 20, 2
    got = {f.path: f for f in place.retrieve(sftp()).files}
    assert got["images/a.jpg"].sha256 == SHA
    assert got["images/a.jpg"].tries > 1
    assert place.content()["images/a.jpg"] == BODY


def test_another_host_key_is_never_accepted(sftp, sftp_server: SftpServer, place: Field, tmp_path):
    (tmp_path / "other").mkdir()
    other = SftpServer(tmp_path / "other")
    other.close()
    with pytest.raises(errors.SourceRefused, match="another key") as told:
        place.retrieve(sftp(host_keys=[other.host_key]))
    assert "a secret word" not in str(told.value)
    assert place.content() == {}


def test_a_server_without_a_known_key_is_no_descriptor(sftp):
    with pytest.raises(ValueError, match="host_keys"):
        sftp(host_keys=[])


def test_a_wrong_password_and_a_missing_folder(sftp, place: Field):
    with pytest.raises(errors.SourceGone):
        place.retrieve(sftp(folder="/nowhere"))
    place.environment["SFTP_PASSWORD"] = "wrong words here"
    with pytest.raises(errors.SourceRefused) as told:
        place.retrieve(sftp())
    assert "wrong words" not in str(told.value)


def test_links_on_an_sftp_server_are_refused(sftp, sftp_server: SftpServer, place: Field):
    (sftp_server.root / "share/v1/link").symlink_to("meta.csv")
    with pytest.raises(errors.UnexpectedAnswer, match="no plain file"):
        place.retrieve(sftp())


# -- S3 --------------------------------------------------------------------------------------------

KEYS = {"S3_KEY": "testing", "S3_SECRET": "testing-secret"}


@pytest.fixture
def bucket(s3_server: str):
    client = boto3.client(
        "s3", endpoint_url=s3_server, region_name="us-east-1",
        aws_access_key_id="testing", aws_secret_access_key="testing",
    )  # fmt: skip
    name = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    client.put_object(Bucket=name, Key="data/v1/", Body=b"")
    client.put_object(
        Bucket=name, Key="data/v1/images/a.jpg", Body=BODY, ACL="public-read", ChecksumAlgorithm="SHA256",
        ChecksumSHA256=base64.b64encode(bytes.fromhex(SHA)).decode(),
    )  # fmt: skip
    client.put_object(Bucket=name, Key="data/v1/meta.csv", Body=b"image_id\na\n", ACL="public-read")
    client.put_object(Bucket=name, Key="data/v2/other.csv", Body=b"image_id\nb\n")
    return client, name


@pytest.fixture
def s3(archive, bucket, s3_server: str, place: Field):
    place.environment = dict(KEYS)

    def make(**changes):
        said = {
            "bucket": bucket[1], "prefix": "data/", "endpoint": s3_server, "plain_http_reason": WHY,
            "access_key_env": "S3_KEY", "secret_key_env": "S3_SECRET",
        }  # fmt: skip
        return archive(source="v1/", method="s3", **{**said, **changes})

    return make


def test_a_prefix_of_a_bucket(s3, place: Field):
    got = {f.path: f for f in place.retrieve(s3()).files}
    assert place.content() == {"images/a.jpg": BODY, "meta.csv": b"image_id\na\n"}
    assert got["images/a.jpg"].verified_by == "sha256", "the bucket states a SHA-256"
    assert got["meta.csv"].verified_by is None or got["meta.csv"].verified_by == "sha256"


def test_a_bucket_is_read_without_credentials_where_none_are_named(s3, place: Field):
    place.environment = {}
    got = place.retrieve(s3(access_key_env=None, secret_key_env=None))
    assert len(got.files) == 2


def test_an_unfinished_object_is_gone_on_with(s3, place: Field, bucket):
    version = s3()
    place.retrieve(version)
    target = place.folder / "testset@1/images/a.jpg"
    etag = bucket[0].head_object(Bucket=bucket[1], Key="data/v1/images/a.jpg")["ETag"]
    (target.with_name("a.jpg.part")).write_bytes(BODY[:1_000_000])
    target.with_name("a.jpg.note.part").write_text(
        json.dumps(
            {"file": f"s3://{bucket[1]}/data/v1/images/a.jpg", "digests": {"sha256": SHA}, "validator": etag}
        )
    )
    target.unlink()
    got = {f.path: f for f in place.retrieve(version).files}
    assert got["images/a.jpg"].resumed_from == 1_000_000
    assert place.content()["images/a.jpg"] == BODY


def cut_bucket(http_server: HttpServer, archive, content: bytes, **faults) -> tuple[S3, RemoteFile]:
    """An endpoint whose one object breaks off on its way."""
    url = http_server.add("/b/data/a.jpg", content, **faults)
    source = archive(
        method="s3",
        bucket="b",
        prefix="data/",
        endpoint=http_server.url("").rstrip("/"),
        plain_http_reason=WHY,
    ).descriptor.retrieval
    etag = f'"{hashlib.md5(content).hexdigest()}"'
    return source, RemoteFile("a.jpg", url, len(content), validator=etag, about={"key": "data/a.jpg"})


def test_a_cut_object_goes_on_where_it_was_cut(http_server: HttpServer, archive, place: Field):
    source, file = cut_bucket(http_server, archive, BODY, faults=3, cut_after=1_500_000)
    target = place.folder / "testset@1"
    with place.session() as session:
        got = s3_source.fetch(session, source, file, target, 0, 0)
    assert (target / "a.jpg").read_bytes() == BODY
    assert (got.sha256, got.tries) == (SHA, 2)
    ranges = [a.headers.get("range") for a in http_server.asked if a.method == "GET"]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert all(a.headers["if-match"] == file.validator for a in http_server.asked if a.method == "GET")


def test_a_bucket_that_is_not_there(s3, place: Field):
    with pytest.raises(errors.SourceGone):
        place.retrieve(s3(bucket="no-such-bucket-anywhere"))


def test_an_endpoint_without_a_certificate_needs_a_reason(s3, place: Field):
    with pytest.raises(errors.SourceRefused, match="plain_http_reason"):
        place.retrieve(s3(plain_http_reason=None))
    place.private = False
    with pytest.raises(errors.SourceRefused, match="not a public address"):
        place.retrieve(s3())
