"""The audit trail of one installation: what people do goes into it in the same call that does it.

Every verdict, approval, release and withdrawal is recorded through this module. Its table and the subject's own table
are two, so :func:`unrecorded` compares them, and no release is made while they differ.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.review.audit import (
    START,
    Action,
    Entry,
    Head,
    as_text,
    broken_links,
    chained,
    head_of,
)
from curation_dagster.workspace import Workspace

HEAD_FILE = "audit-head.json"
# how far the clock of this machine may be behind what is recorded already: two machines are never quite equal
_BEHIND = timedelta(minutes=5)
_TIMES = {"reviews": "reviewed_at", "approvals": "approved_at", "withdrawals": "withdrawn_at"}
# tables whose rows each have an entry: the key, and the columns that say who and why
_RECORDED: dict[str, tuple[Action, str, str, str]] = {
    "reviews": ("verdict", "review_id", "reviewer", "comment"),
    "approvals": ("approval", "approval_id", "approver", "comment"),
    "withdrawals": ("withdrawal", "withdrawal_id", "who", "why"),
}


class ClockError(RuntimeError):
    """The clock is far behind what was recorded before, so that the newest would not be the last."""


def record(workspace: Workspace, entries: Sequence[Entry]) -> Head:
    """Add entries to the audit trail; return its new head. Two processes may do so at the same time."""
    if entries:

        def follow(last: pa.Table) -> pa.Table:
            return chained(entries, head_of(last))

        workspace.lake.append_after_last("audit", "seq", follow)
    head = current_head(workspace)
    _note_head(workspace.settings.home / HEAD_FILE, head)
    return head


def add_rows(workspace: Workspace, table: str, rows: pa.Table, old: Sequence[Any] | None = None) -> Head:
    """Add rows to ``reviews``, ``approvals`` or ``withdrawals``, with an entry of the audit trail for each.

    Parameters
    ----------
    old : sequence, optional
        The value before, for each row; for verdicts it is looked up.

    Raises
    ------
    ClockError
        If the clock was set back, so that what is said now would count as said before. Nothing is added.
    """
    rows = _in_order(workspace, table, rows)
    said = rows.to_pylist()
    before = list(old) if old is not None else _before(workspace, table, said)
    entries = [_entry(table, row, value) for row, value in zip(said, before, strict=True)]
    # the table first: an entry without its row would claim what did not happen, a row without its entry blocks releases
    workspace.lake.append(table, rows)
    return record(workspace, entries)


def _in_order(workspace: Workspace, table: str, rows: pa.Table) -> pa.Table:
    """Return the rows with times behind all that are recorded: of two decisions the later one holds."""
    name = _TIMES[table]
    newest: datetime | None = pc.max(workspace.lake.read(table, columns=[name])[name]).as_py()
    times: list[datetime] = rows[name].to_pylist()
    if newest is None or not times or min(times) > newest:
        return rows
    if newest - min(times) > _BEHIND:
        raise ClockError(
            f"{table}: the newest row is of {newest:%Y-%m-%d %H:%M:%S} UTC, and this machine's clock says "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC. The later of two decisions holds, so nothing was recorded. Set the "
            "clock, and say it again."
        )
    moved = [newest + timedelta(microseconds=n + 1) for n, _ in enumerate(times)]
    return rows.set_column(
        rows.schema.get_field_index(name),
        rows.schema.field(name),
        pa.array(moved, rows.schema.field(name).type),
    )


def current_head(workspace: Workspace) -> Head:
    """Return the head of the trail as it is."""
    return head_of(workspace.lake.read("audit", columns=["seq", "entry_hash"]))


def problems(workspace: Workspace, heads: Iterable[Head] = ()) -> list[str]:
    """Return what is wrong with the trail: broken links, a lost end, rows that it does not know or knows otherwise."""
    recorded = [*heads, *_recorded_heads(workspace)]
    return broken_links(workspace.lake.read("audit"), recorded) + unrecorded(workspace)


def unrecorded(workspace: Workspace) -> list[str]:
    """Return which rows of people's tables the trail does not know, or knows otherwise, a sentence each."""
    found = []
    audit = workspace.lake.read("audit", columns=["action", "new_value"]).to_pylist()
    for table, (action, key, _, _) in _RECORDED.items():
        known: dict[str, str] = {}
        for entry in audit:
            if entry["action"] == action:
                said = json.loads(entry["new_value"] or "{}")
                known[str(said.get(key))] = entry["new_value"] or ""
        rows = {r[key]: as_text(r) for r in workspace.lake.read(table).to_pylist()}
        strange = sorted(k for k in rows if k not in known)
        changed = sorted(k for k in rows if k in known and rows[k] != known[k])
        gone = sorted(k for k in known if k not in rows)
        for ids, what in (
            (strange, "rows that the audit trail does not know"),
            (changed, "rows that differ from the audit trail"),
            (gone, "rows fewer than the audit trail knows"),
        ):
            if ids:
                found.append(f"{table} holds {len(ids)} {what}, such as {ids[0]}")
    return found


def _entry(table: str, row: dict[str, Any], old: Any) -> Entry:
    action, _, who, why = _RECORDED[table]
    kind, subject, with_whom = {
        "reviews": lambda: (row["criterion"], row["image_id"], None),
        "approvals": lambda: (row["subject_kind"], row["subject"], row["author"]),
        "withdrawals": lambda: (row["kind"], row["subject"], None),
    }[table]()
    return Entry(row[who], action, kind, subject, row[why], old, row, with_whom)


def _before(workspace: Workspace, table: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Return what held before each row: the outcome in the ledger for a verdict, the last decision for an approval."""
    if table == "reviews":
        wanted = pa.table({n: [r[n] for r in rows] for n in ("archive", "version", "image_id", "criterion")})
        with workspace.lake.sql("decisions", wanted=wanted) as sql:
            known = {
                row[:4]: {"outcome": row[4], "decided_by": row[5]}
                for row in sql.execute(
                    "SELECT archive, version, image_id, criterion, outcome, decided_by FROM decisions "
                    "JOIN wanted USING (archive, version, image_id, criterion)"
                ).fetchall()
            }
        return [known.get((r["archive"], r["version"], r["image_id"], r["criterion"])) for r in rows]
    if table == "approvals":
        before = sorted(workspace.lake.read("approvals").to_pylist(), key=lambda r: r["approved_at"])
        last = {
            (r["subject_kind"], r["subject"]): {
                n: r[n] for n in ("digest", "decision", "author", "approver", "approved_at")
            }
            for r in before
        }
        return [last.get((r["subject_kind"], r["subject"])) for r in rows]
    return [None] * len(rows)


def _recorded_heads(workspace: Workspace) -> list[Head]:
    path = workspace.settings.home / HEAD_FILE
    found = [
        Head(r["audit_seq"], r["audit_head"], f"release {r['release']}")
        for r in workspace.lake.read("releases", columns=["release", "audit_seq", "audit_head"]).to_pylist()
    ]
    if path.exists():
        said = json.loads(path.read_text(encoding="utf-8"))
        found.append(Head(said["seq"], said["entry_hash"], path.name))
    return found


def _note_head(path: Path, head: Head) -> None:
    """Write the head into its file, unless that holds a later one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        known = json.loads(path.read_text(encoding="utf-8"))["seq"] if path.exists() else -1
        if head.seq > known and head.entry_hash != START:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(
                json.dumps({"seq": head.seq, "entry_hash": head.entry_hash}), encoding="utf-8"
            )
            temporary.replace(path)
