"""Two servers' volumes and databases, and the scripts of deploy/ run against them.

The scripts call ``docker compose``; a stand-in on the PATH carries out what it would carry out inside the containers, and
notes what was asked of it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from curation_dagster.lake import Lake
from curation_dagster.schemas import TABLES
from curation_dagster_tests.deployment.postgres import Postgres
from curation_dagster_tests.deployment.server import ROOT, compose

STAND_IN = """#!{python}
import os, subprocess, sys
words = sys.argv[1:]
with open(os.environ["ASKED"], "a") as file:
    print(*words, file=file)
assert words[0] == "compose", words
if words[1] in ("stop", "start", "up"):
    sys.exit(0)
if words[1:4] == ["exec", "-T", "postgres"]:
    sys.exit(subprocess.run(words[4:]).returncode)
assert words[1:6] == ["run", "--rm", "--no-deps", "-T", "--entrypoint"], words
program, service, *rest = words[6:]
assert service == "code"
places = {{"/data": os.environ["DATA"], "/opt/dagster/storage": os.environ["STORAGE"]}}
sys.exit(subprocess.run([program, *(places.get(w, w) for w in rest)]).returncode)
"""


class Machine:
    """The volumes and the database of one server."""

    def __init__(self, data: Path, dagster: Path, postgres: Postgres, own: Path) -> None:
        self.data, self.dagster, self.postgres, self.own = data, dagster, postgres, own
        for folder in (data, dagster / "storage", own / "bin"):
            folder.mkdir(parents=True, exist_ok=True)
        docker = own / "bin" / "docker"
        docker.write_text(STAND_IN.format(python=sys.executable))
        docker.chmod(0o755)
        (dagster / "dagster.yaml").write_bytes((ROOT / "deploy/compose/dagster.yaml").read_bytes())
        password = postgres.password.replace("\\", "\\\\").replace(":", "\\:")
        (own / "pgpass").touch(0o600)
        (own / "pgpass").write_text(f"*:*:*:*:{password}\n")

    @contextmanager
    def opened(self) -> Iterator[dg.DagsterInstance]:
        """Open its instance, with the variables of a service."""
        declared = compose()["services"]["code"]["environment"]
        values = {n: declared[n] for n in ("DAGSTER_POSTGRES_DB", "DAGSTER_POSTGRES_USER")}
        values |= {"DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": str(self.postgres.port)}
        values |= {
            "PGPASSFILE": str(self.own / "pgpass"),
            "CURATION_HOME": str(self.data),
            "CURATION_OFFLINE": "1",
        }
        values |= {"DAGSTER_HOME": str(self.dagster)}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in values.items():
                patch.setenv(name, value)
            with dg.DagsterInstance.from_config(str(self.dagster)) as instance:
                yield instance

    def asked(self) -> list[str]:
        """Return what the scripts asked of docker, line by line."""
        return (self.own / "asked").read_text().splitlines()

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/ as on this machine."""
        environment = {
            **os.environ,
            **self.postgres.environment,
            "ASKED": str(self.own / "asked"),
            "DATA": str(self.data),
        }
        environment |= {
            "STORAGE": str(self.dagster / "storage"),
            "PATH": f"{self.own / 'bin'}:{environment['PATH']}",
        }
        script = str(ROOT / "deploy" / script)
        return subprocess.run([script, *words], env=environment, capture_output=True, text=True, check=False)

    def content(self) -> dict[str, Any]:
        """Return all that has to come back."""
        with self.opened() as instance:
            runs = {r.run_id: r.status for r in instance.get_runs()}
            events = {r: [(e.timestamp, e.message) for e in instance.all_logs(r)] for r in runs}
            made = {
                k.to_user_string(): instance.get_materialized_partitions(k) for k in instance.all_asset_keys()
            }
            partitions = instance.get_dynamic_partitions("archive_version")
        lake = Lake.open(str(self.data / "lake"))
        tables = {}
        for name in TABLES:
            versions = [h["version"] for h in lake.history(name)]
            tables[name] = [(v, lake.read(name, version=v).to_pylist()) for v in versions]
        files = {
            str(p.relative_to(self.data)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mode)
            for p in sorted(self.data.rglob("*"))
            if p.is_file() and self.data / "work" not in p.parents
        }
        return {
            "runs": runs,
            "events": events,
            "made": made,
            "partitions": partitions,
            "tables": tables,
            "files": files,
        }
