from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import Descriptor, Version
from curation_dagster.core.retrieval.progress import Progress
from curation_dagster.core.retrieval.sources.fetching import Retrieved, retrieve
from curation_dagster.core.retrieval.sources.guard import Guard, Paces
from curation_dagster.core.retrieval.sources.policy import HostRule, Hosts, load_limits
from curation_dagster.core.retrieval.sources.secrets import Secrets
from curation_dagster.core.retrieval.sources.session import Session
from curation_dagster_tests.core.retrieval.builders import archive_version
from curation_dagster_tests.servers import http_server, s3_server, sftp_server

__all__ = ["http_server", "s3_server", "sftp_server"]
WHY = "A server on loopback."


@dataclass
class Field:
    """A folder of retrievals, a landing folder, and a session that waits for nothing and remembers what it said."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    progress: list[tuple[int, int, str]] = field(default_factory=list)
    hosts: Hosts = field(default_factory=lambda: Hosts(HostRule("", 1e9, 10**9)))
    private: bool = True
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "retrieval"

    @property
    def landing(self) -> Path:
        return self.root / "landing"

    def session(self) -> Session:
        limits = replace(load_limits(), **{"margin_bytes": 0, "read_seconds": 3, **self.limits})
        return Session(
            secrets=Secrets(self.environment),
            guard=Guard(self.private),
            limits=limits,
            progress=Progress(lambda *told: self.progress.append(told)),
            log=self.said.append,
            sleep=self.waits.append,
            paces=Paces(self.hosts, sleep=self.waits.append),
        )

    def retrieve(self, version: ArchiveVersion) -> Retrieved:
        with self.session() as session:
            return retrieve(version, self.folder, session, self.landing)

    def content(self) -> dict[str, bytes]:
        top = self.folder / "testset@1"
        return {p.relative_to(top).as_posix(): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Field:
    return Field(tmp_path)


@pytest.fixture
def archive() -> Callable[..., ArchiveVersion]:
    """Makes an archive version with a method of retrieval."""

    def make(
        files: dict[str, dict] | None = None, source: str | None = None, **retrieval: Any
    ) -> ArchiveVersion:
        base = archive_version()
        data = base.descriptor.model_dump(mode="json", by_alias=True)
        data["retrieval"] = {"instructions": "Ask the data team.", **retrieval}
        data["versions"] = {"1": Version(files=files or {}, source=source).model_dump(mode="json")}
        data = {k: v for k, v in data.items() if v is not None}
        data["columns"] = {"modality": {"constant": "dermoscopic"}}
        data["layout"]["metadata"] = []
        data["licence"] = {"default": "CC0-1.0", "evidence": "A test."}
        descriptor = Descriptor.model_validate(data)
        return replace(base, descriptor=descriptor, version=descriptor.versions["1"])

    return make
