"""Addresses that may be asked, and what is said of answers that are not what was asked for."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from curation_dagster.core.retrieval.errors import SourceRefused, UnexpectedAnswer
from curation_dagster.core.retrieval.sources.secrets import plain_url


def expect_address(url: str, plain_http: bool) -> tuple[str, str, int]:
    """Return scheme, host and port of an address that may be asked.

    Raises
    ------
    SourceRefused
        For other schemes than https, and http without a declared reason.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    allowed = ("https", "http") if plain_http else ("https",)
    if parts.scheme not in allowed or not parts.hostname or parts.username is not None:
        raise no_address(url, parts.scheme, " or ".join(f"{s}://" for s in allowed), bool(parts.hostname))
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)


def no_address(url: str, scheme: str, allowed: str = "an address", host: bool = True) -> SourceRefused:
    """Return the error of an address that is not asked."""
    return SourceRefused(
        "The address is not one that is asked.",
        where=plain_url(url),
        expected=f"{allowed} with a host and without a user in it, in characters that an address may have",
        got=f"{scheme or 'no scheme'}, {'a host' if host else 'no host'}",
        next="Nothing was asked. Where a source has no HTTPS, say so by `retrieval.plain_http_reason`.",
    )


def untrusted(url: str, error: Exception) -> SourceRefused:
    """Return the error of a server without a certificate for its name."""
    return SourceRefused(
        "The server can't prove who it is.",
        where=plain_url(url),
        expected="a certificate that a known authority has signed for its name",
        got=str(error),
        next="Nothing was sent to it. Certificates are always checked; for an authority of your own, name its file in "
        "SSL_CERT_FILE.",
    )


def unexpected(url: str, expected: str, got: str) -> UnexpectedAnswer:
    """Return the error of another answer than was asked for."""
    return UnexpectedAnswer(
        "The source gave another answer than was asked for.",
        where=plain_url(url),
        expected=expected,
        got=got,
        next="Nothing was taken of it. The source may have changed its interface, or shows a login page.",
    )


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which is a number or a date (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
