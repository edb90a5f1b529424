"""A failed run reaches people: named by what failed and what to do, sent until every channel has taken it, without a name of a file."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from curation_dagster.alert_sensors import failures_are_told, undelivered_alerts
from curation_dagster.alerting import GIVEN_UP_AFTER, alert_of_run, deliver, post
from curation_dagster.core.alerts import Alert, Channels, Mail, NotDelivered, Webhook
from curation_dagster.resources import Curation
from curation_dagster.samples.write import write_samples
from curation_dagster.schemas import TABLES
from curation_dagster.workspace import Workspace
from curation_dagster_tests.core.test_alerts import Hook
from curation_dagster_tests.core.test_alerts import hook as hook
from curation_dagster_tests.installation import Installation

ALERT = Alert("[curation] failed: x", ("It failed.",), {"job": "x"})
KEY = "pad_ufes_20@synthetic"


class Flaky(Webhook):
    """A channel that is down for a number of tries."""

    down = 0

    def send(self, alert: Alert) -> None:
        """Fail as often as it is told to."""
        if Flaky.down:
            Flaky.down -= 1
            raise NotDelivered("the webhook answered 503")
        SENT.append(alert)


class Steady(Mail):
    """A channel that always works."""

    def send(self, alert: Alert) -> None:
        """Take it."""
        MAILED.append(alert)


SENT: list[Alert] = []
MAILED: list[Alert] = []
CHANNELS = Channels(Flaky("x"), Steady("smtp", "h", 25, "a@x", ("b@x",)))


@pytest.fixture(autouse=True)
def _empty() -> None:
    SENT.clear()
    MAILED.clear()


def test_a_channel_that_is_down_is_tried_again_and_the_other_is_not_told_twice(workspace: Workspace) -> None:
    now, said = [1000.0], []
    clock = lambda: now[0]  # noqa: E731
    Flaky.down = 2
    post(workspace, "run", ALERT, clock)
    post(workspace, "run", ALERT, clock)  # the same run again
    assert deliver(workspace, CHANNELS, said.append, clock) == (0, 1)
    assert deliver(workspace, CHANNELS, said.append, clock) == (0, 1)  # not due
    assert len(said) == 1
    now[0] += 31
    assert deliver(workspace, CHANNELS, said.append, clock) == (0, 1)
    now[0] += 31
    assert deliver(workspace, CHANNELS, said.append, clock) == (0, 1)  # the pause has grown
    now[0] += 30
    assert deliver(workspace, CHANNELS, said.append, clock) == (1, 0)
    assert (len(SENT), len(MAILED)) == (1, 1)
    assert said == ["alert run: the webhook answered 503"] * 2
    assert list((workspace.settings.home / "alerts").glob("*.json")) == []


def test_after_a_day_an_alert_is_set_aside_and_not_posted_again(workspace: Workspace) -> None:
    now, said = [0.0], []
    Flaky.down = 10_000
    post(workspace, "run", ALERT, lambda: now[0])
    while now[0] <= GIVEN_UP_AFTER + 3600:
        deliver(workspace, CHANNELS, said.append, lambda: now[0])
        now[0] += 1800
    assert "given up after a day" in said[-1]
    (aside,) = (workspace.settings.home / "alerts" / "undelivered").iterdir()
    assert aside.stat().st_mode & 0o077 == 0
    post(workspace, "run", ALERT, lambda: now[0])
    assert deliver(workspace, CHANNELS, said.append, lambda: now[0]) == (0, 0)
    Flaky.down = 0


@pytest.mark.parametrize("content", ["", '{"alert": {"subject": "x"}}', "[]"])
def test_a_letter_that_can_t_be_read_keeps_no_other_from_leaving(workspace: Workspace, content: str) -> None:
    said: list[str] = []
    post(workspace, "run", ALERT)
    outbox = workspace.settings.home / "alerts"
    (outbox / "a-run-before.json").write_text(content)
    assert deliver(workspace, CHANNELS, said.append) == (1, 0)
    assert "alert a-run-before: it can't be read" in said[0]
    assert [p.name for p in (outbox / "undelivered").iterdir()] == ["a-run-before.json"]


def check_row(run_id: str, **of: object) -> dict[str, object]:
    return {
        "archive": "pad_ufes_20", "version": "1", "stage": "records", "passed": False, "blocking": True,
        "check_name": "every_verdict_follows_from_its_criteria", "fingerprint": "0" * 64,
        "detail": "PAT_1_2_3.png contradicts Erika Mustermann", "evaluated_at": datetime.now(UTC), "run_id": run_id,
    } | of  # fmt: skip


def test_a_failed_blocking_check_is_named_with_what_to_do(workspace: Workspace) -> None:
    rows = [check_row("r1"), check_row("r1", blocking=False, check_name="no_image_is_too_dark")]
    workspace.lake.replace("check_results", TABLES["check_results"].conform(rows))
    steps = {"records_checks": "DagsterAssetCheckFailedError"}
    alert = alert_of_run(
        workspace, "r1", "curate_archive_version", "pad_ufes_20@1", steps, "https://ui.example"
    )
    assert alert.subject == "[curation] failed: curate_archive_version, pad_ufes_20@1"
    assert "every verdict follows from its criteria” does not hold. The criteria changed" in alert.text
    assert "https://ui.example/runs/r1" in alert.text
    assert "too dark" not in alert.text
    assert "Mustermann" not in alert.text
    assert "PAT_1" not in alert.text
    assert alert.facts["blocking_checks"] == "records.every_verdict_follows_from_its_criteria"


def test_what_somebody_typed_or_raised_never_leaves(workspace: Workspace) -> None:
    alert = alert_of_run(
        workspace,
        "r2",
        "__ASSET_JOB",
        "/data/Erika Mustermann.zip",
        {"staged": "Evil; name"},
        None,
        again=True,
    )
    assert "Mustermann" not in alert.text + json.dumps(dict(alert.facts))
    assert "Evil" not in alert.text
    assert "assets that were launched by hand" in alert.text
    assert "starts it again by itself" in alert.text
    gone = alert_of_run(workspace, "r3", "rebuild_corpus", None, {}, None)
    assert "ended without a word" in gone.text


def test_the_sensor_tells_of_a_run_that_really_failed(
    installation: Installation, hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery with a link that leads out of it fails `staged`; the hook is down at first, and is told by the other sensor."""
    monkeypatch.setenv("CURATION_ALERT_WEBHOOK", hook.address)
    settings = installation.workspace.settings
    write_samples(settings.landing, archives=["pad_ufes_20"], images=4, overlay_dir=settings.archives[0])
    delivery = settings.landing / KEY
    named = sorted(p for p in delivery.rglob("*") if p.is_file())
    (delivery / "Erika Mustermann.png").symlink_to("/etc/hostname")
    assert installation.curate(KEY) == {KEY: False}
    instance = installation.instance
    (run,) = instance.get_runs()
    failure = next(
        e.dagster_event
        for e in reversed(instance.all_logs(run.run_id))
        if e.dagster_event and e.dagster_event.is_failure and not e.dagster_event.step_key
    )
    curation = {"curation": Curation(home=str(installation.home), criteria=None)}
    hook.answers = [503]
    with caplog.at_level(logging.DEBUG):
        with dg.build_run_status_sensor_context(
            "failures_are_told", failure, instance, run, resources=curation
        ).for_run_failure() as context:
            assert "0 alerts delivered, 1 wait" in str(failures_are_told(context).skip_message)
        letter = next((installation.home / "alerts").glob("*.json"))
        held = json.loads(letter.read_text())
        letter.write_text(json.dumps(held | {"next": 0}))
        with dg.build_sensor_context(instance=instance, resources=curation) as again:
            told = undelivered_alerts(again)
    assert "1 alerts delivered, 0 wait" in str(told.skip_message)
    (said,) = hook.said
    assert said["archive_version"] == KEY
    assert said["steps"] == "staged"
    assert "Step staged ended with" in said["text"]
    for name in ("Mustermann", *(p.name for p in named)):
        assert name not in json.dumps(said)
    assert str(Path(hook.address).name) not in caplog.text


def test_without_a_channel_nothing_is_kept(installation: Installation) -> None:
    curation = {"curation": Curation(home=None, criteria=None)}
    with dg.build_sensor_context(instance=installation.instance, resources=curation) as context:
        told = undelivered_alerts(context)
    assert "CURATION_ALERT_WEBHOOK" in str(told.skip_message)
    assert not (installation.home / "alerts").exists()
