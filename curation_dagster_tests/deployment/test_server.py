"""The server form as a stranger, an auditor, a reviewer and another site's page meet it, behind the shipped Caddyfile.

No containers: the processes of docker-compose.yml with its files, a real PostgreSQL, and the proxy in front.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote, urlencode

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from playwright.sync_api import sync_playwright

from curation_dagster.lake import Lake
from curation_dagster.schedules import SCHEDULES
from curation_dagster.schemas import TABLES
from curation_dagster_tests.deployment.conftest import KEY, REPOSITORY
from curation_dagster_tests.deployment.graphql import INTROSPECTION, mutations
from curation_dagster_tests.deployment.machine import Machine
from curation_dagster_tests.deployment.postgres import running_postgres
from curation_dagster_tests.deployment.server import (
    AUDIT,
    AUDITOR,
    DATABASE_PASSWORD,
    REVIEW,
    REVIEWER,
    SECRETS,
    SITE,
    TEAM,
    Server,
)
from curation_dagster_tests.installation import Installation
from curation_dagster_tests.servers import HttpServer, free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.xdist_group("deployment")

MUTATION = 'mutation { addDynamicPartition(partitionKey: "x@1", partitionsDefName: "archive_version", repositorySelector: '
MUTATION += '{repositoryLocationName: "curation", repositoryName: "__repository__"}) { __typename } }'
JSON = {"Content-Type": "application/json"}
SOCKET = {
    "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "graphql-ws",
}  # fmt: skip
# ways to write a path so that proxy and server may read it differently
PATHS = [
    "/", "//", "/graphql", "//graphql", "/./graphql", "/x/../graphql", "/x/..;/graphql", "/..;/graphql", "/%2e%2e/graphql",
    "/x%2f..%2fgraphql", "/%67raphql", "/GraphQL", "/graphql/", "/graphql%00", "/graphql%0d%0aX:1", "/graphql;x=1",
    "/graphql?query={__typename}", "\\graphql", "/server_info", "/server_info/..", "/review/../server_info", "/dagit_info",
    "/audit/../server_info", "/static/../server_info", "/assets/%2e%2e%2fserver_info", "/logs/x/compute_logs/y/out",
    "/download_debug/x", "/report_asset_materialization/staged", "/.well-known/acme-challenge/../../server_info",
    "http://127.0.0.1/server_info", "/favicon.png", "/runs",
]  # fmt: skip
FORGED = [
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    {"X-Forwarded-Host": REVIEW, "X-Host": REVIEW, "X-Original-URL": "/health", "X-Rewrite-URL": "/health"},
    {"X-Forwarded-User": TEAM[0], "Remote-User": TEAM[0], "X-WebAuth-User": TEAM[0], "X-Forwarded-Proto": "http"},
    {"X-HTTP-Method-Override": "OPTIONS", "X-Forwarded-Prefix": "/health"},
    {"Authorization": "Basic"},
    {"Authorization": "Bearer x"},
    {"Authorization": "Basic Og=="},
    {"Cookie": "curation_review=x; session=x"},
]


def origin(server: Server, host: str) -> str:
    return f"https://{host}:{server.ports['proxy']}"


# -- strangers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [SITE, AUDIT])
def test_nothing_of_dagster_is_reached_without_a_password(server: Server, host: str) -> None:
    for path in PATHS:
        answer = server.ask(host, path)
        assert answer.status in (400, 401, 421), (path, answer.status)
        assert b"agster" not in answer.body, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "PROPFIND"):
        assert server.ask(host, "/graphql", method=method, headers=JSON, body=b"{}").status == 401, method
    for headers in FORGED:
        assert server.ask(host, "/server_info", headers=headers).status == 401, headers
    for account in ((TEAM[0], "wrong"), ("nobody", TEAM[1]), (TEAM[0], ""), (TEAM[0], TEAM[1] + "\0")):
        assert server.ask(host, "/server_info", account).status == 401, account
    assert server.ask(host, "/graphql", headers=SOCKET | {"Origin": origin(server, host)}).status == 401


def test_the_data_team_and_auditors_have_a_door_each(server: Server) -> None:
    assert server.ask(SITE, "/server_info", TEAM).status == 200
    assert server.ask(AUDIT, "/server_info", AUDITOR).status == 200
    assert server.ask(SITE, "/server_info", AUDITOR).status == 401
    assert server.ask(AUDIT, "/server_info", TEAM).status == 401
    # the name in the request, the one of the TLS connection, and names that nobody serves
    for host, sni in ((SITE, AUDIT), (AUDIT, SITE), (SITE, REVIEW), ("evil.example", SITE), ("", SITE), ("127.0.0.1", REVIEW)):
        answer = server.ask(host, "/server_info", AUDITOR, sni=sni)
        assert answer.status in (400, 421), (host, sni, answer.status)
        assert b"dagster" not in answer.body
    for path in PATHS:  # whatever an auditor asks for, the data team's server doesn't answer
        answer = server.ask(AUDIT, path, AUDITOR, "POST", JSON, json.dumps({"query": MUTATION}).encode())
        assert answer.status in (400, 403, 404, 405, 421) or b"UnauthorizedError" in answer.body, path


def test_the_review_page_lets_nobody_in_without_a_session(server: Server) -> None:
    assert server.ask(REVIEW, "/", headers={"Accept": "text/html"}).headers["location"] == "/sign-in"
    for path in [*PATHS, "/agreement", f"/queues/{KEY}/faces_and_text", "/static/review.js", "/sign-in/../agreement",
                 "/health/../agreement", "/static/review.css/../review.js", "/sign-in%2f..%2fagreement"]:  # fmt: skip
        answer = server.ask(REVIEW, path, TEAM)
        assert answer.status in (400, 401, 404, 421), (path, answer.status)
        assert b"data-token" not in answer.body
    for headers in FORGED:
        assert server.ask(REVIEW, "/agreement", headers=headers).status == 401, headers
    for path in ("/", "/queues", "/sign-in", "/health"):
        assert server.ask(REVIEW, path, headers=SOCKET).status != 101, path


def test_wrong_passwords_of_one_address_don_t_lock_out_another(server: Server) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = urlencode({"name": "Somebody", "password": "wrong password"}).encode()
    tried = [server.ask(REVIEW, "/sign-in", None, "POST", form | {"X-Forwarded-For": f"192.0.2.{n}"}, wrong) for n in range(7)]
    # the address that a stranger states is not believed, so the brake holds
    assert [a.status for a in tried[:5]] == [401] * 5
    assert tried[-1].status == 429
    # the proxy states the true one: asked as the proxy asks for somebody else, the page answers
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.ports['review']}/sign-in", wrong.replace(b"Somebody", b"Another"),
        form | {"X-Forwarded-For": "198.51.100.7"},
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    assert refused.value.code == 401


# -- other sites' pages ------------------------------------------------------------------------------------


def test_another_site_s_page_can_t_act_with_the_password_of_a_browser(server: Server) -> None:
    body = json.dumps({"query": MUTATION}).encode()
    own = origin(server, SITE)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    simple = f"/graphql?query={quote(MUTATION)}"
    attempts = [
        ("GET", simple, {}, None),  # Dagster's server takes mutations by GET
        ("GET", simple, {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, None),
        ("HEAD", simple, {}, None),
        ("POST", simple, form, b"x=1"),  # and in the address of a form
        ("POST", simple, {"Content-Type": "multipart/form-data; boundary=x"}, b"--x--"),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, body),
        ("POST", "/graphql", {"Content-Type": "text/plain; charset=application/json"}, body),
        ("POST", "/graphql", {"Content-Type": "application/graphql"}, MUTATION.encode()),
        ("POST", "/graphql", {}, body),
        ("POST", "/graphql", JSON | {"Origin": "https://elsewhere.example"}, body),
        ("POST", "/graphql", JSON | {"Origin": "null"}, body),
        ("POST", "/graphql", JSON | {"Origin": own.replace("https", "http")}, body),
        ("POST", "/graphql", JSON | {"Origin": own + ".elsewhere.example"}, body),
        ("POST", "/graphql", JSON | {"Origin": origin(server, REVIEW)}, body),
        ("POST", "/graphql", JSON | {"Sec-Fetch-Site": "same-site"}, body),
        ("POST", "/graphql", JSON | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, body),
        ("POST", "/report_asset_materialization/staged", {}, b""),
        ("POST", "/report_asset_check/staged?check_name=x&passed=true", form, b""),
        ("POST", "/report_asset_observation/staged", JSON, b"{}"),
        ("PUT", "/graphql", JSON, body),
        ("GET", "/graphql", SOCKET | {"Origin": "https://elsewhere.example"}, None),
        ("GET", "/graphql", SOCKET, None),
    ]  # fmt: skip
    for method, path, headers, sent in attempts:
        answer = server.ask(SITE, path, TEAM, method, headers, sent)
        assert answer.status in (403, 405), (method, path, headers, answer.status, answer.body[:200])
    known = "{ __typename ... on Query { dynamic: repositoryOrError(repositorySelector: %s) { __typename } } }"
    assert server.query(SITE, TEAM, known % '{repositoryLocationName: "curation", repositoryName: "__repository__"}')["data"]
    stored = server.postgres.run("psql", "-d", "dagster", "-Atc", "select partition from dynamic_partitions")
    assert stored.split() == [KEY]
    # while the page itself, and a link in a mail, work
    assert server.ask(SITE, "/graphql", TEAM, headers=SOCKET | {"Origin": own}).status == 101
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.ask(SITE, "/runs", TEAM, headers=clicked).status == 200
    assert server.ask(SITE, "/runs", TEAM, headers=clicked | {"Sec-Fetch-Dest": "iframe"}).status == 403


# -- what answers carry ----------------------------------------------------------------------------------------


def test_every_answer_carries_the_headers(server: Server) -> None:
    asked = [(SITE, "/", TEAM), (SITE, "/", None), (SITE, "/graphql", TEAM), (AUDIT, "/runs", AUDITOR), (AUDIT, "/", TEAM),
             (SITE, "/favicon.png", TEAM), (REVIEW, "/sign-in", None), (REVIEW, "/nowhere", None), (REVIEW, "/health", None)]  # fmt: skip
    for host, path, account in asked:
        headers = server.ask(host, path, account).headers
        assert int(re.findall(r"max-age=(\d+)", headers["strict-transport-security"])[0]) >= 31536000, (host, path)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] in ("same-origin", "strict-origin-when-cross-origin")
        assert "server" not in headers, (host, path)
        assert "via" not in headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], (host, path)


def test_the_cookie_of_a_reviewer_stays_with_browser_and_site(server: Server) -> None:
    form = urlencode({"name": REVIEWER[0], "password": REVIEWER[1]}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": origin(server, REVIEW)}
    # the brake of an earlier test may still hold this address
    answer = server.wait(
        lambda: (a := server.ask(REVIEW, "/sign-in", None, "POST", headers, form)).status == 303 and a, 30, "signing in"
    )
    [cookie] = answer.cookies
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= {p.strip().lower() for p in cookie.split(";")[1:]}
    assert "domain" not in cookie.lower()
    session = {"Cookie": cookie.split(";")[0]}
    queues = server.ask(REVIEW, "/", headers=session | {"Accept": "text/html"})
    assert queues.status == 200
    assert queues.headers["cache-control"] == "no-store"
    for foreign in ("https://elsewhere.example", origin(server, SITE)):
        assert server.ask(REVIEW, "/sign-out", None, "POST", session | {"Origin": foreign}, b"").status == 403
    assert server.ask(SITE, "/server_info", headers=session).status == 401
    server.look_around()
    assert not [s for s in server.seen if cookie.split("=")[1].split(";")[0] in s]


def test_a_request_that_is_too_large_or_too_long_is_refused(server: Server) -> None:
    large = b'{"query": "' + b"x" * (5 << 20) + b'"}'
    assert server.ask(SITE, "/graphql", TEAM, "POST", JSON | {"Origin": origin(server, SITE)}, large).status in (413, 502)
    assert server.ask(SITE, "/server_info", TEAM, headers={"X": "x" * 60_000}).status == 431


# -- auditors --------------------------------------------------------------------------------------------------


def test_the_auditors_server_refuses_every_mutation(curated: Server) -> None:
    schema = curated.query(AUDIT, AUDITOR, INTROSPECTION)["data"]["__schema"]
    # everything that is asked for is there, so that nothing else can be the reason of a refusal
    known = REPOSITORY | {
        "runId": curated.run_id, "runIds": [curated.run_id], "path": ["staged"], "locationName": "curation",
        "partitionsDefName": "archive_version", "partitionKeys": [KEY], "partitionKey": "x@1", "partitionNames": [KEY],
        "jobName": "curate_archive_version", "sensorName": "new_deliveries", "scheduleName": SCHEDULES[0].name,
        "mode": "default", "runConfigData": {}, "assetSelection": [{"path": ["staged"]}], "backfillId": backfill(curated),
        "metadata": "{}", "clientTime": "1", "cursor": "", "timestamp": 1.0,
    }  # fmt: skip
    of = {
        "stopSensor": {"id": state(curated, "sensorOrError(sensorSelector: {%s, sensorName: \"new_deliveries\"})", "Sensor", "sensorState")},
        "stopRunningSchedule": {"id": state(curated, f'scheduleOrError(scheduleSelector: {{%s, scheduleName: "{SCHEDULES[0].name}"}})', "Schedule", "scheduleState")},
        "launchPipelineReexecution": {"reexecutionParams": {"parentRunId": curated.run_id, "strategy": "ALL_STEPS"}},
        "launchRunReexecution": {"reexecutionParams": {"parentRunId": curated.run_id, "strategy": "ALL_STEPS"}},
        "reexecutePartitionBackfill": {"reexecutionParams": {"parentRunId": known["backfillId"], "strategy": "ALL_STEPS"}},
    }  # fmt: skip
    before = rows(curated)
    others = {}
    for name, query, variables in mutations(schema, known, of):
        answer = curated.query(AUDIT, AUDITOR, query, **variables)
        if not re.search("UnauthorizedError|You do not have permission", json.dumps(answer)):
            others[name] = answer
    # two need no permission in Dagster: telemetry, which is switched off, and a mark that the introduction was seen
    assert set(others) == {"logTelemetry", "setNuxSeen"}, others
    assert len(schema["mutationType"]["fields"]) > 35
    assert rows(curated) == before
    for path in ("materialization", "check", "observation"):
        assert curated.ask(AUDIT, f"/report_asset_{path}/staged", AUDITOR, "POST").status == 405
        direct = f"http://127.0.0.1:{curated.ports['auditors']}/report_asset_{path}/staged?check_name=x&passed=true"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(urllib.request.Request(direct, b"", {"Content-Type": "application/json"}), timeout=30)
        assert refused.value.code in (400, 401, 500)
    assert rows(curated) == before


def backfill(server: Server) -> str:
    """Note a finished backfill, which could be run again; return its id."""
    with server.opened_instance() as instance:
        done = PartitionBackfill(
            backfill_id="finished", status=BulkActionStatus.COMPLETED_FAILED, from_failure=False, tags={},
            backfill_timestamp=1.0, asset_selection=[dg.AssetKey("staged")], partition_names=[KEY],
        )  # fmt: skip
        instance.add_backfill(done)
    return "finished"


def state(server: Server, query: str, kind: str, field: str) -> str:
    """Return the id by which a sensor or schedule is stopped."""
    repository = 'repositoryLocationName: "curation", repositoryName: "__repository__"'
    asked = "{ found: %s { ... on %s { %s { id } } } }" % (query % repository, kind, field)
    return str(server.query(AUDIT, AUDITOR, asked)["data"]["found"][field]["id"])


def rows(server: Server) -> dict[str, str]:
    """Return a digest of each table of the database but those in which the daemon notes that it lives."""
    ask = ["psql", "-d", "dagster", "-Atc"]
    tables = server.postgres.run(*ask, "select tablename from pg_tables where schemaname = 'public'").split()
    lively = {"daemon_heartbeats", "job_ticks", "kvs", "instigators", "asset_daemon_asset_evaluations"}
    digest = "select md5(coalesce(string_agg(t::text, ',' order by t::text), '')) from {} t"
    return {t: server.postgres.run(*ask, digest.format(t)) for t in set(tables) - lively}


# -- secrets ---------------------------------------------------------------------------------------------------


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
    for path in [p for f in (curated.home, curated.instance) for p in f.rglob("*") if p.is_file() and p not in keep]:
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


def test_passwords_and_forged_headers_end_at_the_proxy(server: Server) -> None:
    behind = HttpServer()
    behind.add("/", b"ok")
    places = server.ports | {"proxy": free_port(), "health": free_port(), "webserver": behind.port}
    other = dataclasses.replace(server, ports=places, processes={}, connections={})
    try:
        other.start("proxy")
        other.wait(lambda: other.healthy("proxy"), 30, "the second proxy")
        assert other.ask(SITE, "/", TEAM, headers=FORGED[0] | FORGED[1]).status == 200
    finally:
        other.stop()
        behind.close()
    [asked] = behind.asked
    assert "authorization" not in asked.headers
    assert asked.headers["x-forwarded-for"] == "127.0.0.1"
    assert asked.headers["x-forwarded-host"] == f"{SITE}:{places['proxy']}"
    assert asked.headers["x-forwarded-proto"] == "https"


def test_the_ui_works_behind_the_proxy(curated: Server) -> None:
    """A browser shows the run, with its events as they come by the socket; nothing is refused or fetched from elsewhere."""
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: .ci/run installs it")
        pytest.skip("no Chromium on this machine; .ci/run shows how to install it")
    own = origin(curated, SITE)
    problems: list[str] = []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        account = {"username": TEAM[0], "password": TEAM[1]}
        page = browser.new_context(ignore_https_errors=True, http_credentials=account).new_page()
        page.on("console", lambda m: problems.append(m.text) if "Content Security Policy" in m.text else None)
        page.on("request", lambda r: problems.append(r.url) if not r.url.startswith((own, "data:", "blob:")) else None)
        page.on("response", lambda r: problems.append(f"{r.status} {r.url}") if r.status in (403, 405) else None)
        sockets: list[str] = []
        page.on("websocket", lambda s: sockets.append(s.url))
        page.goto(f"{own}/runs/{curated.run_id}")
        page.get_by_text("ASSET_MATERIALIZATION").locator("visible=true").first.wait_for(timeout=60_000)
        browser.close()
    assert sockets
    assert problems == []


# -- backup ----------------------------------------------------------------------------------------------------


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
    assert sorted(p.name for p in backup.iterdir()) == ["SHA256SUMS", "data.tar", "database.dump", "storage.tar"]
    assert backup.stat().st_mode & 0o077 == 0
    assert list(before["runs"]) == [curated.run_id]
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
