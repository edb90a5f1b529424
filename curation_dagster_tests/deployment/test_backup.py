"""Backup and restore with the shipped scripts, against real PostgreSQL servers: what comes back is what there was.

The scripts call ``docker compose``; a stand-in on the PATH carries out what it would carry out inside the containers, and
notes what was asked of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from curation_dagster.lake import Lake
from curation_dagster.samples.write import write_samples
from curation_dagster.schemas import TABLES
from curation_dagster.settings import Settings
from curation_dagster_tests.deployment.postgres import Postgres, running_postgres
from curation_dagster_tests.deployment.server import ROOT, compose
from curation_dagster_tests.installation import Installation

pytestmark = pytest.mark.xdist_group("deployment")

KEY = "isic_archive@synthetic"
STAND_IN = '''#!{python}
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
'''


class Machine:
    """The volumes and the database of one server."""

    def __init__(self, folder: Path, postgres: Postgres, patch: pytest.MonkeyPatch) -> None:
        self.data, self.dagster, self.postgres = folder / "data", folder / "dagster", postgres
        self.asked = folder / "asked"
        for name in ("bin", "data", "dagster/storage"):
            (folder / name).mkdir(parents=True)
        docker = folder / "bin" / "docker"
        docker.write_text(STAND_IN.format(python=sys.executable))
        docker.chmod(0o755)
        self.path = docker.parent
        shutil.copy(ROOT / "deploy" / "compose" / "dagster.yaml", self.dagster)
        (folder / "pgpass").write_text("*:*:*:*:" + postgres.password + "\n")
        (folder / "pgpass").chmod(0o600)
        declared = compose()["services"]["code"]["environment"]
        for name in ("DAGSTER_POSTGRES_DB", "DAGSTER_POSTGRES_USER"):
            patch.setenv(name, declared[name])
        for name, value in {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1", "DAGSTER_POSTGRES_PORT": postgres.port, "PGPASSFILE": folder / "pgpass",
            "CURATION_HOME": self.data, "DAGSTER_HOME": self.dagster, "CURATION_OFFLINE": "1", "CURATION_SECRET": "s" * 32,
        }.items():  # fmt: skip
            patch.setenv(name, str(value))

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a script of deploy/ as on this machine."""
        environment = {**os.environ, **self.postgres.environment, "ASKED": str(self.asked), "DATA": str(self.data)}
        environment |= {"STORAGE": str(self.dagster / "storage"), "PATH": f"{self.path}:{environment['PATH']}"}
        script = str(ROOT / "deploy" / script)
        return subprocess.run([script, *words], env=environment, capture_output=True, text=True, check=False)

    def content(self) -> dict[str, Any]:
        """Return all that has to come back."""
        with dg.DagsterInstance.from_config(str(self.dagster)) as instance:
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
        return {"runs": runs, "events": events, "made": made, "partitions": partitions, "tables": tables, "files": files}


def test_what_was_backed_up_comes_back(tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    with pytest.MonkeyPatch.context() as patch, running_postgres("the first") as postgres:
        first = Machine(tmp_path / "first", postgres, patch)
        settings = Settings.load(first.data)
        write_samples(settings.landing, archives=["isic_archive"], images=6, overlay_dir=settings.archives[0])
        with dg.DagsterInstance.from_config(str(first.dagster)) as instance:
            Installation(first.data, instance).all_the_way(KEY)
        before = first.content()
        assert first.run("backup", str(backup)).returncode == 0
        assert first.run("backup", str(backup)).returncode != 0  # never over an earlier one
        # nothing writes between the dump and the copy of the tables
        asked = [a.split()[1] for a in first.asked.read_text().splitlines()][:5]
        assert asked == ["stop", "exec", "run", "run", "start"]
        assert "stop daemon code review" in first.asked.read_text()
        refused = first.run("restore", str(backup))
        assert refused.returncode == 1
        assert "nothing was restored" in refused.stderr
    assert sorted(p.name for p in backup.iterdir()) == ["SHA256SUMS", "data.tar", "database.dump", "storage.tar"]
    assert backup.stat().st_mode & 0o077 == 0
    assert len(before["runs"]) == 2
    assert before["tables"]["corpus"]
    assert any(f.startswith("corpus/") for f in before["files"])

    with pytest.MonkeyPatch.context() as patch, running_postgres("the second") as postgres:
        second = Machine(tmp_path / "second", postgres, patch)
        damaged = tmp_path / "damaged"
        shutil.copytree(backup, damaged)
        with (damaged / "data.tar").open("r+b") as file:
            file.seek(5000)
            file.write(b"\0\1\2")
        assert second.run("restore", str(damaged)).returncode != 0
        assert not list(second.data.iterdir())
        done = second.run("restore", str(backup))
        assert done.returncode == 0, done.stderr
        after = second.content()
        for part, value in before.items():
            assert after[part] == value, part
        with dg.DagsterInstance.from_config(str(second.dagster)) as instance:  # and work goes on
            assert Installation(second.data, instance).rebuild()
