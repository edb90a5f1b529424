from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.retrieval.limits import ContainerLimits
from curation_dagster.core.retrieval.staging import stage

from .builders import KEY, archive_version


@dataclass(frozen=True)
class Place:
    """A landing and a staging folder."""

    landing: Path
    staging: Path
    limits: ContainerLimits

    @property
    def delivery(self) -> Path:
        return self.landing / KEY

    @property
    def staged(self) -> Path:
        return self.staging / KEY

    def deliver(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            path = self.delivery / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.write_bytes(content)

    def stage(self, version: ArchiveVersion | None = None, **limits: object) -> pa.Table:
        return stage(
            version or archive_version(),
            self.landing,
            self.staging,
            limits=replace(self.limits, **limits),  # type: ignore[arg-type]
        )

    def left_behind(self) -> list[str]:
        """What lies in the staging folder besides staged versions and locks."""
        if not self.staging.is_dir():
            return []
        return sorted(
            p.name for p in self.staging.iterdir() if p.name != KEY and not p.name.endswith(".lock")
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "landing", tmp_path / "staging", replace(ContainerLimits.load(), reserve_bytes=0))


@pytest.fixture
def rows() -> Callable[[pa.Table], dict[str, dict]]:
    return lambda table: {r["path"]: r for r in table.to_pylist()}
