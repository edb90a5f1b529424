"""The reports beside the UI of a laptop: this machine's browsers only, nothing hidden, nothing kept."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from curation_dagster.reports_server import serving


def ask(
    url: str, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or parts.netloc)
    connection.endheaders()
    answer = connection.getresponse()
    found = (answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    connection.close()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("outside")
    reports = tmp_path / "reports"
    (reports / "archives" / "a@1").mkdir(parents=True)
    (reports / "index.html").write_text("first page")
    (reports / "archives" / "a@1" / "index.html").write_text("a page")
    (reports / "archives" / "a@1" / ".draft").write_text("hidden")
    return reports


def test_pages_are_shown_and_nothing_is_kept_or_run(folder: Path) -> None:
    with serving(folder, 0) as url:
        state, headers, body = ask(url, "/")
        assert (state, body) == (200, b"first page")
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "python" not in headers.get("server", "").lower()
        assert ask(url, "/archives/a@1/index.html")[2] == b"a page"


@pytest.mark.parametrize(
    "path",
    [
        "/archives/",
        "/archives/a@1/.draft",
        "/../secret",
        "/%2e%2e/secret",
        "/archives/%2e%2e/%2e%2e/secret",
        "//secret",
        "/none",
    ],
)
def test_what_is_hidden_outside_or_a_folder_is_not_found(folder: Path, path: str) -> None:
    with serving(folder, 0) as url:
        state, _, body = ask(url, path)
        assert state in (404, 301), body
        assert b"outside" not in body
        assert b"hidden" not in body


def test_another_name_for_this_address_reads_nothing(folder: Path) -> None:
    """A site that lets its own name lead to the loopback address would otherwise read everything."""
    with serving(folder, 0) as url:
        assert ask(url, "/", host="evil.example")[0] == 404
        assert ask(url, "/", host=f"evil.example:{urlsplit(url).port}")[0] == 404
        assert ask(url, "/", host="localhost:1")[0] == 200


def test_nothing_can_be_written_and_a_taken_port_is_no_error(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serving(folder, port) as url:
            assert urlsplit(url).port != port
            assert ask(url, "/index.html", method="PUT")[0] == 501
            assert ask(url, "/index.html", method="DELETE")[0] == 501
