"""Staging: a row per file and per member, private and read-only, and the same bytes for ever."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
import stat
import time
from pathlib import Path

import pytest

from curation_dagster.core.retrieval import pickup
from curation_dagster.core.retrieval.containers import item_of, open_bytes
from curation_dagster.core.retrieval.errors import (
    HostileContainer,
    RetrievalError,
    StagedFileChanged,
    VersionChanged,
)
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.schemas import FILES

from .builders import CSV, JPEG, PNG, archive_version, make_tar, make_zip, sha, tree


def test_a_delivery_becomes_a_row_per_file_and_per_member(place, rows):
    inner = make_zip({"deep/c.png": PNG})
    outer = make_zip({"images/a.jpg": JPEG, "images/": b"", "part.zip": inner})
    place.deliver(
        {
            "outer.zip": outer,
            "sub/meta.csv": CSV,
            "README": b"hello",
            "t.tar.gz": make_tar([("x/d.jpg", JPEG)], "gz"),
        }
    )
    found = rows(table := place.stage())
    assert FILES.problems(table) == []
    assert sorted(found) == [
        "README",
        "outer.zip",
        "outer.zip!/images/a.jpg",
        "outer.zip!/part.zip",
        "outer.zip!/part.zip!/deep/c.png",
        "sub/meta.csv",
        "t.tar.gz",
        "t.tar.gz!/x/d.jpg",
    ]
    assert list(found) == sorted(found)
    assert {p: r["role"] for p, r in found.items()} == {
        "README": "other",
        "outer.zip": "container",
        "outer.zip!/images/a.jpg": "image",
        "outer.zip!/part.zip": "container",
        "outer.zip!/part.zip!/deep/c.png": "image",
        "sub/meta.csv": "metadata",
        "t.tar.gz": "container",
        "t.tar.gz!/x/d.jpg": "image",
    }
    member = found["outer.zip!/images/a.jpg"]
    assert (member["container"], member["member"], member["bytes"]) == (
        "outer.zip",
        "images/a.jpg",
        len(JPEG),
    )
    assert (member["sha256"], member["media_type"]) == (sha(JPEG), "image/jpeg")
    assert found["outer.zip!/part.zip!/deep/c.png"]["container"] == f".staged/{sha(inner)}.zip"
    assert found["outer.zip"]["sha256"] == sha(outer)
    assert {r["checksum_state"] for r in found.values()} == {"unpublished"}


def test_every_row_can_be_read(place):
    tar = make_tar([("x/d.jpg", JPEG), ("in.zip", make_zip({"e.png": PNG}))], "bz2")
    place.deliver({"outer.zip": make_zip({"a.jpg": JPEG, "t.tar.bz2": tar}), "meta.csv": CSV})
    table = place.stage()
    for row in table.to_pylist():
        content = open_bytes(row, place.staging)
        assert (sha(content), len(content)) == (row["sha256"], row["bytes"])
        item = item_of(row, place.staging)
        assert Path(item.path).is_relative_to(place.staged)
        assert (item.sha256, item.bytes, item.member) == (row["sha256"], row["bytes"], row["member"])
    assert "outer.zip!/t.tar.bz2!/in.zip!/e.png" in table["path"].to_pylist()


def test_reading_proves_that_the_bytes_are_the_staged_ones(place, rows):
    place.deliver({"meta.csv": CSV})
    row = rows(place.stage())["meta.csv"]
    path = place.staged / "meta.csv"
    path.chmod(0o600)
    path.write_bytes(CSV[::-1])
    with pytest.raises(StagedFileChanged, match="not what was staged"):
        open_bytes(row, place.staging)
    path.unlink()
    with pytest.raises(StagedFileChanged):
        open_bytes(row, place.staging)


def test_a_row_that_points_out_of_staging_is_not_read(place):
    row = {"archive": "a", "version": "1", "path": "../../etc/passwd", "container": None, "member": None}
    with pytest.raises(ValueError, match="out of the staging folder"):
        item_of({**row, "sha256": "0" * 64, "bytes": 1}, place.staging)


def test_staging_is_private_and_read_only_and_costs_no_space(place):
    place.deliver({"sub/a.jpg": JPEG, "outer.zip": make_zip({"in.zip": make_zip({"b.jpg": JPEG})})})
    old = os.umask(0)
    try:
        place.stage()
    finally:
        os.umask(old)
    for path in [place.staging, place.staged, *place.staged.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o400), path
    assert (place.staged / "sub/a.jpg").samefile(place.delivery / "sub/a.jpg")


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_files_are_copied_where_they_cannot_be_linked(place, monkeypatch, number):
    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pickup.os, "link", refuse)
    place.deliver({"a.jpg": JPEG})
    place.stage()
    staged = place.staged / "a.jpg"
    assert not staged.samefile(place.delivery / "a.jpg")
    assert staged.read_bytes() == JPEG
    assert stat.S_IMODE(staged.stat().st_mode) == 0o400


def test_staging_again_copies_nothing_and_gives_the_same_rows(place):
    place.deliver(
        {"outer.zip": make_zip({"a.jpg": JPEG, "in.zip": make_zip({"b.jpg": PNG})}), "meta.csv": CSV}
    )
    first = place.stage()
    before = tree(place.staged)
    second = place.stage()
    assert second.equals(first)
    assert tree(place.staged) == before
    shutil.rmtree(place.delivery)
    assert place.stage().equals(first)
    assert tree(place.staged) == before


def test_roles_and_checksum_states_follow_the_descriptor_of_today(place, rows):
    place.deliver({"a.jpg": JPEG, "b.jpg": PNG})
    assert rows(place.stage())["b.jpg"]["role"] == "image"
    later = archive_version({"a.jpg": {"md5": hashlib.md5(JPEG).hexdigest()}}, ignore=("b.jpg",))
    found = rows(place.stage(later))
    assert found["b.jpg"]["role"] == "ignored"
    assert found["a.jpg"]["checksum_state"] == "verified"


def test_other_limits_read_the_containers_again(place):
    place.deliver({"outer.zip": make_zip({f"{i}.jpg": JPEG for i in range(5)})})
    first = place.stage()
    with pytest.raises(HostileContainer):
        place.stage(max_members=4)
    assert place.stage(max_members=5).equals(first)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"a.jpg": PNG}, "a.jpg has SHA-256"),
        ({"new.jpg": PNG}, "new.jpg is new"),
        ({"a.jpg": None}, "a.jpg is missing"),
    ],
)
def test_other_bytes_under_the_same_key_are_refused_and_what_is_staged_stays(place, change, said):
    place.deliver({"a.jpg": JPEG, "b.jpg": JPEG})
    first = place.stage()
    before = tree(place.staged)
    for name, content in change.items():
        (place.delivery / name).unlink(missing_ok=True)
        if content is not None:
            place.deliver({name: content})
    with pytest.raises(VersionChanged, match=said) as raised:
        place.stage()
    assert "immutable" in raised.value.next
    assert tree(place.staged) == before
    shutil.rmtree(place.delivery)
    assert place.stage().equals(first)


def test_only_the_first_differences_are_named(place):
    place.deliver({f"{i}.jpg": JPEG for i in range(9)})
    place.stage()
    place.deliver({f"{i}.jpg": PNG for i in range(9)})
    with pytest.raises(VersionChanged, match="and 4 more"):
        place.stage()


def test_a_staged_file_that_was_altered_in_place_is_found(place):
    place.deliver({"a.jpg": JPEG})
    place.stage()
    path = place.delivery / "a.jpg"
    path.chmod(0o600)
    path.write_bytes(PNG)  # the same inode as the staged file
    with pytest.raises(StagedFileChanged):
        place.stage()
    shutil.rmtree(place.delivery)
    with pytest.raises(StagedFileChanged):
        place.stage()


def test_a_damaged_or_missing_inventory_is_an_error_that_says_what_to_do(place):
    place.deliver({"a.jpg": JPEG})
    place.stage()
    path = place.staged / ".staged/inventory.parquet"
    path.chmod(0o600)
    path.write_bytes(b"PAR1")
    with pytest.raises(StagedFileChanged, match="inventory"):
        place.stage()
    path.unlink()
    with pytest.raises(StagedFileChanged, match="inventory"):
        place.stage()


def test_progress_is_told_without_names(place):
    told = []
    place.deliver({"secret_name.zip": make_zip({f"secret_{i}.jpg": JPEG for i in range(3)})})
    stage(archive_version(), place.landing, place.staging, lambda *a: told.append(a), place.limits)
    assert ("members of container 1 read", 3, 3) in [(w, d, t) for d, t, w in told]
    assert not any("secret" in what for _, _, what in told)
    assert all(0 <= done <= total for done, total, _ in told)


def test_errors_survive_the_way_between_processes():
    error = RetrievalError("What.", "where", "this", "that", "Do it.")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert str(error).splitlines()[0] == "What."
    assert "expected: this" in str(error)


def test_many_members_take_linear_time(place):
    place.deliver({"many.zip": make_zip({f"{i:05}.jpg": JPEG for i in range(10_000)}, 0)})
    started = time.monotonic()
    assert place.stage().num_rows == 10_001
    assert time.monotonic() - started < 30


def test_real_images_as_folder_and_as_zip(place, rows, real_data):
    files = {p.name: p.read_bytes() for p in (real_data / "isic_cc0/b").iterdir()}
    place.deliver({"folder/" + name: content for name, content in files.items()} | {"x.zip": make_zip(files)})
    found = rows(place.stage())
    assert len(files) > 0
    for name, content in files.items():
        for path in (f"folder/{name}", f"x.zip!/{name}"):
            assert (found[path]["sha256"], found[path]["media_type"]) == (sha(content), "image/jpeg")
            assert open_bytes(found[path], place.staging) == content
