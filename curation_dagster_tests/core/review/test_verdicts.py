from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from curation_dagster.core.review.sampling import draw_sample
from curation_dagster.core.review.verdicts import VerdictError, read_verdicts, write_queue
from curation_dagster.schemas import REVIEWS
from curation_dagster_tests.core.criteria.facts import image_id

HEAD = "archive,version,image_id,criterion,outcome,comment\n"


def sheet(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "sheet.csv"
    path.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_round_trip(tmp_path: Path) -> None:
    queue = draw_sample([image_id(i) for i in range(4)], "pad", "1", "faces_and_text", 3)
    path = tmp_path / "sheet.csv"
    assert write_queue(queue, REVIEWS.empty(), path) == 3
    lines = path.read_text().splitlines()
    assert lines[0] + "\n" == HEAD
    path.write_text("\n".join([lines[0], lines[1][:-1] + "pass,", lines[2][:-1] + "FAIL,a face", lines[3]]))
    when = datetime(2025, 4, 1, tzinfo=UTC)
    rows = read_verdicts(path, " ada ", ["faces_and_text"], when)
    assert rows.schema == REVIEWS.arrow_schema
    assert [(r["outcome"], r["comment"], r["reviewer"], r["reviewed_at"]) for r in rows.to_pylist()] == [
        ("pass", None, "ada", when),
        ("fail", "a face", "ada", when),
    ]
    assert write_queue(queue, rows, path) == 1
    assert write_queue(queue, rows, path, reviewer="bo") == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sheet.csv"]


def test_all_problems_at_once(tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        f"pad,1,{image_id(0)},hair,maybe,",
        "pad,1,IMG_0001,hair,pass,",
        f"pad,,{image_id(1)},hair,fail,",
        f"pad,1,{image_id(2)},haar,pass,",
        f"pad,1,{image_id(2)},haar,pass,",
    )
    with pytest.raises(VerdictError) as error:
        read_verdicts(path, "", ["hair"])
    assert error.value.problems == (
        "reviewer: a name is required, got a blank",
        "line 2: outcome: expected pass or fail, got 'maybe'",
        "line 3: image_id: expected a UUID, got 'IMG_0001'",
        "line 4: version is blank",
        "line 4: comment: a fail needs one, because the ledger must say why",
        "line 5: criterion: 'haar' is not one of the criteria in force",
        "line 6: criterion: 'haar' is not one of the criteria in force",
        "line 6: this image and criterion stand on line 5 already",
    )
    assert "no verdict of this file was taken up" in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"archive,version\n", "no column image_id, criterion, outcome"),
        (b"", "no column archive"),
        (b"archive,version,image_id,criterion,outcome\n\xff\xfe", "can't be read as CSV in UTF-8"),
    ],
)
def test_unreadable(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    with pytest.raises(VerdictError, match=expected):
        read_verdicts(path, "ada")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match="can't be read"):
        read_verdicts(tmp_path / "absent.csv", "ada")


def test_a_spreadsheets_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert (
        read_verdicts(
            sheet(tmp_path, f"pad,1,{image_id(0)},hair,pass,", head="\ufeff" + HEAD), "ada"
        ).num_rows
        == 1
    )
    assert read_verdicts(sheet(tmp_path), "ada").num_rows == 0
