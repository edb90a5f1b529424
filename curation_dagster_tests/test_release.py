"""Releases end to end: sealed, approved, verified, made again, compared, and withdrawn from."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from curation_dagster import trail
from curation_dagster.cli import main
from curation_dagster.core.release.bundle import broken_seals, image_of, read_sums
from curation_dagster.core.release.diff import difference
from curation_dagster.core.review.approvals import ApprovalError
from curation_dagster.releasing import ReleaseRefused, approve_release, make_release, state_problems
from curation_dagster.rerunning import rerun
from curation_dagster_tests.installation import Installation


def told(*arguments: str, fails: bool = False) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert (result.exit_code != 0) is fails, result.output
    return result.output


def told_by_a_process(*arguments: str) -> str:
    """Run a command that starts Dagster runs: their loggers outlive a captured stream."""
    command = [sys.executable, "-W", "ignore", "-m", "curation_dagster.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    return done.stdout


def bundle_of(made: Installation, number: int = 1) -> Path:
    return made.workspace.settings.releases / str(number)


def test_nothing_is_released_that_another_person_has_not_approved(curated: Installation) -> None:
    workspace = curated.workspace
    with pytest.raises(ReleaseRefused, match="nobody approved release 2"):
        make_release(workspace, "test")
    for approver in ("author", " AUTHOR ", "Author."):
        with pytest.raises(ApprovalError, match="same person"):
            approve_release(workspace, "author", approver, None)
    assert [p.name for p in workspace.settings.releases.iterdir() if not p.name.startswith(".")] == ["1"]
    assert "same person" in told(
        "approve", "release", "--author", "Ada Byron", "--approver", "BYRON, Ada", fails=True
    )
    # what was approved is the state of the tables: a table that changed since must be approved again
    approve_release(workspace, "author", "approver", None)
    rows = workspace.lake.read("stages").to_pylist()
    for row in rows:
        if row["stage"] == "splits":
            row["fingerprint"] = "0" * 64
    workspace.lake.replace("stages", pa.Table.from_pylist(rows, schema=workspace.lake.read("stages").schema))
    with pytest.raises(ReleaseRefused, match="of splits has not looked at the current table"):
        make_release(curated.workspace, "test")


def test_what_makes_a_release_impossible(curated: Installation) -> None:
    workspace = curated.workspace
    approve_release(workspace, "author", "approver", "2")
    # a number that does not add up: nothing is sealed, and nothing is left behind
    rows = workspace.lake.read("admissions").to_pylist()
    rows[0]["images_excluded"] += 1
    before = workspace.lake.read("admissions")
    workspace.lake.replace("admissions", pa.Table.from_pylist(rows, schema=before.schema))
    with pytest.raises(ReleaseRefused, match="images entered, but"):
        make_release(curated.workspace, "test")
    workspace.lake.replace("admissions", before)
    # an image whose bytes are not those of the corpus
    row = workspace.lake.read("corpus").to_pylist()[0]
    path = workspace.settings.corpus / row["file"]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"x")
    with pytest.raises(ReleaseRefused, match=r"has SHA-256 .*, expected"):
        make_release(curated.workspace, "test")
    path.write_bytes(content)
    # a broken audit trail
    audit = workspace.lake.read("audit")
    workspace.lake.replace("audit", audit.sort_by("seq").slice(0, audit.num_rows - 1))
    with pytest.raises(ReleaseRefused, match="its end was cut off"):
        make_release(curated.workspace, "test")
    workspace.lake.replace("audit", audit)
    assert [p.name for p in workspace.settings.releases.iterdir() if not p.name.startswith(".lock")] == ["1"]
    made = make_release(curated.workspace, "test")
    assert made.number == 2
    assert broken_seals(made.folder, made.seal) == []
    # the same tables: but for the number, the time and the people's newer rows, the two hold the same
    found = difference(bundle_of(curated, 1), bundle_of(curated, 2))
    assert (found.came, found.went, found.changed) == ((), (), ())
    assert found.unchanged == made.images


def test_a_release_is_sealed_and_every_change_of_it_is_found(curated: Installation) -> None:
    bundle = bundle_of(curated)
    row = curated.workspace.lake.read("releases").to_pylist()[0]
    assert "every file is as it was sealed" in told("release", "verify", str(bundle))
    assert f"{row['images']} images" in told("release", "list")
    manifest = bundle / "MANIFEST.json"
    kept = manifest.read_bytes()
    manifest.write_bytes(kept.replace(b'"images": ', b'"images":  '))
    (bundle / "extra.txt").write_text("not part of it")
    picture = next((bundle / "data").rglob("images/*/*"))
    picture.rename(picture.with_suffix(".away"))
    said = told("release", "verify", str(bundle), fails=True)
    assert "MANIFEST.json has other bytes" in said
    assert "extra.txt is not part of the release" in said
    assert f"{picture.relative_to(bundle).as_posix()} is missing" in said
    environment = bundle / "environment.json"
    environment.write_bytes(environment.read_bytes() + b" ")
    assert "environment.json was changed after it was sealed" in broken_seals(bundle)


def test_a_release_is_made_again_byte_for_byte_on_another_machine(
    curated: Installation, tmp_path: Path
) -> None:
    manifest = bundle_of(curated) / "MANIFEST.json"
    # the tables have moved on since
    approve_release(curated.workspace, "author", "approver", "2")
    workspace = curated.workspace
    workspace.lake.replace("corpus", workspace.lake.read("corpus").slice(3))
    out = tmp_path / "again"
    assert "identical, byte for byte" in told("release", "rerun", str(manifest), "--out", str(out))
    assert read_sums(out) == read_sums(manifest.parent)
    assert (out / "SHA256SUMS").read_bytes() == (manifest.parent / "SHA256SUMS").read_bytes()
    assert "is there already" in told("release", "rerun", str(manifest), "--out", str(out), fails=True)


def test_a_release_whose_inputs_are_gone_says_which(curated: Installation, tmp_path: Path) -> None:
    workspace = curated.workspace
    bundle = bundle_of(curated)
    picture = workspace.settings.corpus / workspace.lake.read("corpus").to_pylist()[0]["file"]
    content = picture.read_bytes()
    picture.unlink()
    done = rerun(workspace, bundle / "MANIFEST.json", tmp_path / "a")
    assert not done.identical
    assert done.missing == (f"{picture.relative_to(workspace.settings.corpus).as_posix()} is not there",)
    picture.write_bytes(content)
    # an input that this installation has no more is taken from beside the manifest; without that it is named
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    said = json.loads((bundle / "MANIFEST.json").read_bytes())
    said["inputs"]["vocabularies/diagnoses.csv"] = "0" * 64
    (lonely / "MANIFEST.json").write_text(json.dumps(said))
    done = rerun(workspace, lonely / "MANIFEST.json", tmp_path / "b")
    assert len(done.missing) == 1
    assert "vocabularies/diagnoses.csv with SHA-256 0000" in done.missing[0]
    # a table whose history was thrown away
    shutil.rmtree(Path(workspace.settings.lake) / "splits")
    done = rerun(workspace, bundle / "MANIFEST.json", tmp_path / "c")
    assert any("table splits can't be read as it was in version" in m for m in done.missing)
    assert not (tmp_path / "c").exists()


def test_a_patient_is_withdrawn_from_everything_that_was_published(
    curated: Installation, tmp_path: Path
) -> None:
    workspace = curated.workspace
    with workspace.lake.sql("corpus", "splits") as sql:
        key = sql.execute(
            "SELECT patient_key FROM corpus JOIN splits USING (image_id) WHERE patient_key IS NOT NULL "
            "GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).fetchall()[0][0]
    mine = set(workspace.lake.read("corpus", where={"patient_key": key})["image_id"].to_pylist())
    before = workspace.lake.read("corpus").num_rows
    sides = {r["image_id"]: r["split"] for r in workspace.lake.read("splits").to_pylist()}
    assert "no image is known of the patient nobody" in told(
        "withdraw", "--patient", "nobody", "--why", "w", "--who", "w", fails=True
    )
    said = told_by_a_process(
        "withdraw", "--patient", key, "--why", "consent withdrawn", "--who", "Data Protection"
    )
    assert "releases that hold images of it: 1;" in said
    assert "the corpus was rebuilt without it" in said
    workspace = curated.workspace
    # a new version of the corpus without them, the old one still to be read, and nobody else changed sides
    assert workspace.lake.read("corpus").num_rows == before - len(mine)
    assert not mine & set(workspace.lake.read("corpus")["image_id"].to_pylist())
    now = {r["image_id"]: r["split"] for r in workspace.lake.read("splits").to_pylist()}
    assert now == {i: s for i, s in sides.items() if i in now}
    # the ledger says so, for each of them
    rows = workspace.lake.read(
        "decisions", where={"criterion": "not_withdrawn", "outcome": "fail"}
    ).to_pylist()
    assert mine <= {r["image_id"] for r in rows}
    withdrawal = workspace.lake.read("withdrawals").to_pylist()[0]
    assert withdrawal["affected_releases"] == [1]
    # no file of them is left anywhere, and the release is whole but for them
    left = [p for root in ("corpus", "releases") for p in (curated.home / root).rglob("images/*/*")]
    assert not [p for p in left if image_of(p.as_posix()) in mine]
    assert broken_seals(bundle_of(curated), removed=mine) == []
    assert any("is missing" in p for p in broken_seals(bundle_of(curated)))
    assert "don't pass it on" in told("release", "list")
    # the record of it is in the audit trail, and the next release names what went and why
    entries = workspace.lake.read("audit", where={"action": "withdrawal"}).to_pylist()
    assert [(e["who"], e["why"], e["subject"]) for e in entries] == [
        ("Data Protection", "consent withdrawn", key)
    ]
    assert trail.problems(workspace) == []
    curated.release()
    found = difference(bundle_of(curated, 1), bundle_of(curated, 2))
    assert {c.image_id for c in found.went} == {i for i in mine if sides[i]}
    assert all("fails not_withdrawn" in c.why for c in found.went)
    # representatives may have stood for copies of archives that were admitted, so newcomers say why they were not there
    assert all(c.why for c in found.came)
    assert "went: " in told("diff", "1", "2")
    assert pq.read_table(bundle_of(curated, 2) / "tables" / "withdrawals.parquet").num_rows == 1
    assert state_problems(workspace) == []
    # delivered again, the pictures stay out
    assert all(curated.curate(f"{rows[0]['archive']}@{rows[0]['version']}").values())
    assert curated.rebuild()
    assert not mine & set(curated.workspace.lake.read("corpus")["image_id"].to_pylist())


def test_the_audit_trail_on_the_command_line(curated: Installation) -> None:
    said = told("audit", "verify")
    assert "unbroken" in said
    head = said.strip().rsplit(" ", 1)[1]
    assert "unbroken" in told("audit", "verify", "--head", head)
    number = int(head.split(":")[0])
    assert "recorded entry" in told("audit", "verify", "--head", f"{number + 5}:{'0' * 64}", fails=True)
    lake = curated.workspace.lake
    rows = lake.read("audit").to_pylist()
    kinds = {r["action"] for r in rows}
    assert kinds == {"verdict", "approval", "criteria_change", "release"}
    verdicts = [r for r in rows if r["action"] == "verdict"]
    assert len(verdicts) == lake.read("reviews").num_rows
    assert all(json.loads(r["new_value"])["outcome"] == "pass" for r in verdicts)
    rows[4]["why"] = "nothing to see here"
    lake.replace("audit", pa.Table.from_pylist(rows, schema=lake.read("audit").schema))
    assert f"entry {rows[4]['seq']} " in told("audit", "verify", fails=True)


def test_a_changed_criterion_is_recorded_with_its_old_and_new_bound(
    curated: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib import resources

    from curation_dagster.runs import approve_criteria

    text = resources.files("curation_dagster").joinpath("criteria/device.yaml").read_text()
    changed = tmp_path / "device.yaml"
    changed.write_text(text.replace("{dermoscopic: 200, clinical: 400", "{dermoscopic: 300, clinical: 400"))
    monkeypatch.setenv("CURATION_CRITERIA", str(changed))
    with pytest.raises(ApprovalError, match="versions compare"):
        approve_criteria(curated.workspace, "ada", "bo", "sharper")
    compared = CliRunner().invoke(main, ["versions", "compare"])
    assert compared.exit_code == 0, compared.output
    assert "resolution" in compared.output
    approve_criteria(curated.workspace, "ada", "bo", "sharper")
    entry = max(curated.workspace.lake.read("audit").to_pylist(), key=lambda r: r["seq"])
    assert (entry["action"], entry["who"], entry["with_whom"], entry["why"]) == (
        "criteria_change",
        "bo",
        "ada",
        "sharper",
    )
    old, new = json.loads(entry["old_value"]), json.loads(entry["new_value"])
    assert set(new["changed"]) == {"resolution"}
    assert old["changed"]["resolution"]["bound"]["dermoscopic"] == 200
    assert new["changed"]["resolution"]["bound"]["dermoscopic"] == 300
    # both files are kept whole
    texts = {r["digest"]: r["text"] for r in curated.workspace.lake.read("criteria_files").to_pylist()}
    assert texts[new["digest"]] == changed.read_text()
    assert texts[old["digest"]] == text
