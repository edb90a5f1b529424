"""The reports folder over HTTP, read-only: on loopback for `curation-dagster dev`, behind the proxy in the server form.

It has no sign-in. On a laptop it listens on the loopback address whatever the Dagster UI beside it does, and answers to this
machine's own names only. In the server form nothing but the proxy reaches it, which asks for a password first.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import threading
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

HEALTH = "/health"
_OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    # a withdrawn picture must not live on in a browser
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    server_version, sys_version = "reports", ""

    def __init__(self, *args: Any, behind_proxy: bool = False, **more: Any) -> None:
        self.behind_proxy = behind_proxy
        super().__init__(*args, **more)

    def send_head(self) -> io.BytesIO | None:  # type: ignore[override]
        """Answer for files below the folder; what is hidden, a folder without a page, or another host's name is not found."""
        named = self.headers.get("Host", "").rsplit(":", 1)[0]
        hidden = any(part.startswith(".") for part in unquote(self.path.split("?")[0]).split("/"))
        # a page of another site that calls itself by a name that leads here must not read anything
        if (named not in _OWN_NAMES and not self.behind_proxy) or hidden:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        if self.behind_proxy and self.path == HEALTH:
            self.send_response(HTTPStatus.NO_CONTENT)
            self.end_headers()
            return None
        return super().send_head()  # type: ignore[return-value]

    def list_directory(self, path: object) -> None:  # type: ignore[override]
        """Refuse to list a folder."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Add the headers that every answer carries."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: addresses of pages are no news."""


def serve(folder: Path, host: str, port: int) -> None:
    """Show a folder behind a proxy that asks who reads, until the process ends."""
    handler = functools.partial(_Handler, directory=str(folder), behind_proxy=True)
    with http.server.ThreadingHTTPServer((host, port), handler) as server:
        server.daemon_threads = True
        server.serve_forever()


@contextlib.contextmanager
def serving(folder: Path, port: int) -> Iterator[str]:
    """Show a folder on loopback for as long as the block runs; yield the address.

    Parameters
    ----------
    port : int
        The port to try first; if it is taken, any free one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
