"""The declared rules of retrieval: ``vocabularies/retrieval.yaml`` and ``vocabularies/hosts.yaml``."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml


@dataclass(frozen=True)
class Limits:
    """Time-outs, tries and sizes; what each is for stands beside its value in the data file."""

    connect_seconds: float
    read_seconds: float
    probe_seconds: float
    probe_budget_seconds: float
    tries_without_progress: int
    first_wait_seconds: float
    longest_wait_seconds: float
    redirects: int
    answer_bytes: int
    listed_files: int
    file_bytes: int
    list_entry_bytes: int
    margin_bytes: int


@dataclass(frozen=True)
class Retention:
    """How many days staged files are kept, by what became of them."""

    superseded_days: float
    curated_days: float
    quarantine_days: float
    unfinished_days: float


@dataclass(frozen=True)
class HostRule:
    """How fast a host is asked, or why it is not."""

    host: str
    requests_per_second: float
    burst: int
    refused: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Hosts:
    """The rule of every host: its own, that of the nearest name above it, or the default."""

    default: HostRule
    rules: tuple[HostRule, ...] = ()

    def rule_of(self, host: str) -> HostRule:
        """Return the rule of a host.

        >>> load_hosts().rule_of("www.dermis.net").refused
        True
        """
        name = host.lower().rstrip(".")
        matching = [r for r in self.rules if name == r.host or name.endswith("." + r.host)]
        return max(matching, key=lambda r: len(r.host), default=self.default)


@functools.cache
def load_limits() -> Limits:
    """Return the declared limits."""
    return Limits(**{n: d["value"] for n, d in _declared("retrieval.yaml")["limits"].items()})


@functools.cache
def load_retention() -> Retention:
    """Return the declared rule of retention."""
    return Retention(**{n: d["value"] for n, d in _declared("retrieval.yaml")["retention"].items()})


@functools.cache
def load_hosts() -> Hosts:
    """Return the declared rules of hosts."""
    declared = _declared("hosts.yaml")
    usual = declared["default"]
    default = HostRule("", usual["requests_per_second"], usual["burst"])
    rules = [
        HostRule(
            d["host"],
            d.get("requests_per_second", default.requests_per_second),
            d.get("burst", default.burst),
            d.get("refused", False),
            d["reason"],
        )
        for d in declared["hosts"]
    ]
    return Hosts(default, tuple(rules))


def _declared(name: str) -> dict[str, Any]:
    text = resources.files("curation_dagster").joinpath("vocabularies", name).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
