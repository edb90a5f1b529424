"""Everything that can hide in a file, its name or its record is planted; nothing of it survives in any output.

The archive goes all the way through real runs, and then every byte that the installation wrote is searched: published
files, every Parquet file of every table (decoded, in every version), commit logs, reports, the event log, compute
logs, what was printed. Excepted are the delivery, its staged copy, and the tables ``files`` and ``records``, which
hold source names and verbatim records and never leave.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from click.testing import CliRunner
from PIL import Image

from curation_dagster.cli import main
from curation_dagster.core.deidentification.record import applied_codes
from curation_dagster.core.imaging.formats import sniff
from curation_dagster.core.imaging.hidden import inventory, known_kinds
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.refusals import refusal_file
from curation_dagster_tests.deidentification import planted
from curation_dagster_tests.installation import Installation, open_installation

INTAKE = ("files", "records")
NEEDLES = planted.needles()
# in a process of its own, so that everything that is printed is caught
RUN = """
from curation_dagster.cli_installation import instance_of
from curation_dagster.demo import judge_everything
from curation_dagster.runs import approve_archive_version, approve_criteria, curate_keys, rebuild
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace

workspace, key, hostile = Workspace(Settings.load()), {!r}, {!r}
with instance_of(workspace.settings.home) as instance:
    assert curate_keys(instance, [key])[key]
    assert not curate_keys(instance, [hostile])[hostile]
    approve_criteria(workspace, "author", "approver", None)
    judge_everything(workspace, key)
    approve_archive_version(workspace, key, "author", "approver", None)
    assert rebuild(instance)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, str]]:
    """The curated planted archive, and everything that was printed meanwhile."""
    home = tmp_path_factory.mktemp("planted") / "home"
    with pytest.MonkeyPatch.context() as patch:
        installation = open_installation(home, patch)
        settings = installation.workspace.settings
        planted.write_archive(settings.landing, settings.archives[0])
        planted.write_hostile(settings.landing)
        printed = home / "printed.txt"
        code = RUN.format(planted.KEY, planted.HOSTILE)
        with printed.open("wb") as out:
            done = subprocess.run(
                [sys.executable, "-c", code], stdout=out, stderr=subprocess.STDOUT, timeout=500, check=False
            )
        text = printed.read_text(errors="replace")
        assert done.returncode == 0, text[-4000:]
        yield installation, text


def survivors(data: bytes) -> list[str]:
    return [name for name, needle in NEEDLES.items() if needle in data]


def test_the_search_finds_what_is_there() -> None:
    for name, needle in NEEDLES.items():
        assert survivors(b"before" + needle + b"behind"), name
    assert survivors(planted.RAW)
    for shift in range(3):
        assert survivors(base64.b64encode(b"x" * shift + planted.RAW))
    delivered = planted.png_of(planted.encodings.png(np.zeros((32, 32, 3), np.uint8)))
    assert survivors(delivered)


@pytest.mark.parametrize("name", planted.FILES)
def test_every_file_is_planted_and_its_inventory_says_so(name: str) -> None:
    data = planted.FILES[name](planted.picture(0))
    if name not in ("text.png",):  # compressed
        assert survivors(data)
    found = inventory(data, sniff(data).format)
    assert set(found.kinds) <= set(known_kinds())
    if name not in planted.REFUSED:
        assert found.kinds


def cells(path: Path) -> Iterator[bytes]:
    """Yield the content of a Parquet file column by column, and its own metadata."""
    file = pq.ParquetFile(path)
    yield str(file.metadata.metadata).encode()
    for column in file.read().columns:
        for value in column.to_pylist():
            yield value if isinstance(value, bytes) else str(value).encode()


def test_nothing_survives_in_any_byte_that_was_written(made: tuple[Installation, str]) -> None:
    installation, _ = made
    home = installation.home
    found: set[str] = set()
    searched = 0
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        inner = path.relative_to(home)
        if inner.parts[0] in ("landing", "staging", "archives") or inner.parts[:2] in {
            ("lake", t) for t in INTAKE
        }:
            continue
        searched += 1
        found |= {f"the name of {inner}: {s}" for s in survivors(str(inner).encode())}
        found |= {f"{inner}: {s}" for s in survivors(path.read_bytes())}
        if path.suffix == ".parquet":
            content = b"\0".join(cells(path))
            place = f"table {inner.parts[1]}"
            found |= {f"{place}: {s}" for s in survivors(content)}
    assert searched > 50
    assert sorted(found) == []


def test_nothing_survives_in_the_event_log_or_in_what_was_printed(made: tuple[Installation, str]) -> None:
    installation, printed = made
    events = []
    for record in installation.instance.get_runs():
        for event in installation.instance.all_logs(record.run_id):
            events.append(dg.serialize_value(event))
    assert len(events) > 50
    assert survivors("\n".join(events).encode()) == []
    assert survivors(printed.encode()) == []
    databases = list((installation.home / "dagster").rglob("*.db"))
    assert databases
    for path in databases:
        with sqlite3.connect(path) as database:
            content = "\n".join(database.iterdump())
        assert survivors(content.encode()) == []


def test_a_refused_delivery_names_nobody_and_says_where_its_files_are_named(
    made: tuple[Installation, str],
) -> None:
    installation, printed = made
    settings = installation.workspace.settings
    path = refusal_file(settings.staging, parse_key(planted.HOSTILE))
    assert survivors(path.read_bytes())
    assert path.stat().st_mode & 0o077 == 0
    assert "HostileContainer: A container holds what no honest container holds" in printed
    assert str(path) in printed


def test_text_in_the_picture_is_filled_and_what_can_not_be_is_excluded(
    made: tuple[Installation, str],
) -> None:
    workspace = made[0].workspace
    rows = workspace.lake.read("records", columns=["image_id", "path"]).to_pylist()
    of = {
        what: next(r["image_id"] for r in rows if r["path"] and r["path"].endswith(f"_{what}.jpg"))
        for what in planted.shown()
    }
    found = {r["image_id"]: r for r in workspace.lake.read("deidentified").to_pylist()}
    assert found[of["beside"]]["actions"].count("pixels:text:redact") == 1
    assert found[of["face"]]["found_in_pixels"] == ["face"]
    ledger = {
        (r["image_id"], r["criterion"]): r["outcome"] for r in workspace.lake.read("decisions").to_pylist()
    }
    assert ledger[of["across"], "pixels_redactable"] == ledger[of["face"], "pixels_redactable"] == "fail"
    published = {r["image_id"]: r for r in workspace.lake.read("published").to_pylist()}
    assert of["across"] not in published
    assert of["face"] not in published
    row = published[of["beside"]]
    assert (row["state"], row["residual_regions"]) == ("written", 0)
    assert "redacted" in row["transformations"]
    pixels = simplejpeg.decode_jpeg((workspace.settings.corpus / row["file"]).read_bytes(), "RGB")
    original = planted.shown()["beside"]
    dark = (original.max(axis=2) < 40)[:60]
    assert dark.sum() > 1000
    # JPEG smears the edge of a filled box a little; nowhere is a stroke left
    assert np.abs(pixels[:60][dark].astype(int) - 128).max() < 40


def test_the_intake_tables_hold_what_was_delivered(made: tuple[Installation, str]) -> None:
    workspace = made[0].workspace
    for table in INTAKE:
        assert survivors(str(workspace.lake.read(table).to_pylist()).encode()), table


def test_what_can_be_published_is_published(made: tuple[Installation, str]) -> None:
    """The search proves nothing about files that were never written."""
    workspace = made[0].workspace
    kept = {r["image_id"] for r in workspace.lake.read("corpus", columns=["image_id"]).to_pylist()}
    written = {
        Path(r["path"]).name.split("_", 3)[-1]
        for r in workspace.lake.read("records", columns=["image_id", "path"]).to_pylist()
        if r["image_id"] in kept
    }
    expected = {
        f"{name.split('.')[0]}.{name.rsplit('.', 1)[1]}"
        for name in planted.FILES
        if name not in planted.REFUSED
    }
    assert expected - written == set()
    done = [t for r in workspace.lake.read("published").to_pylist() for t in r["transformations"] or ()]
    assert {"lossless", "re_encoded", "oriented", "to_8_bit"} <= set(done)


def test_another_reader_finds_nothing_in_the_published_files(made: tuple[Installation, str]) -> None:
    tool = shutil.which("exiftool")
    if tool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("exiftool is not installed: .ci/run installs it as the oracle of this test")
        pytest.skip("exiftool is not installed")
    files = [p for p in made[0].workspace.settings.corpus.rglob("*") if p.is_file()]
    assert files
    output = subprocess.run([tool, "-j", "-G", "-a", "-u", "-U", "-ee", *map(str, files)], capture_output=True, timeout=300, check=True).stdout  # fmt: skip
    assert survivors(output) == []
    groups = {
        k.split(":")[0] for entry in json.loads(output) for k in entry if ":" in k
    }  # SourceFile has none
    assert groups <= {"ExifTool", "File", "JFIF", "PNG", "Composite"}
    for path in files:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            assert not image.getexif()


def test_what_was_found_is_recorded_by_column_and_kind(made: tuple[Installation, str]) -> None:
    workspace = made[0].workspace
    rows = workspace.lake.read("deidentified").to_pylist()
    in_record = {k for r in rows for k in r["found_in_record"]}
    expected = {"notes:person_name", "notes:email", "notes:telephone", "notes:full_date", "notes:record_number", "notes:national_id"}  # fmt: skip
    assert {"patient_name:person_name", "contact:email", "#17:full_date"} <= in_record
    assert expected - in_record <= {"notes:person_name"}
    assert {"full_date", "record_number"} <= {k for r in rows for k in r["found_in_name"]}
    in_file = {k for r in rows for k in r["found_in_file"]}
    assert {
        "exif_gps", "exif_owner", "exif_serial", "exif_thumbnail", "exif_maker_note", "exif_user_comment", "xmp", "iptc", "icc",
        "jpeg_comment", "jpeg_mpf", "jpeg_app_other", "jpeg_jumbf", "jfif_thumbnail", "png_text", "png_time", "png_other_chunk",
        "gif_comment", "gif_application", "webp_other_chunk", "bmp_gap", "heif_metadata", "dicom_patient", "dicom_person",
        "dicom_date", "dicom_institution", "dicom_device", "dicom_private", "dicom_overlay", "dicom_burned_in", "dicom_preamble",
        "trailing_bytes", "exif_private_tags",
    } <= in_file  # fmt: skip


def test_the_verification_record_says_what_was_done(made: tuple[Installation, str]) -> None:
    workspace = made[0].workspace
    rows = workspace.lake.read("deidentification_record").to_pylist()
    told = {(r["aspect"], r["carrier"], r["kind"]): r for r in rows}
    assert (
        told["scanned", "record", "records"]["images"]
        == len(planted.FILES) + len(planted.MAPPED) + len(planted.shown()) + 1
    )
    assert told["found", "file", "dicom_overlay"]["images"] == 4
    assert told["done", "file", "exif_gps:strip"]["images"] == told["found", "file", "exif_gps"]["images"]
    assert told["done", "file", "PS3.15 113100"]["images"] == 4
    assert told["written", "published", "made by lossless"]["images"] >= 3
    assert told["judged", "people", "faces_and_text: pass"]["images"] > 0
    assert "at 95 %" in told["judged", "sample", "faces_and_text: clean"]["detail"]
    assert told["version", "code", "writing code"]["detail"]
    page = workspace.settings.reports / "deidentification" / f"{planted.KEY}.md"
    assert "113100" in page.read_text()
    html = page.with_suffix(".html").read_text()
    assert "113100" in html
    assert "<script" not in html
    assert "http" not in html
    assert applied_codes(["exif"]) == []


def test_an_export_of_the_corpus_holds_nothing_either(
    made: tuple[Installation, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATION_HOME", str(made[0].home))
    out = tmp_path / "corpus.csv"
    result = CliRunner().invoke(main, ["export", "corpus", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert survivors(out.read_bytes()) == []
    result = CliRunner().invoke(main, ["review", "export", planted.KEY, "--out", str(tmp_path / "queue.csv")])
    assert result.exit_code == 0, result.output
    assert survivors((tmp_path / "queue.csv").read_bytes()) == []
