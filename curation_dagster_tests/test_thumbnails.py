"""Thumbnails are read from the table in one pass, however many pairs ask for them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from curation_dagster import thumbnails
from curation_dagster.core.duplicates.find import find_links, thumbnails_in
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.lake import Lake
from curation_dagster.schemas import MEASUREMENTS
from curation_dagster.thumbnails import stored_thumbnails
from curation_dagster_tests.core.duplicates.builders import BOUNDS
from curation_dagster_tests.core.duplicates.pictures import image_row, images_table, jpeg, lesion


def stored(lake: Lake, *rows: tuple[str, bytes | None, bytes | None], by: str | None = None) -> None:
    lake.upsert(
        "measurements",
        MEASUREMENTS.conform(
            [
                {
                    "sha256": sha256, "measured_by": by or measured_by(), "bytes": 1, "decode_state": "ok",
                    "thumbnail_64": small, "thumbnail_256": large,
                }
                for sha256, small, large in rows
            ]
        ),
    )  # fmt: skip


def test_each_image_gets_the_thumbnails_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "_ROWS", 2)  # several batches of each file
    lake = Lake.open(tmp_path / "lake")
    stored(lake, *((f"f{k}", bytes([k]) * 4096, b"large %d" % k) for k in range(5)))
    stored(lake, ("f5", b"five", None), ("f6", None, b"six"))
    stored(lake, ("f0", b"of other code", b"of other code"), by="other code")
    sha_of = {f"i{k}": f"f{k}" for k in range(9)} | {"again": "f3"}
    with stored_thumbnails(lake, sha_of, tmp_path / "work")([*sha_of]) as read:
        rows = {r["image_id"]: r for r in read(["i6", "again", "i0", "i3", "i5", "i8"]).to_pylist()}
        assert (rows["i0"]["thumbnail_64"], rows["i0"]["thumbnail_256"]) == (b"\0" * 4096, b"large 0")
        assert rows["again"] == rows["i3"] | {"image_id": "again"}
        assert (rows["i5"]["thumbnail_64"], rows["i5"]["thumbnail_256"]) == (b"five", None)
        assert (rows["i6"]["thumbnail_64"], rows["i6"]["thumbnail_256"]) == (None, b"six")
        assert "i8" not in rows  # whoever asked says so: it knows what for
        assert read([]).num_rows == 0
    assert list((tmp_path / "work").iterdir()) == []


def test_nothing_measured_is_nothing_read(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake")
    with stored_thumbnails(lake, {"a": "f"}, tmp_path / "work")(["a"]) as read:
        assert read(["a"]).num_rows == 0


def test_the_table_is_read_once_however_many_pairs_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation_dagster.core.duplicates.verification._BATCH", 2)
    monkeypatch.setattr("curation_dagster.core.duplicates.verification._CACHED", 0)
    rows = []
    for seed in range(5):
        picture = lesion(seed)
        rows += [
            image_row(f"{seed}/{k}", jpeg(p))
            for k, p in enumerate((picture, picture[:, ::-1], picture[::-1]))
        ]
    images = images_table(rows)
    lake = Lake.open(tmp_path / "lake")
    stored(lake, *((r["sha256"], r["thumbnail_64"], r["thumbnail_256"]) for r in rows))
    passes: list[str] = []
    whole = Lake.dataset

    def counted(self: Lake, table: str) -> object:
        passes.append(table)
        return whole(self, table)

    monkeypatch.setattr(Lake, "dataset", counted)
    sha_of = {r["image_id"]: r["sha256"] for r in rows}
    bare = images.drop_columns(["thumbnail_64", "thumbnail_256"])
    found = find_links(bare, BOUNDS, stored_thumbnails(lake, sha_of, tmp_path / "work")).links
    assert found.equals(find_links(images, BOUNDS, thumbnails_in(images)).links)
    assert pc.sum(pc.not_equal(found["variant"], 0)).as_py() >= 10
    assert passes == ["measurements"]
