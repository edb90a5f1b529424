"""The ledger: the rules' verdicts with people's verdicts laid over them.

Three things can happen to a row. A person's ``fail`` holds against anything that a rule said, because people see what
no rule measures. A row that waits for a person (``review``, settled image by image) takes that person's verdict. A row
that a sample settles passes once every image of the sample was looked at and none is bad; one bad image holds all the
others back until its cause is handled. A rule's ``fail`` stands: no verdict brings an excluded image back.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.criteria.models import CriteriaSet
from curation_dagster.core.review.panel import Verdict, panels
from curation_dagster.core.review.sampling import population
from curation_dagster.schemas import DECISIONS

_JUDGED = pa.schema(
    [
        ("image_id", pa.string()),
        ("criterion", pa.string()),
        ("settled", pa.bool_()),
        ("failed", pa.bool_()),
        ("held", pa.bool_()),
        ("reviewers", pa.list_(pa.string())),
        ("said", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
    ]
)

_SINGLE = """
    SELECT row,
        CASE WHEN NOT settled THEN 'review' WHEN failed THEN 'fail' ELSE 'pass' END AS outcome,
        CASE WHEN settled THEN array_to_string(reviewers, ', ') END AS decided_by, said AS detail,
        CASE WHEN settled THEN decided_at END AS decided_at
    FROM verdicts JOIN judged USING (image_id, criterion)
    WHERE verdicts.outcome <> 'fail' AND (
        failed
        OR (verdicts.outcome = 'review' AND NOT list_contains(?, criterion))
        -- one of two failed what the rule had passed: it is held back until the panel is settled
        OR (held AND verdicts.outcome <> 'review')
    )
"""


def settle(verdicts: pa.Table, reviews: pa.Table, queue: pa.Table, criteria: CriteriaSet) -> pa.Table:
    """Return the rows of ``decisions`` for one or several archive versions.

    Parameters
    ----------
    verdicts : pyarrow.Table
        Rows of ``verdicts``: what the rules said, of all stages.
    reviews, queue : pyarrow.Table
        Rows of ``reviews`` and ``review_queue``. Queue rows that were drawn under another criteria file are left
        alone: a sample settles what it was drawn for.
    criteria : CriteriaSet
        The criteria in force.

    Returns
    -------
    pyarrow.Table
        A row for each row of ``verdicts``, in its order. Where people decided, ``decided_by`` names them,
        ``decided_at`` is when, and ``detail`` has their words.
    """
    rows = pa.table(
        {
            "row": np.arange(verdicts.num_rows),
            "image_id": verdicts["image_id"],
            "criterion": verdicts["criterion"],
            "outcome": verdicts["outcome"],
        }
    )
    judged = _judged(reviews, criteria)
    with duckdb.connect() as sql:
        sql.execute("SET TimeZone = 'UTC'")
        sql.register("verdicts", rows)
        sql.register("judged", judged)
        single = sql.sql(_SINGLE, params=[list(criteria.reviewed_by("sample"))]).to_arrow_table()
    changes = [single, *_samples(verdicts, judged, queue, criteria)]
    return DECISIONS.conform(_applied(verdicts, changes))


def _judged(reviews: pa.Table, criteria: CriteriaSet) -> pa.Table:
    """Return what people together say, a row for each image and criterion on which anybody spoke."""
    rows = []
    for (criterion, image_id), panel in sorted(panels(reviews.to_pylist(), criteria.reviewers).items()):
        prevailing = panel.prevailing
        said = "; ".join(_words(v) for v in (prevailing if panel.settled else panel.verdicts))
        against = [v for v in panel.verdicts if panel.settled and v not in prevailing]
        if panel.disputed:
            said = f"the reviewers disagree, another one decides ({said})"
        elif not panel.settled:
            said = f"{len(panel.verdicts)} of {panel.needed} reviewers looked at it"
        elif against and panel.needed > 1:
            said += f"; against {', '.join(_words(v) for v in against)}"
        rows.append(
            {
                "image_id": image_id,
                "criterion": criterion,
                "settled": panel.settled,
                "failed": panel.failed,
                "held": not panel.settled and panel.fails > 0,
                "reviewers": sorted(v.reviewer for v in prevailing),
                "said": said,
                "decided_at": max((v.reviewed_at for v in prevailing), default=None),
            }
        )
    return pa.Table.from_pylist(rows, schema=_JUDGED)


def _words(verdict: Verdict) -> str:
    comment = f": {verdict.comment}" if verdict.comment else ""
    return f"{verdict.reviewer} on {verdict.reviewed_at:%Y-%m-%d}{comment}"


# -- samples -----------------------------------------------------------------------------------------


def _samples(verdicts: pa.Table, judged: pa.Table, queue: pa.Table, criteria: CriteriaSet) -> list[pa.Table]:
    """Return the changes that samples make, for each archive version and sampled criterion."""
    queue = queue.filter(
        pc.and_(pc.equal(queue["purpose"], "sample"), pc.equal(queue["criteria_digest"], criteria.digest))
    )
    # only these rows matter below, and they are few
    open_ = verdicts.select(["archive", "version", "stage", "criterion", "image_id", "outcome"])
    open_ = open_.append_column("row", pa.array(np.arange(verdicts.num_rows)))
    whole = criteria.whole_population()
    open_ = open_.filter(
        pc.or_(
            pc.is_in(open_["outcome"], value_set=pa.array(["fail", "review"])),
            pc.is_in(open_["criterion"], value_set=pa.array(whole, pa.string())),
        )
    )
    sampled = pa.array(criteria.reviewed_by("sample"), pa.string())
    waiting = open_.filter(
        pc.and_(pc.equal(open_["outcome"], "review"), pc.is_in(open_["criterion"], value_set=sampled))
    )
    found = []
    for key in waiting.group_by(["archive", "version", "criterion"]).aggregate([]).to_pylist():
        said = _where(judged, criterion=key["criterion"])
        said = said.filter(said["settled"])
        bad = said["image_id"].filter(said["failed"])
        mine = _where(waiting, **key)
        # images that a person failed are settled already, inside the sample or not
        mine = mine.filter(pc.invert(pc.is_in(mine["image_id"], value_set=_one(bad))))
        sample = _where(queue, **key)["image_id"]
        said = said.filter(pc.is_in(said["image_id"], value_set=_one(sample)))
        mine_all = _where(open_, archive=key["archive"], version=key["version"])
        everyone = population(mine_all, key["criterion"], key["criterion"] in whole)
        found.append(_settle_sample(mine, len(sample), said, len(everyone), criteria))
    return found


def _settle_sample(
    mine: pa.Table, drawn: int, said: pa.Table, everyone: int, criteria: CriteriaSet
) -> pa.Table:
    """Return the changes to the waiting rows of one criterion in one archive version.

    Parameters
    ----------
    mine : pyarrow.Table
        The waiting rows: row and image_id.
    drawn : int
        Images in the sample.
    said : pyarrow.Table
        What people said of images of the sample.
    everyone : int
        Images that the sample stands for.
    """
    needed = criteria.sampling.size_for(everyone)
    failing = pc.sum(said["failed"]).as_py()
    when = pc.max(said["decided_at"]).as_py()
    n = said.num_rows
    if failing:
        return _same(
            mine,
            "review",
            None,
            f"a sampled image failed ({failing} of {drawn}): the cause must be handled",
            None,
        )
    if drawn == 0:
        return _same(mine, "review", None, "no sample was drawn under these criteria", None)
    if drawn < needed:
        return _same(
            mine,
            "review",
            None,
            f"the sample holds {drawn} images, but {needed} of {everyone} are needed",
            None,
        )
    if n < drawn:
        return _same(mine, "review", None, f"{n} of {drawn} sampled images were looked at", None)
    reviewers = ", ".join(sorted({r for names in said["reviewers"].to_pylist() for r in names}))
    if n >= everyone:
        detail = "every image was looked at, none is bad"
    else:
        rate, sampling = criteria.sampling.residual_rate(n), criteria.sampling
        detail = f"0 of {n} sampled images are bad: at most {rate:.2%} of all are, at {sampling.confidence:.0%} confidence"
    return _same(mine, "pass", f"sample of {n} of {max(n, everyone)} by {reviewers}", detail, when)


# -- rows --------------------------------------------------------------------------------------------


def _same(mine: pa.Table, outcome: str, decided_by: str | None, detail: str, when: object) -> pa.Table:
    n = mine.num_rows
    return pa.table(
        {
            "row": mine["row"],
            "outcome": pa.repeat(pa.scalar(outcome, pa.string()), n),
            "decided_by": pa.repeat(pa.scalar(decided_by, pa.string()), n),
            "detail": pa.repeat(pa.scalar(detail, pa.string()), n),
            "decided_at": pa.repeat(pa.scalar(when, pa.timestamp("us", tz="UTC")), n),
        }
    )


def _applied(verdicts: pa.Table, changes: list[pa.Table]) -> pa.Table:
    """Return ``verdicts`` with the changed cells; a null in a change leaves the cell as it is."""
    schema = pa.schema(
        [(n, pa.string()) for n in ("outcome", "decided_by", "detail")]
        + [("decided_at", pa.timestamp("us", tz="UTC"))]
    )
    all_changes = pa.concat_tables(
        [c.select(["row", *schema.names]).cast(pa.schema([("row", pa.int64()), *schema])) for c in changes]
    )
    if all_changes.num_rows == 0:
        return verdicts
    rows = all_changes["row"].to_numpy()
    touched = np.zeros(verdicts.num_rows, dtype=bool)
    touched[rows] = True
    mask, order = pa.array(touched), pa.array(np.argsort(rows, kind="stable"))
    for name in schema.names:
        fresh = all_changes[name].take(order)
        old = verdicts[name].cast(schema.field(name).type).filter(mask)
        if name == "detail":
            # what the rule had to tell stays readable before what people said
            fresh = pc.coalesce(pc.binary_join_element_wise(old, fresh, "; "), fresh)
        else:
            fresh = pc.if_else(pc.is_valid(fresh), fresh, old)
        replaced = pc.replace_with_mask(_one(verdicts[name].cast(schema.field(name).type)), mask, _one(fresh))
        verdicts = verdicts.set_column(verdicts.column_names.index(name), name, replaced)
    return verdicts


def _where(table: pa.Table, **equal: str) -> pa.Table:
    for name, value in equal.items():
        table = table.filter(pc.equal(table[name], value))
    return table


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column
