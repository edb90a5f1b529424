"""CSV files that leave: the published columns, years for times, a band for the oldest, and nothing that runs."""

from __future__ import annotations

import csv
import doctest
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.cli import main
from curation_dagster.core import export
from curation_dagster.core.export import PUBLISHED_COLUMNS, as_typed, corpus_rows, neutral, write_csv
from curation_dagster.core.review.verdicts import COLUMNS, read_verdicts, write_queue
from curation_dagster.schemas import CORPUS, REVIEW_QUEUE, REVIEWS
from curation_dagster_tests.installation import Installation

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1", " =1", "\n=1", "＝1+1", "|calc", "\ufeff=1"]  # fmt: skip


@pytest.mark.parametrize("cell", HOSTILE)
def test_a_cell_that_a_spreadsheet_would_run_is_text(cell: str) -> None:
    assert neutral(cell) == "'" + cell
    assert as_typed(neutral(cell)) == cell


@given(st.text())
def test_what_is_written_never_begins_as_a_formula(cell: str) -> None:
    shown = neutral(cell)
    try:
        float(shown)
    except ValueError:
        assert not shown.lstrip().startswith(("=", "+", "-", "@"))


def row(**values: object) -> pa.Table:
    filled = {
        "image_id": "00000000-0000-5000-8000-000000000001",
        "file": "images/00/x.jpg",
        "sha256": "0" * 64,
        "width": 400,
        "height": 400,
        "is_control": False,
        "archive": "a",
        "version": "1",
        "licence": "CC0-1.0",
        "ingested_at": datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
        "criteria_version": "1.0.0",
        "run_id": "run-1",
    }
    return CORPUS.conform([filled | values])


def test_only_published_columns_leave_and_times_are_years(tmp_path: Path) -> None:
    out = tmp_path / "corpus.csv"
    assert (
        write_csv(corpus_rows(row(age_years=62.0, diagnosis_source_label="=cmd")), PUBLISHED_COLUMNS, out)
        == 1
    )
    with out.open(encoding="utf-8", newline="") as lines:
        (written,) = csv.DictReader(lines)
    assert tuple(written) == PUBLISHED_COLUMNS
    assert "run_id" not in written
    assert (written["ingested_at"], written["age_years"], written["is_control"]) == ("2026", "62", "false")
    assert written["diagnosis_source_label"] == "'=cmd"
    assert "run-1" not in out.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.csv"]


def test_nobody_is_older_than_the_band() -> None:
    (oldest,) = corpus_rows(row(age_low=93.0, age_high=97.0))
    assert (oldest["age_low"], oldest["age_high"]) == (90, None)
    (young,) = corpus_rows(row(age_low=60.0, age_high=65.0))
    assert (young["age_low"], young["age_high"]) == (60, 65)


def test_the_review_worksheet_is_neutral_and_comes_back(tmp_path: Path) -> None:
    image_id = "00000000-0000-5000-8000-000000000001"
    queue = REVIEW_QUEUE.conform(
        [{"archive": "a", "version": "=1", "image_id": image_id, "criterion": "c", "purpose": "each", "rank": 1, "criteria_digest": "d"}]
    )  # fmt: skip
    path = tmp_path / "queue.csv"
    assert write_queue(queue, REVIEWS.empty(), path) == 1
    text = path.read_text()
    assert "'=1" in text
    assert text.splitlines()[0] == ",".join(COLUMNS)
    path.write_text(text.replace(",c,,", ",c,fail,'-1 finger"))
    (read,) = read_verdicts(path, "somebody").to_pylist()
    assert (read["version"], read["comment"]) == ("=1", "-1 finger")


def test_the_command_writes_the_corpus(curated: Installation, tmp_path: Path) -> None:
    out = tmp_path / "corpus.csv"
    result = CliRunner().invoke(main, ["export", "corpus", "--out", str(out)])
    assert result.exit_code == 0, result.output
    with out.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == curated.workspace.lake.read("corpus").num_rows > 0


def test_docstrings_hold() -> None:
    assert doctest.testmod(export).failed == 0
