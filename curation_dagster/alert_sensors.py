"""Failures reach people: one sensor writes the alert, and one keeps on until every channel has taken it.

A blocking check that fails makes its run fail, so both are told by the same alert, which names the checks and what to do.
"""

import os

import dagster as dg

from curation_dagster.alerting import alert_of_run, deliver, post
from curation_dagster.core.alerts import AlertSettingsError, Channels
from curation_dagster.resources import Curation
from curation_dagster.settings import autostart, sensor_seconds

STATUS = dg.DefaultSensorStatus.RUNNING if autostart() else dg.DefaultSensorStatus.STOPPED
_NOWHERE = "nobody is told: set CURATION_ALERT_WEBHOOK or CURATION_ALERT_MAIL (docs/deployment.md)"


@dg.run_failure_sensor(
    default_status=STATUS,
    minimum_interval_seconds=sensor_seconds(),
    description="Tells people of a failed run and of failed blocking checks, through a webhook (CURATION_ALERT_WEBHOOK) or by "
    "mail (CURATION_ALERT_MAIL). An alert names job, archive version, step and check, never a file. Without a channel it does "
    "nothing.",
)
def failures_are_told(context: dg.RunFailureSensorContext, curation: Curation) -> dg.SkipReason:
    """Put the alert about a failed run into the outbox, and try to deliver it at once."""
    channels = _channels()
    if not channels.by_name():
        return dg.SkipReason(_NOWHERE)
    workspace, run = curation.open(), context.dagster_run
    steps = {}
    for event in context.get_step_failure_events():
        error = event.step_failure_data.error
        # Dagster wraps what an asset raised: the cause says more
        cause = error.cause if error is not None and error.cause is not None else error
        steps[event.step_key or "a step"] = cause.cls_name if cause is not None else None
    alert = alert_of_run(
        workspace,
        run.run_id,
        run.job_name,
        run.tags.get("dagster/partition"),
        steps,
        channels.ui,
        again=run.tags.get("dagster/will_retry") == "true",
    )
    post(workspace, run.run_id, alert)
    sent, waiting = deliver(workspace, channels, context.log.warning)
    return dg.SkipReason(f"{sent} alerts delivered, {waiting} wait for another try")


@dg.sensor(
    default_status=STATUS,
    minimum_interval_seconds=60,
    description="Tries again to deliver alerts that a channel has not taken, with growing pauses, for a day.",
)
def undelivered_alerts(context: dg.SensorEvaluationContext, curation: Curation) -> dg.SkipReason:
    """Deliver what is in the outbox and due."""
    channels = _channels()
    if not channels.by_name():
        return dg.SkipReason(_NOWHERE)
    sent, waiting = deliver(curation.open(), channels, context.log.warning)
    return dg.SkipReason(f"{sent} alerts delivered, {waiting} wait for another try")


def _channels() -> Channels:
    try:
        return Channels.load(os.environ)
    except AlertSettingsError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None


ALERT_SENSORS = [failures_are_told, undelivered_alerts]
