"""The exclusion flow: how many images entered, left at each stage for which reason, and arrived; to the last image.

In the manner of CONSORT 2010 (https://www.consort-statement.org) and STARD 2015 (doi:10.1136/bmj.h5527). An image that
fails several criteria counts under the first one that it meets, so that the numbers of a flow add up. All numbers are
sums over one table, :attr:`curation_dagster.core.release.view.ReleaseView.fates`, in which each image has one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from curation_dagster.core.release.counted import STAGES
from curation_dagster.schemas import SIDES

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

_LOOKED_AT = {
    "records": "Joined to their records",
    "quality": "Judged for image quality",
    "deidentified": "Searched for identities",
    "harmonized": "Judged by label, site and licence",
    "duplicates": "Compared with all others",
}
_OUT = {
    "undecided": "Not decided yet",
    "waiting": "Waiting for a person",
    "not_admitted": "Archive version not admitted",
    "not_clean": "Written file not clean",
    "not_written": "File not written",
    "withheld": "Withheld: group on two sides",
}
_WAITING = ("undecided", "waiting", "not_admitted", "not_clean", "not_written")


def rows_of(view: ReleaseView) -> list[dict[str, Any]]:
    """Return the counts that every flow is a sum of: archive, version, modality, box, stage, reason, images."""
    with view.sql(fates=view.fates) as sql:
        found = sql.execute(
            "SELECT archive, version, modality, box, reason, count(*) FROM fates GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    stages = {c.id: c.stage for c in view.criteria.criteria}
    names = ("archive", "version", "modality", "box", "stage", "reason", "images")
    return [
        dict(
            zip(
                names,
                (a, v, m, box, stages.get(r) if box in ("excluded", "waiting") else None, r, n),
                strict=True,
            )
        )
        for a, v, m, box, r, n in found
    ]


def flow_numbers(view: ReleaseView) -> dict[str, Any]:
    """Return the flow of the release, of each archive version and of each modality, and the counts they are made of.

    Returns
    -------
    dict
        ``release``; ``rows`` as :func:`rows_of`; ``scopes``: each with kind (all, archive, modality), name, ``steps`` and
        ``sides``. A step has key, title, ``n`` and ``out``: what leaves behind it, each with key, title, n and reasons.
    """
    rows = rows_of(view)
    clauses = {c.id: c.clause_id for c in view.criteria.criteria}
    archives = sorted({(r["archive"], r["version"]) for r in rows})
    scopes = [_scope("all", "all", rows, clauses)]
    scopes += [
        _scope("archive", f"{a}@{v}", [r for r in rows if (r["archive"], r["version"]) == (a, v)], clauses)
        for a, v in archives
    ]
    scopes += [
        _scope("modality", m, [r for r in rows if r["modality"] == m], clauses)
        for m in sorted({r["modality"] for r in rows})
    ]
    return {"release": view.number, "scopes": scopes, "rows": rows}


def _scope(
    kind: str, name: str, rows: Sequence[Mapping[str, Any]], clauses: Mapping[str, str]
) -> dict[str, Any]:
    left = sum(r["images"] for r in rows)
    steps: list[dict[str, Any]] = [{"key": "entered", "title": "Entered", "n": left, "out": []}]
    for stage in STAGES:
        mine = [r for r in rows if r["box"] == "excluded" and r["stage"] == stage]
        steps.append({"key": stage, "title": _LOOKED_AT[stage], "n": left, "out": []})
        if mine:
            steps[-1]["out"] = [_out(f"excluded_{stage}", "Excluded", mine, clauses)]
        left -= _sum(mine)
    steps.append({"key": "passed", "title": "Fail no criterion", "n": left, "out": []})
    for box in _WAITING:
        mine = [r for r in rows if r["box"] == box]
        if mine:
            steps[-1]["out"].append(_out(box, _OUT[box], mine, clauses))
        left -= _sum(mine)
    steps.append({"key": "corpus", "title": "In the corpus", "n": left, "out": []})
    mine = [r for r in rows if r["box"] == "withheld"]
    if mine:
        steps[-1]["out"] = [_out("withheld", _OUT["withheld"], mine, clauses)]
    steps.append({"key": "released", "title": "In the release", "n": left - _sum(mine), "out": []})
    sides = {s: _sum(r for r in rows if r["box"] == "released" and r["reason"] == s) for s in SIDES}
    return {"kind": kind, "name": name, "steps": steps, "sides": sides}


def _out(
    key: str, title: str, rows: Sequence[Mapping[str, Any]], clauses: Mapping[str, str]
) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for r in rows:
        if r["reason"] is not None:
            counts[r["reason"]] = counts.get(r["reason"], 0) + r["images"]
    reasons = [
        {"key": c, "title": f"{clauses.get(c, '')} {c.replace('_', ' ')}".strip(), "n": n}
        for c, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
    ]
    return {"key": key, "title": title, "n": _sum(rows), "reasons": reasons}


def _sum(rows: Iterable[Mapping[str, Any]]) -> int:
    return sum(r["images"] for r in rows)


def broken_sums(numbers: Mapping[str, Any]) -> list[str]:
    """Return which numbers of a flow don't add up, a sentence each: steps, reasons, sides, and parts to the whole."""
    found: list[str] = []
    whole: dict[str, int] = {}
    parts: dict[str, dict[str, int]] = {"archive": {}, "modality": {}}
    for scope in numbers["scopes"]:
        name = scope["name"] if scope["kind"] == "all" else f"{scope['kind']} {scope['name']}"
        for before, after in pairwise(scope["steps"]):
            left = before["n"] - sum(o["n"] for o in before["out"])
            if left != after["n"]:
                found.append(
                    f"flow of {name}: {left} images are left behind {before['key']!r}, but {after['n']} are at {after['key']!r}"
                )
        for out in (o for s in scope["steps"] for o in s["out"]):
            told = sum(r["n"] for r in out["reasons"])
            if out["reasons"] and told != out["n"]:
                found.append(
                    f"flow of {name}: {out['n']} images leave at {out['key']!r}, for reasons of {told}"
                )
        released = scope["steps"][-1]["n"]
        if sum(scope["sides"].values()) != released:
            found.append(
                f"flow of {name}: {released} images are released, {sum(scope['sides'].values())} are on a side"
            )
        flat = _flat(scope)
        if scope["kind"] == "all":
            whole = flat
        else:
            for key, n in flat.items():
                mine = parts[scope["kind"]]
                mine[key] = mine.get(key, 0) + n
    for kind, sums in parts.items():
        found += [
            f"flow: {whole.get(k, 0)} images at {k!r} in all, {sums.get(k, 0)} by {kind}"
            for k in sorted({*whole, *sums})
            if whole.get(k, 0) != sums.get(k, 0)
        ]
    if _sum(numbers["rows"]) != whole.get("entered", 0):
        found.append(f"flow: {whole.get('entered', 0)} images entered, its rows hold {_sum(numbers['rows'])}")
    return found


def _flat(scope: Mapping[str, Any]) -> dict[str, int]:
    flat = {s["key"]: s["n"] for s in scope["steps"]} | {f"side {k}": n for k, n in scope["sides"].items()}
    for out in (o for s in scope["steps"] for o in s["out"]):
        flat[f"out {out['key']}"] = out["n"]
        flat |= {f"{out['key']}: {r['key']}": r["n"] for r in out["reasons"]}
    return flat


def disagreements(view: ReleaseView) -> list[str]:
    """Return where the flow and the tables disagree, a sentence each: every image in one box, every box as admitted."""
    numbers = flow_numbers(view)
    found = broken_sums(numbers)
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in numbers["rows"]:
        boxes = counted.setdefault((row["archive"], row["version"]), {})
        boxes[row["box"]] = boxes.get(row["box"], 0) + row["images"]
    admissions = {(r["archive"], r["version"]): r for r in view.read("admissions").to_pylist()}
    for key in sorted({*counted, *admissions}):
        name, boxes, said = f"{key[0]}@{key[1]}", counted.get(key, {}), admissions.get(key)
        if said is None:
            found.append(
                f"flow: {sum(boxes.values())} images of {name} entered, but no admission speaks of them"
            )
            continue
        for column, parts in (
            ("images_in", tuple(boxes)),
            ("images_kept", ("withheld", "released")),
            ("images_excluded", ("excluded", "not_clean")),
            ("images_quarantined", ("undecided", "waiting", "not_admitted", "not_written")),
        ):
            n = sum(boxes.get(p, 0) for p in parts)
            if n != said[column]:
                found.append(f"flow: {name} has {said[column]} {column} by the admissions, {n} in the flow")
    with view.sql("records") as sql:
        entered = sql.execute(
            "SELECT count(*), count(DISTINCT (archive, version, image_id)) FROM records"
        ).fetchall()[0]
    total = _sum(numbers["rows"])
    if entered != (total, total):
        found.append(f"flow: records hold {entered[1]} images in {entered[0]} rows, the flow {total}")
    released = _sum(r for r in numbers["rows"] if r["box"] == "released")
    if released != view.images.num_rows:
        found.append(f"flow: {released} images are released, the bundle holds {view.images.num_rows}")
    return found
