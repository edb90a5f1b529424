"""The server form without containers: every process of docker-compose.yml, with its files, behind the shipped Caddyfile.

Commands and variables are read from docker-compose.yml; only what a container would have of its own is put in their
place: host names, ports and folders.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from curation_dagster.review_app.accounts import Accounts
from curation_dagster_tests.deployment.postgres import Postgres, running_postgres
from curation_dagster_tests.servers import LOOPBACK, free_port

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
SITE = "localhost"
AUDIT, REVIEW = f"audit.{SITE}", f"review.{SITE}"
TEAM = ("anna", "the data team's password")
AUDITOR = ("otto", "the auditor's password")
REVIEWER = ("Rita Sommer", "the reviewer's password")
DATABASE_PASSWORD = "a:password\\of the database"  # both marks that a password file has to escape
CURATION_SECRET = "the secret of the keyed hashes, for a test"
# what no log, event, table, command line or variable may hold
SECRETS = (TEAM[1], AUDITOR[1], REVIEWER[1], DATABASE_PASSWORD, CURATION_SECRET)
SERVICES = ("code", "daemon", "webserver", "auditors", "review", "reports", "proxy")


def compose() -> dict[str, Any]:
    """Return docker-compose.yml."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@dataclass
class Answer:
    """What the proxy, or a server behind it, answered."""

    status: int
    headers: Mapping[str, str]
    cookies: list[str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Server:
    """The running processes, and how to ask them."""

    folder: Path
    postgres: Postgres
    ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set, repr=False)
    run_id: str = ""
    stopped: threading.Event = field(default_factory=threading.Event, repr=False)
    connections: dict[str, http.client.HTTPSConnection] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Path:
        """What the volume ``data`` is."""
        return self.folder / "data"

    @property
    def instance(self) -> Path:
        """What ``/opt/dagster`` is."""
        return self.folder / "dagster"

    def origin(self, host: str) -> str:
        """Return what a browser calls a page's site."""
        return f"https://{host}:{self.ports['proxy']}"

    def log(self, service: str) -> Path:
        """Return the file of everything that a service printed."""
        return self.folder / "logs" / f"{service}.log"

    def ask(
        self,
        host: str,
        path: str,
        account: tuple[str, str] | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        sni: str | None = None,
    ) -> Answer:
        """Send one request through the proxy, as it is: no client tidies up the path."""
        sent = {"Host": f"{host}:{self.ports['proxy']}"} | dict(headers or {})
        if account:
            sent["Authorization"] = "Basic " + b64encode(":".join(account).encode()).decode()
        if body is not None:
            sent["Content-Length"] = str(len(body))
        name = sni or host
        for last in (False, True):
            connection = self.connections.pop(name, None) or self._connect(name)
            try:
                connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
                for key, value in sent.items():
                    connection.putheader(key, value)
                connection.endheaders(body)
                got = connection.getresponse()
                answer = Answer(
                    got.status,
                    {k.lower(): ", ".join(got.headers.get_all(k, [])) for k in got.headers},
                    got.headers.get_all("set-cookie") or [],
                    b"" if got.status == 101 else got.read(),
                )
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                connection.close()
                if last:
                    raise
                continue  # the proxy had closed a connection that was kept
            if got.status == 101 or got.will_close:
                connection.close()
            else:
                self.connections[name] = connection
            return answer
        raise AssertionError("not reached")

    def _connect(self, name: str) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(LOOPBACK, self.ports["proxy"], timeout=60)
        authority = self.folder / "caddy/caddy/pki/authorities/local/root.crt"
        context = ssl.create_default_context(cafile=str(authority))
        plain = socket.create_connection((LOOPBACK, self.ports["proxy"]), 60)
        connection.sock = context.wrap_socket(plain, server_hostname=name)
        return connection

    def query(self, host: str, account: tuple[str, str], query: str, **variables: Any) -> Any:
        """Ask a Dagster server by GraphQL, as its page does; return the answer with its errors."""
        said = json.dumps({"query": query, "variables": variables}).encode()
        headers = {
            "Content-Type": "application/json",
            "Origin": self.origin(host),
            "Sec-Fetch-Site": "same-origin",
        }
        return self.ask(host, "/graphql", account, "POST", headers, said).json

    def look_around(self) -> None:
        """Note command lines and variables of all processes of the server as they are now."""
        for pid in self._tree():
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    self.seen.add(Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace"))

    def wait(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait for a condition. The error quotes the ends of the logs."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := condition():
                return found
            for name, process in self.processes.items():
                assert process.poll() is None, f"{name} ended:\n{self.log(name).read_text()[-3000:]}"
            time.sleep(0.3)
        logs = "\n".join(f"--- {n}\n{self.log(n).read_text()[-1500:]}" for n in self.processes)
        raise AssertionError(f"waited {seconds:g} s for {what}\n{logs}")

    @contextlib.contextmanager
    def opened_instance(self) -> Iterator[dg.DagsterInstance]:
        """Open the instance as the services do, with the password in a file."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in compose()["services"]["daemon"]["environment"].items():
                patch.setenv(name, self._here(str(value), "daemon"))
            patch.setenv("PGPASSFILE", str(self.folder / "daemon.pgpass"))
            with dg.DagsterInstance.from_config(str(self.instance)) as instance:
                yield instance

    def _watch(self) -> None:
        while not self.stopped.wait(0.3):
            self.look_around()

    def _tree(self) -> list[int]:
        sessions = {p.pid for p in self.processes.values()}
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rsplit(")", 1)[1].split()
                if int(fields[3]) in sessions:  # the session, which each service began with its own number
                    found.append(int(stat.parent.name))
        return found

    # -- starting and ending ----------------------------------------------------------------------

    def start(self, service: str) -> None:
        """Start a service with the command and the variables that docker-compose.yml gives it."""
        declared = compose()["services"][service]
        environment = {k: self._here(str(v), service) for k, v in declared.get("environment", {}).items()}
        environment |= {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "PGPASSFILE": str(self.folder / f"{service}.pgpass"),
        }
        if service == "proxy":
            image = (ROOT / declared["build"]["dockerfile"]).read_text()
            command = json.loads(re.findall(r"^CMD (.*)$", image, re.M)[0])
            environment |= {
                "XDG_DATA_HOME": str(self.folder / "caddy"),
                "XDG_CONFIG_HOME": str(self.folder / "caddy"),
                "CURATION_ACCOUNTS": str(self.folder / "secrets"),
                "CURATION_LISTEN": str(self.ports["proxy"]),
                "CURATION_HEALTH": str(self.ports["health"]),
                **{f"CURATION_{n.upper()}": f"{LOOPBACK}:{self.ports[n]}" for n in ("webserver", "auditors", "review", "reports")},
            }  # fmt: skip
        else:
            command = [str(ROOT / "deploy" / "entrypoint"), *declared["command"]]
            environment |= {"CURATION_WORKERS": "2", "CURATION_AUTOSTART": "0"}
        with self.log(service).open("wb") as log:
            self.processes[service] = subprocess.Popen(
                [self._here(word, service) for word in command],
                env=environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Dagster stops at SIGINT, which a test that runs in the background has switched off
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
            )

    def _here(self, word: str, service: str) -> str:
        """Return a word of docker-compose.yml as it is without a container."""
        port = {
            "webserver": "3000",
            "auditors": "3000",
            "review": "3001",
            "reports": "3002",
            "code": "4000",
        }.get(service)
        if word == port:
            return str(self.ports[service])
        if default := re.fullmatch(r"\$\{\w+:-(.*)\}", word):
            return default[1]
        places = {
            "0.0.0.0": LOOPBACK,
            "postgres": LOOPBACK,
            "code": LOOPBACK,
            "5432": str(self.postgres.port),
            "4000": str(self.ports["code"]),
            "/data": str(self.home),
            "/opt/dagster": str(self.instance),
            "/opt/dagster/workspace.yaml": str(self.instance / "workspace.yaml"),
            "/usr/local/bin/caddy": str(PROGRAMS / "caddy"),
            "/etc/caddy/Caddyfile": str(ROOT / "deploy" / "compose" / "Caddyfile"),
        }
        if word.startswith("/run/secrets/"):
            return str(self.folder / "secrets" / Path(word).name)
        return places.get(word, word)

    def healthy(self, service: str) -> bool:
        """Ask what the service's health check asks."""
        if service == "code":
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.ports["code"]), 1):
                return True
            return False
        path = {"review": "/health", "reports": "/health", "proxy": "/"}.get(service, "/server_info")
        port = self.ports["health" if service == "proxy" else service]
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
                return answer.status < 300
        except OSError:
            return False

    def stop(self) -> None:
        """End every process that was started, and their children."""
        for connection in self.connections.values():
            connection.close()
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
        until = time.monotonic() + 1
        while time.monotonic() < until and any(p.poll() is None for p in self.processes.values()):
            time.sleep(0.1)
        for pid in self._tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self.processes.values():
            process.wait(10)


@contextlib.contextmanager
def running_server(folder: Path, deliver: Callable[[Path], None]) -> Iterator[Server]:
    """Start everything; ``deliver`` is called with the folder of the volume ``data`` before."""
    with running_postgres(DATABASE_PASSWORD) as postgres:
        ports = {name: free_port() for name in (*SERVICES, "health") if name != "daemon"}
        server = Server(folder, postgres, ports)
        for name in ("dagster/storage", "data", "secrets", "logs", "caddy"):
            (folder / name).mkdir(parents=True)
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(ROOT / "deploy" / "compose" / name, server.instance / name)
        (folder / "secrets" / "database_password").write_text(DATABASE_PASSWORD + "\n")
        (folder / "secrets" / "curation_secret").write_text(CURATION_SECRET + "\n")
        for name, (user, password) in {"team": TEAM, "auditors": AUDITOR}.items():
            (folder / "secrets" / name).write_text(f"{user} {hashed(password)}\n")
        Accounts(server.home / "reviewers.yaml").put(*REVIEWER)
        deliver(server.home)
        watch = threading.Thread(target=server._watch, daemon=True)
        watch.start()
        try:
            for service in ("proxy", "review", "reports", "code"):
                server.start(service)
            server.wait(lambda: server.healthy("code"), 60, "the code location")
            for service in ("webserver", "auditors", "daemon"):
                server.start(service)
            for service in ("proxy", "review", "reports", "webserver", "auditors"):
                server.wait(lambda s=service: server.healthy(s), 90, service)
            yield server
        finally:
            server.stopped.set()
            watch.join(10)
            server.stop()


def hashed(password: str) -> str:
    """Return the hash of a password as the proxy makes it; a cheap one."""
    return subprocess.run(
        [PROGRAMS / "caddy", "hash-password", "--algorithm", "bcrypt", "--bcrypt-cost", "8"],
        input=password + "\n", capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
