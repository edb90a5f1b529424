"""A run that fetches: from a server on loopback through staging into the tables, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import dagster as dg
import pytest
import yaml

from curation_dagster.assets.intake import staged
from curation_dagster.checks.wiring import checks_of
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.retrieval import errors
from curation_dagster.refusals import DeliveryRefused, refusal_file
from curation_dagster.resources import Curation
from curation_dagster.retrieving import told_by
from curation_dagster.workspace import Workspace
from curation_dagster_tests.core.retrieval.builders import make_zip
from curation_dagster_tests.installation import Installation
from curation_dagster_tests.servers import HttpServer, http_server

__all__ = ["http_server"]
BODY = make_zip(
    {"images/a.jpg": b"\xff\xd8\xff\xe0" + b"jpeg" * 50, "images/b.jpg": b"\xff\xd8\xff\xe0" + b"jpgg" * 50}
)
SHA = hashlib.sha256(BODY).hexdigest()


def declare(home: Path, files: dict, version: str = "9", **retrieval) -> str:
    """Add a version of an archive, fetched by a method, to the descriptors of an installation."""
    (home / "archives").mkdir(parents=True, exist_ok=True)
    said = {
        "extends": "ham10000",
        "retrieval": {"instructions": "x", **retrieval},
        "versions": {version: {"files": files}},
    }
    (home / "archives/ham10000.yaml").write_text(yaml.safe_dump(said))
    return f"ham10000@{version}"


@pytest.fixture
def online(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setenv("CURATION_OFFLINE", "0")
    monkeypatch.setenv("CURATION_PRIVATE_SOURCES", "1")
    return installation


def stage(installation: Installation, key: str) -> Workspace:
    installation.instance.add_dynamic_partitions("archive_version", [key])
    facts = checks_of("staged", installation.workspace.criteria, partitioned=True)
    done = dg.materialize(
        [staged, facts], partition_key=key, instance=installation.instance,
        resources={"curation": Curation(home=None, criteria=None)}, raise_on_error=True,
    )  # fmt: skip
    assert done.success
    assert all(c.passed for c in done.get_asset_check_evaluations())
    return installation.workspace


def told_in_private(installation: Installation, key: str) -> str:
    """Return the whole message about a refused delivery."""
    return refusal_file(installation.workspace.settings.staging, parse_key(key)).read_text()


def test_a_run_fetches_verifies_and_stages(online: Installation, http_server: HttpServer) -> None:
    files = {"a.zip": {"url": http_server.add("/a.zip", BODY), "sha256": SHA}}
    key = declare(online.home, files, method="https", plain_http_reason="loopback")
    workspace = stage(online, key)
    rows = {r["path"]: r for r in workspace.part("files", parse_key(key)).to_pylist()}
    assert set(rows) == {"a.zip", "a.zip!/images/a.jpg", "a.zip!/images/b.jpg"}
    assert {r["checksum_state"] for r in rows.values()} == {"verified"}
    assert rows["a.zip"]["source_url"] == http_server.url("/a.zip")
    (told,) = workspace.part("retrievals", parse_key(key)).to_pylist()
    assert (told["sha256"], told["verified_by"], told["method"]) == (SHA, "sha256", "https")
    settings = workspace.settings
    assert not (settings.retrieval / key).exists(), "what was fetched is staged and needed no longer"
    for folder in (settings.staging, settings.retrieval):
        assert folder.stat().st_mode & 0o777 == 0o700
    asked = len(http_server.asked)
    again = stage(online, key)
    assert (
        again.stage(parse_key(key), "staged")["fingerprint"]
        == workspace.stage(parse_key(key), "staged")["fingerprint"]
    )
    assert len(http_server.asked) == asked, "a staged version is not fetched again"


def test_a_delivery_by_hand_goes_before_the_method(online: Installation, http_server: HttpServer) -> None:
    key = declare(
        online.home, {"a.zip": {"url": http_server.url("/a.zip")}}, method="https", plain_http_reason="x"
    )
    folder = online.workspace.settings.landing / key
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(BODY)
    stage(online, key)
    assert http_server.asked == []


def test_offline_nothing_is_asked(online: Installation, http_server: HttpServer, monkeypatch) -> None:
    monkeypatch.setenv("CURATION_OFFLINE", "1")
    key = declare(
        online.home, {"a.zip": {"url": http_server.url("/a.zip")}}, method="https", plain_http_reason="x"
    )
    with pytest.raises(errors.DeliveryMissing):
        stage(online, key)
    assert http_server.asked == []


def test_a_version_that_was_emptied_must_come_back_as_it_was(
    online: Installation, http_server: HttpServer
) -> None:
    import shutil

    key = declare(
        online.home,
        {"a.zip": {"url": http_server.add("/a.zip", BODY)}},
        method="https",
        plain_http_reason="x",
    )
    workspace = stage(online, key)
    before = workspace.stage(parse_key(key), "staged")["fingerprint"]
    folder = workspace.settings.staging / key
    shutil.rmtree(folder)
    assert stage(online, key).stage(parse_key(key), "staged")["fingerprint"] == before
    shutil.rmtree(folder)
    http_server.add("/a.zip", make_zip({"images/a.jpg": b"\xff\xd8\xff\xe0other"}))
    with pytest.raises(DeliveryRefused, match="VersionChanged"):
        stage(online, key)
    assert "came back with other bytes" in told_in_private(online, key)
    assert not folder.exists()


def test_a_gated_delivery_with_its_manifest(online: Installation) -> None:
    key = declare(online.home, {}, method="drop")
    folder = online.workspace.settings.landing / key
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(BODY)
    with pytest.raises(errors.DeliveryMissing, match="no manifest"):
        stage(online, key)
    manifest = {
        "archive": "ham10000",
        "version": "9",
        "files": {"a.zip": {"sha256": SHA}, "b.zip": {"md5": "0" * 32}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DeliveryRefused, match="BadManifest"):
        stage(online, key)
    assert "missing: b.zip" in told_in_private(online, key)
    del manifest["files"]["b.zip"]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": "8"}))
    with pytest.raises(DeliveryRefused, match="BadManifest"):
        stage(online, key)
    assert "that of ham10000@8" in told_in_private(online, key)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {"a.zip": {"bytes": 3}}}))
    with pytest.raises(DeliveryRefused, match="BadManifest"):
        stage(online, key)
    assert "sha256 or md5 of every file" in told_in_private(online, key)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    workspace = stage(online, key)
    states = {r["path"]: r["checksum_state"] for r in workspace.part("files", parse_key(key)).to_pylist()}
    assert states["a.zip"] == "verified"
    assert states["manifest.json"] == "unpublished"


def test_sums_are_a_manifest_too_and_a_wrong_one_is_refused(online: Installation) -> None:
    key = declare(online.home, {}, method="drop", manifest="SHA256SUMS")
    folder = online.workspace.settings.landing / key
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(BODY)
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  a.zip\n")
    with pytest.raises(DeliveryRefused, match="ChecksumMismatch"):
        stage(online, key)
    (folder / "SHA256SUMS").write_text(f"{SHA} *a.zip\n")
    stage(online, key)


def test_progress_says_how_fast_and_how_long() -> None:
    said: list[str] = []
    now = [0.0]
    tell = told_by(said.append, lambda: now[0])
    for second in range(0, 61, 2):
        now[0] = float(second)
        tell(second * 1_000_000, 600_000_000, "bytes fetched")
    assert len(said) == 4
    assert said[-1] == "staged: 48,000,000 of 600,000,000 bytes fetched, 1.0 MB/s, about 9 min left"
