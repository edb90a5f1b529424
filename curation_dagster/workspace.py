"""One installation, opened: its settings, tables, archives and criteria."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.loading import CriteriaSet, load_criteria
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.loading import ArchiveVersion, Registry, load_registry
from curation_dagster.lake import Lake
from curation_dagster.schemas import TABLES
from curation_dagster.settings import Settings
from curation_dagster.version import code_version, deciding_code


class _Everything(ArchiveVersionKey):
    """Not an archive version, but the place of one in the rows of global stages."""

    def __post_init__(self) -> None:
        """Nothing to validate: ``*`` can't be the name of an archive, and so is never taken for one."""


EVERYTHING = _Everything("*", "*")
"""Stands for all archives in the rows of global stages."""


class StageMissing(RuntimeError):
    """A stage was asked for before the stages that it reads."""


@dataclass(frozen=True)
class Workspace:
    """Settings, tables, archives and criteria of one installation, read when they are first used."""

    settings: Settings

    @cached_property
    def lake(self) -> Lake:
        """The tables."""
        return Lake.open(self.settings.lake)

    @cached_property
    def registry(self) -> Registry:
        """The archives' descriptors, packaged and added."""
        return load_registry(self.settings.archives)

    @cached_property
    def criteria(self) -> CriteriaSet:
        """The criteria in force."""
        return load_criteria(self.settings.criteria)

    def resolve(self, key: str) -> ArchiveVersion:
        """Return the archive version of a partition key; the error says what to do about an unknown one."""
        return self.registry.resolve(key)

    # -- finished stages ------------------------------------------------------------------------

    def stage(self, key: ArchiveVersionKey, stage: str) -> dict[str, Any]:
        """Return the row of a finished stage.

        Raises
        ------
        StageMissing
            If the stage never finished for this archive version.
        """
        rows = self.lake.read(
            "stages", where={"archive": key.archive, "version": key.version, "stage": stage}
        ).to_pylist()
        if not rows:
            raise StageMissing(
                f"{stage} of {key} is not there yet: materialize {stage} for the partition {key} first"
            )
        return rows[0]

    def inputs(self, key: ArchiveVersionKey, *stages: str, **others: str) -> dict[str, str]:
        """Return what a stage is made of: the fingerprints of the stages that it reads, the code, and other digests."""
        return {s: self.stage(key, s)["fingerprint"] for s in stages} | {"code": deciding_code()} | others

    def part(
        self, table: str, key: ArchiveVersionKey, columns: list[str] | None = None, **where: Any
    ) -> pa.Table:
        """Return one archive version's rows of a table."""
        return self.lake.read(
            table, columns=columns, where={"archive": key.archive, "version": key.version, **where}
        )

    def reviews_of(self, key: ArchiveVersionKey) -> pa.Table:
        """Return people's verdicts that hold for an archive version.

        Those on the version itself; and, of images that somebody failed in another version of the archive, all verdicts
        there: the image is the same, and so is what people saw in it.
        """
        rows = self.lake.read("reviews", where={"archive": key.archive})
        own = pc.equal(rows["version"], key.version)
        failed = {
            (r["image_id"], r["criterion"])
            for r in rows.filter(pc.and_(pc.invert(own), pc.equal(rows["outcome"], "fail"))).to_pylist()
        }
        there = [
            pair in failed
            for pair in zip(rows["image_id"].to_pylist(), rows["criterion"].to_pylist(), strict=True)
        ]
        mine = rows.filter(pc.or_(own, pa.array(there, pa.bool_())))
        version = pa.array([key.version] * mine.num_rows, pa.string())
        return mine.set_column(mine.column_names.index("version"), mine.schema.field("version"), version)

    def record_stage(
        self,
        key: ArchiveVersionKey,
        stage: str,
        counts: Mapping[str, int],
        fingerprint: str,
        inputs: Mapping[str, str],
        run_id: str,
    ) -> None:
        """Write the row that marks a stage as finished. To be called last, after the stage's tables are written."""
        row = {
            "archive": key.archive,
            "version": key.version,
            "stage": stage,
            "rows_in": counts["rows_in"],
            "kept": counts["kept"],
            "excluded": counts["excluded"],
            "quarantined": counts["quarantined"],
            "fingerprint": fingerprint,
            "inputs": json.dumps(dict(sorted(inputs.items()))),
            "code_version": code_version(),
            "finished_at": datetime.now(UTC),
            "run_id": run_id,
        }
        self.lake.replace(
            "stages",
            TABLES["stages"].conform([row]),
            {"archive": key.archive, "version": key.version, "stage": stage},
            {"run_id": run_id},
        )


def own_files(workspace: Workspace) -> dict[str, Path]:
    """Return the declared files of the installation itself, by name: added descriptors, and criteria given by path."""
    folders = {f"archives/{p.name}": p for d in workspace.settings.archives for p in sorted(d.glob("*.yaml"))}
    criteria = Path(workspace.settings.criteria)
    if criteria.suffix in (".yaml", ".yml") and criteria.is_file():
        folders[f"criteria/{criteria.name}"] = criteria
    return folders
