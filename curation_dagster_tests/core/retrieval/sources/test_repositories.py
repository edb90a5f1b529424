"""Records of data repositories and the ISIC Archive, from stand-ins that speak their interfaces."""

from __future__ import annotations

import json

import pytest

from curation_dagster.core.registry.retrieval import Doi
from curation_dagster.core.retrieval import errors
from curation_dagster.core.retrieval.sources.repositories import latest_version
from curation_dagster_tests.servers import HttpServer

from . import repositories
from .conftest import WHY, Field

FILES = {"images/part_1.zip": b"PK" + b"one" * 900, "meta": b"image_id,dx\na,nv\n", "LICENSE.txt": b"CC BY"}
FLAT = {"part_1.zip": b"PK" + b"one" * 900, "meta.csv": b"image_id,dx\na,nv\n"}


@pytest.fixture
def doi(archive, http_server: HttpServer):
    def make(repository: str, record: str, source: str, **rest):
        return archive(
            source=source, method="doi", repository=repository, record=record,
            api=http_server.url("").rstrip("/"), plain_http_reason=WHY, **rest,
        )  # fmt: skip

    return make


def test_dataverse(doi, http_server, place: Field):
    repositories.dataverse(http_server, "10.7910/DVN/DBW86T", "4.0", FILES, ingested="meta")
    place.environment = {"DATAVERSE_TOKEN": "aaaa-bbbb-cccc"}
    version = doi("dataverse", "10.7910/DVN/DBW86T", "4.0", token_env="DATAVERSE_TOKEN")
    got = {f.path: f.verified_by for f in place.retrieve(version).files}
    assert place.content() == FILES
    # an ingested table has a checksum that may be of its other form: that verifies nothing
    assert got == {"images/part_1.zip": "md5", "meta": None, "LICENSE.txt": "md5"}
    assert {a.headers["x-dataverse-key"] for a in http_server.asked} == {"aaaa-bbbb-cccc"}


def test_restricted_files_of_dataverse_need_a_token(doi, http_server, place: Field):
    repositories.dataverse(http_server, "10.7910/DVN/X", "1.0", FLAT)
    address = "/api/datasets/:persistentId/versions/1.0?persistentId=doi:10.7910/DVN/X"
    data = json.loads(http_server.answers[address].content)
    data["data"]["files"][0]["restricted"] = True
    http_server.add_json(address, data)
    with pytest.raises(errors.SourceRefused, match="1 files of the record are restricted"):
        place.retrieve(doi("dataverse", "10.7910/DVN/X", "1.0"))


def test_zenodo(doi, http_server, place: Field):
    repositories.zenodo(http_server, 17975532, FLAT)
    got = place.retrieve(doi("zenodo", "10.5281/zenodo.17975531", "10.5281/zenodo.17975532"))
    assert place.content() == FLAT
    assert {f.verified_by for f in got.files} == {"md5"}


def test_figshare(doi, http_server, place: Field):
    repositories.figshare(http_server, 24140028, 1, FLAT)
    got = place.retrieve(doi("figshare", "24140028", "1", include=["*.zip"]))
    assert list(place.content()) == ["part_1.zip"]
    assert [f.verified_by for f in got.files] == ["md5"]


def test_mendeley(doi, http_server, place: Field):
    files = {"images/imgs_part_1.zip": b"PK1", "images/deep/er/x.zip": b"PK2", "metadata.csv": b"img_id\n"}
    repositories.mendeley(http_server, "zr7vgbcyr2", 1, files)
    got = place.retrieve(doi("mendeley", "zr7vgbcyr2", "1"))
    assert place.content() == files
    assert {f.verified_by for f in got.files} == {"sha256"}


@pytest.mark.parametrize("repository", ["dataverse", "zenodo", "figshare", "mendeley"])
def test_an_answer_in_another_form_is_no_list_of_files(repository, doi, http_server, place: Field):
    for path in (
        "/api/datasets/:persistentId/versions/1", "/api/records/1", "/v2/articles/1/versions/1",
        "/public-api/datasets/1/folders/1",
    ):  # fmt: skip
        http_server.add_json(path, {"status": "OK", "data": {"other": []}})
    with pytest.raises(errors.UnexpectedAnswer, match="not in the form"):
        place.retrieve(doi(repository, "1", "1"))


def test_an_answer_that_is_packed_otherwise_than_it_says_is_refused(doi, http_server, place: Field):
    http_server.add("/api/records/1", b"no gzip at all", headers={"Content-Encoding": "gzip"})
    with pytest.raises(errors.UnexpectedAnswer, match="encoding"):
        place.retrieve(doi("zenodo", "1", "1"))


def test_a_record_of_another_version_is_refused(doi, http_server, place: Field):
    repositories.dataverse(http_server, "10.7910/DVN/X", "2.1", FLAT)
    http_server.answers["/api/datasets/:persistentId/versions/2"] = http_server.answers[
        "/api/datasets/:persistentId/versions/2.1?persistentId=doi:10.7910/DVN/X"
    ]
    with pytest.raises(errors.UnexpectedAnswer, match="another version"):
        place.retrieve(doi("dataverse", "10.7910/DVN/X", "2"))


def test_a_corrupt_file_of_a_record_is_refused(doi, http_server, place: Field):
    repositories.zenodo(http_server, 5, FLAT)
    http_server.add("/api/records/5/files/meta.csv/content", b"image_id,dx\na,mel")
    with pytest.raises(errors.ChecksumMismatch):
        place.retrieve(doi("zenodo", "5", "5"))


def test_the_newest_version_in_the_words_of_each_repository(http_server, place: Field):
    repositories.dataverse(http_server, "10.7910/DVN/X", "4.1", FLAT)
    repositories.zenodo(http_server, 5, FLAT, latest=9)
    repositories.figshare(http_server, 7, 3, FLAT)
    repositories.mendeley(http_server, "abc", 2, FLAT)
    found = {}
    with place.session() as session:
        for repository, record in (
            ("dataverse", "10.7910/DVN/X"),
            ("zenodo", "5"),
            ("figshare", "7"),
            ("mendeley", "abc"),
        ):
            source = Doi(
                method="doi", repository=repository, record=record, api=http_server.url(""), instructions="x"
            )
            found[repository] = latest_version(source, "5", lambda url: session.json(url, plain_http=True))
    assert found == {"dataverse": "4.1", "zenodo": "9", "figshare": "3", "mendeley": "2"}


# -- the ISIC Archive ------------------------------------------------------------------------------

IMAGES = {f"ISIC_000000{n}": b"\xff\xd8\xff\xe0" + bytes([n]) * 300 for n in range(5)}


@pytest.fixture
def isic(archive, http_server):
    return lambda **rest: archive(
        method="isic", api=http_server.url("/api/v2"), plain_http_reason=WHY, **{"collections": [249], **rest}
    )


def test_the_isic_archive_page_by_page(isic, http_server, place: Field):
    repositories.isic(http_server, IMAGES)
    got = place.retrieve(isic())
    content = place.content()
    lines = [json.loads(line) for line in content.pop("metadata.jsonl").decode().splitlines()]
    assert content == {f"images/{i}.jpg": c for i, c in IMAGES.items()}
    assert lines[0] == {
        "isic_id": "ISIC_0000000", "copyright_license": "CC-0", "attribution": "Department of Dermatology, Nowhere",
        "pixels_x": 8, "pixels_y": 8, "image_type": "dermoscopic", "sex": "female", "age_approx": 55,
        "diagnosis_1": "Benign",
    }  # fmt: skip
    assert [x["copyright_license"] for x in lines] == ["CC-0"] + ["CC-BY-NC"] * 4
    assert {f.verified_by for f in got.files} == {None}, "the archive publishes sizes, no checksums"
    assert all("Signature=***" in f.url for f in got.files)
    searched = [p for p in http_server.paths() if "search" in p]
    assert searched[0] == "/api/v2/images/search/?limit=100&collections=249"
    assert len(searched) == 3


def test_a_second_retrieval_of_signed_addresses_fetches_nothing(isic, http_server, place: Field):
    repositories.isic(http_server, IMAGES)
    place.retrieve(isic())
    before = len([p for p in http_server.paths() if "blobs" in p])
    place.retrieve(isic())
    assert len([p for p in http_server.paths() if "blobs" in p]) == before


def test_an_expired_address_is_asked_for_anew(isic, http_server, place: Field):
    repositories.isic(http_server, IMAGES)
    search = http_server.answers["/api/v2/images/search/"]

    def with_expired(asked):
        answer = search(asked)
        data = json.loads(answer.content)
        for record in data["results"]:
            record["files"]["full"]["url"] = http_server.add("/expired", b"", status=403)
        answer.content = json.dumps(data).encode()
        return answer

    http_server.answers["/api/v2/images/search/"] = with_expired
    assert len(place.retrieve(isic()).files) == 5


def test_fewer_images_than_counted_are_not_taken_for_all(isic, http_server, place: Field):
    repositories.isic(http_server, IMAGES, counted=6)
    with pytest.raises(errors.UnexpectedAnswer, match="6 images, as the first page counts"):
        place.retrieve(isic())


def test_a_next_page_elsewhere_is_not_followed(isic, http_server, place: Field):
    body = {"results": [], "count": 5, "next": "https://elsewhere.org/", "previous": None}
    http_server.add_json("/api/v2/images/search/", body)
    with pytest.raises(errors.UnexpectedAnswer, match="next page of the same interface"):
        place.retrieve(isic())


def test_the_whole_archive_is_no_version(isic):
    with pytest.raises(ValueError, match="collections, query or both"):
        isic(collections=[])
