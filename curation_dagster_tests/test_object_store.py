"""Tables in an object store: the same as on disk, safe against other writers, and without a trace of the credentials."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation_dagster.lake import Lake, LakeError
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace
from curation_dagster_tests.conftest import ONE_ARCHIVE
from curation_dagster_tests.installation import Installation, open_installation
from curation_dagster_tests.s3_server import BUCKET, KEY_ID, SECRET, Store, s3_server
from curation_dagster_tests.test_lake import assert_one_chain, extend_chain, measured, rows_of
from curation_dagster_tests.test_pipeline import fingerprints


@pytest.fixture(scope="session")
def s3_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with s3_server(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3(s3_process: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in s3_process.environment.items():
        monkeypatch.setenv(name, value)
    return s3_process


@dataclass
class OnS3(Installation):
    """An installation whose tables are where the environment says."""

    @property
    def workspace(self) -> Workspace:
        """The installation as it is now."""
        return Workspace(Settings.load())


def test_a_whole_run_on_s3_gives_the_same_tables_and_keeps_no_credentials(
    s3: Store,
    one_archive: Path,
    same_delivery: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    on_disk = Workspace(Settings.load(one_archive))
    expected = fingerprints(on_disk)
    assert ("*", "*", "corpus") in expected

    home = same_delivery
    made = open_installation(home, monkeypatch)
    monkeypatch.setenv("CURATION_LAKE", f"s3://{BUCKET}/whole-run/lake")
    on_s3 = OnS3(made.home, made.instance)
    with caplog.at_level(logging.DEBUG):
        on_s3.all_the_way(ONE_ARCHIVE)
    lake = on_s3.workspace.lake
    assert fingerprints(on_s3.workspace) == expected
    published = lake.read("corpus", columns=["image_id", "file", "sha256"])
    assert published.num_rows > 0
    assert published.equals(on_disk.lake.read("corpus", columns=["image_id", "file", "sha256"]))
    assert not (home / "lake").exists()
    assert {c["operation"] for c in lake.history("corpus")} >= {"WRITE"}

    printed = "".join(capfd.readouterr())
    for secret in (SECRET, KEY_ID):
        wanted = secret.encode()
        holders = [str(p) for p in home.rglob("*") if p.is_file() and wanted in p.read_bytes()]
        assert holders == [], "files of the installation, its event log among them"
        assert [key for key, body in s3.objects("whole-run/").items() if wanted in body] == []
        assert secret not in printed
        assert secret not in caplog.text
        assert secret not in repr(lake) + repr(on_s3.workspace)
    # the search itself finds what is there
    assert any(b"whole-run/lake" in p.read_bytes() for p in home.rglob("*") if p.is_file())


def _write(task: tuple[str, int]) -> None:
    root, number = task
    lake = Lake.open(root)
    for turn in range(3):
        lake.append("quality", rows_of(f"appended_{number}_{turn}", range(2)))
        lake.replace("quality", rows_of(f"a{number}", range(4)), {"archive": f"a{number}", "version": "1"})
        lake.upsert("measurements", measured(range(number, number + 5)))


def test_two_writers_lose_no_commit(s3: Store) -> None:
    root = f"s3://{BUCKET}/two-writers/lake"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_write, [(root, 0), (root, 1)]))
    lake = Lake.open(root)
    counts = lake.read("quality").group_by("archive").aggregate([([], "count_all")]).to_pylist()
    expected = {f"appended_{n}_{t}": 2 for n in range(2) for t in range(3)} | {"a0": 4, "a1": 4}
    assert {c["archive"]: c["count_all"] for c in counts} == expected
    assert sorted(lake.read("measurements")["sha256"].to_pylist()) == [f"{n:064x}" for n in range(6)]
    assert len(lake.history("quality")) == 1 + 2 * 3 * 2


def _follow(task: tuple[str, str]) -> None:
    root, who = task
    for _ in range(4):
        extend_chain(Lake.open(root), who)


def test_rows_that_build_on_the_last_one_form_one_chain(s3: Store) -> None:
    root = f"s3://{BUCKET}/one-chain/lake"
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_follow, [(root, "anna"), (root, "bo")]))
    assert_one_chain(Lake.open(root), {"anna": 8, "bo": 8})


def test_a_log_entry_is_never_overwritten(s3: Store) -> None:
    lake = Lake.open(f"s3://{BUCKET}/log/lake")
    lake.append("quality", rows_of("a", range(1)))
    [first, *_] = sorted(key for key in s3.objects("log/lake/quality/_delta_log/"))
    with pytest.raises(s3.client.exceptions.ClientError, match="PreconditionFailed"):
        s3.client.put_object(Bucket=BUCKET, Key=first, Body=b"{}", IfNoneMatch="*")
    assert lake.storage_options["conditional_put"] == "etag"


def test_earlier_versions_and_filters_work_as_on_disk(s3: Store) -> None:
    lake = Lake.open(f"s3://{BUCKET}/versions/lake")
    assert lake.read("quality").num_rows == 0
    first = lake.replace(
        "quality", rows_of("a", range(3)), {"archive": "a", "version": "1"}, {"run_id": "r1"}
    )
    lake.replace("quality", rows_of("b", range(2)), {"archive": "b", "version": "1"})
    assert lake.read("quality", version=first).num_rows == 3
    assert lake.read("quality", columns=["image_id"], where="archive = 'b'").num_rows == 2
    with lake.sql("quality") as sql:
        assert sql.execute("SELECT count(*) FROM quality").fetchall() == [(5,)]


def test_a_store_that_refuses_says_so_without_the_credentials(
    s3: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LakeError) as refused:
        Lake.open("s3://no-such-bucket-here/lake").append("quality", rows_of("a", range(1)))
    assert "quality" in str(refused.value)
    chain = [refused.value, refused.value.__cause__, refused.value.__context__]
    assert not any(s in str(e) for e in chain for s in (SECRET, KEY_ID))


def test_credentials_in_the_url_are_refused_and_not_quoted() -> None:
    with pytest.raises(ValueError, match="CURATION_LAKE holds a user or password") as refused:
        Settings.load(environment={"CURATION_LAKE": f"s3://{KEY_ID}:hidden-word@bucket/lake"})
    assert "hidden-word" not in str(refused.value)
    assert KEY_ID not in str(refused.value)
