"""A real PostgreSQL of a test's own, on a free port, as a user that is not root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation_dagster_tests.servers import LOOPBACK, free_port

USER = DATABASE = "dagster"


def binary(name: str) -> str | None:
    """Return the program of the newest PostgreSQL on this machine, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@dataclass
class Postgres:
    """A server with a database ``dagster``."""

    port: int
    password: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What makes the programs of PostgreSQL talk to it."""
        return {
            "PGHOST": LOOPBACK,
            "PGPORT": str(self.port),
            "PGUSER": USER,
            "PGPASSWORD": self.password,
            "PATH": f"{Path(binary('postgres') or '').parent}:{os.environ['PATH']}",
        }

    def run(self, *command: str) -> str:
        """Run a program of PostgreSQL against it; return what it prints."""
        done = subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [
            *_as_user(),
            binary("postgres") or "postgres",
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
        ]
        command += ["-h", LOOPBACK, "-k", str(self.folder), "-c", "fsync=off"]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        until = time.monotonic() + 30
        while subprocess.run(["pg_isready", "-q"], env=dict(self.environment), check=False).returncode != 0:
            assert running.poll() is None, "PostgreSQL ended"
            assert time.monotonic() < until, "PostgreSQL did not start in 30 s"
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server at once, as when its machine fails, and wait until it is gone."""
        command = [
            *_as_user(),
            binary("pg_ctl") or "pg_ctl",
            "-D",
            str(self.folder / "data"),
            "-m",
            "immediate",
            "stop",
        ]
        subprocess.run(command, capture_output=True, check=False, cwd="/")


def _as_user() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []


@contextlib.contextmanager
def running_postgres(password: str) -> Iterator[Postgres]:
    """Start a server, and end it with everything that it wrote."""
    initdb, server = binary("initdb"), binary("postgres")
    if initdb is None or server is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL: .ci/run installs it")
        pytest.skip("no PostgreSQL on this machine; .ci/run shows how to install it")
    folder = Path(tempfile.mkdtemp(prefix="curation-pg-", dir="/var/tmp"))  # a short path: it holds a socket
    (folder / "password").write_text(password)
    if _as_user():
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    found = Postgres(free_port(), password, folder)
    try:
        subprocess.run(
            [*_as_user(), initdb, "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", "-E", "UTF8",
             "--no-sync", f"--pwfile={folder / 'password'}"],
            check=True, capture_output=True, cwd="/",
        )  # fmt: skip
        (folder / "password").unlink()
        try:
            found.start()
            found.run("createdb", DATABASE)
            yield found
        finally:
            found.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
