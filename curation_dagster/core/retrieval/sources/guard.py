"""Which machines are spoken to: public ones only, and each at the pace that it is due.

An address in a descriptor, a list or a redirect is somebody else's text. A name is resolved once, all that it resolves
to is looked at, and the connection goes to just that address, so that a second answer of the name server changes
nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from curation_dagster.core.retrieval.errors import SourceRefused, SourceUnreachable
from curation_dagster.core.retrieval.sources.policy import HostRule, Hosts


@dataclass(frozen=True)
class Guard:
    """Resolves names, and refuses addresses that are not public.

    Parameters
    ----------
    private : bool
        True where loopback and private addresses are wanted: the setting ``CURATION_PRIVATE_SOURCES``.
    """

    private: bool = False

    def address_of(self, host: str, port: int) -> str:
        """Return the address to connect to.

        Raises
        ------
        SourceRefused
            If any address of the name is not public.
        SourceUnreachable
            If the name resolves to nothing.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise SourceUnreachable(
                f"The name {host} can't be resolved.",
                where=host,
                expected="a name with an address",
                got=str(error),
                next="Nothing was fetched from there. Check the name and this machine's network.",
            ) from error
        addresses = [str(entry[4][0]).split("%")[0] for entry in found]
        refused = [] if self.private else [a for a in addresses if not _is_public(a)]
        if refused:
            raise SourceRefused(
                f"{host} is not a public address.",
                where=host,
                expected="a machine on the public internet",
                got=", ".join(sorted(set(refused))),
                next="Nothing was asked of it. If the source really is inside your own network, set "
                "CURATION_PRIVATE_SOURCES=1 for the process that runs the pipeline.",
            )
        return addresses[0]


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_global and not found.is_multicast


class Paces:
    """A bucket of tokens for each host: a request takes one, and waits until there is one."""

    def __init__(
        self,
        hosts: Hosts,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._hosts, self._clock, self._sleep = hosts, clock, sleep
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def rule_of(self, host: str) -> HostRule:
        """Return the declared rule of a host."""
        return self._hosts.rule_of(host)

    def take(self, host: str) -> None:
        """Wait until the host may be asked again.

        Raises
        ------
        SourceRefused
            If the host is declared as one whose terms refuse.
        """
        rule = self._hosts.rule_of(host)
        if rule.refused:
            raise SourceRefused(
                f"{host} is not asked: {rule.reason}",
                where=host,
                expected="a host whose terms permit it",
                got="refused in vocabularies/hosts.yaml",
                next="Nothing was asked of it. If a licence was bought, deliver the files into the landing folder.",
            )
        with self._lock:
            now = self._clock()
            tokens, at = self._buckets.get(host, (float(rule.burst), now))
            tokens = min(float(rule.burst), tokens + (now - at) * rule.requests_per_second)
            self._buckets[host] = (tokens - 1.0, now)
            wait = max(0.0, (1.0 - tokens) / rule.requests_per_second)
        if wait:
            self._sleep(wait)
