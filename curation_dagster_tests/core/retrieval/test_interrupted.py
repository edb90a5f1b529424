"""Staging that can't go on: a full disk, a kill, another run, a file still being written. Nothing half-made stays."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from curation_dagster.core.retrieval import pickup, space
from curation_dagster.core.retrieval.errors import (
    DeliveryUnfinished,
    HostileContainer,
    NoSpace,
)
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.schemas import FILES

from .builders import JPEG, KEY, PNG, archive_version, make_tar, make_zip, tree


def test_a_disk_that_is_too_small_is_known_before_anything_is_written(place, monkeypatch):
    place.deliver({"a.jpg": JPEG})

    def refuse(*args, **kwargs):
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(pickup.os, "link", refuse)
    usage = shutil.disk_usage(place.landing)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: usage._replace(free=10))
    with pytest.raises(NoSpace, match="Free space or move"):
        place.stage()
    assert place.left_behind() == []
    assert not place.staged.exists()


def test_hard_links_fit_on_a_full_disk(place, monkeypatch):
    place.deliver({"a.jpg": JPEG})
    usage = shutil.disk_usage(place.landing)
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: usage._replace(free=0))
    assert place.stage().num_rows == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("by", ["link", "copy"])
def test_a_disk_that_fills_up_leaves_everything_as_it_was(place, monkeypatch, number, by):
    place.deliver({"a.jpg": JPEG, "b.jpg": PNG})
    real = os.link
    linked = []

    def fill(source, target, **kwargs):
        if linked or by == "copy":
            raise OSError(number if by == "link" else errno.EXDEV, "refused")
        linked.append(target)
        real(source, target, **kwargs)

    def half(source, target):
        target.write_bytes(source.read_bytes()[:100])
        yield 100
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(pickup.os, "link", fill)
        patched.setattr(pickup, "_copy", half)
        with pytest.raises(NoSpace):
            place.stage()
    assert place.left_behind() == []
    assert not place.staged.exists()
    assert place.stage().num_rows == 2


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs the rights to do so")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("asked", [True, False], ids=["known before", "found while writing"])
@pytest.mark.parametrize("kind", ["plain", "inner zip", "tar"])
def test_a_full_disk_for_real(place, small_disk, monkeypatch, kind, asked):
    noise = os.urandom(3 << 19)
    small = {"a.jpg": JPEG}
    big = {
        "plain": {"b.jpg": noise},
        "inner zip": {"b.zip": make_zip({"i.zip": make_zip({"b.jpg": noise}, 0)})},
        "tar": {"b.tar.gz": make_tar([("b.jpg", noise)], "gz")},
    }[kind]
    version = archive_version()
    place.deliver(small)
    first = stage(version, place.landing, small_disk, limits=place.limits)
    before = tree(small_disk / KEY)
    shutil.move(small_disk / KEY, small_disk / "other@1")
    place.deliver(big)
    if kind != "plain":
        # the delivery itself is on the same file system as a link would be, so that only the unpacking needs space
        monkeypatch.setattr(pickup, "_copy", lambda source, target: target.symlink_to(source) or ())
        monkeypatch.setattr(pickup.os, "O_NOFOLLOW", 0)
        monkeypatch.setattr(pickup, "require_space", lambda *args: None)
    if not asked:
        for module in ("pickup", "expanding", "tars"):
            monkeypatch.setattr(f"curation_dagster.core.retrieval.{module}.require_space", lambda *args: None)
    with pytest.raises(NoSpace) as raised:
        stage(version, place.landing, small_disk, limits=place.limits)
    assert ("bytes free" in raised.value.got) == asked
    assert sorted(p.name for p in small_disk.iterdir()) == [f".{KEY}.lock", "other@1"]
    assert tree(small_disk / "other@1") == before
    assert first.num_rows == 1


def test_a_run_killed_half_way_leaves_nothing_that_the_next_one_trips_over(place):
    place.deliver(
        {
            f"{i}.zip": make_zip({f"{j}.jpg": JPEG + bytes([i, j]), "in.zip": make_zip({"x.jpg": PNG})})
            for i in range(3)
            for j in range(2)
        }
    )
    undisturbed = stage(
        archive_version(), place.landing, place.staging.with_name("undisturbed"), limits=place.limits
    )
    code = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        from dataclasses import replace
        from curation_dagster.core.retrieval import expanding, staging
        from curation_dagster_tests.core.retrieval.builders import archive_version
        real = expanding._read
        def slow(*args):
            found = real(*args)
            print("half-way", flush=True)
            time.sleep(60)
            return found
        expanding._read = slow
        staging.stage(archive_version(), Path({str(place.landing)!r}), Path({str(place.staging)!r}))
        """
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        cwd=root,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"half-way\n"
        child.send_signal(signal.SIGKILL)
    assert place.left_behind() == [f".{KEY}.incoming"]
    assert not place.staged.exists()
    again = place.stage()
    assert again.drop_columns(["retrieved_at"]).equals(undisturbed.drop_columns(["retrieved_at"]))
    assert FILES.fingerprint(again) == FILES.fingerprint(undisturbed)
    assert place.left_behind() == []


def test_two_runs_at_once_stage_the_version_once(place):
    place.deliver({f"{i}.jpg": JPEG + bytes([i]) for i in range(20)})
    code = (
        "import sys; from pathlib import Path; from curation_dagster.core.retrieval.staging import stage; "
        "from curation_dagster_tests.core.retrieval.builders import archive_version; "
        "print(stage(archive_version(), Path(sys.argv[1]), Path(sys.argv[2])).num_rows)"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, str(place.landing), str(place.staging)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) for _ in range(2)]
    assert [c.communicate(timeout=120)[0] for c in children] == [b"20\n", b"20\n"]
    assert place.left_behind() == []


def test_a_file_that_changes_while_it_is_read_is_an_unfinished_delivery(place, monkeypatch):
    place.deliver({"a.jpg": JPEG})
    real = pickup._chunks

    def growing(path):
        yield from real(path)
        (place.delivery / "a.jpg").chmod(0o600)
        with (place.delivery / "a.jpg").open("ab") as handle:
            handle.write(b"more")

    monkeypatch.setattr(pickup, "_chunks", growing)
    with pytest.raises(DeliveryUnfinished, match="changed while it was read"):
        place.stage()
    assert place.left_behind() == []


def test_a_failed_container_leaves_earlier_versions_and_no_half_staged_one(place):
    place.deliver({"a.jpg": JPEG, "bad.zip": make_zip({"../x": b"1"})})
    with pytest.raises(HostileContainer):
        place.stage()
    assert not place.staged.exists()
    assert place.left_behind() == []
