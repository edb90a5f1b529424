"""The server form, as far as it goes without containers: its configuration against a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from curation_dagster.samples import write_samples
from curation_dagster_tests.installation import Installation

ROOT = Path(__file__).parents[1]


def binary(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[int]:
    """A PostgreSQL of its own on a free port, as a user that is not root."""
    initdb, server = binary("initdb"), binary("postgres")
    if initdb is None or server is None:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL: .ci/run installs it")
        pytest.skip("no PostgreSQL on this machine; .ci/run shows how to install it")
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder = Path("/var/tmp") / f"curation-pg-{os.getpid()}"
    folder.mkdir()
    if as_user:
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = folder / "password"
    password.write_text("secret for a test")
    if as_user:
        shutil.chown(password, "postgres")
    try:
        subprocess.run(
            [*as_user, initdb, "-D", str(folder / "data"), "-U", "dagster", "-A", "scram-sha-256", f"--pwfile={password}"],
            check=True, capture_output=True,
        )  # fmt: skip
        running = subprocess.Popen(
            [*as_user, server, "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            ready = [binary("pg_isready") or "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-t", "1"]
            for _ in range(60):
                if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                    break
            create = [
                binary("createdb") or "createdb",
                "-h",
                "127.0.0.1",
                "-p",
                str(port),
                "-U",
                "dagster",
                "dagster",
            ]
            subprocess.run(
                create,
                check=True,
                env={**os.environ, "PGPASSWORD": password.read_text()},
                capture_output=True,
            )
            yield port
        finally:
            running.terminate()
            running.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_an_archive_is_curated_on_the_servers_configuration(
    postgres: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    folder = home / "dagster"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "compose" / "dagster.yaml", folder / "dagster.yaml")
    for name, value in {
        "CURATION_HOME": str(home),
        "DAGSTER_HOME": str(folder),
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_DB": "dagster",
        "DAGSTER_POSTGRES_USER": "dagster",
        "DAGSTER_POSTGRES_PASSWORD": "secret for a test",
    }.items():
        monkeypatch.setenv(name, value)
    text = (folder / "dagster.yaml").read_text().replace("port: 5432", f"port: {postgres}")
    (folder / "dagster.yaml").write_text(text)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        made = Installation(home, instance)
        settings = made.workspace.settings
        write_samples(
            settings.landing, archives=["isic_archive"], images=12, overlay_dir=settings.archives[0]
        )
        made.all_the_way("isic_archive@synthetic")
        assert made.workspace.lake.read("corpus").num_rows > 0
        assert len(instance.get_runs()) == 2
    assert not list(folder.rglob("*.db"))


def test_the_compose_file_publishes_the_proxy_only() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    services = compose["services"]
    assert {n for n, s in services.items() if "ports" in s} == {"proxy"}
    assert compose["networks"]["inside"]["internal"] is True
    for name, service in services.items():
        assert "mem_limit" in service, name
        if "build" not in service:
            assert ":" in service["image"], name
            assert not service["image"].endswith(":latest"), name
    assert "--read-only" in services["auditors"]["command"]
    for name in ("dagster.yaml", "workspace.yaml", "Caddyfile"):
        assert (ROOT / "deploy" / "compose" / name).exists()


def test_the_laptops_instance_is_valid(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
