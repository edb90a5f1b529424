"""Files over HTTP, from a server that cuts, lies, refuses, redirects and changes its mind."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation_dagster.core.retrieval import errors
from curation_dagster.core.retrieval.sources.guard import Guard, Paces
from curation_dagster.core.retrieval.sources.policy import HostRule, Hosts, load_hosts
from curation_dagster_tests.servers import Answer, HttpServer, certificate

from .conftest import WHY, Field

BODY = random.Random(5).randbytes(300_000)
SHA = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


@pytest.fixture
def https(archive):
    """An archive version of one file, over plain HTTP to loopback."""

    def make(url: str, path: str = "a.zip", **stated):
        rest = {k: stated.pop(k) for k in list(stated) if k in ("token_env", "user_env", "password_env")}
        return archive({path: {"url": url, **stated}}, method="https", plain_http_reason=WHY, **rest)

    return make


def test_a_file_comes_whole_verified_and_private(http_server: HttpServer, place: Field, https):
    got = place.retrieve(https(http_server.add("/a.zip", BODY), sha256=SHA, bytes=len(BODY)))
    assert place.content() == {"a.zip": BODY}
    (file,) = got.files
    assert (file.sha256, file.verified_by, file.bytes, file.tries) == (SHA, "sha256", len(BODY), 1)
    assert place.folder.stat().st_mode & 0o777 == 0o700
    assert (place.folder / "testset@1/a.zip").stat().st_mode & 0o077 == 0
    assert place.progress[-1] == (len(BODY), len(BODY), "bytes fetched")


def test_an_unpublished_checksum_is_a_state_of_its_own(http_server: HttpServer, place: Field, https):
    (file,) = place.retrieve(https(http_server.add("/a.zip", BODY))).files
    assert file.verified_by is None


def test_a_cut_download_goes_on_where_it_was_cut(http_server: HttpServer, place: Field, https):
    url = http_server.add("/a.zip", BODY, faults=3, cut_after=70_000)
    (file,) = place.retrieve(https(url, md5=MD5)).files
    assert file.sha256 == SHA
    assert file.verified_by == "md5"
    ranges = [a.headers.get("range") for a in http_server.asked]
    assert ranges[0] is None
    assert all(r is not None for r in ranges[1:])
    assert len({a.headers["if-range"] for a in http_server.asked[1:]}) == 1
    assert any("next try" in said for said in place.said)


def test_a_server_without_ranges_is_read_from_the_beginning(http_server: HttpServer, place: Field, https):
    url = http_server.add("/a.zip", BODY, faults=1, cut_after=70_000, ranges=False)
    (file,) = place.retrieve(https(url)).files
    assert file.sha256 == SHA


def test_a_file_that_changes_between_two_halves_is_not_mixed(http_server: HttpServer, place: Field, https):
    other = random.Random(6).randbytes(300_000)
    states = [Answer(BODY, faults=-1, cut_after=70_000), Answer(other)]
    http_server.answers["/a.zip"] = lambda asked: states[min(len(http_server.asked) - 1, 1)]
    (file,) = place.retrieve(https(http_server.url("/a.zip"))).files
    assert file.sha256 == hashlib.sha256(other).hexdigest()


def test_without_a_name_of_its_state_and_a_checksum_nothing_is_gone_on_with(http_server, place, https):
    url = http_server.add("/a.zip", BODY, faults=1, cut_after=70_000, etag=None)
    place.retrieve(https(url))
    assert [a.headers.get("range") for a in http_server.asked] == [None, None]
    assert place.content()["a.zip"] == BODY


def test_a_weak_name_of_its_state_is_not_enough_to_go_on(http_server, place, https):
    url = http_server.add("/a.zip", BODY, faults=1, cut_after=70_000, etag='W/"x"')
    place.retrieve(https(url))
    assert [a.headers.get("range") for a in http_server.asked] == [None, None]


def test_a_wrong_checksum_is_refused_and_leaves_nothing(http_server: HttpServer, place: Field, https):
    with pytest.raises(errors.ChecksumMismatch, match="but its source states") as told:
        place.retrieve(https(http_server.add("/a.zip", BODY), sha256="0" * 64))
    assert SHA in str(told.value)
    assert place.content() == {}


def test_a_stale_first_half_is_found_by_its_checksum_and_fetched_anew(http_server, place, https):
    """No ETag, so only the published checksum can tell that the halves belong to different states."""
    states = [Answer(b"x" * 300_000, faults=-1, cut_after=70_000, etag=None), Answer(BODY, etag=None)]
    http_server.answers["/a.zip"] = lambda asked: states[min(len(http_server.asked) - 1, 1)]
    (file,) = place.retrieve(https(http_server.url("/a.zip"), sha256=SHA)).files
    assert file.verified_by == "sha256"
    assert [a.headers.get("range") for a in http_server.asked][-1] is None


def test_a_wrong_length_never_counts_as_whole(http_server: HttpServer, place: Field, https):
    url = http_server.add("/a.zip", BODY, length=len(BODY) + 1000, etag=None)
    with pytest.raises(errors.SourceUnreachable):
        place.retrieve(https(url))
    assert not (place.folder / "testset@1/a.zip").exists()
    with pytest.raises(errors.ChecksumMismatch, match="size"):
        place.retrieve(https(http_server.add("/b.zip", BODY), path="b.zip", bytes=7))


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_waited_for_as_long_as_it_asks(status, http_server, place, https):
    url = http_server.add("/a.zip", BODY, faults=2, fault_status=status, fault_headers={"Retry-After": "7"})
    place.retrieve(https(url))
    assert place.waits == [7, 7]


def test_a_server_that_asks_for_too_long_a_wait_is_left_for_another_run(http_server, place, https):
    url = http_server.add("/a.zip", BODY, faults=-1, fault_status=503, fault_headers={"Retry-After": "86400"})
    with pytest.raises(errors.SourceUnreachable, match="86400"):
        place.retrieve(https(url))
    assert len(http_server.asked) == 1


def test_a_dead_server_is_given_up_after_the_declared_tries(http_server, place, https):
    url = http_server.add("/a.zip", BODY, faults=-1, fault_status=502)
    with pytest.raises(errors.SourceUnreachable, match="status 502"):
        place.retrieve(https(url))
    assert len(http_server.asked) == place.session().limits.tries_without_progress
    assert place.waits == sorted(place.waits)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, errors.SourceGone), (410, errors.SourceGone), (401, errors.SourceRefused),
     (403, errors.SourceRefused), (451, errors.SourceRefused), (418, errors.UnexpectedAnswer)],
)  # fmt: skip
def test_final_answers_are_not_asked_twice(status, kind, http_server, place, https):
    with pytest.raises(kind, match=str(status)):
        place.retrieve(https(http_server.add("/a.zip", b"no", status=status)))
    assert len(http_server.asked) == 1


def test_a_page_that_calls_itself_success_is_refused(http_server, place, https):
    with pytest.raises(errors.PageInstead):
        place.retrieve(https(http_server.add("/a.zip", b"<!DOCTYPE html><html>Please log in</html>")))
    assert not (place.folder / "testset@1/a.zip").exists()


def test_a_silent_server_is_a_fault_that_may_pass(http_server, place, https):
    place.limits = {"read_seconds": 0.2, "tries_without_progress": 2}
    url = http_server.add("/a.zip", BODY, chunk=1000, chunk_seconds=1.0, etag=None)
    with pytest.raises(errors.SourceUnreachable, match="ReadTimeout"):
        place.retrieve(https(url))


def test_redirects_are_followed_and_loops_end(http_server, place, https):
    target = http_server.add("/real", BODY)
    (file,) = place.retrieve(https(http_server.add("/a", status=301, headers={"Location": target}))).files
    assert (file.url, file.moved) == (target, True)
    loop = http_server.add("/loop", status=302, headers={"Location": "/loop"})
    with pytest.raises(errors.UnexpectedAnswer, match="redirects without end"):
        place.retrieve(https(loop, path="b.zip"))


def test_credentials_go_to_the_host_that_was_asked_and_to_no_other(http_server, place, https):
    other = HttpServer()
    try:
        place.environment = {"REPO_TOKEN": "s3cr3t-t0ken"}
        url = http_server.add("/a", status=302, headers={"Location": other.add("/real", BODY)})
        place.retrieve(https(url, token_env="REPO_TOKEN"))
        assert http_server.asked[0].headers["authorization"] == "Bearer s3cr3t-t0ken"
        assert "authorization" not in other.asked[0].headers
    finally:
        other.close()
    everything = "".join(place.said) + "".join(
        p.read_text(errors="replace") for p in place.folder.rglob("*") if p.is_file()
    )
    assert "s3cr3t" not in everything


def test_a_missing_credential_says_its_name(http_server, place, https):
    with pytest.raises(errors.CredentialMissing, match="REPO_TOKEN"):
        place.retrieve(https(http_server.add("/a", BODY), token_env="REPO_TOKEN"))
    assert http_server.asked == []


def test_basic_credentials_are_never_told(http_server, place, https):
    place.environment = {"REPO_USER": "reader", "REPO_PASSWORD": "hunter2hunter2"}
    url = http_server.add("/hunter2hunter2", b"", status=418)
    with pytest.raises(errors.UnexpectedAnswer) as told:
        place.retrieve(https(url, user_env="REPO_USER", password_env="REPO_PASSWORD"))
    assert "hunter2" not in str(told.value)
    assert "hunter2" not in repr(told.value)
    assert http_server.asked[0].headers["authorization"].startswith("Basic ")


def test_plain_http_needs_a_reason(http_server, place, archive):
    version = archive({"a.zip": {"url": http_server.add("/a", BODY)}}, method="https")
    with pytest.raises(errors.SourceRefused, match="plain_http_reason"):
        place.retrieve(version)
    assert http_server.asked == []


def test_private_addresses_are_refused_unless_they_are_wanted(http_server, place, https):
    place.private = False
    for url in (http_server.add("/a", BODY), f"http://localhost:{http_server.port}/a"):
        with pytest.raises(errors.SourceRefused, match="not a public address"):
            place.retrieve(https(url))
    assert http_server.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.8", "169.254.169.254", "::1", "::ffff:127.0.0.1", "192.168.1.1", "0.0.0.0"],
)
def test_what_is_no_public_address(address):
    with pytest.raises(errors.SourceRefused):
        Guard().address_of(address, 80)


def test_certificates_are_checked(tmp_path, place, archive, monkeypatch):
    public, context = certificate(tmp_path)
    server = HttpServer(context)
    try:
        version = archive({"a.zip": {"url": server.add("/a", BODY)}}, method="https")
        with pytest.raises(errors.SourceRefused, match="can't prove who it is"):
            place.retrieve(version)
        assert server.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(public))
        assert place.retrieve(version).files[0].sha256 == SHA
    finally:
        server.close()


def test_a_full_disk_is_found_before_a_byte_is_written(http_server, place, https):
    place.limits = {"margin_bytes": 1 << 62}
    with pytest.raises(errors.NoSpace):
        place.retrieve(https(http_server.add("/a", BODY)))
    assert place.content() == {}


def test_the_room_for_all_files_is_asked_for_before_the_first_is_fetched(http_server, place, archive):
    files = {f"{n}.zip": {"url": http_server.add(f"/{n}", BODY), "bytes": 1 << 61} for n in "ab"}
    with pytest.raises(errors.NoSpace, match="bytes to write"):
        place.retrieve(archive(files, method="https", plain_http_reason=WHY))
    assert http_server.asked == []


def test_a_redirect_to_what_is_no_address_leads_nowhere(http_server, place, https):
    url = http_server.add("/a", status=302, headers={"Location": "http://127.0.0.1:1/\x7f"})
    with pytest.raises(errors.SourceUnreachable, match="Invalid URL in location"):
        place.retrieve(https(url))


def test_a_second_retrieval_reads_what_is_there_and_fetches_nothing(http_server, place, https):
    version = https(http_server.add("/a", BODY), sha256=SHA)
    first = place.retrieve(version)
    assert place.retrieve(version) == first
    assert len(http_server.asked) == 1
    (place.folder / "testset@1/a.zip").write_bytes(b"x" + BODY[1:])
    assert place.retrieve(version).files[0].sha256 == SHA
    assert len(http_server.asked) == 2


def test_what_an_earlier_list_left_behind_is_removed(http_server, place, https):
    place.retrieve(https(http_server.add("/a", BODY), path="old.zip"))
    place.retrieve(https(http_server.add("/a", BODY), path="new.zip"))
    assert list(place.content()) == ["new.zip"]


def test_a_killed_download_is_gone_on_with_and_verified(
    http_server: HttpServer, place: Field, https, tmp_path
):
    """SIGKILL in the middle, in a process of its own; the next one asks for the rest only."""
    url = http_server.add("/a.zip", BODY, chunk=10_000, chunk_seconds=0.05)
    code = f"""
from dataclasses import replace
from pathlib import Path
from curation_dagster.core.retrieval.sources.download import download
from curation_dagster.core.retrieval.sources.guard import Guard
from curation_dagster.core.retrieval.sources.plan import RemoteFile
from curation_dagster.core.retrieval.sources.policy import load_limits
from curation_dagster.core.retrieval.sources.session import Session
with Session(guard=Guard(True), limits=replace(load_limits(), margin_bytes=0)) as session:
    download(session, RemoteFile("a.zip", {url!r}, {len(BODY)}, {{"sha256": {SHA!r}}}),
             Path({str(place.folder / "testset@1")!r}), plain_http=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    part = place.folder / "testset@1/a.zip.part"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size >= 60_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    left = part.stat().st_size
    assert 60_000 <= left < len(BODY)
    answer = http_server.answers["/a.zip"]
    assert isinstance(answer, Answer)
    answer.chunk_seconds = 0.0
    (file,) = place.retrieve(https(url, sha256=SHA, bytes=len(BODY))).files
    assert (file.resumed_from, file.verified_by) == (left, "sha256")
    assert http_server.asked[-1].headers["range"] == f"bytes={left}-"
    assert place.content() == {"a.zip": BODY}


# -- pace and refusal ------------------------------------------------------------------------------


def test_a_host_is_asked_at_its_pace():
    now = [0.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    paces = Paces(Hosts(HostRule("", 2.0, 3)), clock=lambda: now[0], sleep=sleep)
    for _ in range(7):
        paces.take("a.org")
    assert waits == [0.5] * 4  # three at once, then two a second
    paces.take("b.org")
    assert len(waits) == 4


def test_hosts_whose_terms_refuse_are_not_asked(http_server, place, https):
    place.hosts = Hosts(HostRule("", 1e9, 10**9), (HostRule("127.0.0.1", 1, 1, True, "sold by the image"),))
    with pytest.raises(errors.SourceRefused, match="sold by the image"):
        place.retrieve(https(http_server.add("/a", BODY)))
    assert http_server.asked == []


def test_every_declared_host_has_a_reason():
    assert all(rule.reason for rule in load_hosts().rules)
    assert load_hosts().rule_of("www.dermnetnz.org").refused
    assert not load_hosts().rule_of("notdermnetnz.org").refused


def test_unsafe_names_of_a_source_are_refused(http_server, place, https):
    with pytest.raises(errors.UnexpectedAnswer, match="climbs out"):
        place.retrieve(https(http_server.add("/a", BODY), path="../a.zip"))
    assert not Path(place.root / "retrieval/a.zip").exists()
