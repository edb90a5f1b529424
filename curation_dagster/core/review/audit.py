"""The audit trail: entries that each carry the hash of the one before, so that nothing is changed without a trace.

An entry's hash covers all its columns and the hash before it. A changed entry no longer has its own hash; one that was
changed together with its hash no longer fits the next; a removed one leaves a gap. Against a chain that was made anew
as a whole, or lost its end, there are heads: number and hash of the last entry, as they were recorded elsewhere, in
every sealed release and in a file beside the tables.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from curation_dagster.schemas import AUDIT

Action = Literal["verdict", "approval", "criteria_change", "release", "withdrawal"]
START = "0" * 64


class AuditError(ValueError):
    """An entry can't be made; the message says what is missing."""


@dataclass(frozen=True)
class Entry:
    """What is to be recorded.

    Parameters
    ----------
    who : str
        The person; ``rule`` for what the pipeline found by itself.
    old, new : anything that JSON holds, optional
        The values before and after.
    with_whom : str, optional
        The author of what was approved.
    """

    who: str
    action: Action
    subject_kind: str
    subject: str
    why: str | None = None
    old: Any = None
    new: Any = None
    with_whom: str | None = None


@dataclass(frozen=True)
class Head:
    """Number and hash of the last entry of a chain, and where that was recorded."""

    seq: int
    entry_hash: str
    where: str = ""


def chained(entries: Sequence[Entry], after: Head, at: datetime | None = None) -> pa.Table:
    """Return rows of ``audit`` that follow on a head.

    Raises
    ------
    AuditError
        If an entry does not say who, what kind or what.
    """
    when = at or datetime.now(UTC)
    rows = []
    seq, previous = after.seq, after.entry_hash
    for entry in entries:
        blank = [n for n in ("who", "subject_kind", "subject") if not str(getattr(entry, n)).strip()]
        if blank:
            raise AuditError(f"an entry of the audit trail without {', '.join(blank)}; nothing was recorded")
        seq += 1
        row: dict[str, Any] = {
            "seq": seq,
            "at": when,
            "who": entry.who.strip(),
            "with_whom": entry.with_whom,
            "action": entry.action,
            "subject_kind": entry.subject_kind,
            "subject": entry.subject,
            "why": entry.why,
            "old_value": None if entry.old is None else as_text(entry.old),
            "new_value": None if entry.new is None else as_text(entry.new),
            "previous_hash": previous,
        }
        row["entry_hash"] = previous = hash_of(row)
        rows.append(row)
    return AUDIT.conform(rows)


def as_text(value: Any) -> str:
    """Return a value as canonical JSON: sorted keys, no blanks, times in UTC with microseconds."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)


def hash_of(row: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry: all its columns but the hash itself, in canonical JSON."""
    return hashlib.sha256(as_text({k: v for k, v in row.items() if k != "entry_hash"}).encode()).hexdigest()


def head_of(audit: pa.Table) -> Head:
    """Return the head of a chain; number 0 and 64 zeros for an empty one."""
    last = max(audit.select(["seq", "entry_hash"]).to_pylist(), key=lambda r: r["seq"], default=None)
    return Head(0, START) if last is None else Head(last["seq"], last["entry_hash"])


def broken_links(audit: pa.Table, heads: Iterable[Head] = ()) -> list[str]:
    """Return what is wrong with a chain, a sentence each that names the entry; empty if it is whole.

    Parameters
    ----------
    audit : pyarrow.Table
        All rows of ``audit``, in any order.
    heads : iterable of Head
        Heads that were recorded elsewhere, which the chain must still hold.
    """
    found: list[str] = []
    rows = sorted(audit.to_pylist(), key=lambda r: r["seq"])
    hashes = {0: START}
    expected, previous = 1, START
    for row in rows:
        seq = row["seq"]
        if seq < expected:
            found.append(f"entry {seq} is there more than once")
            continue
        whole = True
        if seq > expected:
            missing = str(expected) if seq == expected + 1 else f"{expected} to {seq - 1}"
            found.append(f"entry {missing} is missing: it was removed, or moved to another place")
            whole = False
        if hash_of(row) != row["entry_hash"]:
            found.append(
                f"entry {seq} ({row['action']} of {row['subject']}) was changed: its hash is not that of its content"
            )
        if whole and row["previous_hash"] != previous:
            found.append(
                f"entry {seq} does not follow on entry {seq - 1}: one of the two was changed or put in later"
            )
        hashes[seq], previous, expected = row["entry_hash"], row["entry_hash"], seq + 1
    for head in heads:
        if head.seq not in hashes:
            found.append(
                f"the trail ends at entry {expected - 1}, but {head.where} recorded entry {head.seq}: its end was cut off"
            )
        elif hashes[head.seq] != head.entry_hash:
            found.append(
                f"entry {head.seq} is not the one that {head.where} recorded: the trail was made anew"
            )
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} can't be written as JSON")
