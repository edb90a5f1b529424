"""A laptop on which things go wrong: two runs of one archive version at once, a full disk, a clock that was set back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from curation_dagster.core.review.approvals import approve, current_approval
from curation_dagster.lake import Lake
from curation_dagster.samples import write_samples
from curation_dagster.trail import ClockError, add_rows, unrecorded
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import open_installation

KEY = "isic_archive@synthetic"
CURATE = (sys.executable, "-m", "curation_dagster.cli", "curate", KEY)


def fingerprints(lake: Path) -> dict[str, str]:
    """Return what each stage of the archive version left, without times and runs."""
    rows = Lake.open(str(lake)).read("stages", columns=["archive", "stage", "fingerprint"]).to_pylist()
    return {r["stage"]: r["fingerprint"] for r in rows if KEY.startswith(r["archive"] or "-")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with a small archive that was curated without disturbance."""
    home = tmp_path_factory.mktemp("undisturbed") / "home"
    with pytest.MonkeyPatch.context() as patch:
        made = open_installation(home, patch)
        settings = made.workspace.settings
        write_samples(settings.landing, archives=["isic_archive"], images=8, overlay_dir=settings.archives[0])
        assert all(made.curate(KEY).values())
    return home


@pytest.fixture
def delivered(undisturbed: Path, tmp_path: Path) -> Path:
    """A home with the same delivery and the same secret, in which nothing was done yet."""
    home = tmp_path / "home"
    for name in ("archives", "landing"):
        shutil.copytree(undisturbed / name, home / name)
    shutil.copy(undisturbed / "secret", home / "secret")
    return home


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "CURATION_HOME": str(home), "DAGSTER_HOME": ""}


def test_two_runs_of_one_archive_version_at_once(undisturbed: Path, delivered: Path) -> None:
    both = [
        subprocess.Popen(
            CURATE, env=environment(delivered), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [p.communicate(timeout=300)[0] for p in both]
    if any(p.returncode for p in both):
        # one may have met the other's half of the work: then it says so, and a further run has nothing to mend
        assert min(p.returncode for p in both) == 0 or "Traceback" in "".join(said), said
        again = subprocess.run(
            CURATE, env=environment(delivered), capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, again.stdout + again.stderr
    assert fingerprints(delivered / "lake") == fingerprints(undisturbed / "lake")
    rows = Lake.open(str(delivered / "lake")).read("measurements", columns=["sha256"])["sha256"].to_pylist()
    assert len(rows) == len(set(rows))


FULL = """
mount -t tmpfs -o size={size}k tmpfs {home} || exit 77
cp -r {delivered}/. {home}
{curate} > {out}/first.log 2>&1; echo $? > {out}/first
mount -o remount,size=2g {home}
{curate} > {out}/second.log 2>&1; echo $? > {out}/second
cp -r {home}/lake {out}/lake
"""


@pytest.mark.parametrize("room", [40, 1500])
def test_a_full_disk(room: int, undisturbed: Path, delivered: Path, tmp_path: Path) -> None:
    """The run says that no space is left; with space it goes on, and ends as if nothing had been."""
    home, out = tmp_path / "small", tmp_path / "out"
    home.mkdir()
    out.mkdir()
    size = int(
        subprocess.run(["du", "-sk", delivered], capture_output=True, text=True, check=True).stdout.split()[0]
    )
    script = FULL.format(size=size + room, home=home, delivered=delivered, out=out, curate=" ".join(CURATE))
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    if not (out / "second").exists():  # no file system may be mounted here: files may not grow instead
        limited = subprocess.run(
            ["prlimit", f"--fsize={room * 100}", *CURATE],
            env=environment(delivered),
            capture_output=True,
            text=True,
            check=False,
        )
        assert limited.returncode != 0, done.stderr
        again = subprocess.run(
            CURATE, env=environment(delivered), capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, again.stdout + again.stderr
        assert fingerprints(delivered / "lake") == fingerprints(undisturbed / "lake")
        return
    first = (out / "first.log").read_text()
    assert (out / "first").read_text().strip() != "0"
    assert "No space left on device" in first or "disk is full" in first or "GB are free" in first, first[
        -3000:
    ]
    assert (out / "second").read_text().strip() == "0", (out / "second.log").read_text()[-3000:]
    assert fingerprints(out / "lake") == fingerprints(undisturbed / "lake")


@pytest.fixture
def said(workspace: Workspace) -> Callable[..., None]:
    """Say something about the criteria, at a time."""

    def say(decision: str, when: datetime) -> None:
        row = approve("criteria", "device", "d" * 64, "Ann Author", "Paul Approver", "read", decision, when)
        add_rows(workspace, "approvals", row)

    return say


def test_a_clock_that_was_set_back(workspace: Workspace, said: Callable[..., None]) -> None:
    """Of two decisions the later one holds, so a withdrawal must not be older than the approval before it."""
    now = datetime.now(UTC)

    def stands() -> bool:
        return current_approval(workspace.lake.read("approvals"), "criteria", "device", "d" * 64) is not None

    said("approved", now)
    said("withdrawn", now - timedelta(minutes=2))  # another machine's clock, a little behind
    assert not stands()
    said("approved", now - timedelta(minutes=3))
    assert stands()
    with pytest.raises(ClockError, match="Set the clock"):
        said("withdrawn", now - timedelta(hours=1))
    assert workspace.lake.read("approvals").num_rows == 3
    assert unrecorded(workspace) == []
    said("withdrawn", now + timedelta(seconds=1))
    assert not stands()
