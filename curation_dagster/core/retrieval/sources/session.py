"""One conversation with sources over HTTP: guarded, paced, redirected by hand, tried again for named reasons only."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urljoin

import certifi
import httpx
import tenacity

from curation_dagster.core.retrieval.errors import (
    SourceGone,
    SourceRefused,
    SourceUnreachable,
    UnexpectedAnswer,
)
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.sources.answers import (
    expect_address,
    no_address,
    retry_after,
    unexpected,
    untrusted,
)
from curation_dagster.core.retrieval.sources.guard import Guard, Paces
from curation_dagster.core.retrieval.sources.policy import Limits, load_hosts, load_limits
from curation_dagster.core.retrieval.sources.secrets import Secrets, machine_of, plain_url

AGENT = "curation-dagster (research and medical-device data curation; retries politely)"
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
_REFUSED = frozenset({401, 403, 407, 451})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
T = TypeVar("T")

# httpx tells every address at level INFO, with all that signs it
logging.getLogger("httpx").setLevel(logging.WARNING)


class Passing(Exception):
    """A fault that may pass: a cut connection, a busy server.

    Parameters
    ----------
    why : str
        For the message, without any credential.
    retry_after : float or None
        Seconds that the server asks to wait.
    progress : bool
        True where bytes arrived before the fault.
    """

    def __init__(self, why: str, retry_after: float | None = None, progress: bool = False) -> None:
        super().__init__(why)
        self.why, self.retry_after, self.progress = why, retry_after, progress


class _Guarded(httpx.BaseTransport):
    """Connects to the address that the guard has looked at, and to no other; certificates are checked by name."""

    def __init__(self, guard: Guard, context: ssl.SSLContext) -> None:
        self._guard, self._context = guard, context
        self._by_host: dict[str, httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        address = self._guard.address_of(host, port)
        # one pool for each name: two names on one address must not share a connection that was proven for one of them
        inner = self._by_host.setdefault(host, httpx.HTTPTransport(verify=self._context, trust_env=False))
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": host},
        )
        return inner.handle_request(pinned)

    def close(self) -> None:
        for transport in self._by_host.values():
            transport.close()


@dataclass
class Session:
    """What all sources share during one retrieval.

    Parameters
    ----------
    secrets : Secrets
        The credentials, by name.
    guard : Guard
        Which machines may be spoken to.
    log : callable
        Takes a sentence; it never holds a file name or a credential.
    """

    secrets: Secrets = field(default_factory=Secrets)
    guard: Guard = field(default_factory=Guard)
    limits: Limits = field(default_factory=load_limits)
    progress: Progress = field(default_factory=lambda: Progress(None))
    log: Callable[[str], None] = lambda text: None
    sleep: Callable[[float], None] = time.sleep
    paces: Paces | None = None

    def __post_init__(self) -> None:
        self.paces = self.paces or Paces(load_hosts(), sleep=self.sleep)
        ca = os.environ.get("SSL_CERT_FILE") or certifi.where()
        context = ssl.create_default_context(cafile=ca)
        self._client = httpx.Client(
            transport=_Guarded(self.guard, context),
            timeout=httpx.Timeout(self.limits.read_seconds, connect=self.limits.connect_seconds),
            headers={"User-Agent": AGENT},
            follow_redirects=False,
            trust_env=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def say(self, text: str) -> None:
        """Log a sentence, without any credential that was asked for."""
        self.log(self.secrets.scrub(text))

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def stream(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None,
        plain_http: bool = False,
        method: str = "GET",
    ) -> Iterator[tuple[httpx.Response, str, bool]]:
        """Open an answer; yields it with the address that gave it, and whether that moved there for good.

        Credentials go to the host that was asked for and to no other that a redirect names.

        Raises
        ------
        Passing
            For faults that may pass.
        SourceRefused, SourceGone, UnexpectedAnswer
            For those that don't.
        """
        first, moved = expect_address(url, plain_http), False
        for _ in range(self.limits.redirects + 1):
            parts = expect_address(url, plain_http)
            assert self.paces is not None
            self.paces.take(parts[1])
            sent = dict(headers or {})
            if parts == first:
                sent |= dict(credentials or {})
            try:
                with self._client.stream(method, url, headers=sent) as response:
                    if response.status_code in _REDIRECTS and "location" in response.headers:
                        moved = moved or response.status_code in (301, 308)
                        url = urljoin(url, response.headers["location"])
                        continue
                    self._expect_served(response, url)
                    yield response, url, moved
                    return
            except ssl.SSLError as error:
                raise untrusted(url, error) from error
            except httpx.InvalidURL:
                raise no_address(url, parts[0]) from None
            except httpx.DecodingError as error:
                raise unexpected(url, "an answer in the encoding that it names", "another one") from error
            except httpx.TransportError as error:
                if "CERTIFICATE" in str(error).upper():
                    raise untrusted(url, error) from error
                # the cause is left out: it may quote a header
                raise Passing(f"{type(error).__name__} ({self.secrets.scrub(str(error))})") from None
        raise UnexpectedAnswer(
            "The source redirects without end.",
            where=plain_url(url),
            expected=f"at most {self.limits.redirects} redirects",
            got="more",
            next="Nothing was fetched. Write the address that it leads to into the descriptor.",
        )

    def retried(self, what: str, work: Callable[[], T]) -> T:
        """Run ``work`` until it returns; faults that may pass are waited for, as long as there is progress now and then.

        Raises
        ------
        SourceUnreachable
            After so many tries in a row without a byte, or where the server asks for a longer wait than is granted.
        """
        barren = 0

        def stop(state: tenacity.RetryCallState) -> bool:
            nonlocal barren
            fault = state.outcome.exception() if state.outcome else None
            assert isinstance(fault, Passing)
            barren = 0 if fault.progress else barren + 1
            too_long = (fault.retry_after or 0) > self.limits.longest_wait_seconds
            return barren >= self.limits.tries_without_progress or too_long

        def wait(state: tenacity.RetryCallState) -> float:
            fault = state.outcome.exception() if state.outcome else None
            assert isinstance(fault, Passing)
            usual = min(
                self.limits.longest_wait_seconds,
                self.limits.first_wait_seconds
                * 2 ** min(16, state.attempt_number - 1)
                * (1 + 0.25 * random.random()),
            )
            seconds = (
                fault.retry_after if fault.retry_after is not None else (0.0 if fault.progress else usual)
            )
            self.say(f"{machine_of(what)}: {fault.why}; next try in {seconds:.0f} s")
            return seconds

        try:
            return tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(Passing),
                stop=stop,
                wait=wait,
                sleep=self.sleep,
                reraise=True,
            )(work)
        except Passing as fault:
            asked = f", and asks to wait for {fault.retry_after:.0f} s" if fault.retry_after else ""
            raise SourceUnreachable(
                "The source does not serve what was asked for now.",
                where=what,
                expected="an answer",
                got=fault.why + asked,
                next="What was fetched so far is kept and gone on with. Materialize `staged` again later.",
            ) from fault

    def json(
        self,
        url: str,
        credentials: Mapping[str, str] | None = None,
        plain_http: bool = False,
        accept: str = "application/json",
        once: bool = False,
    ) -> Any:
        """Return the JSON behind an address, of at most the declared size; ``once``: without further tries."""

        def ask() -> Any:
            with self.stream(url, {"Accept": accept}, credentials, plain_http) as (response, at, _):
                content = bytearray()
                try:
                    for chunk in response.iter_bytes():
                        content += chunk
                        if len(content) > self.limits.answer_bytes:
                            raise unexpected(at, f"at most {self.limits.answer_bytes:,} bytes", "more")
                except httpx.TransportError as error:
                    raise Passing(f"{type(error).__name__} in the middle of an answer") from error
                try:
                    return json.loads(content)
                except ValueError as error:
                    got = content[:60].decode("utf-8", "replace")
                    raise unexpected(at, "JSON", f"{len(content):,} bytes that begin with {got!r}") from error

        if once:
            return ask()
        return self.retried(plain_url(url), ask)

    def head(
        self, url: str, credentials: Mapping[str, str] | None = None, plain_http: bool = False
    ) -> httpx.Headers:
        """Return what a server says of a file without sending it; asked once."""
        with self.stream(url, {"Accept-Encoding": "identity"}, credentials, plain_http, method="HEAD") as (
            r,
            _,
            __,
        ):
            return r.headers

    def _expect_served(self, response: httpx.Response, url: str) -> None:
        code = response.status_code
        if code in (200, 206, 416):
            return
        where, got = plain_url(url), f"status {code}"
        if code in _PASSING:
            raise Passing(got, retry_after(response.headers.get("retry-after")))
        if code in _GONE:
            raise SourceGone(
                "What was asked for is not there any more.",
                where=where,
                expected="a file",
                got=got,
                next="Nothing was fetched. Look for its new place, and correct the descriptor.",
            )
        if code in _REFUSED:
            raise SourceRefused(
                "The source refuses us.",
                where=where,
                expected="leave to read",
                got=got,
                next="Nothing was fetched. Check the credentials that the descriptor names, or the source's terms.",
            )
        raise unexpected(url, "status 200 or 206", got)
