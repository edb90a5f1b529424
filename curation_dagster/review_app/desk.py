"""What waits for whom, and what was said: the state behind the page.

Queues and verdicts are those of the tables. A thread looks every few seconds whether a table has a new version, so
verdicts from a worksheet and a new materialization appear without a restart, and no request waits for it. Which image is on whose screen is known to this process
only: it keeps several reviewers of one queue from judging the same picture where one is enough.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from curation_dagster.core.criteria.models import Criterion
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.review.panel import WITHDRAWN, Agreement, Panel, agreement, panels
from curation_dagster.core.review.people import person
from curation_dagster.core.visible import without_hidden
from curation_dagster.review_app.items import Item, Queue, load_queue, waiting_rows
from curation_dagster.review_app.writer import VerdictWriter
from curation_dagster.schemas import REVIEWS
from curation_dagster.trail import HalfRecordedError, add_rows
from curation_dagster.workspace import Workspace

_LOG = logging.getLogger(__name__)
_LOOK_AGAIN_SECONDS = 3.0
_OPEN_AGAIN_LOOKS = 20
_LEASE_SECONDS = 120.0
_LONGEST_COMMENT = 500

QueueName = tuple[ArchiveVersionKey, str]
Judged = tuple[str, str]  # criterion, image_id


class Refused(Exception):
    """A verdict that is not taken; the message says why and what to do."""


@dataclass(frozen=True)
class Progress:
    """How far one queue is, and what of it waits for one reviewer."""

    key: ArchiveVersionKey
    criterion: Criterion
    purpose: str
    images: int
    settled: int
    failed: int
    disputed: int
    mine: int
    waiting: int


class Desk:
    """The queues of an installation."""

    def __init__(
        self, open_workspace: Callable[[], Workspace], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open, self._clock = open_workspace, clock
        self._lock = threading.RLock()
        self._versions: dict[str, int | None] = {}
        self._rows: dict[ArchiveVersionKey, dict[str, list[dict[str, Any]]]] = {}
        self._queues: dict[QueueName, Queue] = {}
        self._said: dict[ArchiveVersionKey, dict[Judged, list[dict[str, Any]]]] = {}
        self._pending: list[dict[str, Any]] = []
        self._leases: dict[tuple[ArchiveVersionKey, str, str], dict[str, float]] = {}
        self.workspace = open_workspace()
        self._writer = VerdictWriter(self._append)
        self._stop = threading.Event()
        self.refresh()
        threading.Thread(target=self._watch, name="tables", daemon=True).start()

    def close(self) -> None:
        """Write what waits."""
        self._stop.set()
        self._writer.close()

    def refresh(self, reopen: bool = False) -> None:
        """Take up what changed in the tables and, if asked to, in the criteria."""
        fresh = self._open() if reopen else self.workspace
        changed = fresh.criteria.digest != self.workspace.criteria.digest
        versions = {t: fresh.lake.version(t) for t in ("review_queue", "decisions", "reviews")}
        new = {t for t, v in versions.items() if v != self._versions.get(t, -1)}
        rows, reviews = None, None
        if changed or new & {"review_queue", "decisions"}:
            finished = fresh.lake.read(
                "stages", columns=["archive", "version"], where={"stage": "review_queue"}
            )
            keys = [ArchiveVersionKey(r["archive"], r["version"]) for r in finished.to_pylist()]
            rows = {key: waiting_rows(fresh, key) for key in keys}
        if "reviews" in new:
            reviews = fresh.lake.read("reviews").to_pylist()
        with self._lock:
            self.workspace, self._versions = fresh, versions
            if rows is not None:
                self._rows = rows
                self._queues.clear()
            if reviews is not None:
                self._said = self._merged(reviews)

    def _watch(self) -> None:
        looks = 0
        while not self._stop.wait(_LOOK_AGAIN_SECONDS):
            looks += 1
            try:
                self.refresh(reopen=looks % _OPEN_AGAIN_LOOKS == 0)
            except Exception:
                _LOG.exception("the tables could not be looked at; trying again in %s s", _LOOK_AGAIN_SECONDS)

    # -- what there is ----------------------------------------------------------------------------

    def progress(self, reviewer: str) -> list[Progress]:
        """Return all queues, by archive version and in the order of the criteria."""
        with self._lock:
            order = {c.id: n for n, c in enumerate(self.workspace.criteria.criteria)}
            return [
                self._progress(key, name, rows, reviewer)
                for key, queues in sorted(self._rows.items())
                for name, rows in sorted(queues.items(), key=lambda q: order[q[0]])
            ]

    def queue(self, key: ArchiveVersionKey, criterion: str) -> Queue:
        """Return one queue; ``KeyError`` if there is none."""
        with self._lock:
            rows = self._rows[key][criterion]
            if (key, criterion) not in self._queues:
                asked = self.workspace.criteria.criterion(criterion)
                self._queues[key, criterion] = load_queue(self.workspace, key, asked, rows)
            return self._queues[key, criterion]

    def progress_of(self, key: ArchiveVersionKey, criterion: str, reviewer: str) -> Progress:
        """Return how far one queue is."""
        with self._lock:
            return self._progress(key, criterion, self._rows[key][criterion], reviewer)

    def agreements(self) -> list[tuple[Criterion, Agreement]]:
        """Return for each criterion how far each two reviewers agree, over all archive versions."""
        with self._lock:
            found: dict[str, list[Panel]] = {}
            for said in self._said.values():
                for (criterion, _), rows in said.items():
                    found.setdefault(criterion, []).extend(panels(rows, self._needed()).values())
            return [
                (criterion, pair)
                for criterion in self.workspace.criteria.criteria
                for pair in agreement(found.get(criterion.id, ()))
            ]

    # -- what is next -----------------------------------------------------------------------------

    def next_items(
        self, key: ArchiveVersionKey, criterion: str, reviewer: str, most: int, holding: Collection[str] = ()
    ) -> list[Item]:
        """Return the next images for a reviewer, and keep them for two minutes.

        Parameters
        ----------
        holding : collection of str
            image_ids that the page has already; they are kept for another two minutes, and not returned again.
        """
        queue, now = self.queue(key, criterion), self._clock()
        needed = queue.criterion.reviewers
        with self._lock:
            for image_id in holding:
                if image_id in queue.by_id:
                    self._lease(key, criterion, image_id)[reviewer] = now + _LEASE_SECONDS
            found: list[Item] = []
            for item in queue.items:
                panel = self._panel(key, criterion, item.image_id)
                if len(found) == most:
                    break
                if item.image_id in holding or not panel.waits_for(reviewer):
                    continue
                leased = {w: t for w, t in self._lease(key, criterion, item.image_id).items() if t > now}
                open_seats = 1 if panel.disputed else needed - len(panel.verdicts)
                if len(leased.keys() - {reviewer}) < open_seats:
                    leased[reviewer] = now + _LEASE_SECONDS
                    found.append(item)
                self._leases[key, criterion, item.image_id] = leased
            return found

    # -- what is said -----------------------------------------------------------------------------

    def judge(
        self,
        key: ArchiveVersionKey,
        criterion: str,
        image_id: str,
        reviewer: str,
        outcome: str,
        comment: str | None,
        digest: str,
    ) -> None:
        """Take a verdict; it is in the table when this returns.

        Parameters
        ----------
        outcome : {"pass", "fail", "withdrawn"}
            ``withdrawn`` takes back what this reviewer said.
        digest : str
            SHA-256 of the criteria file that the page showed.

        Raises
        ------
        Refused
            If the verdict is not this reviewer's to give, or was given by other criteria.
        curation_dagster.trail.HalfRecordedError
            If the verdict is in the table and counts, but the audit trail could not be written.
        """
        comment = " ".join(without_hidden(comment or "").split()) or None
        queue = self.queue(key, criterion)
        if digest != self.workspace.criteria.digest:
            raise Refused("The criteria were changed since the page was opened. Load it again.")
        if image_id not in queue.by_id:
            raise Refused("This image is not in the queue any more. Load the page again.")
        if outcome == "fail" and not comment:
            raise Refused("A fail needs a reason: the ledger must say why.")
        if comment and len(comment) > _LONGEST_COMMENT:
            raise Refused(f"The comment is longer than {_LONGEST_COMMENT} characters.")
        with self._lock:
            panel = self._panel(key, criterion, image_id)
            is_mine = any(person(v.reviewer) == person(reviewer) for v in panel.verdicts)
            if outcome == WITHDRAWN and not is_mine:
                raise Refused("There is no verdict of yours to take back.")
            if outcome != WITHDRAWN and not is_mine and panel.settled:
                raise Refused("Others have settled this image in the meantime. Go on to the next one.")
            row = {
                "review_id": str(uuid.uuid4()),
                "archive": key.archive,
                "version": key.version,
                "image_id": image_id,
                "criterion": criterion,
                "outcome": outcome,
                "reviewer": reviewer,
                "comment": comment,
                "criteria_version": self.workspace.criteria.version,
                "criteria_digest": self.workspace.criteria.digest,
                "reviewed_at": datetime.now(UTC),
            }
            judged = (criterion, image_id)
            committed = self._writer.submit(row)
            self._said.setdefault(key, {}).setdefault(judged, []).append(row)
            self._pending.append(row)
        try:
            committed.result()
        except HalfRecordedError:
            raise  # it is in the table, so it stays among what was said
        except BaseException:
            with self._lock:
                self._pending = [r for r in self._pending if r is not row]
                self._said[key][judged] = [r for r in self._said[key].get(judged, []) if r is not row]
            raise
        finally:
            with self._lock:
                self._lease(key, criterion, image_id).pop(reviewer, None)

    # -- inside -----------------------------------------------------------------------------------

    def _append(self, rows: list[dict[str, Any]]) -> None:
        add_rows(self.workspace, "reviews", REVIEWS.conform(rows))

    def _merged(self, reviews: list[dict[str, Any]]) -> dict[ArchiveVersionKey, dict[Judged, list[dict[str, Any]]]]:  # fmt: skip
        """Return the verdicts of the table, with those of this process that were not seen in it yet.

        A verdict that was written after the table was read is not among its rows, and no longer being written.
        """
        found: dict[ArchiveVersionKey, dict[Judged, list[dict[str, Any]]]] = {}
        known = {r["review_id"] for r in reviews}
        self._pending = [r for r in self._pending if r["review_id"] not in known]
        for row in [*reviews, *self._pending]:
            key = ArchiveVersionKey(row["archive"], row["version"])
            found.setdefault(key, {}).setdefault((row["criterion"], row["image_id"]), []).append(row)
        return found

    def _panel(self, key: ArchiveVersionKey, criterion: str, image_id: str) -> Panel:
        rows = self._said.get(key, {}).get((criterion, image_id), ())
        empty = Panel((), self._needed().get(criterion, 1))
        return panels(rows, self._needed()).get((criterion, image_id), empty)

    def _needed(self) -> dict[str, int]:
        return self.workspace.criteria.reviewers

    def _lease(self, key: ArchiveVersionKey, criterion: str, image_id: str) -> dict[str, float]:
        return self._leases.setdefault((key, criterion, image_id), {})

    def _progress(
        self, key: ArchiveVersionKey, criterion: str, rows: list[dict[str, Any]], reviewer: str
    ) -> Progress:
        said = [self._panel(key, criterion, r["image_id"]) for r in rows]
        return Progress(
            key,
            self.workspace.criteria.criterion(criterion),
            rows[0]["purpose"],
            len(said),
            sum(p.settled for p in said),
            sum(p.failed for p in said),
            sum(p.disputed for p in said),
            sum(any(person(v.reviewer) == person(reviewer) for v in p.verdicts) for p in said),
            sum(p.waits_for(reviewer) for p in said),
        )
