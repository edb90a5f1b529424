"""Alerts through a webhook or by mail: what they say, and how they leave.

An alert says which run failed, of which archive version, at which step or check, and what to do. It leaves the house, so
it holds names from this package and keys only: no name of a file, no message of an error (they quote values), no
secret. Errors of delivery don't quote addresses either: the address of a webhook is a password.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

_SECONDS = 10.0
_SMTP = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}


class AlertSettingsError(ValueError):
    """The variables of the alerts don't fit together; the message names the variable and never its value."""


class NotDelivered(RuntimeError):
    """An alert did not arrive; the message says why, without any address."""


@dataclass(frozen=True)
class Alert:
    """What people are told.

    Parameters
    ----------
    subject : str
        One line.
    lines : tuple of str
        What happened and what to do, a sentence each.
    facts : mapping of str to str
        For machines: job, archive_version, run_id and so on.
    """

    subject: str
    lines: tuple[str, ...]
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Everything as plain text."""
        return "\n".join((self.subject, "", *self.lines))


@dataclass(frozen=True)
class Webhook:
    """Posts JSON with ``text`` (as Slack, Mattermost and others read it), ``subject`` and the facts."""

    address: str = field(repr=False)

    def send(self, alert: Alert) -> None:
        """Post an alert.

        Raises
        ------
        NotDelivered
            If the server can't be reached, or answers anything but success. Redirects are not followed.
        """
        said = {"text": alert.text, "subject": alert.subject, **alert.facts}
        requests = logging.getLogger("httpx")
        requests.addFilter(_nothing)  # it logs addresses
        try:
            answer = httpx.post(self.address, json=said, timeout=_SECONDS)
        except httpx.HTTPError as error:
            raise NotDelivered(f"the webhook could not be reached ({type(error).__name__})") from None
        finally:
            requests.removeFilter(_nothing)
        if not answer.is_success:
            raise NotDelivered(f"the webhook answered {answer.status_code}")


@dataclass(frozen=True)
class Mail:
    """Sends a mail to all recipients."""

    scheme: str
    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def send(self, alert: Alert) -> None:
        """Send an alert.

        Raises
        ------
        NotDelivered
            If the server can't be reached, has no valid certificate where TLS is asked for, or takes the mail for nobody.
        """
        message = EmailMessage()
        message["Subject"] = alert.subject
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message.set_content(alert.text + "\n")
        trusted = ssl.create_default_context()
        try:
            if self.scheme == "smtps":
                server: smtplib.SMTP = smtplib.SMTP_SSL(
                    self.host, self.port, timeout=_SECONDS, context=trusted
                )
            else:
                server = smtplib.SMTP(self.host, self.port, timeout=_SECONDS)
            with server:
                if self.scheme == "smtp+starttls":
                    server.starttls(context=trusted)
                if self.user and self.password:
                    server.login(self.user, self.password)
                refused = server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(f"the mail server did not take the mail ({type(error).__name__})") from None
        if refused:
            raise NotDelivered(f"the mail server refused {len(refused)} of {len(self.recipients)} recipients")


@dataclass(frozen=True)
class Channels:
    """Where alerts go, and where the Dagster UI is for links."""

    webhook: Webhook | None = None
    mail: Mail | None = None
    ui: str | None = None

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Channels:
        """Read the environment; a variable with ``_FILE`` behind its name names a file that holds the value.

        Raises
        ------
        AlertSettingsError
            If an address is missing, malformed, or would send a password or the alert in the clear.
        """
        webhook = _value(environment, "CURATION_ALERT_WEBHOOK")
        recipients = _value(environment, "CURATION_ALERT_MAIL")
        ui = environment.get("CURATION_UI_URL")
        return cls(
            _webhook(webhook) if webhook else None,
            _mail(environment, recipients) if recipients else None,
            ui.rstrip("/") if ui else None,
        )

    def by_name(self) -> dict[str, Webhook | Mail]:
        """Return the channels that there are."""
        return {n: c for n, c in (("webhook", self.webhook), ("mail", self.mail)) if c is not None}


def to_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as plain values."""
    return {"subject": alert.subject, "lines": list(alert.lines), "facts": dict(alert.facts)}


def from_json(said: Mapping[str, Any]) -> Alert:
    """Return the alert of :func:`to_json`."""
    return Alert(said["subject"], tuple(said["lines"]), dict(said["facts"]))


def _nothing(_: logging.LogRecord) -> bool:
    return False


def _value(environment: Mapping[str, str], name: str) -> str | None:
    path = environment.get(f"{name}_FILE")
    if path and environment.get(name):
        raise AlertSettingsError(f"{name} and {name}_FILE are both set; expected one of them")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise AlertSettingsError(
                f"{name}_FILE names a file that can't be read: {error.strerror}"
            ) from None
    return environment.get(name)


def _webhook(address: str) -> Webhook:
    parts = urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return Webhook(address)
    if parts.scheme == "http" and parts.hostname and _is_loopback(parts.hostname):
        return Webhook(address)
    raise AlertSettingsError(
        "CURATION_ALERT_WEBHOOK is no https:// address (http:// is taken on loopback only): the address of a webhook is a "
        "password, and is not sent in the clear"
    )


def _mail(environment: Mapping[str, str], recipients: str) -> Mail:
    server = environment.get("CURATION_ALERT_SMTP")
    if not server:
        raise AlertSettingsError(
            "CURATION_ALERT_MAIL is set and CURATION_ALERT_SMTP is not; expected the mail server, such as "
            "smtp+starttls://user@mail.example.org:587"
        )
    parts = urlsplit(server)
    if parts.scheme not in _SMTP or not parts.hostname or parts.password:
        raise AlertSettingsError(
            f"CURATION_ALERT_SMTP must be {', '.join(f'{s}://' for s in _SMTP)} and a host, with a user before an @ where one "
            "signs in; the password belongs in CURATION_ALERT_SMTP_PASSWORD or CURATION_ALERT_SMTP_PASSWORD_FILE"
        )
    password = _value(environment, "CURATION_ALERT_SMTP_PASSWORD")
    user = unquote(parts.username) if parts.username else None
    if user and not password:
        raise AlertSettingsError(
            "CURATION_ALERT_SMTP names a user and CURATION_ALERT_SMTP_PASSWORD is not set"
        )
    if user and parts.scheme == "smtp":
        raise AlertSettingsError(
            "CURATION_ALERT_SMTP would send a password in the clear; use smtps:// or smtp+starttls://"
        )
    people = tuple(p.strip() for p in recipients.split(",") if p.strip())
    return Mail(
        parts.scheme,
        parts.hostname,
        parts.port or _SMTP[parts.scheme],
        environment.get("CURATION_ALERT_FROM") or people[0],
        people,
        user,
        password,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
