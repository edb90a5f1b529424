"""The server form from inside: no secret lies about, the UI works behind the proxy, and a backup comes back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation_dagster.lake import Lake
from curation_dagster.schemas import TABLES
from curation_dagster_tests.deployment.conftest import KEY
from curation_dagster_tests.deployment.machine import Machine
from curation_dagster_tests.deployment.postgres import running_postgres
from curation_dagster_tests.deployment.server import (
    AUDIT,
    AUDITOR,
    DATABASE_PASSWORD,
    SECRETS,
    SITE,
    TEAM,
    Server,
)
from curation_dagster_tests.e2e.browser import chromium
from curation_dagster_tests.installation import Installation

pytestmark = pytest.mark.xdist_group("deployment")


def test_pages_of_the_reports_are_shown_to_those_who_see_the_ui(curated: Server) -> None:
    found = sorted((curated.home / "reports" / "archives").rglob("index.html"))
    assert found, "the run wrote a page of its archive version"
    page = "/reports/" + quote(found[0].relative_to(curated.home / "reports").as_posix(), safe="/@")
    (curated.home / "reports" / ".hidden").write_text(
        "argon2 is in the file of the accounts, which lies beside the reports"
    )
    for host, account in ((SITE, TEAM), (AUDIT, AUDITOR)):
        shown = curated.ask(host, page, account)
        assert shown.status == 200
        assert KEY in shown.body.decode()
        assert "no-store" in shown.headers["cache-control"]
        assert "default-src 'none'" in shown.headers["content-security-policy"]
        assert curated.ask(host, page).status == 401
        assert curated.ask(host, page, account, "POST", body=b"").status in (403, 405)
        for path in ("/reports/.hidden", "/reports/%2ehidden", "/reports/archives/", "/reports/../reviewers.yaml",
                     "/reports/%2e%2e/reviewers.yaml", "/reports/..%2freviewers.yaml", "/reports//etc/passwd"):  # fmt: skip
            answer = curated.ask(host, path, account)
            # a path that leaves the folder is the web server's, which answers all paths with its page
            assert answer.status in (400, 404) or b"<!doctype html>" in answer.body.lower()[:200], path
            assert b"argon2" not in answer.body
            assert b"root:" not in answer.body
    metadata = '{ assetNodeOrError(assetKey: {path: ["review_queue"]}) { ... on AssetNode { assetMaterializations(limit: 1) '
    metadata += "{ metadataEntries { label ... on UrlMetadataEntry { url } } } } } }"
    [made] = curated.query(AUDIT, AUDITOR, metadata)["data"]["assetNodeOrError"]["assetMaterializations"]
    assert page in {e.get("url") for e in made["metadataEntries"]}


def test_no_secret_is_in_logs_events_tables_or_the_process_list(curated: Server) -> None:
    info = curated.query(AUDIT, AUDITOR, "{ instance { info } version }")
    texts = {"instance": json.dumps(info), "database": curated.postgres.run("pg_dump", "dagster")}
    texts |= {f"log of {s}": curated.log(s).read_text(errors="replace") for s in curated.processes}
    assert KEY in texts["database"]
    assert "handled request" in texts["log of proxy"]
    assert TEAM[0] in texts["log of proxy"]  # who asked is in the log
    curated.look_around()
    assert any("dagster-webserver" in s for s in curated.seen)
    assert any("curation_dagster.worker" in s for s in curated.seen), "no worker process of the run was seen"
    assert any("DATABASE_PASSWORD_FILE" in s for s in curated.seen)
    texts["process list"] = "\n".join(curated.seen)
    keep = {curated.home / "reviewers.yaml"}
    for path in [
        p for f in (curated.home, curated.instance) for p in f.rglob("*") if p.is_file() and p not in keep
    ]:
        texts[str(path)] = path.read_bytes().decode("latin-1")
    lake = Lake.open(str(curated.home / "lake"))
    assert lake.read("measurements").num_rows > 0
    for name in TABLES:
        table = lake.read(name)
        for column in table.column_names:
            if pa.types.is_string(table[column].type):
                texts[f"{name}.{column}"] = "\n".join(t for t in pc.unique(table[column]).to_pylist() if t)
    for secret in (*SECRETS, DATABASE_PASSWORD.replace(":", "\\:"), quote(DATABASE_PASSWORD)):
        found = [where for where, text in texts.items() if secret in text]
        assert not found, found


def test_the_ui_works_behind_the_proxy(curated: Server) -> None:
    """A browser shows the run, with its events as they come by the socket; nothing is refused or fetched from elsewhere."""
    own = curated.origin(SITE)
    problems: list[str] = []
    with chromium() as browser:
        account = {"username": TEAM[0], "password": TEAM[1]}
        page = browser.new_context(ignore_https_errors=True, http_credentials=account).new_page()
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        page.on(
            "request",
            lambda r: problems.append(r.url) if not r.url.startswith((own, "data:", "blob:")) else None,
        )
        page.on(
            "response", lambda r: problems.append(f"{r.status} {r.url}") if r.status in (403, 405) else None
        )
        sockets: list[str] = []
        page.on("websocket", lambda s: sockets.append(s.url))
        page.goto(f"{own}/runs/{curated.run_id}")
        page.get_by_text("ASSET_MATERIALIZATION").locator("visible=true").first.wait_for(timeout=60_000)
    assert sockets
    assert problems == []


def test_what_was_backed_up_comes_back(curated: Server, tmp_path: Path) -> None:
    first = Machine(curated.home, curated.instance, curated.postgres, tmp_path / "first")
    backup = tmp_path / "backups" / "one"
    before = first.content()
    assert first.run("backup", str(backup)).returncode == 0
    assert first.run("backup", str(backup)).returncode != 0  # never over an earlier one
    # nothing writes between the dump and the copy of the tables
    assert [a.split()[1] for a in first.asked()][:5] == ["stop", "exec", "run", "run", "start"]
    assert first.asked()[0] == "compose stop daemon code review"
    refused = first.run("restore", str(backup))
    assert refused.returncode == 1
    assert "nothing was restored" in refused.stderr
    assert first.content() == before
    assert sorted(p.name for p in backup.iterdir()) == [
        "SHA256SUMS",
        "data.tar",
        "database.dump",
        "storage.tar",
    ]
    assert backup.stat().st_mode & 0o077 == 0
    assert curated.run_id in before["runs"]  # other tests of this server may have launched more
    assert len(before["events"][curated.run_id]) > 100
    assert before["made"]["measurements"] == {KEY}
    assert sum(len(versions) > 0 for versions in before["tables"].values()) > 10

    with running_postgres("another password") as postgres:
        second = Machine(tmp_path / "data", tmp_path / "dagster", postgres, tmp_path / "second")
        damaged = tmp_path / "damaged"
        shutil.copytree(backup, damaged)
        with (damaged / "data.tar").open("r+b") as file:
            file.seek(5000)
            file.write(b"\0\1\2")
        assert second.run("restore", str(damaged)).returncode != 0
        assert not list(second.data.iterdir())
        done = second.run("restore", str(backup))
        assert done.returncode == 0, done.stderr
        after = second.content()
        for part, value in before.items():
            assert after[part] == value, part
        with second.opened() as instance:  # and work goes on
            assert Installation(second.data, instance).rebuild()
        assert Lake.open(str(second.data / "lake")).read("stages", where={"stage": "decisions"}).num_rows == 1
