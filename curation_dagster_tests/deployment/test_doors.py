"""The server form as a stranger, a reviewer and another site's page meet it, behind the shipped Caddyfile.

No containers: the processes of docker-compose.yml with its files, a real PostgreSQL, and the proxy in front.
"""

from __future__ import annotations

import dataclasses
import json
import re
import urllib.error
import urllib.request
from urllib.parse import quote, urlencode

import pytest

from curation_dagster_tests.deployment.conftest import KEY
from curation_dagster_tests.deployment.server import AUDIT, AUDITOR, REVIEW, REVIEWER, SITE, TEAM, Server
from curation_dagster_tests.servers import HttpServer, free_port

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
    "http://127.0.0.1/server_info", "/favicon.png", "/runs", "/reports/", "/reports/index.html", "/reports/%2e%2e/graphql",
]  # fmt: skip
FORGED = [
    {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"},
    {"X-Forwarded-Host": REVIEW, "X-Host": REVIEW, "X-Original-URL": "/health", "X-Rewrite-URL": "/health"},
    {
        "X-Forwarded-User": TEAM[0],
        "Remote-User": TEAM[0],
        "X-WebAuth-User": TEAM[0],
        "X-Forwarded-Proto": "http",
    },
    {"X-HTTP-Method-Override": "OPTIONS", "X-Forwarded-Prefix": "/health"},
    {"Authorization": "Basic"},
    {"Authorization": "Bearer x"},
    {"Authorization": "Basic Og=="},
    {"Cookie": "curation_review=x; session=x"},
]


# -- strangers --------------------------------------------------------------------------------


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
    assert server.ask(host, "/graphql", headers=SOCKET | {"Origin": server.origin(host)}).status == 401


def test_the_data_team_and_auditors_have_a_door_each(server: Server) -> None:
    assert server.ask(SITE, "/server_info", TEAM).status == 200
    assert server.ask(AUDIT, "/server_info", AUDITOR).status == 200
    assert server.ask(SITE, "/server_info", AUDITOR).status == 401
    assert server.ask(AUDIT, "/server_info", TEAM).status == 401
    # the name in the request, the one of the TLS connection, and names that nobody serves
    for host, sni in (
        (SITE, AUDIT),
        (AUDIT, SITE),
        (SITE, REVIEW),
        ("evil.example", SITE),
        ("", SITE),
        ("127.0.0.1", REVIEW),
    ):
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
    tried = [
        server.ask(REVIEW, "/sign-in", None, "POST", form | {"X-Forwarded-For": f"192.0.2.{n}"}, wrong)
        for n in range(7)
    ]
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


# -- other sites' pages ----------------------------------------------------------------------


def test_another_site_s_page_can_t_act_with_the_password_of_a_browser(server: Server) -> None:
    body = json.dumps({"query": MUTATION}).encode()
    own = server.origin(SITE)
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
        ("POST", "/graphql", JSON | {"Origin": server.origin(REVIEW)}, body),
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
    known = (
        "{ __typename ... on Query { dynamic: repositoryOrError(repositorySelector: %s) { __typename } } }"
    )
    assert server.query(
        SITE, TEAM, known % '{repositoryLocationName: "curation", repositoryName: "__repository__"}'
    )["data"]
    stored = server.postgres.run("psql", "-d", "dagster", "-Atc", "select partition from dynamic_partitions")
    assert stored.split() == [KEY]
    # while the page itself, and a link in a mail, work
    assert server.ask(SITE, "/graphql", TEAM, headers=SOCKET | {"Origin": own}).status == 101
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.ask(SITE, "/runs", TEAM, headers=clicked).status == 200
    assert server.ask(SITE, "/runs", TEAM, headers=clicked | {"Sec-Fetch-Dest": "iframe"}).status == 403


# -- what answers carry ----------------------------------------------------------------------


def test_every_answer_carries_the_headers(server: Server) -> None:
    asked = [(SITE, "/", TEAM), (SITE, "/", None), (SITE, "/graphql", TEAM), (AUDIT, "/runs", AUDITOR), (AUDIT, "/", TEAM),
             (SITE, "/favicon.png", TEAM), (REVIEW, "/sign-in", None), (REVIEW, "/nowhere", None), (REVIEW, "/health", None)]  # fmt: skip
    for host, path, account in asked:
        headers = server.ask(host, path, account).headers
        assert int(re.findall(r"max-age=(\d+)", headers["strict-transport-security"])[0]) >= 31536000, (
            host,
            path,
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] in ("same-origin", "strict-origin-when-cross-origin")
        assert "server" not in headers, (host, path)
        assert "via" not in headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"], (host, path)


def test_the_cookie_of_a_reviewer_stays_with_browser_and_site(server: Server) -> None:
    form = urlencode({"name": REVIEWER[0], "password": REVIEWER[1]}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": server.origin(REVIEW)}
    # the brake of an earlier test may still hold this address
    answer = server.wait(
        lambda: (a := server.ask(REVIEW, "/sign-in", None, "POST", headers, form)).status == 303 and a,
        30,
        "signing in",
    )
    [cookie] = answer.cookies
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= {
        p.strip().lower() for p in cookie.split(";")[1:]
    }
    assert "domain" not in cookie.lower()
    session = {"Cookie": cookie.split(";")[0]}
    queues = server.ask(REVIEW, "/", headers=session | {"Accept": "text/html"})
    assert queues.status == 200
    assert queues.headers["cache-control"] == "no-store"
    for foreign in ("https://elsewhere.example", server.origin(SITE)):
        assert server.ask(REVIEW, "/sign-out", None, "POST", session | {"Origin": foreign}, b"").status == 403
    assert server.ask(SITE, "/server_info", headers=session).status == 401
    server.look_around()
    assert not [s for s in server.seen if cookie.split("=")[1].split(";")[0] in s]


def test_a_request_that_is_too_large_or_too_long_is_refused(server: Server) -> None:
    large = b'{"query": "' + b"x" * (5 << 20) + b'"}'
    assert server.ask(
        SITE, "/graphql", TEAM, "POST", JSON | {"Origin": server.origin(SITE)}, large
    ).status in (413, 502)
    assert server.ask(SITE, "/server_info", TEAM, headers={"X": "x" * 60_000}).status == 431
