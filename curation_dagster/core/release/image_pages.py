"""The life of every image that entered, as data for the pages of the release: a page for all ids that begin alike.

A page holds the data of some hundred images and draws the one that its address names, so that 150,000 images are some
hundred files and not 150,000. Decisions of one criterion that share bound, decider and time share one entry (a context). No
name or id of the publisher is in it: the source is named by archive version and SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from curation_dagster.core.release.counted import BOXES

if TYPE_CHECKING:
    from curation_dagster.core.release.view import ReleaseView

IMAGES_A_PAGE = 800
OUTCOMES = ("pass", "fail", "review", "not_applicable")
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
_CONTEXT = (
    "criterion",
    "bound",
    "decided_by",
    "decided_at",
    "criteria_version",
    "criteria_digest",
    "code_version",
    "run_id",
)
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
    length = prefix_length(view.fates.num_rows)
    contexts = _contexts(view)
    known = contexts.to_pylist()
    criteria = [(c.id, c.clause_id, c.statement) for c in view.criteria.criteria]
    place = {c[0]: n for n, c in enumerate(criteria)}
    for row in known:
        if row["criterion"] not in place:  # decided under criteria that are no longer in force
            place[row["criterion"]] = len(criteria)
            criteria.append((row["criterion"], row["clause"].split(" ", 1)[0], ""))
    entries = [
        [place[r["criterion"]], r["bound"], r["decided_by"], r["decided_at"], r["criteria_version"], r["criteria_digest"], r["code_version"], r["run_id"]]
        for r in known
    ]  # fmt: skip
    lives = _lives(view, _ledger(view, contexts))
    shared = {
        "release": view.number,
        "prefix_length": length,
        "outcomes": OUTCOMES,
        "boxes": {b: BOX_TITLES[b] for b in BOXES},
        "criteria": criteria,
        "archives": _archives(view),
    }
    head = _text(shared)[:-1]
    rows = zip(*(lives[n].to_pylist() for n in ("image_id", "life", "used")), strict=True)
    for prefix, page in groupby(rows, key=lambda r: r[0][:length]):
        seen: set[int] = set()
        parts = []
        # an image that is in several versions of its archive has a life in each
        for image_id, several in groupby(page, key=lambda r: r[0]):
            here = list(several)
            parts.append(f"{json.dumps(image_id)}:[{','.join(r[1] for r in here)}]")
            seen.update(n for r in here for n in r[2] or ())
        mine = {str(n): entries[n] for n in sorted(seen)}
        data = f'{head},"contexts":{_text(mine)},"images":{{{",".join(parts)}}}}}'
        yield prefix, data.replace("<", "\\u003c")


def examples(view: ReleaseView, most: int = 5) -> list[tuple[str, str, str | None, int, list[str]]]:
    """Return archive version, box, reason, number of images, and the first ids of them, for the page that leads to all."""
    with view.sql(fates=view.fates) as sql:
        return sql.execute(
            "SELECT archive || '@' || version, box, reason, count(*), list_sort(list(image_id))[1:$1] FROM fates "
            "GROUP BY ALL ORDER BY 1, 2, 4 DESC, 3",
            [most],
        ).fetchall()


def _contexts(view: ReleaseView) -> pa.Table:
    columns = ", ".join(
        c if c != "decided_at" else f"strftime(decided_at, {_TIME}) AS decided_at" for c in _CONTEXT
    )
    with view.sql("decisions") as sql:
        return sql.sql(
            f"WITH found AS (SELECT DISTINCT {columns}, clause FROM decisions), ordered AS (SELECT * FROM found ORDER BY ALL) "
            "SELECT CAST(row_number() OVER () - 1 AS INTEGER) AS context, * FROM ordered"
        ).to_arrow_table()


def _ledger(view: ReleaseView, contexts: pa.Table) -> pa.Table:
    """Return archive, version, image_id, the ledger as JSON text, and the contexts that it uses."""
    outcomes = pa.table({"outcome": OUTCOMES, "place": pa.array(range(len(OUTCOMES)), pa.int32())})
    same = " AND ".join(
        f"strftime(d.decided_at, {_TIME}) = c.decided_at"
        if n == "decided_at"
        else f"d.{n} IS NOT DISTINCT FROM c.{n}"
        for n in (*_CONTEXT, "clause")
    )
    with view.sql("decisions", contexts=contexts, outcomes=outcomes) as sql:
        return sql.sql(
            "SELECT archive, version, image_id, '[' || array_to_string(list_sort(list(said)), ',') || ']' AS ledger, "
            "list_sort(list(context)) AS used FROM (SELECT d.archive, d.version, d.image_id, c.context, "
            "'[' || c.context || ',' || o.place || CASE WHEN d.measured IS NULL AND d.detail IS NULL THEN '' ELSE ',' || "
            "coalesce(CAST(to_json(d.measured) AS VARCHAR), 'null') END || CASE WHEN d.detail IS NULL THEN '' ELSE ',' || "
            "CAST(to_json(d.detail) AS VARCHAR) END || ']' AS said "
            f"FROM decisions d JOIN contexts c ON {same} JOIN outcomes o ON d.outcome = o.outcome) GROUP BY ALL"
        ).to_arrow_table()


def _lives(view: ReleaseView, ledger: pa.Table) -> pa.Table:
    """Return image_id, its life as a JSON object, and the contexts that it uses, sorted by image_id."""
    tables = ("records", "files", "harmonized", "corpus", "splits", "published", "duplicates", "reviews")
    with view.sql(*tables, fates=view.fates, ledger=ledger) as sql:
        sql.execute("SET preserve_insertion_order = false")
        return sql.sql(
            f"""
            WITH said AS (
                SELECT archive, version, image_id, to_json(list([criterion, outcome, reviewer, comment,
                    strftime(reviewed_at, {_TIME})] ORDER BY reviewed_at, review_id)) AS reviews
                FROM reviews GROUP BY ALL
            ),
            written AS (
                SELECT image_id, sha256, any_value(array_to_string(transformations, ', ') ORDER BY written_by) AS done
                FROM published WHERE state = 'written' GROUP BY ALL
            ),
            one AS (
                SELECT f.image_id, f.archive, f.version, json_object(
                    'from', f.archive || '@' || f.version, 'box', f.box, 'reason', f.reason, 'joined', r.join_state,
                    'sha256', r.sha256, 'bytes', i.bytes, 'type', i.media_type, 'checksum', i.checksum_state,
                    'staged', strftime(i.retrieved_at, {_TIME}), 'url', coalesce(h.source_url, i.source_url),
                    'licence', h.licence, 'attribution', h.attribution, 'modality', f.modality, 'code', h.icd11_code,
                    'title', h.icd11_title, 'relation', h.diagnosis_relation, 'confirmation', h.confirmation,
                    'fitzpatrick', h.fitzpatrick, 'sex', h.sex,
                    'age', coalesce(CAST(CAST(h.age_years AS INTEGER) AS VARCHAR), CAST(h.age_low AS INTEGER) || ' and over'),
                    'site', h.anatomy_label,
                    'path', CASE WHEN s.split = 'sequestered' THEN 'sequestered/' || c.file
                        WHEN s.split IS NOT NULL THEN 'data/' || s.split || '/' || c.file END,
                    'published', c.sha256, 'size', c.width || ' x ' || c.height || ' px', 'done', w.done,
                    'ingested', strftime(c.ingested_at, {_TIME}), 'side', s.split, 'why_side', s.reason,
                    'relation_in_group', replace(g.relation, '_', ' '), 'group_size', g.group_size,
                    'representative', CASE WHEN g.group_size > 1 THEN g.representative_id END, 'evidence', g.evidence,
                    'why_representative', g.reason
                ) AS head
                FROM fates f
                JOIN records r ON r.archive = f.archive AND r.version = f.version AND r.image_id = f.image_id
                LEFT JOIN files i ON i.archive = f.archive AND i.version = f.version AND i.path = r.path
                LEFT JOIN harmonized h ON h.archive = f.archive AND h.version = f.version AND h.image_id = f.image_id
                LEFT JOIN corpus c ON c.archive = f.archive AND c.version = f.version AND c.image_id = f.image_id
                LEFT JOIN splits s ON s.archive = f.archive AND s.version = f.version AND s.image_id = f.image_id
                LEFT JOIN written w ON w.image_id = c.image_id AND w.sha256 = c.sha256
                LEFT JOIN duplicates g ON g.archive = f.archive AND g.version = f.version AND g.image_id = f.image_id
            )
            SELECT one.image_id, one.archive, one.version, left(head, length(head) - 1) || ',"ledger":' ||
                coalesce(l.ledger, '[]') || ',"reviews":' || coalesce(CAST(v.reviews AS VARCHAR), '[]') || '}}' AS life, l.used
            FROM one
            LEFT JOIN ledger l ON l.archive = one.archive AND l.version = one.version AND l.image_id = one.image_id
            LEFT JOIN said v ON v.archive = one.archive AND v.version = one.version AND v.image_id = one.image_id
            ORDER BY one.image_id, one.archive, one.version
            """
        ).to_arrow_table()


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
