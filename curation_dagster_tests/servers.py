"""Real servers on loopback, for whatever is fetched: HTTP with all its faults, SFTP, S3."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

LOOPBACK = "127.0.0.1"


@dataclass
class Answer:
    """What a path answers. Faults hold for the first ``faults`` requests only; -1: always."""

    content: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = "made"
    modified: str | None = None
    ranges: bool = True
    faults: int = 0
    cut_after: int | None = None
    fault_status: int | None = None
    fault_headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    chunk_seconds: float = 0.0
    chunk: int = 1 << 16

    def state(self) -> str | None:
        return f'"{hashlib.md5(self.content).hexdigest()}"' if self.etag == "made" else self.etag


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]


class HttpServer:
    """An HTTP server whose paths are set by the test; ``asked`` holds every request."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer | Callable[[Asked], Answer]] = {}
        self.asked: list[Asked] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer._serve(self)

            do_HEAD = do_GET

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self._server = Server((LOOPBACK, 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.scheme = "https" if context is not None else "http"
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def url(self, path: str) -> str:
        return f"{self.scheme}://{LOOPBACK}:{self.port}{path}"

    def add(self, path: str, content: bytes = b"", **rest: Any) -> str:
        self.answers[path] = Answer(content, **rest)
        return self.url(path)

    def add_json(self, path: str, data: Any) -> str:
        return self.add(path, json.dumps(data).encode(), headers={"Content-Type": "application/json"})

    def paths(self) -> list[str]:
        return [a.path for a in self.asked]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = Asked(handler.command, handler.path, {k.lower(): v for k, v in handler.headers.items()})
        self.asked.append(asked)
        found = self.answers.get(handler.path) or self.answers.get(handler.path.split("?")[0])
        answer = found(asked) if callable(found) else found
        if answer is None:
            answer = Answer(b"nothing here", 404, etag=None)
        faulty = answer.faults != 0
        if answer.faults > 0:
            answer.faults -= 1
        if faulty and answer.fault_status is not None:
            handler.send_response(answer.fault_status)
            for name, value in {"Content-Length": "0", **answer.fault_headers}.items():
                handler.send_header(name, value)
            handler.end_headers()
            return
        body, status, extra = answer.content, answer.status, dict(answer.headers)
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        valid = asked.headers.get("if-range") in (None, answer.state(), answer.modified)
        if wanted and answer.ranges and valid and status == 200:
            start = int(wanted.group(1))
            if start >= len(body):
                status, extra["Content-Range"], body = 416, f"bytes */{len(body)}", b""
            else:
                extra["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                status, body = 206, body[start:]
        handler.send_response(status)
        if (state := answer.state()) is not None:
            extra["ETag"] = state
        if answer.modified is not None:
            extra["Last-Modified"] = answer.modified
        extra.setdefault("Content-Length", str(answer.length if answer.length is not None else len(body)))
        for name, value in extra.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command == "HEAD":
            return
        end = min(len(body), answer.cut_after) if faulty and answer.cut_after is not None else len(body)
        with contextlib.suppress(OSError):
            for at in range(0, end, answer.chunk):
                handler.wfile.write(body[at : min(end, at + answer.chunk)])
                if answer.chunk_seconds:
                    handler.wfile.flush()
                    time.sleep(answer.chunk_seconds)
        if end < len(body) or (answer.length or 0) > len(body):
            with contextlib.suppress(OSError):
                handler.wfile.flush()
                handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    server = HttpServer()
    yield server
    server.close()


# -- SFTP ------------------------------------------------------------------------------------------


class _Passwords(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("reader", "a secret word")


class SftpServer:
    """An SFTP server over a folder; user ``reader``, password ``a secret word``. ``cut_after``: bytes until it breaks off."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = 0
        self.cuts = 0
        self.cut_after = 0
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = " ".join(key.export_public_key().decode().split()[:2])
        self._key = key
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def _run(self, ready: threading.Event) -> None:
        outer = self

        class Files(asyncssh.SFTPServer):
            def __init__(self, channel: Any) -> None:
                self._channel = channel
                super().__init__(channel, chroot=str(outer.root).encode())

            def read(self, file_obj: Any, offset: int, size: int) -> Any:
                if outer.cuts and offset >= outer.cut_after:
                    outer.cuts -= 1
                    self._channel.get_connection().abort()
                return super().read(file_obj, offset, size)

        async def main() -> None:
            server = await asyncssh.listen(
                LOOPBACK, 0, server_host_keys=[self._key], server_factory=_Passwords,
                sftp_factory=Files, allow_scp=False,
            )  # fmt: skip
            self.port = server.sockets[0].getsockname()[1]
            self._stop = asyncio.Event()
            ready.set()
            await self._stop.wait()
            server.close()

        self._loop.run_until_complete(main())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def sftp_server(tmp_path: Path) -> Iterator[SftpServer]:
    root = tmp_path / "sftp"
    root.mkdir()
    server = SftpServer(root)
    yield server
    server.close()


# -- S3 --------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def running_s3() -> Iterator[str]:
    """Run moto's S3 server in a process of its own; yield its address."""
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port)],
        env=environment | {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        address = f"http://{LOOPBACK}:{port}"
        for _ in range(300):
            if process.poll() is not None:
                raise RuntimeError(f"the S3 server ended with {process.returncode}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}/moto-api/", timeout=1):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the S3 server did not start")
        yield address
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server, one for the whole run of a worker; tests use buckets of their own."""
    with running_s3() as address:
        yield address


# -- certificates ----------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1; return its file, which is its own authority, and a server's context."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback of a test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return public, context
