from __future__ import annotations

import errno
import hashlib
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from curation_dagster.core.retrieval import pickup, space
from curation_dagster.core.retrieval.containers import item_of, open_bytes
from curation_dagster.core.retrieval.errors import (
    ChecksumMismatch,
    DeliveryUnfinished,
    HostileContainer,
    NoSpace,
    RetrievalError,
    StagedFileChanged,
    VersionChanged,
)
from curation_dagster.core.retrieval.inventory import missing_published
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.schemas import FILES

from .builders import CSV, JPEG, KEY, PNG, archive_version, make_tar, make_zip


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything below a folder: content, inode and time, to prove that nothing was touched."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_ino, p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


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


# -- checksums -------------------------------------------------------------------------------------


def test_publishers_checksums_verify_the_file_and_what_is_in_it(place, rows):
    outer = make_zip({"a.jpg": JPEG, "x.csv": CSV})
    version = archive_version(
        {
            "outer.zip": {"sha256": sha(outer), "bytes": len(outer), "url": "https://example.org/outer.zip"},
            "meta.csv": {"md5": hashlib.md5(CSV).hexdigest()},
            "size_only.txt": {"bytes": 5},
        }
    )
    place.deliver({"download/outer.zip": outer, "meta.csv": CSV, "size_only.txt": b"12345", "extra.csv": CSV})
    found = rows(place.stage(version))
    assert {p: r["checksum_state"] for p, r in found.items()} == {
        "download/outer.zip": "verified",
        "download/outer.zip!/a.jpg": "verified",
        "download/outer.zip!/x.csv": "verified",
        "extra.csv": "unpublished",
        "meta.csv": "verified",
        "size_only.txt": "unpublished",
    }
    assert found["download/outer.zip!/a.jpg"]["source_url"] == "https://example.org/outer.zip"
    assert found["meta.csv"]["source_url"] is None


def test_the_only_address_of_the_archive_is_the_source_of_all_files(place, rows):
    place.deliver({"a.jpg": JPEG})
    assert (
        rows(place.stage(archive_version(urls=("https://example.org/x",))))["a.jpg"]["source_url"]
        == "https://example.org/x"
    )


@pytest.mark.parametrize(
    ("stated", "what"),
    [
        ({"sha256": "4" * 64}, "SHA-256 of a.jpg is"),
        ({"md5": "4" * 32}, "MD5 of a.jpg is"),
        ({"bytes": 1}, "Size in bytes of a.jpg is"),
    ],
)
def test_a_file_that_differs_from_the_publishers_checksum_goes_to_quarantine(place, rows, stated, what):
    place.deliver({"a.jpg": JPEG, "b.jpg": PNG})
    with pytest.raises(ChecksumMismatch) as raised:
        place.stage(archive_version({"a.jpg": stated}))
    message = str(raised.value)
    assert message.startswith(what)
    assert f"but the publisher states {next(iter(stated.values()))}" in message
    assert "cut off during download; fetch it again" in message
    assert {p: r["checksum_state"] for p, r in rows(raised.value.table).items()} == {
        "a.jpg": "mismatch",
        "b.jpg": "unpublished",
    }
    assert not place.staged.exists()
    kept = list((place.staging / "quarantine" / KEY).iterdir())
    assert len(kept) == 1
    assert (kept[0] / "a.jpg").read_bytes() == JPEG
    with pytest.raises(ChecksumMismatch):  # the same bad delivery again is the same incident
        place.stage(archive_version({"a.jpg": stated}))
    assert list((place.staging / "quarantine" / KEY).iterdir()) == kept
    assert place.stage(archive_version()).num_rows == 2


def test_a_file_that_is_not_the_publishers_is_not_opened(place):
    place.deliver({"outer.zip": make_zip({"../evil": b""})})
    with pytest.raises(ChecksumMismatch):
        place.stage(archive_version({"outer.zip": {"sha256": "0" * 64}}))


def test_checksums_of_members_are_verified_too(place, rows):
    outer = make_zip({"a.jpg": JPEG})
    place.deliver({"outer.zip": outer})
    good = archive_version({"outer.zip!/a.jpg": {"sha256": sha(JPEG), "md5": hashlib.md5(JPEG).hexdigest()}})
    found = rows(place.stage(good))
    assert (found["outer.zip"]["checksum_state"], found["outer.zip!/a.jpg"]["checksum_state"]) == (
        "unpublished",
        "verified",
    )
    before = tree(place.staged)
    with pytest.raises(ChecksumMismatch, match="stays as it was"):
        place.stage(archive_version({"outer.zip!/a.jpg": {"md5": "0" * 32}}))
    assert tree(place.staged) == before


def test_published_files_that_did_not_come_are_named():
    version = archive_version({"a.zip": {}, "b.zip": {}, "c.zip": {}}).version
    assert missing_published(["x/a.zip", "x/a.zip!/c.zip", "b.zip"], version) == ("c.zip",)


# -- full disks, interruptions ---------------------------------------------------------------------


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


@pytest.mark.skipif(
    "CURATION_REAL_DATA" not in os.environ, reason="CURATION_REAL_DATA names no folder of real images"
)
def test_real_images_as_folder_and_as_zip(place, rows):
    files = {
        p.name: p.read_bytes() for p in (Path(os.environ["CURATION_REAL_DATA"]) / "isic_cc0/b").iterdir()
    }
    place.deliver({"folder/" + name: content for name, content in files.items()} | {"x.zip": make_zip(files)})
    found = rows(place.stage())
    assert len(files) > 0
    for name, content in files.items():
        for path in (f"folder/{name}", f"x.zip!/{name}"):
            assert (found[path]["sha256"], found[path]["media_type"]) == (sha(content), "image/jpeg")
            assert open_bytes(found[path], place.staging) == content
