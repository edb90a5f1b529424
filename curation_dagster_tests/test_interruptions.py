"""A run that is killed, a delivery that is hostile: nothing lost, nothing doubled, the others untouched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from curation_dagster.core.registry.keys import parse_key
from curation_dagster.samples import write_samples
from curation_dagster_tests.installation import Installation, open_installation
from curation_dagster_tests.test_pipeline import fingerprints

KEY = "isic_archive@synthetic"


def stages_of(home: Path) -> set[str]:
    from curation_dagster.settings import Settings
    from curation_dagster.workspace import Workspace

    workspace = Workspace(Settings.load(home))
    return set(workspace.part("stages", parse_key(KEY), ["stage"])["stage"].to_pylist())


@pytest.mark.parametrize("point", ["nothing yet", "staged", "measurements", "harmonized"])
def test_a_killed_run_leaves_no_trace_in_the_result(
    point: str, curated_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = open_installation(tmp_path / "undisturbed", monkeypatch)
    shutil.copytree(curated_home / "lake", undisturbed.home / "lake")
    home = tmp_path / "killed"
    home.mkdir()
    shutil.copy(curated_home / "secret", home / "secret")
    shutil.copytree(curated_home / "archives", home / "archives")
    shutil.copytree(curated_home / "landing" / KEY, home / "landing" / KEY)
    run = subprocess.Popen(
        [sys.executable, "-m", "curation_dagster.cli", "curate", KEY],
        env={**os.environ, "CURATION_HOME": str(home), "DAGSTER_HOME": ""},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while run.poll() is None and time.monotonic() < until:
        if (point == "nothing yet" and (home / "staging").exists()) or point in stages_of(home):
            break
        time.sleep(0.02)
    assert run.poll() is None, "the run ended before it could be killed"
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()

    again = open_installation(home, monkeypatch)
    assert all(again.curate(KEY).values())
    expected = {k: v for k, v in fingerprints(undisturbed.workspace).items() if k[0] == "isic_archive"}
    mine = again.workspace.lake.read(
        "stages", columns=["archive", "version", "stage", "fingerprint"]
    ).to_pylist()
    assert {(r["archive"], r["version"], r["stage"]): r["fingerprint"] for r in mine} == expected
    assert not list((home / "work").rglob("*.parquet"))


def deliver(installation: Installation, key: str, make: object) -> None:
    folder = installation.workspace.settings.landing / key
    folder.mkdir(parents=True)
    make(folder)  # type: ignore[operator]


def zip_with(name: str) -> object:
    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / "zr7vgbcyr2-1.zip", "w") as packed:
            packed.writestr(name, b"x")

    return make


def link_in_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "zr7vgbcyr2-1.zip", "w") as packed:
        info = zipfile.ZipInfo("images/PAT_1_2_3.png")
        info.external_attr = 0o120777 << 16
        packed.writestr(info, "/etc/passwd")


def bomb(folder: Path) -> None:
    with zipfile.ZipFile(folder / "zr7vgbcyr2-1.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("images/PAT_1_2_3.png", b"\0" * 300_000_000)


def without_columns(folder: Path) -> None:
    (folder / "metadata.csv").write_text("img_id,label\nPAT_1_2_3.png,NEV\n")


def nothing(folder: Path) -> None:
    del folder


BAD = {
    "parent folder": (zip_with("../../evil.png"), "staged", "HostileContainer"),
    "absolute path": (zip_with("/etc/evil.png"), "staged", "HostileContainer"),
    "link": (link_in_zip, "staged", "HostileContainer"),
    "bomb": (bomb, "staged", "HostileContainer"),
    "missing columns": (without_columns, "records", "MetadataError"),
    "empty": (nothing, "staged", "DeliveryMissing"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_delivery_is_refused_and_touches_nothing_else(case: str, curated: Installation) -> None:
    make, stage, error = BAD[case]
    before = fingerprints(curated.workspace)
    workspace = curated.workspace
    described = workspace.settings.archives[0] / "pad_ufes_20.yaml"
    lines = described.read_text().splitlines()
    lines.insert(lines.index("versions:") + 1, "  bad: {note: refused}")
    described.write_text("\n".join(lines))
    deliver(curated, "pad_ufes_20@bad", make)
    assert curated.curate("pad_ufes_20@bad", KEY) == {"pad_ufes_20@bad": False, KEY: True}
    failed = [
        e.event_specific_data.error
        for r in curated.instance.get_runs()
        for e in [s.dagster_event for s in curated.instance.all_logs(r.run_id) if s.dagster_event]
        if e.is_step_failure and e.step_key == stage
    ]
    assert any(error in str(f) for f in failed), failed
    after = fingerprints(curated.workspace)
    assert {k: v for k, v in after.items() if k[1] != "bad"} == before
    assert curated.rebuild()
    assert fingerprints(curated.workspace) | after == fingerprints(curated.workspace)


def test_other_bytes_under_a_known_version_are_an_incident(curated: Installation) -> None:
    before = fingerprints(curated.workspace)
    landing = curated.workspace.settings.landing
    shutil.rmtree(landing / KEY)
    write_samples(landing, archives=["isic_archive"], images=12, seed=7)
    assert curated.curate(KEY) == {KEY: False}
    assert fingerprints(curated.workspace) == before


def test_a_broken_descriptor_stops_its_own_archive_only(curated: Installation) -> None:
    folder = curated.workspace.settings.archives[0]
    (folder / "ham10000.yaml").write_text("extends: ham10000\nversions: [\n")
    assert "ham10000" in curated.workspace.registry.report()
    assert curated.curate("ham10000@synthetic", KEY) == {"ham10000@synthetic": False, KEY: True}


def test_an_archive_is_added_by_one_file_and_no_code(installation: Installation) -> None:
    """docs/archives.md promises it."""
    from curation_dagster.samples import skin
    from curation_dagster.samples.encodings import jpeg

    settings = installation.workspace.settings
    settings.archives[0].mkdir(parents=True)
    (settings.archives[0] / "st_elsewhere.yaml").write_text(DESCRIPTOR)
    folder = settings.landing / "st_elsewhere@2026-01"
    (folder / "photos").mkdir(parents=True)
    rows = ["photo;patient;what;proof;skin"]
    for number, label in enumerate(["melanoma", "seborrheic keratosis", "rash", "basal cell carcinoma"]):
        (folder / "photos" / f"p{number}.JPG").write_bytes(
            jpeg(skin.lesion(900 + number, (640, 480), 1 + number, "clinical"))
        )
        rows.append(f"p{number};{number};{label};biopsy;{['I', 'II', 'III', 'IV'][number]}")
    (folder / "liste.csv").write_text("\n".join(rows), encoding="cp1252")
    installation.all_the_way("st_elsewhere@2026-01")
    corpus = installation.workspace.lake.read("corpus").to_pylist()
    assert sorted(r["icd11_code"] for r in corpus) == ["2C30", "2C32", "2F21.0"]
    assert {r["fitzpatrick"] for r in corpus} == {1, 2, 4}
    assert all(r["confirmation"] == "histopathology" for r in corpus)


DESCRIPTOR = """
id: st_elsewhere
technical_file:
  name: St Elsewhere photographs
  publisher: St Elsewhere Hospital
  country: Nowhere
  access: gated
  access_method: Delivered by the hospital under contract.
  sample_size: {images: 4}
  diagnostic_coverage: Four diagnoses.
  demographics: Adults.
  modality: Clinical photographs.
  validation_method: Biopsy.
  selection:
    diagnostic_quality: {outcome: accepted, reason: Photographed by the hospital's photographer.}
    licence: {outcome: accepted, reason: The contract grants CC BY 4.0.}
    diversity: {outcome: conditional, reason: Few patients.}
    governance: {outcome: accepted, reason: Ethics vote on file.}
licence: {default: CC-BY-4.0, attribution: St Elsewhere Hospital, evidence: The contract.}
retrieval: {instructions: The hospital delivers a folder with photos/ and liste.csv.}
versions:
  "2026-01": {images: 4, records: 4}
layout:
  images: ["photos/*"]
  metadata:
    - name: list
      files: ["liste.csv"]
      key: photo
      required_columns: [photo, patient, what, proof, skin]
columns:
  modality: {constant: clinical}
  diagnosis: {from: what, parse: label}
  confirmation: {from: proof, values: {biopsy: histopathology}}
  patient: {from: patient}
  fitzpatrick: {from: skin, parse: fitzpatrick}
"""
