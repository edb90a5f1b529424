"""Names and comments that somebody wrote to mislead a reader, a terminal or a spreadsheet, and where they are shown."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from curation_dagster.assets.common import markdown_table
from curation_dagster.cli import main
from curation_dagster.core.release.documents.attribution import attribution
from curation_dagster.core.report.charts import bars
from curation_dagster.core.report.explain import explain_image
from curation_dagster.core.review.approvals import ApprovalError, approve
from curation_dagster.core.review.verdicts import VerdictError, read_verdicts
from curation_dagster.rerunning import view_of_release
from curation_dagster.schemas import CORPUS, RECORDS, REVIEWS
from curation_dagster.withdrawing import WithdrawalError, withdraw
from curation_dagster_tests.installation import Installation

HOSTILE = "Bo\u202edniL <script>alert(1)</script> | x | `y` [a](javascript:b) \x1b[31m\nsecond line =cmd|' /C calc'!A0"
HIDDEN = re.compile("[\u202e\x1b]")


@pytest.mark.parametrize("name", ["Bo\u202e dniL", "Bo\x1b[31m", "Bo\nLind", "Bo\u200b Lind", "Bo\u2028Lind"])
def test_a_person_s_name_holds_nothing_that_does_not_show(
    curated: Installation, tmp_path: Path, name: str
) -> None:
    for people in (("Ada Byron", name), (name, "Ada Byron")):
        with pytest.raises(ApprovalError, match=r"characters that don't show \(U\+"):
            approve("criteria", "device", "d", *people)
    image = curated.workspace.lake.read("corpus")["image_id"][0].as_py()
    with pytest.raises(WithdrawalError, match="characters that don't show"):
        withdraw(curated.workspace, "image", image, "consent", name)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(f"archive,version,image_id,criterion,outcome\na,v,{image},focus,pass\n")
    with pytest.raises(VerdictError, match="characters that don't show"):
        read_verdicts(sheet, name)
    assert curated.workspace.lake.read("withdrawals").num_rows == 0


def test_the_life_of_an_image_shows_what_others_wrote_as_it_is(curated: Installation) -> None:
    lake = curated.workspace.lake
    rows = lake.read("records").to_pylist()
    kept = set(lake.read("corpus")["image_id"].to_pylist())
    row = next(r for r in rows if r["image_id"] in kept)
    image, row["source_id"] = row["image_id"], HOSTILE
    lake.replace("records", RECORDS.conform(rows))
    said = next(r for r in lake.read("reviews").to_pylist() if r["image_id"] == image) | {"comment": HOSTILE}
    lake.replace("reviews", REVIEWS.conform([said]))
    for form in ("text", "markdown", "html"):
        told = explain_image(lake, image, form) or ""  # type: ignore[arg-type]
        assert not HIDDEN.search(told)
        assert "U+202E" in told
        if form != "text":
            assert "<script>alert" not in told.replace("\\<", "&lt;")
        if form == "markdown":
            lines = [line for line in told.splitlines() if "dniL" in line]
            assert len(lines) == 2
            assert all(len(re.findall(r"(?<!\\)\|", line)) in (3, 6) for line in lines)


def test_what_a_delivery_calls_things_is_text_in_the_ui_and_in_drawings() -> None:
    table = markdown_table([[HOSTILE, 3]], ["label", "images"]).md_str or ""
    assert len(table.splitlines()) == 3
    assert len(re.findall(r"(?<!\\)\|", table.splitlines()[2])) == 3
    assert "<script>" not in table.replace("\\<", "")
    assert not HIDDEN.search(table)
    drawn = bars(HOSTILE, [(HOSTILE, 3, HOSTILE, "fine")])
    assert "alert" in "".join(ET.fromstring(drawn).itertext())
    assert not HIDDEN.search(drawn)


def test_an_attribution_that_a_publisher_stated_is_one_line_of_text(curated: Installation) -> None:
    workspace = curated.workspace
    rows = workspace.lake.read("corpus").to_pylist()
    rows[0]["attribution"] = f"A..B Hospital {HOSTILE}"
    workspace.lake.replace("corpus", CORPUS.conform(rows))
    (release,) = workspace.lake.read("releases").to_pylist()
    versions = json.loads(release["table_versions"])
    versions["corpus"] = workspace.lake.version("corpus")
    view = view_of_release(workspace, release | {"table_versions": json.dumps(versions)})
    (page,) = attribution(view).values()
    (line,) = [x for x in page.decode().splitlines() if "dniL" in x]
    assert "second line" in line
    assert "A..B Hospital" in line
    assert "\\<script\\>" in line
    assert not HIDDEN.search(page.decode())


def test_the_life_of_a_withdrawn_image_is_true_before_and_after_the_rebuild(curated: Installation) -> None:
    workspace = curated.workspace
    with workspace.lake.sql("corpus", "splits") as sql:
        image, side = sql.execute(
            "SELECT image_id, s.split FROM corpus JOIN splits s USING (image_id) WHERE s.split IS NOT NULL ORDER BY 1 LIMIT 1"
        ).fetchall()[0]

    def life(*more: str) -> str:
        return CliRunner().invoke(main, ["explain", image, *more], catch_exceptions=False).output

    before = life()
    assert "in the corpus as" in before
    assert re.search(rf"^1 +{side} .* author +approver +in it$", before, re.M)
    assert "No release before this one holds it." in life("--release", "1")
    withdraw(workspace, "image", image, "consent withdrawn", "Data Protection")
    told = life()
    assert "withdrawn 20" in told.splitlines()[2]
    assert "still lists it" in told.splitlines()[2]
    assert "in the corpus as" not in told
    assert "written, removed since" in told
    assert re.search(rf"^1 +{side} .* removed since$", told, re.M)
    assert "in the corpus as" in life("--release", "1")  # as that release holds it
    assert curated.rebuild()
    assert "still lists it" not in life()
    assert "excluded by" not in life().splitlines()[2] or "as well" in life().splitlines()[2]
