"""The one pass as a whole: complete rows, for any content, the same every time."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation_dagster.core.imaging import measure as module
from curation_dagster.core.imaging.measure import measure, measure_bytes, measured_by
from curation_dagster.core.imaging.settings import measuring
from curation_dagster.core.items import FileItem
from curation_dagster.schemas import DECODE_STATES, MEASUREMENTS
from curation_dagster_tests.core.imaging.carriers import kitchen_sink
from curation_dagster_tests.core.imaging.pictures import every_format, item_of, jpeg, skin

SETTINGS = measuring()
FILES = {name: data for name, (data, _) in every_format(skin(96, 72)).items()}
# null where the file has no such thing, or no detector has run
OPTIONAL = {
    "decode_detail",
    "icc_profile",
    "jpeg_quality",
    "jpeg_subsampling",
    "jpeg_progressive",
    "dicom_technical",
    "stream_sha256",
    "faces",
    "text_regions",
}


@pytest.mark.parametrize("name", FILES)
def test_a_row_is_complete_and_conforms(name: str, tmp_path: Path) -> None:
    row = measure(item_of(tmp_path, FILES[name]))
    table = MEASUREMENTS.conform([row])
    assert MEASUREMENTS.problems(table) == []
    nulls = {c for c in table.column_names if table[c].null_count}
    assert nulls <= OPTIONAL
    assert len(row["thumbnail_64"]) == 4096
    assert len(row["phash256"]) == 32


def test_rows_are_deterministic_and_independent_of_other_files(tmp_path: Path) -> None:
    item = item_of(tmp_path, FILES["jpeg"])
    first = measure(item)
    for data in FILES.values():
        measure(item_of(tmp_path, data, "other"))
    assert measure(item) == first


def test_a_member_of_a_zip_gives_the_same_row(tmp_path: Path) -> None:
    plain = item_of(tmp_path, FILES["jpeg"])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain.path, "in/x.jpg")
    inside = FileItem(plain.sha256, str(tmp_path / "a.zip"), "in/x.jpg", plain.bytes)
    assert measure(inside) == measure(plain)


def test_changed_vanished_and_damaged_containers_are_rows(tmp_path: Path) -> None:
    item = item_of(tmp_path, FILES["jpeg"])
    Path(item.path).write_bytes(FILES["png"])
    assert measure(item)["decode_state"] == "changed"
    Path(item.path).unlink()
    gone = measure(item)
    assert gone["decode_state"] == "changed"
    assert str(tmp_path) not in gone["decode_detail"]
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.jpg", FILES["jpeg"])
    missing = FileItem(item.sha256, str(tmp_path / "b.zip"), "y.jpg", 10)
    assert measure(missing)["decode_state"] == "changed"
    data = bytearray((tmp_path / "b.zip").read_bytes())
    data[200:260] = b"\0" * 60
    (tmp_path / "c.zip").write_bytes(bytes(data))
    assert measure(FileItem(item.sha256, str(tmp_path / "c.zip"), "x.jpg", 10))["decode_state"] == "changed"


def test_a_file_of_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    item = FileItem("0" * 64, str(tmp_path / "not there"), None, SETTINGS.limits.max_bytes + 1)
    row = measure(item)
    assert row["decode_state"] == "too_large"
    assert "Not read" in row["decode_detail"]


def test_what_can_not_be_decoded_has_no_hashes_to_be_a_duplicate_by(tmp_path: Path) -> None:
    for data in (b"", b"<html></html>", FILES["jpeg"][:40], FILES["heic"][:300]):
        row = measure(item_of(tmp_path, data))
        assert row["decode_state"] in ("unreadable", "unsupported")
        assert row["decode_detail"]
        assert not any(
            row.get(c) for c in ("stream_sha256", "pixel_sha256", "phash", "phash256", "thumbnail_64")
        )
        assert MEASUREMENTS.problems(MEASUREMENTS.conform([row])) == []


def test_a_damaged_file_still_has_its_measures(tmp_path: Path) -> None:
    row = measure(item_of(tmp_path, FILES["jpeg"][:-600]))
    assert row["decode_state"] == "damaged"
    assert row["laplacian_variance_512"] is None or row["laplacian_variance_512"] >= 0
    assert row["phash"]


def test_only_running_out_of_memory_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = item_of(tmp_path, FILES["jpeg"])

    def broken(*_: object) -> None:
        raise ZeroDivisionError("surprise")

    monkeypatch.setattr(module, "make_scales", broken)
    row = measure(item)
    assert (row["decode_state"], row["decode_detail"]) == (
        "unreadable",
        "could not be measured (ZeroDivisionError)",
    )

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "make_scales", exhausted)
    with pytest.raises(MemoryError):
        measure(item)


def check(data: bytes) -> None:
    row = measure_bytes(data, SETTINGS)
    assert row["decode_state"] in DECODE_STATES
    full = row | {"sha256": hashlib.sha256(data).hexdigest(), "measured_by": "0" * 64, "bytes": len(data)}
    assert MEASUREMENTS.problems(MEASUREMENTS.conform([full])) == []


MAGICS = [b"", *(data[:40] for data in FILES.values())]


@settings(max_examples=300, deadline=None)
@given(magic=st.sampled_from(MAGICS), tail=st.binary(max_size=600))
def test_random_bytes_never_raise(magic: bytes, tail: bytes) -> None:
    row = measure_bytes(magic + tail, SETTINGS)
    assert row["decode_state"] in DECODE_STATES


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(FILES)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    ),
)
def test_damage_anywhere_in_any_format_never_raises(name: str, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(FILES[name])
    for place, new in edits:
        at = int(place * min(len(data), 4000))
        data[at : at + len(new)] = new
    row = measure_bytes(bytes(data), SETTINGS)
    assert row["decode_state"] in DECODE_STATES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(sorted(kitchen_sink())),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4)),
        min_size=1,
        max_size=5,
    ),
)
def test_damaged_metadata_gives_conforming_rows(name: str, edits: list[tuple[float, bytes]]) -> None:
    data = bytearray(kitchen_sink()[name])
    for place, new in edits:
        at = int(place * min(len(data), 1200))
        data[at : at + len(new)] = new
    check(bytes(data))


def test_the_version_follows_source_data_and_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured_by() == measured_by()
    assert len(measured_by()) == 64
    before = module.digest_of([Path(module.__file__)])
    monkeypatch.setattr(module, "version", lambda package: "0")
    assert module.digest_of([Path(module.__file__)]) != before


def test_a_large_picture_stays_within_bounds(tmp_path: Path) -> None:
    row = measure(item_of(tmp_path, jpeg(np.tile(skin(1000, 750), (4, 4, 1)), 70)))
    assert (row["width"], row["height"], row["decode_state"]) == (4000, 3000, "ok")


def test_the_real_images_are_measured(real_data: Path) -> None:
    rows = {}
    for path in sorted(real_data.glob("isic_cc0/*/*.jpg")):
        data = path.read_bytes()
        rows[path.parent.name, path.name] = measure(
            FileItem(hashlib.sha256(data).hexdigest(), str(path), None, len(data))
        )
    assert len(rows) == 15
    assert all(r["decode_state"] == "ok" and not r["hash_is_degenerate"] for r in rows.values())
    assert all(r["laplacian_variance_512"] >= 8 and r["reblur_512"] <= 0.52 for r in rows.values())
    assert all(r["luma_p95"] >= 90 and r["bright_share"] <= 0.25 for r in rows.values())
    assert rows["b", "ISIC_0000003.jpg"]["hair_strands"] >= 3
    assert rows["b", "ISIC_0000004.jpg"]["vignette_share"] > 0.4
    # five exist twice, in other encodings
    for (folder, name), row in rows.items():
        twin = rows.get(("b" if folder == "a" else "a", name))
        bits = [int.from_bytes(r["phash256"], "big") for r in (row, twin or row)]
        assert (bits[0] ^ bits[1]).bit_count() <= 8
        others = [r for (_, n), r in rows.items() if n != name]
        assert min((bits[0] ^ int.from_bytes(r["phash256"], "big")).bit_count() for r in others) > 64
