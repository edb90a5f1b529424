"""Lists of addresses: every line gets one fate, and only what lies there is called fetched."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from curation_dagster.core.retrieval import errors
from curation_dagster.core.retrieval.sources.policy import HostRule, Hosts, load_hosts
from curation_dagster.core.retrieval.sources.url_list import problem_of, read_list
from curation_dagster_tests.servers import HttpServer

from .conftest import WHY, Field


def picture(grey: int, kind: str = "JPEG") -> bytes:
    memory = io.BytesIO()
    Image.new("RGB", (8, 8), (grey,) * 3).save(memory, kind)
    return memory.getvalue()


@pytest.fixture
def listed(archive, place: Field):
    def make(text: str, **rest):
        folder = place.landing / "testset@1"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "list.csv").write_text(text, encoding="utf-8")
        return archive(method="url_list", list="list.csv", plain_http_reason=WHY, **rest)

    return make


def test_every_line_gets_one_fate(http_server: HttpServer, place: Field, listed):
    here = http_server
    here.add("/a.jpg", picture(10))
    here.add("/b", picture(20, "PNG"))
    here.add("/again.jpg", picture(10))
    here.add("/old.jpg", status=301, headers={"Location": "/new.jpg"})
    here.add("/new.jpg", picture(30))
    here.add("/page", b"<!doctype html><html>a gallery</html>", headers={"Content-Type": "text/html"})
    here.add("/text.jpg", b"not a picture at all")
    here.add("/secret.jpg", b"", status=403)
    here.add("/private/x.jpg", picture(1))
    here.add("/busy.jpg", b"", faults=-1, fault_status=503)
    here.add("/packed.jpg", b"no gzip", headers={"Content-Encoding": "gzip"})
    here.add("/robots.txt", b"User-agent: *\nDisallow: /private/\n")
    url = here.url
    lines = [
        ("a", url("/a.jpg"), "fetched"),
        ("b", url("/b"), "fetched"),
        ("a", url("/a.jpg#top"), "doubled"),
        ("a", url("/again.jpg"), "doubled"),
        ("c", url("/old.jpg"), "moved"),
        ("d", url("/page"), "page"),
        ("d", url("/text.jpg"), "page"),
        ("e", url("/nothing.jpg"), "gone"),
        ("f", url("/secret.jpg"), "refused"),
        ("f", url("/private/x.jpg"), "refused"),
        ("g", url("/busy.jpg"), "unreachable"),
        ("h", f"{url('/a.jpg')} -> x.jpg) [crop to lesion]", "malformed"),
        ("h", f"{url('/c.jpg')})", "malformed"),
        ("i", "", "malformed"),
        ("i", "see e-mail", "malformed"),
        ("j", "http://nobody@127.0.0.1/x.jpg", "malformed"),
        ("k", "http://sold.example/x.jpg", "refused"),
        ("l", url("/a\x01b.jpg"), "refused"),
        ("l", url("/packed.jpg"), "page"),
    ]
    place.hosts = Hosts(
        HostRule("", 1e9, 10**9), (HostRule("sold.example", 1, 1, True, "sold by the image"),)
    )
    text = "number,dataset_name,url\n" + "".join(f"{n},{d},{u}\n" for n, (d, u, _) in enumerate(lines))
    got = place.retrieve(listed(text, column="url"))
    assert [(f.row, f.fate) for f in got.fates] == [
        (n, fate) for n, (_, __, fate) in enumerate(lines, start=1)
    ]
    content = place.content()
    told = [json.loads(x) for x in content.pop("url_fates.jsonl").decode().splitlines()]
    assert content.pop("list.csv").decode() == text
    assert sorted(content) == ["images/00001.jpg", "images/00002.png", "images/00005.jpg"]
    assert {f.path for f in got.fates if f.path} == set(content)
    assert told[0] | {"number": "0", "dataset_name": "a", "id": "00001", "fate": "fetched"} == told[0]
    assert "sold by the image" in got.fates[16].detail
    assert here.paths().count("/a.jpg") == 1, "a doubled address is not asked for"


def test_a_list_of_which_nothing_came_is_no_delivery(http_server, place: Field, listed):
    with pytest.raises(errors.UnexpectedAnswer, match="No line of the list") as told:
        place.retrieve(listed(f"{http_server.url('/x.jpg')}\nnote\n"))
    assert "1 gone, 1 malformed" in str(told.value)


def test_an_interrupted_list_goes_on_behind_its_last_line(http_server, place: Field, listed):
    for n in range(4):
        http_server.add(f"/{n}.jpg", picture(n * 20))
    version = listed("".join(f"{http_server.url(f'/{n}.jpg')}\n" for n in range(4)))
    real = http_server.answers.pop("/2.jpg")
    http_server.add("/2.jpg", b"", faults=-1, fault_status=503)
    first = place.retrieve(version)
    assert [f.fate for f in first.fates] == ["fetched", "fetched", "unreachable", "fetched"]
    log = place.folder / "testset@1/url_fates.jsonl.part"
    rows = [
        {k: v for k, v in json.loads(x).items() if k != "id"}
        for x in place.content()["url_fates.jsonl"].splitlines()
    ]
    log.write_text("".join(json.dumps(r) + "\n" for r in rows) + '{"row": 4, "te')
    http_server.answers["/2.jpg"] = real
    http_server.asked.clear()
    assert [f.fate for f in place.retrieve(version).fates] == ["fetched"] * 4
    assert http_server.paths() == ["/robots.txt", "/2.jpg"]


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [(b"\xff\xfe", None, "UTF-8"), (b"a,b\n1,2\n", "url", "a column url"), (b"\n\n", None, "addresses")],
)
def test_what_is_no_list(text, column, expected):
    with pytest.raises(errors.UnexpectedAnswer, match=expected):
        read_list(text, column, "here")


def test_the_real_list_of_v1(real_data: Path):
    lines = read_list((real_data / "agppga/V1_public_image_urls.csv").read_bytes(), "url", "V1")
    assert len(lines) == 172
    malformed = [x for x in lines if x.problem]
    assert Counter(x.others["dataset_name"] for x in malformed) == {"DermNet": 66}
    hosts = load_hosts()
    asked = [x for x in lines if x.url and not hosts.rule_of(urlsplit(x.url).hostname or "").refused]
    assert asked == [], "the terms of every host in it refuse"
    urls = [x.url for x in lines if x.url]
    assert len(urls) - len(set(urls)) == 1, "dermnetnz 38303 stands there twice"


def test_the_real_list_of_healthy_skin(real_data: Path):
    lines = read_list((real_data / "agppga/internet_images_urls.txt").read_bytes(), None, "internet")
    assert len(lines) == 10
    assert [x.number for x in lines if x.problem] == []
    assert len({x.url for x in lines}) == 9


def test_percent_signs_and_balanced_brackets_are_no_problem():
    assert problem_of("https://es.123rf.com/photo_40045475_o%C3%ADdo.html") is None
    assert problem_of("https://a.org/wiki/File_(1).jpg") is None
