"""Who has signed in: random tokens whose digests are kept in memory, and a brake on guessing passwords.

A session ends when its reviewer signs out or loses the account, after some time without a request, at the end of a
working day, and when the server stops. The server knows only digests of the tokens, so nothing that it logs opens a session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_IDLE_SECONDS = 30 * 60
_LONGEST_SECONDS = 12 * 3600
_MOST = 1000
_FREE_TRIES = 5
_LONGEST_WAIT = 300.0


@dataclass
class Session:
    """One browser in which somebody has signed in."""

    reviewer: str
    csrf: str
    account: str | None
    began: float
    seen: float


class Sessions:
    """The sessions of one server process.

    Parameters
    ----------
    account_of : callable, optional
        Returns what is filed for a reviewer now. A session whose reviewer has another account than at its beginning,
        because it was removed or given another password, is over.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        account_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._clock, self._account_of = clock, account_of
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, reviewer: str) -> tuple[str, Session]:
        """Open a session; return its token, which is to be given to nobody but the browser."""
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(reviewer, secrets.token_urlsafe(32), self._account_of(reviewer), now, now)
        self._sessions[_digest(token)] = session
        while len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return token, session

    def of(self, token: str | None) -> Session | None:
        """Return the session of a token, or None if there is none or it has ended."""
        if not token:
            return None
        key, now = _digest(token), self._clock()
        session = self._sessions.get(key)
        if session is None:
            return None
        is_old = now - session.seen > _IDLE_SECONDS or now - session.began > _LONGEST_SECONDS
        if is_old or self._account_of(session.reviewer) != session.account:
            self._sessions.pop(key, None)
            return None
        session.seen = now
        self._sessions.move_to_end(key)
        return session

    def end(self, token: str | None) -> None:
        """End a session."""
        if token:
            self._sessions.pop(_digest(token), None)

    def end_all_of(self, reviewer: str) -> None:
        """End all sessions of a reviewer."""
        self._sessions = OrderedDict((k, s) for k, s in self._sessions.items() if s.reviewer != reviewer)


class Brake:
    """Makes whoever fails to sign in wait, longer each time; by name, and by address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_to_wait(self, *who: str) -> float:
        """Return how long these must wait before they may try again; 0 if they may."""
        now = self._clock()
        waits = [0.0]
        for name in who:
            count, last = self._failures.get(name, (0, now))
            if count >= _FREE_TRIES:
                waits.append(last + min(2.0 ** (count - _FREE_TRIES), _LONGEST_WAIT) - now)
        return max(waits)

    def failed(self, *who: str) -> None:
        """Count a failure."""
        for name in who:
            count, _ = self._failures.pop(name, (0, 0.0))
            self._failures[name] = count + 1, self._clock()
        while len(self._failures) > 10 * _MOST:
            self._failures.popitem(last=False)

    def succeeded(self, *who: str) -> None:
        """Forget the failures."""
        for name in who:
            self._failures.pop(name, None)


def same(a: str, b: str) -> bool:
    """Return whether two secrets are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(a.encode(), b.encode())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
