"""The jobs: curate one archive version; rebuild what lies over all of them; seal a release."""

from __future__ import annotations

import dagster as dg

from curation_dagster.schemas import OVER_ALL, PER_ARCHIVE, RELEASING

_IN_ONE_PROCESS = dg.in_process_executor

curate_archive_version = dg.define_asset_job(
    "curate_archive_version",
    selection=dg.AssetSelection.assets(*PER_ARCHIVE),
    executor_def=_IN_ONE_PROCESS,
    description="One delivery of one archive, from the landing folder to harmonized records, groups and a review queue.",
)

rebuild_corpus = dg.define_asset_job(
    "rebuild_corpus",
    selection=dg.AssetSelection.assets(*OVER_ALL),
    executor_def=_IN_ONE_PROCESS,
    description="Groups across archives, the ledger, the corpus of everything that is admitted, and its splits.",
    tags={"curation/scope": "everything"},
)

make_release = dg.define_asset_job(
    "make_release",
    selection=dg.AssetSelection.assets(*RELEASING),
    executor_def=_IN_ONE_PROCESS,
    description="The next numbered release, from the tables as another person than its author approved them.",
    tags={"curation/scope": "everything"},
)

JOBS = [curate_archive_version, rebuild_corpus, make_release]
