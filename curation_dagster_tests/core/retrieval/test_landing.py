from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from curation_dagster.core.retrieval.errors import (
    DeliveryMissing,
    DeliveryUnfinished,
    StagingFailed,
    UnsafeDelivery,
)
from curation_dagster.core.retrieval.landing import deliveries, scan

from .builders import JPEG, KEY, archive_version, make_zip


def test_nothing_delivered_says_where_and_what_to_do(place):
    version = archive_version({"x.zip": {"url": "https://example.org/x.zip"}}, urls=("https://example.org",))
    for got in ("no such folder", "an empty folder"):
        with pytest.raises(DeliveryMissing) as raised:
            place.stage(version)
        message = str(raised.value)
        assert str(place.delivery) in message
        assert "Ask the data team for the test set." in message
        assert "https://example.org/x.zip" in message
        assert got in message
        assert f"materialize `staged` for {KEY} again" in message
        (place.delivery / "empty").mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    "name", ["a.zip.part", "a.CRDOWNLOAD", "b.partial", "c.tmp", "d.zip.filepart", "x.download/e.zip"]
)
def test_unfinished_downloads_are_seen(place, name):
    place.deliver({name: JPEG, "a.jpg": JPEG})
    with pytest.raises(DeliveryUnfinished, match=name):
        place.stage()


def test_links_devices_pipes_and_sockets_are_refused_by_name(place, tmp_path):
    place.deliver({"a.jpg": JPEG})
    (place.delivery / "link.jpg").symlink_to("/etc/passwd")
    (place.delivery / "folder").symlink_to(tmp_path)
    os.mkfifo(place.delivery / "pipe")
    listening = socket.socket(socket.AF_UNIX)
    here = Path.cwd()  # the address of a socket is short
    os.chdir(place.delivery)
    try:
        listening.bind("sock")
    finally:
        os.chdir(here)
        listening.close()
    kinds = ["folder: symbolic link", "link.jpg: symbolic link", "pipe: named pipe", "sock: socket"]
    if hasattr(os, "mknod") and os.geteuid() == 0:
        try:
            os.mknod(place.delivery / "null", 0o600 | 0o020000, os.makedev(1, 3))
            kinds.append("null: device")
        except PermissionError:
            pass
    with pytest.raises(UnsafeDelivery) as raised:
        place.stage()
    assert all(kind in str(raised.value) for kind in kinds)
    assert "a.jpg" not in str(raised.value)
    assert not place.staged.exists()


def test_a_delivery_that_is_itself_a_link_is_refused(place, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    place.landing.mkdir()
    place.delivery.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeDelivery, match="symbolic link"):
        place.stage()


@pytest.mark.parametrize("name", [b"a\nb.jpg", b"a\\b.jpg", b"caf\xe9.jpg", b".staged/x.jpg"])
def test_names_that_are_not_plain_text_are_refused(place, name):
    place.deliver({"a.jpg": JPEG})
    path = place.delivery / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(UnsafeDelivery) as raised:
        place.stage()
    str(raised.value).encode("utf-8")  # the message can be printed
    assert "\n" not in raised.value.what


def test_names_that_differ_in_case_only_are_two_files(place, rows):
    place.deliver({"a.jpg": JPEG, "A.JPG": JPEG, "ä.jpg": JPEG, "b!/c.jpg": JPEG})
    assert list(rows(place.stage())) == ["A.JPG", "a.jpg", "b!/c.jpg", "ä.jpg"]


def test_a_folder_called_like_a_container_is_no_container(place, rows):
    place.deliver({"x.zip!/y.zip": make_zip({"a.jpg": JPEG})})
    assert list(rows(place.stage())) == ["x.zip!/y.zip", "x.zip!/y.zip!/a.jpg"]


def test_an_unreadable_delivery_is_a_clear_error(place, monkeypatch):
    place.deliver({"a.jpg": JPEG})

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("curation_dagster.core.retrieval.landing.os.scandir", refuse)
    with pytest.raises(StagingFailed, match="Permission denied"):
        place.stage()


def test_waiting_deliveries_are_listed_without_opening_them(place):
    assert deliveries(place.landing) == ()
    place.deliver({"a.jpg": JPEG})
    (place.landing / "empty@1").mkdir()
    (place.landing / "no_version").mkdir()
    assert deliveries(place.landing) == (KEY,)


def test_the_signature_changes_with_names_sizes_and_times(place):
    seen = set()
    for change in ({"a.jpg": JPEG}, {"b.jpg": JPEG}, {"b.jpg": JPEG + b"1"}):
        place.deliver(change)
        seen.add(scan(archive_version(), place.landing, place.limits).signature)
    assert len(seen) == 3
