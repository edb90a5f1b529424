"""The jobs: curate one archive version; rebuild what lies over all; ask the sources; empty staging; seal a release."""

from typing import Any

import dagster as dg

from curation_dagster import watching
from curation_dagster.resources import Curation
from curation_dagster.retention import empty_staging
from curation_dagster.schemas import OVER_ALL, PER_ARCHIVE, RELEASING

_IN_ONE_PROCESS = dg.in_process_executor

curate_archive_version = dg.define_asset_job(
    "curate_archive_version",
    selection=dg.AssetSelection.assets(*PER_ARCHIVE),
    executor_def=_IN_ONE_PROCESS,
    description="Curate one archive version: from its delivery to harmonized records, groups of duplicates and a review queue. "
    "Launch it with the partition `<archive>@<version>`; `curation-dagster add` or the sensor `new_deliveries` makes it known. "
    "Protocol S.2 to S.6.",
)

rebuild_corpus = dg.define_asset_job(
    "rebuild_corpus",
    selection=dg.AssetSelection.assets(*OVER_ALL),
    executor_def=_IN_ONE_PROCESS,
    description="Rebuild the corpus: groups across archives, the ledger, the corpus of everything that is admitted, and its splits. "
    "Launch it after verdicts, approvals or withdrawals; the sensors do so by themselves. Protocol E.9, S.7 and S.8.",
    tags={"curation/scope": "everything"},
)

make_release = dg.define_asset_job(
    "make_release",
    selection=dg.AssetSelection.assets(*RELEASING),
    executor_def=_IN_ONE_PROCESS,
    description="Seal the next release: images, tables, documents and checksums, of just the state that another person than its "
    "author approved with `curation-dagster approve release`. Protocol S.9 and S.10.",
    tags={"curation/scope": "everything"},
)


@dg.op(
    description="Asks the source of every archive about all of its versions, and writes down what it says."
)
def look_at_all_sources(context: dg.OpExecutionContext, curation: Curation) -> None:
    """Ask all sources; new versions get their runs from the sensor `new_versions_of_sources`."""
    workspace = curation.open()
    asked = watching.look_at_sources(workspace, watching.sources(workspace), context.log.warning)
    waiting, changed = watching.waiting_versions(curation.open()), watching.incidents(workspace)
    context.log.info(f"{len(asked)} sources asked; {len(waiting)} new versions, {len(changed)} incidents")


@dg.op(description="Removes from staging what the declared rule of retention no longer keeps.")
def empty_old_staging(context: dg.OpExecutionContext, curation: Curation) -> None:
    """Empty staging by rule, and write down what was removed."""
    for row in empty_staging(curation.open()):
        context.log.info(
            f"{row['folder']}: {row['files']} files, {row['bytes']:,} bytes removed; {row['detail']}"
        )


@dg.job(executor_def=_IN_ONE_PROCESS)
def recheck_sources() -> None:
    """Ask all sources about all versions: new ones, and changed bytes under old ones. Protocol S.2."""
    look_at_all_sources()


@dg.job(executor_def=_IN_ONE_PROCESS)
def apply_retention() -> None:
    """Empty staging by the rule in `vocabularies/retrieval.yaml`, and write down what was removed."""
    empty_old_staging()


JOBS: list[Any] = [curate_archive_version, rebuild_corpus, make_release, recheck_sources, apply_retention]
