"""Declared files under change control: a change needs a higher version and a reason."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from curation_dagster.core import versions

DAY = date(2026, 3, 1)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    for folder in versions.FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "archives/a.yaml").write_text("id: a\n")
    (tmp_path / "vocabularies/v.csv").write_text("code\n1\n")
    (tmp_path / "criteria/c.yaml").write_text('name: c\nversion: "1.0.0"\n')
    return versions.declared_files(tmp_path)


@pytest.fixture
def lock(files: dict[str, Path], tmp_path: Path) -> Path:
    path = tmp_path / "vocabularies/versions.yaml"
    told = versions.record(files, path, "one", "first", DAY)
    assert told == ["archives/a.yaml 1.0.0", "criteria/c.yaml 1.0.0", "vocabularies/v.csv 1.0.0"]
    return path


def test_the_package_is_on_record() -> None:
    """After a change: curation-dagster versions record --author ... --change ..."""
    assert versions.problems(versions.declared_files(), versions.read_lock()) == []


def test_nothing_to_say_of_recorded_files(files, lock) -> None:
    assert versions.problems(files, versions.read_lock(lock)) == []
    before = lock.read_bytes()
    assert versions.record(files, lock, "one", "again", DAY) == []
    assert lock.read_bytes() == before


def test_a_change_in_silence_is_found_and_recorded_with_its_reason(files, lock) -> None:
    files["vocabularies/v.csv"].write_text("code\n2\n")
    (told,) = versions.problems(files, versions.read_lock(lock))
    assert told == "vocabularies/v.csv differs from its version 1.0.0, and nobody said why"
    assert versions.record(files, lock, "two", "code 2", DAY, "patch") == ["vocabularies/v.csv 1.0.1"]
    assert versions.problems(files, versions.read_lock(lock)) == []
    assert [e.change for e in versions.read_lock(lock)["vocabularies/v.csv"]] == ["first", "code 2"]


def test_a_file_with_a_version_of_its_own_must_raise_it(files, lock) -> None:
    path = files["criteria/c.yaml"]
    path.write_text('name: c\nversion: "1.0.0"\nmore: 1\n')
    before = lock.read_bytes()
    with pytest.raises(versions.VersionError, match=r"still calls itself 1\.0\.0"):
        versions.record(files, lock, "two", "more", DAY)
    assert lock.read_bytes() == before
    path.write_text('name: c\nversion: "1.10.0"\nmore: 1\n')
    assert versions.record(files, lock, "two", "more", DAY) == ["criteria/c.yaml 1.10.0"]


def test_new_and_removed_files_are_changes(files, lock, tmp_path) -> None:
    (tmp_path / "archives/b.yaml").write_text("id: b\n")
    now = {n: p for n, p in versions.declared_files(tmp_path).items() if n != "archives/a.yaml"}
    assert versions.problems(now, versions.read_lock(lock)) == [
        "archives/b.yaml was never recorded", "archives/a.yaml was recorded and is gone",
    ]  # fmt: skip
    assert versions.record(now, lock, "two", "b for a", DAY) == [
        "archives/b.yaml 1.0.0",
        "archives/a.yaml 2.0.0",
    ]
    assert versions.problems(now, versions.read_lock(lock)) == []


def test_a_history_that_goes_backwards_and_blank_reasons_are_found(files, lock) -> None:
    lock.write_text(lock.read_text().replace("change: first", "change: ''", 1))
    assert versions.problems(files, versions.read_lock(lock)) == [
        "archives/a.yaml: version 1.0.0 has no reason"
    ]
    for author, change in (("", "x"), ("x", " ")):
        with pytest.raises(versions.VersionError, match="must not be blank"):
            versions.record(files, lock, author, change, DAY)


def test_an_unreadable_record_says_so(lock) -> None:
    lock.write_text("nothing: here\n")
    with pytest.raises(versions.VersionError, match="expected files with their entries"):
        versions.read_lock(lock)
