"""The life of every image that entered, as data for the pages of the release: a page for all ids that begin alike.

A page holds the data of some hundred images in columns and draws the one that its address names, so that 150,000 images are
some hundred files and not 150,000. No name or id of the publisher is in it: the source is named by archive version and SHA-256.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curation_dagster.core.release.counted import BOXES
from curation_dagster.core.release.ledger_columns import LedgerColumns, ledger_columns
from curation_dagster.schemas import OUTCOMES

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

IMAGES_A_PAGE = 800
BOX_TITLES = {
    "excluded": "Excluded",
    "undecided": "Not decided yet",
    "waiting": "Waiting for a person",
    "not_admitted": "Passes, but its archive version is not admitted",
    "not_clean": "Excluded: the written file was not clean",
    "not_written": "Passes, but its file was not written",
    "withheld": "In the corpus, withheld from the release",
    "released": "In the release",
}
_TIME = "'%Y-%m-%dT%H:%M:%SZ'"


def prefix_length(images: int) -> int:
    """Return how many characters of an image_id name its page: 0 where one page holds all."""
    length = 0
    while images > IMAGES_A_PAGE * 16**length:
        length += 1
    return length


def page_name(image_id: str, length: int) -> str:
    """Return the name of the page that holds an image."""
    return f"{image_id[:length]}.html" if length else "all.html"


def shards(view: ReleaseView) -> Iterator[tuple[str, str]]:
    """Give the prefix of each page, and its data as JSON text that may stand inside HTML."""
    facts = _facts(view)
    length = prefix_length(facts.num_rows)
    ids = facts["image_id"].to_pylist()
    keys = list(zip(facts["archive"].to_pylist(), facts["version"].to_pylist(), strict=True))
    archives = sorted(set(keys))
    numbered = facts.select(["image_id"]).append_column("number", pa.array(range(len(ids)), pa.int64()))
    place = pa.array([archives.index(k) for k in keys], pa.int32())
    ledger = ledger_columns(
        view, archives, {k: numbered.filter(pa.compute.equal(place, n)) for n, k in enumerate(archives)}
    )
    criteria = [[c.id, c.clause_id, c.statement] for c in view.criteria.criteria]
    at = {c[0]: n for n, c in enumerate(criteria)}
    for criterion, clause, *_ in ledger.contexts:
        if criterion not in at:  # decided under criteria that are no longer in force
            at[criterion] = len(criteria)
            criteria.append([criterion, clause.split(" ", 1)[0], ""])
    contexts = [[at[criterion], *rest] for criterion, _, *rest in ledger.contexts]
    said = _verdicts(view)
    head = _text(
        {
            "release": view.number,
            "prefix_length": length,
            "outcomes": OUTCOMES,
            "boxes": {b: BOX_TITLES[b] for b in BOXES},
            "criteria": criteria,
            "archives": _archives(view),
        }
    )[:-1]
    start = 0
    while start < len(ids):
        prefix, end = ids[start][:length], start
        while end < len(ids) and ids[end][:length] == prefix:
            end += 1
        page: dict[str, Any] = {"ids": ids[start:end], "columns": _columns(facts.slice(start, end - start))}
        page |= _decisions(ledger, contexts, start, end)
        spoken = {n - start: said[keys[n], ids[n]] for n in range(start, end) if (keys[n], ids[n]) in said}
        data = f"{head},{_text(page | {'reviews': spoken})[1:]}"
        yield prefix, data.replace("<", "\\u003c")
        start = end


def examples(view: ReleaseView, most: int = 5) -> list[tuple[str, str, str | None, int, list[str]]]:
    """Return archive version, box, reason, number of images, and the first ids of them, for the page that leads to all."""
    with view.sql(fates=view.fates) as sql:
        return sql.execute(
            "SELECT archive || '@' || version, box, reason, count(*), list_sort(list(image_id))[1:$1] FROM fates "
            "GROUP BY ALL ORDER BY 1, 2, 4 DESC, 3",
            [most],
        ).fetchall()


def _columns(page: pa.Table) -> dict[str, Any]:
    """Return each column as a list, or as distinct values and places in them where that is shorter."""
    found: dict[str, Any] = {}
    for name in page.column_names[1:]:
        values = page[name].to_pylist()
        distinct = list(dict.fromkeys(values))
        if len(distinct) * 2 > len(values):
            found[name] = values
        else:
            at = {v: n for n, v in enumerate(distinct)}
            found[name] = {"of": distinct, "at": [at[v] for v in values]}
    return found


def _decisions(ledger: LedgerColumns, contexts: Sequence[Any], start: int, end: int) -> dict[str, Any]:
    """Return the decisions of the images of a page: the pattern of each, and what was measured in its order."""
    first, last = int(ledger.starts[start]), int(ledger.starts[end])
    measured = ledger.measured.slice(first, last - first).to_pylist()
    detail = ledger.detail.slice(first, last - first)
    details = detail.to_pylist() if detail.null_count < len(detail) else []
    patterns: dict[bytes, int] = {}
    listed: list[list[list[int]]] = []
    mine, values = [], []
    told: dict[int, list[tuple[int, str]]] = {}
    for n in range(start, end):
        a, b = int(ledger.starts[n]), int(ledger.starts[n + 1])
        context, outcome = ledger.context[a:b], ledger.outcome[a:b]
        key = context.tobytes() + outcome.tobytes()
        if key not in patterns:
            patterns[key] = len(listed)
            listed.append([context.tolist(), outcome.tolist()])
        mine.append(patterns[key])
        values.append(measured[a - first : b - first])
        if details:
            here = [(k, d) for k, d in enumerate(details[a - first : b - first]) if d is not None]
            if here:
                told[n - start] = here
    used = sorted({c for p in listed for c in p[0]})
    return {
        "contexts": {str(c): contexts[c] for c in used},
        "patterns": listed,
        "pattern": mine,
        "measured": values,
        "details": told,
    }


def _facts(view: ReleaseView) -> pa.Table:
    """Return what the tables say of each image besides its decisions, sorted by image_id."""
    tables = ("records", "files", "harmonized", "corpus", "splits", "published", "duplicates")
    with view.sql(*tables, fates=view.fates) as sql:
        return sql.sql(
            f"""
            WITH written AS (
                SELECT image_id, sha256, any_value(array_to_string(transformations, ', ') ORDER BY written_by) AS done
                FROM published WHERE state = 'written' GROUP BY ALL
            )
            SELECT f.image_id, f.archive, f.version, f.box, f.reason, replace(r.join_state, '_', ' ') AS joined,
                r.sha256, i.bytes, i.media_type AS type, i.checksum_state AS checksum,
                strftime(i.retrieved_at, {_TIME}) AS staged, coalesce(h.source_url, i.source_url) AS url,
                h.licence, h.attribution, f.modality, h.icd11_code AS code, h.icd11_title AS title,
                h.diagnosis_relation AS relation, h.confirmation, h.fitzpatrick, h.sex,
                coalesce(CAST(CAST(h.age_years AS INTEGER) AS VARCHAR), CAST(h.age_low AS INTEGER) || ' and over') AS age,
                h.anatomy_label AS site,
                CASE WHEN s.split = 'sequestered' THEN 'sequestered/' || c.file
                    WHEN s.split IS NOT NULL THEN 'data/' || s.split || '/' || c.file END AS path,
                c.sha256 AS published, c.width || ' x ' || c.height || ' px' AS size, w.done,
                strftime(c.ingested_at, {_TIME}) AS ingested, s.split AS side, s.reason AS why_side,
                replace(g.relation, '_', ' ') AS relation_in_group, g.group_size,
                CASE WHEN g.group_size > 1 THEN g.representative_id END AS representative, g.evidence,
                g.reason AS why_representative
            FROM fates f
            JOIN records r ON r.archive = f.archive AND r.version = f.version AND r.image_id = f.image_id
            LEFT JOIN files i ON i.archive = f.archive AND i.version = f.version AND i.path = r.path
            LEFT JOIN harmonized h ON h.archive = f.archive AND h.version = f.version AND h.image_id = f.image_id
            LEFT JOIN corpus c ON c.archive = f.archive AND c.version = f.version AND c.image_id = f.image_id
            LEFT JOIN splits s ON s.archive = f.archive AND s.version = f.version AND s.image_id = f.image_id
            LEFT JOIN written w ON w.image_id = c.image_id AND w.sha256 = c.sha256
            LEFT JOIN duplicates g ON g.archive = f.archive AND g.version = f.version AND g.image_id = f.image_id
            ORDER BY f.image_id, f.archive, f.version
            """
        ).to_arrow_table()


def _verdicts(view: ReleaseView) -> dict[tuple[tuple[str, str], str], list[list[Any]]]:
    """Return what people said of each image, by archive version and image_id, in the order in which they said it."""
    found: dict[tuple[tuple[str, str], str], list[list[Any]]] = defaultdict(list)
    rows = view.read("reviews").to_pylist()
    for r in sorted(rows, key=lambda r: (r["reviewed_at"], r["review_id"])):
        said = [
            r["criterion"],
            r["outcome"],
            r["reviewer"],
            r["comment"],
            f"{r['reviewed_at']:%Y-%m-%dT%H:%M:%SZ}",
        ]
        found[(r["archive"], r["version"]), r["image_id"]].append(said)
    return found


def _archives(view: ReleaseView) -> dict[str, Any]:
    """Return each archive version with its name and the approvals that concern its images."""
    rows = view.read("approvals").to_pylist()
    rows.sort(key=lambda r: (r["approved_at"], r["subject_kind"], r["subject"]))
    found = {}
    for r in view.read("admissions", ["archive", "version"]).to_pylist():
        name = f"{r['archive']}@{r['version']}"
        mine = [
            [a["subject_kind"].replace("_", " "), a["subject"], a["decision"], a["author"], a["approver"], f"{a['approved_at']:%Y-%m-%dT%H:%M:%SZ}"]
            for a in rows
            if a["subject"] in (name, r["archive"]) or a["subject_kind"] == "criteria"
        ]  # fmt: skip
        descriptor = view.descriptors.get(r["archive"])
        found[name] = {"name": descriptor.technical_file.name if descriptor else None, "approvals": mine}
    return dict(sorted(found.items()))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
