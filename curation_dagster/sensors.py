"""What starts runs by itself: deliveries in the landing folder, changed archives, people's verdicts; and what tells of failures.

A sensor has 60 seconds and runs every half minute, so it looks at names, sizes and times only and never at bytes.
All are stopped on a fresh instance unless ``CURATION_AUTOSTART=1``.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import dagster as dg

from curation_dagster import watching
from curation_dagster.alert_sensors import ALERT_SENSORS
from curation_dagster.core.registry.keys import KeyFormatError, parse_key
from curation_dagster.core.registry.loading import RegistryError
from curation_dagster.core.retrieval.sources.policy import load_limits
from curation_dagster.gate import people_said
from curation_dagster.jobs import curate_archive_version, rebuild_corpus
from curation_dagster.partitions import ARCHIVE_VERSIONS
from curation_dagster.resources import Curation
from curation_dagster.schemas import OVER_ALL, PER_ARCHIVE
from curation_dagster.settings import autostart, sensor_seconds
from curation_dagster.workspace import EVERYTHING, Workspace

_MOST_AT_ONCE = 20
STATUS = dg.DefaultSensorStatus.RUNNING if autostart() else dg.DefaultSensorStatus.STOPPED


def look_of(folder: Path) -> str:
    """Return a digest of the names, sizes and times of all files of a delivery."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        digest.update(f"{path.relative_to(folder)}\t{stat.st_size}\t{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def curated_since(workspace: Workspace, folder: Path) -> bool:
    """Return whether a delivery was curated after its files last changed, by whatever way the run was started."""
    done = workspace.part("stages", parse_key(folder.name), ["finished_at"], stage=PER_ARCHIVE[-1])[
        "finished_at"
    ].to_pylist()
    changed = max((max(s.st_mtime, s.st_ctime) for s in (p.lstat() for p in folder.rglob("*"))), default=0.0)
    return bool(done) and done[0].timestamp() > changed


@dg.sensor(
    job=curate_archive_version,
    minimum_interval_seconds=sensor_seconds(),
    default_status=STATUS,
    description="Curates a delivery once it lies still: a folder `<archive>@<version>` in the landing folder whose files are the "
    "same at two looks in a row. Adds its partition and starts one run for each state of its files. A folder whose name no "
    "descriptor knows is left alone and named in the skip reason.",
)
def new_deliveries(
    context: dg.SensorEvaluationContext, curation: Curation
) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each delivery that lies still and was not curated since its files changed."""
    workspace = curation.open()
    seen: dict[str, str] = json.loads(context.cursor or "{}")
    looks: dict[str, str] = {}
    requests: list[dg.RunRequest] = []
    unknown: list[str] = []
    landing = workspace.settings.landing
    folders = (
        sorted(p for p in landing.iterdir() if p.is_dir() and not p.name.startswith("."))
        if landing.is_dir()
        else []
    )
    for folder in folders:
        try:
            workspace.resolve(folder.name)
        except (KeyFormatError, RegistryError) as error:
            unknown.append(f"{folder.name}: {str(error).splitlines()[0]}")
            continue
        looks[folder.name] = look = look_of(folder)
        requested = f"{look} requested"
        if seen.get(folder.name) == requested or (
            folder.name not in seen and curated_since(workspace, folder)
        ):
            looks[folder.name] = requested
        elif seen.get(folder.name) == look and len(requests) < _MOST_AT_ONCE:
            looks[folder.name] = requested
            requests.append(
                dg.RunRequest(
                    run_key=f"{folder.name}#{look}",
                    partition_key=folder.name,
                    tags={"curation/archive": folder.name.split("@")[0]},
                )
            )
    if not requests:
        context.update_cursor(json.dumps(looks))
        return dg.SkipReason("; ".join(unknown) or f"nothing new in {landing}")
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            ARCHIVE_VERSIONS.build_add_request([str(r.partition_key) for r in requests])
        ],
        cursor=json.dumps(looks),
    )


@dg.sensor(
    job=rebuild_corpus,
    minimum_interval_seconds=sensor_seconds(),
    default_status=STATUS,
    description="Rebuilds groups, ledger and corpus when reviewers' verdicts, approvals or withdrawals were added since the last "
    "rebuild. While people are at work verdicts arrive every few seconds: it waits until two looks in a row see the same.",
)
def new_verdicts_of_people(
    context: dg.SensorEvaluationContext, curation: Curation
) -> dg.RunRequest | dg.SkipReason:
    """Request one rebuild for each state of what people said, once they pause."""
    workspace = curation.open()
    if ledger_is_current(workspace):
        return dg.SkipReason("the ledger knows all verdicts, approvals and withdrawals")
    look = json.dumps(people_said(workspace), sort_keys=True)
    if context.cursor != look:
        context.update_cursor(look)
        return dg.SkipReason("something was said just now; waiting until nobody adds anything")
    stages = workspace.part("stages", EVERYTHING, ["finished_at"])["finished_at"].to_pylist()
    said = sorted(people_said(workspace).items())
    # asked for once in each state: where the rebuild fails, a person looks before it is asked for again
    return dg.RunRequest(run_key=f"people {said} since {max(stages, default=None)}")


def ledger_is_current(workspace: Workspace) -> bool:
    """Return whether the groups over all archives were made with the newest of what people said, if they said anything."""
    now = people_said(workspace)
    rows = workspace.part("stages", EVERYTHING, ["inputs"], stage="duplicates").to_pylist()
    said = json.loads(rows[0]["inputs"]) if rows else {}
    complete = workspace.lake.read("stages", columns=["archive"], where={"stage": PER_ARCHIVE[-1]}).num_rows
    nobody_spoke = all(v == "None" for v in now.values())
    return not complete or nobody_spoke or all(said.get(t) == v for t, v in now.items())


@dg.sensor(
    job=curate_archive_version,
    minimum_interval_seconds=3600,
    default_status=STATUS,
    description="Asks the sources of the archives in turn, each hour for a while. A new version gets its partition and one run; "
    "changed bytes under an old version are an incident, shown at `staged`, and nothing of them is ingested.",
)
def new_versions_of_sources(
    context: dg.SensorEvaluationContext, curation: Curation
) -> dg.SensorResult | dg.SkipReason:
    """Ask some of the sources, and request the runs of new versions.

    The cursor says behind which archive the next look goes on, which runs were asked for, and which incidents were told.
    """
    workspace = curation.open()
    cursor: dict[str, Any] = json.loads(context.cursor or "{}")
    known = watching.sources(workspace)
    behind = [a for a in known if a > cursor.get("behind", "")]
    turn = behind + [a for a in known if a not in behind]
    asked = watching.look_at_sources(workspace, turn, context.log.warning, load_limits().probe_budget_seconds)
    if asked:
        cursor["behind"] = asked[-1]
    workspace = curation.open()  # versions may have been declared
    requested = cursor.setdefault("requested", [])
    fresh = [k for k in watching.waiting_versions(workspace) if k not in requested][:_MOST_AT_ONCE]
    told = cursor.setdefault("told", [])
    events = []
    for row in watching.incidents(workspace):
        name = f"{row['archive']}@{row['version']}#{row['seen']}"
        if name not in told:
            told.append(name)
            context.log.error(f"{row['archive']}@{row['version']}: {row['detail']}")
            events.append(
                dg.AssetObservation(
                    "staged",
                    partition=name.split("#")[0],
                    description=row["detail"],
                    metadata={"seen": row["seen"]},
                )
            )
    requested += fresh
    if not fresh and not events:
        context.update_cursor(json.dumps(cursor))
        return dg.SkipReason(f"nothing new at {len(asked)} of {len(known)} sources")
    return dg.SensorResult(
        run_requests=[
            # the key of the run is the version: a tick that dies before its cursor is kept asks for the same run
            dg.RunRequest(run_key=key, partition_key=key, tags={"curation/archive": key.split("@")[0]})
            for key in fresh
        ],
        dynamic_partitions_requests=[ARCHIVE_VERSIONS.build_add_request(fresh)] if fresh else [],
        asset_events=events,
        cursor=json.dumps(cursor),
    )


archives_changed = dg.AutomationConditionSensorDefinition(
    "archives_changed",
    target=dg.AssetSelection.assets(*OVER_ALL),
    default_status=STATUS,
    minimum_interval_seconds=sensor_seconds(),
    run_tags={"curation/scope": "everything"},
    description="Rebuilds groups, ledger and corpus after archive versions were curated, once for all that landed together.",
)

SENSORS = [
    new_deliveries,
    new_versions_of_sources,
    new_verdicts_of_people,
    archives_changed,
    *ALERT_SENSORS,
]
