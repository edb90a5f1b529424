"""Alerts leave through real servers on loopback: HTTP, SMTP in the clear, with TLS, with a sign-in, and with faults."""

from __future__ import annotations

import http.server
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from curation_dagster.core.alerts import (
    Alert,
    AlertSettingsError,
    Channels,
    Mail,
    NotDelivered,
    Webhook,
    from_json,
    to_json,
)

ALERT = Alert("[curation] failed: x", ("Run 1 of x failed.", "Größer."), {"job": "x", "run_id": "1"})
SECRET = "s3cret-token"


@dataclass
class Hook:
    """A webhook that remembers what it was told, and answers with the next of its states."""

    address: str
    said: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state = made.answers.pop(0) if made.answers else 200
            if state < 300:
                made.said.append(json.loads(body))
            self.send_response(state)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.address = f"http://127.0.0.1:{server.server_address[1]}/hooks/{SECRET}"
    yield made
    server.shutdown()
    server.server_close()


class Inbox:
    """Takes mail; refuses recipients at ``gone.example``."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], str]] = []

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # type: ignore[no-untyped-def]
        if address.endswith("gone.example"):
            return "550 nobody"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # type: ignore[no-untyped-def]
        self.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 OK"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def post_office() -> Iterator[tuple[Inbox, int]]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield inbox, controller.port
    controller.stop()


def test_a_webhook_is_told_text_and_facts(hook: Hook) -> None:
    Webhook(hook.address).send(ALERT)
    (said,) = hook.said
    assert said["text"].startswith("[curation] failed: x")
    assert "Größer." in said["text"]
    assert (said["job"], said["run_id"]) == ("x", "1")


@pytest.mark.parametrize("state", [302, 404, 500])
def test_anything_but_success_is_not_delivered_and_nothing_quotes_the_address(hook: Hook, state: int) -> None:
    hook.answers = [state]
    with pytest.raises(NotDelivered, match=f"answered {state}") as error:
        Webhook(hook.address).send(ALERT)
    assert SECRET not in str(error.value)
    assert SECRET not in repr(Webhook(hook.address))


def test_a_webhook_that_is_down_is_not_delivered() -> None:
    with pytest.raises(NotDelivered, match="could not be reached") as error:
        Webhook(f"http://127.0.0.1:1/{SECRET}").send(ALERT)
    assert SECRET not in str(error.value)
    assert error.value.__suppress_context__


def test_no_log_quotes_the_address(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Webhook(hook.address).send(ALERT)
    assert SECRET not in caplog.text


def test_a_mail_reaches_all_recipients(post_office: tuple[Inbox, int]) -> None:
    inbox, port = post_office
    Mail("smtp", "127.0.0.1", port, "curation@x.example", ("a@x.example", "b@x.example")).send(ALERT)
    ((people, text),) = inbox.mails
    assert people == ["a@x.example", "b@x.example"]
    assert "Subject: [curation] failed: x" in text


def test_a_mail_that_somebody_does_not_get_is_not_delivered(post_office: tuple[Inbox, int]) -> None:
    _, port = post_office
    with pytest.raises(NotDelivered, match="refused 1 of 2"):
        Mail("smtp", "127.0.0.1", port, "c@x.example", ("a@x.example", "b@gone.example")).send(ALERT)
    with pytest.raises(NotDelivered, match="did not take the mail"):
        Mail("smtp", "127.0.0.1", port, "c@x.example", ("b@gone.example",)).send(ALERT)
    with pytest.raises(NotDelivered, match="did not take the mail"):
        Mail("smtp", "127.0.0.1", 1, "c@x.example", ("a@x.example",)).send(ALERT)


def test_a_password_never_goes_to_a_server_without_tls(post_office: tuple[Inbox, int]) -> None:
    """The server of the fixture offers no STARTTLS: nothing is sent, and the password is in no message."""
    inbox, port = post_office
    mail = Mail("smtp+starttls", "127.0.0.1", port, "c@x.example", ("a@x.example",), "curation", SECRET)
    with pytest.raises(NotDelivered) as error:
        mail.send(ALERT)
    assert inbox.mails == []
    assert SECRET not in str(error.value) + repr(mail)


def test_tls_and_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl
    import subprocess

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    inbox, signed = Inbox(), []

    def sign_in(server, session, envelope, mechanism, data) -> AuthResult:  # type: ignore[no-untyped-def]
        assert isinstance(data, LoginPassword)
        signed.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == SECRET.encode())

    controller = Controller(
        inbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        authenticator=sign_in,
        auth_required=True,
    )
    controller.start()
    try:
        port = controller.port
        mail = Mail("smtp+starttls", "127.0.0.1", port, "c@x.example", ("a@x.example",), "curation", SECRET)
        with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
            mail.send(ALERT)  # nobody vouches for the certificate
        assert signed == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        mail.send(ALERT)
        assert signed == [("curation", SECRET)]
        assert len(inbox.mails) == 1
    finally:
        controller.stop()


def test_settings_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://hooks.example.org/services/abc\n")
    (tmp_path / "password").write_text("pw\n")
    channels = Channels.load(
        {
            "CURATION_ALERT_WEBHOOK_FILE": str(tmp_path / "hook"),
            "CURATION_ALERT_MAIL": "a@x.example, b@x.example",
            "CURATION_ALERT_SMTP": "smtp+starttls://me%40x.example@mail.example.org",
            "CURATION_ALERT_SMTP_PASSWORD_FILE": str(tmp_path / "password"),
            "CURATION_UI_URL": "https://curation.example.org/",
        }
    )
    assert list(channels.by_name()) == ["webhook", "mail"]
    assert channels.webhook == Webhook("https://hooks.example.org/services/abc")
    assert channels.mail == Mail(
        "smtp+starttls", "mail.example.org", 587, "a@x.example", ("a@x.example", "b@x.example"), "me@x.example", "pw"
    )  # fmt: skip
    assert channels.ui == "https://curation.example.org"
    assert Channels.load({}).by_name() == {}


MAIL = {"CURATION_ALERT_MAIL": "a@x.example"}


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"CURATION_ALERT_WEBHOOK": f"http://hooks.example.org/{SECRET}"}, "no https://"),
        ({"CURATION_ALERT_WEBHOOK": SECRET}, "no https://"),
        ({"CURATION_ALERT_WEBHOOK_FILE": "/nowhere/at/all"}, "can't be read"),
        ({"CURATION_ALERT_WEBHOOK": "https://a.example", "CURATION_ALERT_WEBHOOK_FILE": "x"}, "both set"),
        (MAIL, "CURATION_ALERT_SMTP is not"),
        (MAIL | {"CURATION_ALERT_SMTP": "mail.example.org"}, "must be smtp://"),
        (MAIL | {"CURATION_ALERT_SMTP": f"smtps://me:{SECRET}@mail.example.org"}, "password belongs in"),
        (MAIL | {"CURATION_ALERT_SMTP": "smtps://me@mail.example.org"}, "PASSWORD is not set"),
        (
            MAIL
            | {"CURATION_ALERT_SMTP": "smtp://me@mail.example.org", "CURATION_ALERT_SMTP_PASSWORD": SECRET},
            "in the clear",
        ),
    ],
)
def test_settings_that_do_not_fit_say_which_variable_and_no_value(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(AlertSettingsError, match=told) as error:
        Channels.load(environment)
    assert SECRET not in str(error.value)


def test_an_alert_survives_the_outbox() -> None:
    assert from_json(json.loads(json.dumps(to_json(ALERT)))) == ALERT
