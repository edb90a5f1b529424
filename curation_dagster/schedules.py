"""What happens by the calendar: every source asked again each week, and staging emptied each night.

Both are stopped on a fresh instance unless ``CURATION_AUTOSTART=1``.
"""

from __future__ import annotations

import dagster as dg

from curation_dagster.jobs import apply_retention, recheck_sources
from curation_dagster.settings import autostart

STATUS = dg.DefaultScheduleStatus.RUNNING if autostart() else dg.DefaultScheduleStatus.STOPPED

weekly_recheck_of_sources = dg.ScheduleDefinition(
    name="weekly_recheck_of_sources",
    job=recheck_sources,
    cron_schedule="0 4 * * 1",
    default_status=STATUS,
    description="Asks all sources about all versions, Mondays at four: new ones, and changed bytes under old ones.",
)

nightly_retention = dg.ScheduleDefinition(
    name="nightly_retention",
    job=apply_retention,
    cron_schedule="30 3 * * *",
    default_status=STATUS,
    description="Empties staging by the rule in vocabularies/retrieval.yaml, every night.",
)

SCHEDULES = [weekly_recheck_of_sources, nightly_retention]
