"""An installation whose queues wait for people, and a review page on it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from curation_dagster.review_app.accounts import Accounts
from curation_dagster.review_app.app import create_app
from curation_dagster.schemas import DUPLICATES, REVIEW_QUEUE, REVIEWS
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation

PASSWORD = "correct horse battery"
REVIEWERS = ("Anna Weber", "Bo Lind", "Chi Mensah")


@pytest.fixture
def waiting(curated: Installation) -> Installation:
    """The curated installation before anybody judged an image; with a pooled label and an uncertain pair more."""
    workspace = curated.workspace
    workspace.lake.replace("reviews", REVIEWS.empty(), None)
    rows = workspace.lake.read("review_queue", where={"archive": "pad_ufes_20"}).to_pylist()
    first, second = sorted({r["image_id"] for r in rows})[:2]
    more = [
        rows[0] | {"criterion": c, "image_id": i, "rank": n, "purpose": "each"}
        for c in ("diagnosis_unambiguous", "duplicate_certain")
        for n, i in enumerate((first, second), start=1)
    ]
    part = {"archive": rows[0]["archive"], "version": rows[0]["version"]}
    workspace.lake.replace("review_queue", REVIEW_QUEUE.conform(rows + more), part)
    pairs = workspace.lake.read("duplicates").to_pylist()
    for row in pairs:
        if row["image_id"] in (first, second):
            row["uncertain_with"] = [second if row["image_id"] == first else first]
    workspace.lake.replace("duplicates", DUPLICATES.conform(pairs), None)
    return curated


@dataclass
class Page:
    """A review page that listens on loopback."""

    url: str
    home: Path
    accounts: Accounts


@pytest.fixture(scope="session")
def hashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("accounts") / "reviewers.yaml"
    for name in REVIEWERS:
        Accounts(path).put(name, PASSWORD)
    return path


@contextlib.contextmanager
def serving(home: Path, accounts: Accounts) -> Iterator[Page]:
    """Start a review page on an installation for as long as the block runs."""
    app = create_app(lambda: Workspace(Settings.load(home)), accounts)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        assert time.monotonic() < until, "the server did not start in 30 s"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Page(f"http://127.0.0.1:{port}", home, accounts)
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def page(waiting: Installation, hashed: Path) -> Iterator[Page]:
    with serving(waiting.home, Accounts(hashed)) as served:
        yield served
