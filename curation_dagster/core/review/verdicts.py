"""People's verdicts: a worksheet for the reviewer, and its way back into rows of ``reviews``.

A verdict names the image by its image_id and the criterion by its id, never a person or a source file. Rows are only
ever added; a reviewer who changes their mind adds a new verdict, and the newest counts.
"""

from __future__ import annotations

import csv
import os
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from curation_dagster.core.criteria.models import CriteriaSet
from curation_dagster.core.export import as_typed, write_csv
from curation_dagster.core.review.panel import panels
from curation_dagster.core.review.people import person
from curation_dagster.core.visible import hidden_in, without_hidden
from curation_dagster.schemas import REVIEWS

COLUMNS = ("archive", "version", "image_id", "criterion", "outcome", "comment")
_REQUIRED = COLUMNS[:-1]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SHOWN = 20


class VerdictError(ValueError):
    """A worksheet can't be taken up; the message lists every problem, and nothing of the file was taken up."""

    def __init__(self, path: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = [f"  {p}" for p in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"  and {len(problems) - _SHOWN} more")
        super().__init__(
            f"{path}: {len(problems)} problem(s); no verdict of this file was taken up. Mend it and record it again.\n"
            + "\n".join(lines)
        )


def read_verdicts(
    csv_path: str | os.PathLike[str],
    reviewer: str,
    known_criteria: Collection[str] | None = None,
    reviewed_at: datetime | None = None,
) -> pa.Table:
    """Read a reviewer's worksheet.

    Parameters
    ----------
    csv_path : path
        CSV in UTF-8 with the columns archive, version, image_id, criterion, outcome (pass or fail) and, if wanted,
        comment. A row whose outcome is blank is not judged yet and is left out.
    reviewer : str
        Who judged.
    known_criteria : collection of str, optional
        Ids of the criteria in force; any is accepted without it.
    reviewed_at : datetime, optional
        When; now if not given. With time zone.

    Returns
    -------
    pyarrow.Table
        Rows of ``reviews``.

    Raises
    ------
    VerdictError
        If anything in the file is wrong. A ``fail`` needs a comment: the ledger must say why.
    """
    path = Path(csv_path)
    problems: list[str] = [] if reviewer.strip() else ["reviewer: a name is required, got a blank"]
    if hidden_in(reviewer.strip()):
        problems.append(
            f"reviewer: the name holds characters that don't show: {', '.join(hidden_in(reviewer))}"
        )
    when = reviewed_at or datetime.now(UTC)
    rows: list[dict[str, object]] = []
    seen: dict[tuple[str, str], int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            absent = [c for c in _REQUIRED if c not in (reader.fieldnames or ())]
            if absent:
                problems.append(f"line 1: no column {', '.join(absent)}; expected {', '.join(COLUMNS)}")
            for row in () if absent else reader:
                cells = {k: as_typed((v or "").strip()) for k, v in row.items() if isinstance(k, str)}
                if not cells["outcome"]:
                    continue
                cells["outcome"] = cells["outcome"].lower()
                problems += [f"line {reader.line_num}: {p}" for p in _row_problems(cells, known_criteria)]
                judged = (cells["image_id"], cells["criterion"])
                if judged in seen:
                    problems.append(
                        f"line {reader.line_num}: this image and criterion stand on line {seen[judged]} already"
                    )
                seen.setdefault(judged, reader.line_num)
                rows.append(
                    {c: cells[c] for c in _REQUIRED}
                    | {
                        "review_id": str(uuid.uuid4()),
                        "comment": " ".join(without_hidden(cells.get("comment") or "").split()) or None,
                        "reviewer": reviewer.strip(),
                        "reviewed_at": when,
                    }
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(f"can't be read as CSV in UTF-8: {error}")
    if problems:
        raise VerdictError(path.name, problems)
    return REVIEWS.conform(rows)


def write_queue(
    queue: pa.Table,
    reviews: pa.Table,
    path: str | os.PathLike[str],
    reviewer: str | None = None,
    needed: Mapping[str, int] | None = None,
) -> int:
    """Write the rows of a review queue that still wait for somebody as a worksheet; return how many.

    Parameters
    ----------
    queue, reviews : pyarrow.Table
        Rows of ``review_queue`` and ``reviews``.
    reviewer : str, optional
        Write what waits for this person: all that they have not judged, settled by others or not.
    needed : mapping of str to int, optional
        How many people each criterion asks for; one where it is not named.
    """
    if reviewer is not None:
        mine = [person(name) == person(reviewer) for name in reviews["reviewer"].to_pylist()]
        reviews, needed = reviews.filter(pa.array(mine, pa.bool_())), None
    said = panels(reviews.to_pylist(), needed)
    done = {(image_id, criterion) for (criterion, image_id), panel in said.items() if panel.settled}
    rows = sorted(queue.to_pylist(), key=lambda r: (r["criterion"], r["purpose"], r["rank"]))
    waiting = [r for r in rows if (r["image_id"], r["criterion"]) not in done]
    write_csv(waiting, COLUMNS, path)
    return len(waiting)


def by_criteria(rows: pa.Table, criteria: CriteriaSet) -> pa.Table:
    """Return rows of ``reviews`` that say by which criteria the reviewers judged."""
    for name, value in (("criteria_version", criteria.version), ("criteria_digest", criteria.digest)):
        column = pa.array([value] * rows.num_rows, pa.string())
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)
    return rows


def _row_problems(cells: dict[str, str], known_criteria: Collection[str] | None) -> list[str]:
    found = [f"{c} is blank" for c in ("archive", "version", "criterion") if not cells[c]]
    if not _UUID.fullmatch(cells["image_id"]):
        found.append(f"image_id: expected a UUID, got {cells['image_id']!r}")
    if cells["outcome"] not in ("pass", "fail"):
        found.append(f"outcome: expected pass or fail, got {cells['outcome']!r}")
    if cells["outcome"] == "fail" and not cells.get("comment"):
        found.append("comment: a fail needs one, because the ledger must say why")
    if known_criteria is not None and cells["criterion"] and cells["criterion"] not in known_criteria:
        found.append(f"criterion: {cells['criterion']!r} is not one of the criteria in force")
    return found
