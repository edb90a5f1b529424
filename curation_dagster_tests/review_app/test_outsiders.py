"""The page as somebody sees it who may not: no way past the sign-in, and none for other sites' pages."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

from curation_dagster.review_app.accounts import Accounts
from curation_dagster_tests.installation import Installation
from curation_dagster_tests.review_app.conftest import PASSWORD, Page, serving


@contextmanager
def signed_in(page: Page, name: str = "Anna Weber") -> Iterator[httpx.Client]:
    with httpx.Client(base_url=page.url, headers={"Accept": "text/html"}, timeout=30) as client:
        answer = client.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303
        yield client


def first_queue(client: httpx.Client) -> str:
    return re.findall(r'href="(/queues/[^"]+)"', client.get("/").text)[0]


def test_nothing_is_served_without_a_session(page: Page) -> None:
    with signed_in(page) as client:
        queue = first_queue(client)
        image = client.get(f"{queue}/next?most=1").json()["items"][0]["image_id"]
        picture = client.get(f"{queue}/pictures/{image}")
        assert picture.headers["content-type"] == "image/jpeg"
        cookie = client.cookies["curation_review"]
    paths = ["/", "/agreement", queue, f"{queue}/next", f"{queue}/pictures/{image}", "/static/review.js",
             "/static/../app.py", "//", "/sign-in/../", "/static/%2e%2e/app.py", "/openapi.json", "/docs",
             f"/sign-in/..{queue}/pictures/{image}", f"{queue}/pictures/{image}?x=/sign-in", "/health/../agreement"]  # fmt: skip
    for cookies in ({}, {"curation_review": "x"}, {"curation_review": cookie[:-1]}):
        with httpx.Client(base_url=page.url, cookies=cookies) as stranger:
            for path in paths:
                answer = stranger.get(path)
                assert answer.status_code == 401, path
                assert image not in answer.text
            posted = stranger.post(f"{queue}/verdicts", json={"image_id": image, "outcome": "pass"})
            assert posted.status_code == 401
            assert stranger.get("/", headers={"Accept": "text/html"}).headers["location"] == "/sign-in"


def test_no_answer_may_be_kept_or_framed(page: Page) -> None:
    with signed_in(page) as client:
        queue = first_queue(client)
        image = client.get(f"{queue}/next?most=1").json()["items"][0]["image_id"]
        for path in (
            "/",
            queue,
            f"{queue}/next?most=1",
            f"{queue}/pictures/{image}",
            "/static/review.js",
            "/nowhere",
        ):
            headers = client.get(path).headers
            assert headers["cache-control"] == "no-store", path
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert "server" not in headers


def test_the_cookie_is_of_no_use_to_scripts_and_other_sites(page: Page) -> None:
    answer = httpx.post(f"{page.url}/sign-in", data={"name": "Bo Lind", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert PASSWORD not in str(answer.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_other_sites_can_t_act_for_a_reviewer(page: Page, headers: dict[str, str]) -> None:
    with signed_in(page) as client:
        queue = first_queue(client)
        assert client.post(f"{queue}/verdicts", json={}, headers=headers).status_code == 403
        assert client.post("/sign-out", headers=headers).status_code == 403
        assert client.post("/sign-in", headers=headers).status_code == 403


def test_a_verdict_needs_the_token_of_the_page(page: Page) -> None:
    with signed_in(page) as client:
        queue = first_queue(client)
        text = client.get(queue).text
        token = re.search(r'data-token="([^"]+)"', text)[1]  # type: ignore[index]
        digest = re.search(r'data-digest="([^"]+)"', text)[1]  # type: ignore[index]
        image = client.get(f"{queue}/next?most=1").json()["items"][0]["image_id"]
        said = {"image_id": image, "outcome": "pass", "digest": digest}
        assert client.post(f"{queue}/verdicts", json=said).status_code == 403
        assert client.post(f"{queue}/verdicts", json=said, headers={"X-Token": "x"}).status_code == 403
        assert client.post(f"{queue}/verdicts", content="{", headers={"X-Token": token}).status_code == 400
        wrong = client.post(f"{queue}/verdicts", json=said | {"outcome": "maybe"}, headers={"X-Token": token})
        assert wrong.status_code == 400
        assert client.post(f"{queue}/verdicts", json=said, headers={"X-Token": token}).status_code == 200
        client.post("/sign-out", data={"token": token})
        assert client.get(queue, headers={"Accept": "*/*"}).status_code == 401


def test_who_loses_the_account_is_out_with_the_next_request(waiting: Installation, hashed: Path) -> None:
    own = waiting.home / "reviewers.yaml"
    own.write_bytes(hashed.read_bytes())
    with (
        serving(waiting.home, Accounts(own)) as page,
        signed_in(page) as anna,
        signed_in(page, "Bo Lind") as bo,
    ):
        queue = first_queue(anna)
        token = re.search(r'data-token="([^"]+)"', anna.get(queue).text)[1]  # type: ignore[index]
        assert bo.get("/").status_code == 200
        Accounts(own).remove("anna weber")
        said = {"image_id": "x", "outcome": "pass", "digest": "x"}
        answer = anna.post(
            f"{queue}/verdicts", json=said, headers={"X-Token": token, "Accept": "application/json"}
        )
        assert answer.status_code == 401
        assert anna.get("/").headers["location"] == "/sign-in"
        assert bo.get("/").status_code == 200
        Accounts(own).put("Bo Lind", "another long password")
        assert bo.get("/").headers["location"] == "/sign-in"
        own.write_text("not: [an account")
        assert bo.get("/").headers["location"] == "/sign-in"


def test_a_verdict_without_its_entry_is_told_as_one_that_counts(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError("No space left on device")

    with signed_in(page) as client:
        queue = first_queue(client)
        text = client.get(queue).text
        token, digest = (re.search(rf'data-{n}="([^"]+)"', text)[1] for n in ("token", "digest"))  # type: ignore[index]
        image = client.get(f"{queue}/next?most=1").json()["items"][0]["image_id"]
        said = {"image_id": image, "outcome": "pass", "digest": digest}
        monkeypatch.setattr("curation_dagster.lake.Lake.append_after_last", full)
        answer = client.post(f"{queue}/verdicts", json=said, headers={"X-Token": token})
        assert answer.status_code == 200
        assert "counts" in answer.json()["problem"]


def test_wrong_passwords_are_slowed_down_and_tell_nothing(page: Page) -> None:
    with httpx.Client(base_url=page.url) as client:
        said = [client.post("/sign-in", data={"name": n, "password": "wrong password"})
                for n in ("Anna Weber", "nobody", "Anna Weber", "nobody", "Anna Weber", "Anna Weber")]  # fmt: skip
        assert {a.status_code for a in said[:5]} == {401}
        assert said[0].text == said[1].text
        assert said[-1].status_code == 429
        right = client.post("/sign-in", data={"name": "Anna Weber", "password": PASSWORD})
        assert right.status_code == 429


def test_only_images_of_the_queue_are_shown_and_without_their_metadata(page: Page) -> None:
    with signed_in(page) as client:
        queue = first_queue(client)
        image = client.get(f"{queue}/next?most=1").json()["items"][0]["image_id"]
        picture = client.get(f"{queue}/pictures/{image}").content
        opened = Image.open(io.BytesIO(picture))
        assert not opened.getexif()
        assert set(opened.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        for name in ("00000000-0000-0000-0000-000000000000", "..%2f..%2fsecret", "x"):
            assert client.get(f"{queue}/pictures/{name}").status_code == 404
        assert client.get(f"{queue}/pictures/{image}?size=huge").status_code == 400
        assert client.get("/queues/no_such@1/faces_and_text").status_code == 404
        assert client.get("/queues/nonsense/faces_and_text").status_code == 404
        assert client.post(f"{queue}/verdicts", content=b"x" * 70_000).status_code == 413
