"""What the publisher states of a file: verified in it and in what is packed in it, or refused before it is opened."""

from __future__ import annotations

import hashlib

import pytest

from curation_dagster.core.retrieval.errors import (
    ChecksumMismatch,
)
from curation_dagster.core.retrieval.inventory import missing_published

from .builders import CSV, JPEG, KEY, PNG, archive_version, make_zip, sha, tree


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
