"""The audit trail of one installation: what people do goes into it in the same call that does it.

Every verdict, approval, release and withdrawal is recorded through this module. Its table and the subject's own table
are two, so :func:`unrecorded` compares them, and no release is made while they differ. A process that was killed between
the two leaves rows without entries: :func:`mend` enters them later, in the name of whoever vouches for them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.alone import alone
from curation_dagster.core.review.audit import (
    START,
    Action,
    AuditError,
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
_RECORDED: dict[str, tuple[Action, str, str, str | None]] = {
    "reviews": ("verdict", "review_id", "reviewer", "comment"),
    "approvals": ("approval", "approval_id", "approver", "comment"),
    "withdrawals": ("withdrawal", "withdrawal_id", "who", "why"),
    "releases": ("release", "release", "approver", None),
}
# columns that an entry leaves out
_LEFT_OUT = {"releases": ("run_id", "table_versions")}


class ClockError(RuntimeError):
    """The clock is far behind what was recorded before, so that the newest would not be the last."""


class HalfRecordedError(RuntimeError):
    """Rows are in their table and count, but their entries could not be added to the trail."""


def record(workspace: Workspace, entries: Sequence[Entry]) -> Head:
    """Add entries to the audit trail; return its new head. Two processes may do so at the same time."""
    if entries:

        def follow(last: pa.Table) -> pa.Table:
            return chained(entries, head_of(last))

        workspace.lake.append_after_last("audit", "seq", follow)
    head = current_head(workspace)
    _note_head(workspace.settings.home / HEAD_FILE, head)
    return head


def add_rows(
    workspace: Workspace,
    table: str,
    rows: pa.Table,
    why: str | None = None,
    note: Mapping[str, str] | None = None,
) -> Head:
    """Add rows to ``reviews``, ``approvals``, ``withdrawals`` or ``releases``, with an entry of the trail for each.

    Parameters
    ----------
    why : str, optional
        Why, for a table that has no column for it.
    note : mapping of str to str, optional
        Note of the table's commit.

    Raises
    ------
    ClockError
        If the clock was set back, so that what is said now would count as said before. Nothing is added.
    HalfRecordedError
        If the rows were added and their entries could not be.
    """
    with alone(_lock(workspace)):
        rows = _in_order(workspace, table, rows)
        said = rows.to_pylist()
        before = _before(workspace, table, said)
        entries = [_entry(table, row, value, why) for row, value in zip(said, before, strict=True)]
        chained(entries, Head(0, START))  # what can be no entry must not become a row
        # the table first: an entry without its row would claim what did not happen, a row without its entry blocks releases
        workspace.lake.append(table, rows, note)
        try:
            return record(workspace, entries)
        except Exception as error:
            if not _lacks_entries(workspace, table, said):
                # only the head beside the tables could not be written; the next entry's will be
                return current_head(workspace)
            raise HalfRecordedError(
                f"{rows.num_rows} rows are in the table {table}, and count, but the audit trail could not be written "
                f"({type(error).__name__}). Don't say it again. No release is made until somebody has run `curation-dagster "
                "audit mend`."
            ) from error


def mend(workspace: Workspace, who: str, why: str) -> list[str]:
    """Enter the rows of people's tables that the trail does not know, as after a process that was killed in between.

    Each entry names who vouches for the row now, says that it was entered later, and has the row's own person beside.
    Rows that differ from the trail, and entries whose rows are gone, are no case for this: they were tampered with.

    Returns
    -------
    list of str
        What was entered, a sentence each.

    Raises
    ------
    AuditError
        If who or why is blank. Nothing is entered.
    """
    if not who.strip() or not why.strip():
        raise AuditError("who vouches for the rows, and why, must not be blank; nothing was entered")
    entries, told = [], []
    with alone(_lock(workspace)):
        for table, (_, _, person, _) in _RECORDED.items():
            rows = _without_entry(workspace, table)
            for row in sorted(rows, key=lambda r: str(r.get(_TIMES.get(table, "release")))):
                entry = _entry(table, row, None, None)
                later = f"entered later, the row was there without its entry: {why.strip()}"
                entries.append(replace(entry, who=who.strip(), why=later, with_whom=row[person]))
                told.append(f"{table}: {_described(table, row)}")
        record(workspace, entries)
    return told


def missing_entries(workspace: Workspace) -> list[str]:
    """Return the rows of people's tables that the trail does not know, a sentence each: what :func:`mend` would enter."""
    return [f"{t}: {_described(t, row)}" for t in _RECORDED for row in _without_entry(workspace, t)]


def expect_clock(workspace: Workspace, table: str, at: datetime) -> None:
    """Make sure that rows of a time could be added to a table, before anything else is done.

    Raises
    ------
    ClockError
        If the clock was set back.
    """
    newest: datetime | None = pc.max(
        workspace.lake.read(table, columns=[_TIMES[table]])[_TIMES[table]]
    ).as_py()
    if newest is not None and newest - at > _BEHIND:
        raise ClockError(
            f"{table}: the newest row is of {newest:%Y-%m-%d %H:%M:%S} UTC, and this machine's clock says "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC. The later of two decisions holds, so nothing was recorded. Set the "
            "clock, and say it again."
        )


def _in_order(workspace: Workspace, table: str, rows: pa.Table) -> pa.Table:
    """Return the rows with times behind all that are recorded: of two decisions the later one holds."""
    if table not in _TIMES:
        return rows
    name = _TIMES[table]
    newest: datetime | None = pc.max(workspace.lake.read(table, columns=[name])[name]).as_py()
    times: list[datetime] = rows[name].to_pylist()
    if newest is None or not times or min(times) > newest:
        return rows
    expect_clock(workspace, table, min(times))
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
    for table in _RECORDED:
        rows, known = _rows_by_key(workspace, table), _entries_by_key(workspace, table)
        texts = {k: as_text(_recorded_part(table, r)) for k, r in rows.items()}
        strange = sorted(k for k in rows if k not in known)
        if strange:
            # another process may be between the two writes: wait until it is through, and look again
            with contextlib.suppress(OSError), alone(_lock(workspace)):
                pass
            known = _entries_by_key(workspace, table)
            strange = [k for k in strange if k not in known]
        changed = sorted(k for k in rows if k in known and texts[k] != known[k])
        gone = sorted(k for k in known if k not in rows)
        for ids, what, remedy in (
            (
                strange,
                "rows that the audit trail does not know",
                ": a process was killed in between, or somebody wrote past the trail. `curation-dagster audit mend` shows "
                "them, and enters them once somebody vouches for them",
            ),
            (changed, "rows that differ from the audit trail", ""),
            (gone, "rows fewer than the audit trail knows", ""),
        ):
            if ids:
                found.append(f"{table} holds {len(ids)} {what}, such as {ids[0]}{remedy}")
    return found


def _rows_by_key(workspace: Workspace, table: str) -> dict[str, dict[str, Any]]:
    key = _RECORDED[table][1]
    return {str(r[key]): r for r in workspace.lake.read(table).to_pylist()}


def _entries_by_key(workspace: Workspace, table: str) -> dict[str, str]:
    """Return what the trail says of each row of a table, as text."""
    action, key, _, _ = _RECORDED[table]
    said = workspace.lake.read("audit", columns=["new_value"], where={"action": action})["new_value"]
    return {str(json.loads(text or "{}").get(key)): text or "" for text in said.to_pylist()}


def _without_entry(workspace: Workspace, table: str) -> list[dict[str, Any]]:
    known = _entries_by_key(workspace, table)
    return [r for k, r in sorted(_rows_by_key(workspace, table).items()) if k not in known]


def _lacks_entries(workspace: Workspace, table: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether any of the rows that were just added has no entry, or nobody can tell."""
    key = _RECORDED[table][1]
    try:
        known = _entries_by_key(workspace, table)
    except Exception:
        return True
    return any(str(r[key]) not in known for r in rows)


def _recorded_part(table: str, row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in _LEFT_OUT.get(table, ())}


def _described(table: str, row: dict[str, Any]) -> str:
    """Return what somebody who vouches for a row has to know of it."""
    action, key, person, _ = _RECORDED[table]
    entry = _entry(table, row, None, None)
    when = row[_TIMES.get(table, "issued_at")]
    outcome = row.get("outcome") or row.get("decision")
    said = f"{action} of {row[person]}" + (f" ({outcome})" if outcome else "")
    return f"{said} on {entry.subject_kind} {entry.subject}, {when:%Y-%m-%d %H:%M:%S} UTC, {key} {row[key]}"


def _entry(table: str, row: dict[str, Any], old: Any, why: str | None) -> Entry:
    action, _, who, reason = _RECORDED[table]
    kind, subject, with_whom = {
        "reviews": lambda: (row["criterion"], row["image_id"], None),
        "approvals": lambda: (row["subject_kind"], row["subject"], row["author"]),
        "withdrawals": lambda: (row["kind"], row["subject"], None),
        "releases": lambda: ("release", str(row["release"]), row["author"]),
    }[table]()
    new = _recorded_part(table, row)
    return Entry(row[who], action, kind, subject, row[reason] if reason else why, old, new, with_whom)


def _lock(workspace: Workspace) -> Path:
    """Return the lock under which a row and its entry are written: nobody may look, or mend, in between."""
    return workspace.settings.home / "audit.lock"


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
    with alone(path.with_suffix(".lock")):
        known = json.loads(path.read_text(encoding="utf-8"))["seq"] if path.exists() else -1
        if head.seq > known and head.entry_hash != START:
            temporary = path.with_suffix(".tmp")
            temporary.write_text(
                json.dumps({"seq": head.seq, "entry_hash": head.entry_hash}), encoding="utf-8"
            )
            temporary.replace(path)
