"""The whole graph at a glance. This module loads; it does not compute.

    staged ─ records ─┬─ measurements ─┬─ quality ──────┐
                      │                ├─ deidentified ─┤
                      └─ harmonized ───┴────────────────┴─ duplicates_within ─ review_queue     per archive version
                                                                                   │
                                                          duplicates ─ decisions ─ corpus ─ splits ─ release

Each asset has its facts as blocking checks, and its criteria as checks that show what they exclude.
"""

from __future__ import annotations

import warnings

import dagster as dg

# partitioned checks are a preview API of the pinned release; a test keeps watch over them
for _kind in (dg.BetaWarning, dg.PreviewWarning):
    warnings.filterwarnings("ignore", category=_kind)

from curation_dagster.assets import (  # noqa: E402
    corpus,
    deduplication,
    deidentification,
    harmonization,
    intake,
    quality,
    release,
    review,
)
from curation_dagster.checks.wiring import checks_of  # noqa: E402
from curation_dagster.core.criteria.loading import load_criteria  # noqa: E402
from curation_dagster.jobs import JOBS  # noqa: E402
from curation_dagster.resources import Curation  # noqa: E402
from curation_dagster.schedules import SCHEDULES  # noqa: E402
from curation_dagster.schemas import OVER_ALL, PER_ARCHIVE, RELEASING  # noqa: E402
from curation_dagster.sensors import SENSORS  # noqa: E402
from curation_dagster.settings import Settings  # noqa: E402

_criteria = load_criteria(Settings.load().criteria)

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [intake, quality, deidentification, harmonization, deduplication, review, corpus, release]
    ),
    asset_checks=[
        *(checks_of(stage, _criteria, partitioned=True) for stage in PER_ARCHIVE),
        *(checks_of(stage, _criteria, partitioned=False) for stage in OVER_ALL + RELEASING),
    ],
    jobs=JOBS,
    sensors=SENSORS,
    schedules=SCHEDULES,
    resources={"curation": Curation(home=None, criteria=None)},
    executor=dg.in_process_executor,
)
