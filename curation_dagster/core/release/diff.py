"""What came, went and changed between two releases, and why: from the sealed bundles, with no other table needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# what says when or by which run, and tells nothing of the image
_NOT_COMPARED = {"run_id", "ingested_at", "split"}
_OF_LEDGER = ["image_id", "archive", "version", "criterion", "outcome", "detail", "decided_by"]


@dataclass(frozen=True)
class Change:
    """One image that came, went or changed: what is different, and why."""

    image_id: str
    source: str
    what: str
    why: str


@dataclass(frozen=True)
class Difference:
    """The difference of two releases."""

    came: tuple[Change, ...]
    went: tuple[Change, ...]
    changed: tuple[Change, ...]
    unchanged: int
    notes: tuple[str, ...]


def difference(before: Path, after: Path) -> Difference:
    """Compare two bundles.

    Parameters
    ----------
    before, after : Path
        Folders of sealed releases.

    Raises
    ------
    FileNotFoundError
        If one of them is no bundle.
    """
    for bundle in (before, after):
        if not (bundle / "tables" / "corpus.parquet").is_file():
            raise FileNotFoundError(f"{bundle} is no sealed release: it has no tables/corpus.parquet")
    old, new = _Side(before), _Side(after)
    came = [
        Change(i, new.source(i), f"in {new.images[i]['split']}", old.why_not(i))
        for i in sorted(set(new.images) - set(old.images))
    ]
    went = [
        Change(i, old.source(i), f"was in {old.images[i]['split']}", new.why_not(i))
        for i in sorted(set(old.images) - set(new.images))
    ]
    changed = []
    for i in sorted(set(old.images) & set(new.images)):
        a, b = old.images[i], new.images[i]
        columns = [c for c in a if c in b and a[c] != b[c]]
        if columns:
            what = "; ".join(f"{c}: {a[c]} -> {b[c]}" for c in columns)
            changed.append(Change(i, new.source(i), what, _why_changed(columns, old, new, i)))
    both = len(set(old.images) & set(new.images))
    return Difference(tuple(came), tuple(went), tuple(changed), both - len(changed), tuple(_notes(old, new)))


class _Side:
    """One bundle: its images, and its ledger where that is asked for."""

    def __init__(self, bundle: Path) -> None:
        self._tables = bundle / "tables"
        corpus = {r["image_id"]: r for r in self._read("corpus")}
        self._splits = {r["image_id"]: r for r in self._read("splits")}
        self.images = {
            i: {k: v for k, v in r.items() if k not in _NOT_COMPARED} | {"split": self._splits[i]["split"]}
            for i, r in corpus.items()
            if self._splits[i]["split"] is not None
        }
        self.admissions = {(r["archive"], r["version"]): r for r in self._read("admissions")}
        self._ledger: dict[str, list[dict[str, Any]]] | None = None
        self._known: dict[str, set[tuple[str, str]]] = {}

    def _read(self, table: str, columns: list[str] | None = None) -> list[dict[str, Any]]:
        return pq.read_table(self._tables / f"{table}.parquet", columns=columns).to_pylist()

    @property
    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """image_id to the rows of the ledger that keep it out."""
        if self._ledger is None:
            self._ledger = {}
            rows = pq.read_table(self._tables / "decisions.parquet", columns=_OF_LEDGER)
            for row in rows.group_by(["image_id", "archive", "version"]).aggregate([]).to_pylist():
                self._known.setdefault(row["image_id"], set()).add((row["archive"], row["version"]))
            kept_out = rows.filter(pc.is_in(rows["outcome"], value_set=pa.array(["fail", "review"])))
            for row in kept_out.to_pylist():
                self._ledger.setdefault(row["image_id"], []).append(row)
        return self._ledger

    def source(self, image: str) -> str:
        """Return the archive version of an image of the release."""
        return f"{self.images[image]['archive']}@{self.images[image]['version']}"

    def why_not(self, image: str) -> str:
        """Return why an image is not in this release."""
        if image in self._splits:
            return f"withheld: {self._splits[image]['reason']}"
        rows = self.ledger.get(image, [])
        if rows:
            said = [
                f"{'fails' if r['outcome'] == 'fail' else 'waits for'} {r['criterion']}"
                + (f" ({r['detail']})" if r["detail"] else "")
                for r in sorted(rows, key=lambda r: (r["outcome"], r["criterion"], r["version"]))
            ]
            return "; ".join(dict.fromkeys(said))
        if image not in self._known:
            return "it had not entered"
        mine = (self.admissions.get(k) for k in sorted(self._known[image]))
        refused = [r for r in mine if r is not None and not r["admitted"]]
        reasons = [
            f"{r['archive']}@{r['version']} is refused: {r['reasons'][0]}" for r in refused if r["reasons"]
        ]
        return "; ".join(reasons) or "its file was not published"

    def criteria(self) -> set[str]:
        """Return the digests of the criteria that admitted its images."""
        return {r["criteria_digest"] for r in self.admissions.values()}


def _why_changed(columns: list[str], old: _Side, new: _Side, image: str) -> str:
    if "version" in columns:
        return f"a newer version of the archive: {new.source(image)}"
    if {"file", "sha256"} & set(columns):
        return "the file was written anew"
    if old.criteria() != new.criteria():
        return "the criteria changed"
    return "the record or the vocabulary that maps it changed"


def _notes(old: _Side, new: _Side) -> list[str]:
    notes = []
    if old.criteria() != new.criteria():
        notes.append("the criteria changed: see criteria/ of both")
    for key in sorted({*old.admissions, *new.admissions}):
        a, b = (s.admissions.get(key, {}).get("admitted") for s in (old, new))
        if a != b:
            words = {None: "not there", False: "refused", True: "admitted"}
            notes.append(f"{key[0]}@{key[1]}: {words[a]} before, {words[b]} after")
    return notes
