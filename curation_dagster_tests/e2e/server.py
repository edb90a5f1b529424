"""The real servers on a fresh instance: `curation-dagster dev`, its webhook, and what it says of its runs."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from curation_dagster.cli_installation import prepare_instance
from curation_dagster.samples.write import write_samples
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace

KEY = "pad_ufes_20@synthetic"
REFUSED = "ham10000@synthetic"  # its licence forbids commercial use: a criterion fails for all of its images
BROKEN = "isic_archive@synthetic"  # delivered with a link that leads out of it: its run fails
LOCATION = "curation_dagster.definitions"
SECONDS = 420  # a bound, not a pause: a busy machine takes its time


@dataclass
class Server:
    """`curation-dagster dev` on a fresh instance, and the webhook that hears of its failures."""

    url: str
    home: Path
    told: list[dict] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        """The installation as it is now."""
        return Workspace(Settings.load(self.home))


@contextmanager
def running(home: Path) -> Iterator[Server]:
    """Run `curation-dagster dev` with its sensors, on a landing folder into which three archives were delivered."""
    settings = Settings.load(home)
    names = [k.split("@")[0] for k in (KEY, REFUSED, BROKEN)]
    write_samples(settings.landing, archives=names, images=12, overlay_dir=settings.archives[0])
    (settings.landing / BROKEN / "more.png").symlink_to("/etc/hostname")
    prepare_instance(home)
    made = Server(f"http://127.0.0.1:{free_port()}", home)
    hook = listen(made.told)
    environment = {
        "CURATION_HOME": str(home),
        "CURATION_AUTOSTART": "1",
        "CURATION_WORKERS": "2",
        "CURATION_OFFLINE": "1",
        "CURATION_SENSOR_SECONDS": "5",
        "CURATION_ALERT_WEBHOOK": f"http://127.0.0.1:{hook.server_address[1]}/hook",
        "CURATION_UI_URL": made.url,
    }
    log = (home / "dev.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "-m", "curation_dagster.cli", "dev", "--port", made.url.rsplit(":", 1)[1]],
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    try:
        wait_until(
            lambda: bool(fetch(f"{made.url}/server_info")), 120, f"the web server; see {home / 'dev.log'}"
        )
        yield made
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        subprocess.run(["pkill", "-9", "-f", str(home)], check=False)
        hook.shutdown()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listen(told: list[dict]) -> http.server.ThreadingHTTPServer:
    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read()
    except OSError:
        return b""


def graphql(server: Server, query: str) -> dict:
    request = urllib.request.Request(
        f"{server.url}/graphql", json.dumps({"query": query}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["data"]


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(1)
    pytest.fail(f"waited {seconds:g} seconds for {what}")


def runs(server: Server) -> list[dict]:
    """Return all runs, the newest first: id, job, state, partition."""
    asked = "{ runsOrError { ... on Runs { results { runId jobName status tags { key value } } } } }"
    found = graphql(server, asked)["runsOrError"]["results"]
    return [
        r | {"partition": next((t["value"] for t in r["tags"] if t["key"] == "dagster/partition"), None)}
        for r in found
    ]


def succeeded(server: Server, job: str, partition: str | None = None) -> int:
    mine = [r for r in runs(server) if r["jobName"] == job and r["partition"] == partition]
    assert partition == BROKEN or not [r for r in mine if r["status"] == "FAILURE"], mine
    return sum(r["status"] == "SUCCESS" for r in mine)


def idle(server: Server) -> bool:
    return all(r["status"] in ("SUCCESS", "FAILURE", "CANCELED") for r in runs(server))
