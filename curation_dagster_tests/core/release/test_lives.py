"""Every image told to the end: its page in a release holds its whole ledger, and the command line says the same."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curation_dagster.cli import main
from curation_dagster_tests.core.release.counting import Counted


def lives_of(bundle: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the pages of the release say of each image, by archive version and image_id."""
    found = {}
    for path in (bundle / "documents" / "images").glob("*.html"):
        if path.name == "index.html":
            continue
        text = path.read_text(encoding="utf-8")
        data = json.loads(text.split('id="data">', 1)[1].split("</script>", 1)[0])
        for n, image_id in enumerate(data["ids"]):
            columns = {
                k: v[n] if isinstance(v, list) else v["of"][v["at"][n]] for k, v in data["columns"].items()
            }
            contexts, outcomes = data["patterns"][data["pattern"][n]]
            details = dict(data["details"].get(str(n), []))
            ledger = []
            for k, (context, outcome) in enumerate(zip(contexts, outcomes, strict=True)):
                criterion, *rest = data["contexts"][str(context)]
                ledger.append((data["criteria"][criterion][0], data["outcomes"][outcome], data["measured"][n][k], details.get(k), *rest))  # fmt: skip
            key = (f"{columns['archive']}@{columns['version']}", image_id)
            assert key not in found
            found[key] = columns | {"ledger": ledger, "reviews": data["reviews"].get(str(n), [])}
    return found


def test_the_page_of_an_image_holds_its_whole_ledger(bundle: Path, curated_home: Path) -> None:
    counted = Counted(curated_home, bundle)
    lives = lives_of(bundle)
    expected: dict[tuple[str, str], list[tuple]] = {}
    for r in counted.of("decisions").to_dict("records"):
        expected.setdefault((f"{r['archive']}@{r['version']}", r["image_id"]), []).append(
            (r["criterion"], r["outcome"], r["measured"], r["detail"], r["bound"], r["decided_by"],
             f"{r['decided_at']:%Y-%m-%dT%H:%M:%SZ}", r["criteria_version"], r["criteria_digest"], r["code_version"], r["run_id"])
        )  # fmt: skip
    assert set(lives) == {
        (f"{r.archive}@{r.version}", r.image_id) for r in counted.of("records").itertuples()
    }
    for key, life in lives.items():
        assert sorted(life["ledger"], key=str) == sorted(expected.get(key, []), key=str), key
    source = {(f"{r.archive}@{r.version}", r.image_id): r.sha256 for r in counted.of("records").itertuples()}
    assert {k: v["sha256"] for k, v in lives.items()} == source
    licences = {
        (f"{r.archive}@{r.version}", r.image_id): r.licence for r in counted.of("harmonized").itertuples()
    }
    assert {k: v["licence"] for k, v in lives.items()} == licences
    verdicts = Counter((f"{r.archive}@{r.version}", r.image_id) for r in counted.of("reviews").itertuples())
    assert {k: len(v["reviews"]) for k, v in lives.items() if v["reviews"]} == verdicts
    for row in counted.images().itertuples():
        life = lives[f"{row.archive}@{row.version}", row.image_id]
        assert (bundle / life["path"]).is_file()
        assert (life["published"], life["side"]) == (row.sha256, row.split)


@pytest.mark.parametrize("seed", range(3))
def test_an_auditors_walk_on_the_command_line(
    curated_home: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setenv("CURATION_HOME", str(curated_home))
    # step 1: an excluded and an included image, at random, from the release's ledger
    rows = pq.read_table(bundle / "tables" / "decisions.parquet").to_pylist()
    failed = sorted({r["image_id"] for r in rows if r["outcome"] == "fail"})
    kept = sorted(
        r["image_id"] for r in pq.read_table(bundle / "tables" / "splits.parquet").to_pylist() if r["split"]
    )
    chosen = random.Random(seed)
    counted = Counted(curated_home, bundle)
    for image_id, fate in (
        (chosen.choice(failed), "excluded by "),
        (chosen.choice(kept), "in the corpus as "),
    ):
        # step 2: its life
        told = CliRunner().invoke(main, ["explain", image_id], catch_exceptions=False).output
        record = counted.of("records").set_index("image_id").loc[image_id]
        assert fate in told
        flat = " ".join(told.split())
        assert (record.path or "") in told
        assert record.sha256 is None or record.sha256 in told
        licence = counted.of("harmonized").set_index("image_id").loc[image_id].licence
        assert licence is None or licence in told
        for r in (r for r in rows if r["image_id"] == image_id):
            assert re.search(rf"{r['outcome']} +{re.escape(r['clause'])} +{r['criterion']}\b", told), r[
                "criterion"
            ]
            for text in (r["measured"], r["bound"], r["decided_by"]):
                assert not text or text.split()[0] in flat
            assert f"{r['decided_at']:%Y-%m-%d %H:%M:%S UTC}" in told
            assert f"Criteria {r['criteria_version']}, SHA-256 {r['criteria_digest']}" in flat
        if record.sha256 and "laplacian_variance_512" in told:
            assert "luma_p95" in told
        assert "approver" in told
        # step 3: the same as a page, by the publisher's name, now and as the release holds it
        for form, extra in (("html", []), ("markdown", ["--release", "1"])):
            out = tmp_path / f"{seed}.{form}"
            args = ["explain", record.source_id, "--format", form, "--out", str(out), *extra]
            assert CliRunner().invoke(main, args, catch_exceptions=False).exit_code == 0
            page = out.read_text(encoding="utf-8")
            assert image_id in page.replace("\\", "")
            assert rows[0]["criteria_digest"] in page
    unknown = CliRunner().invoke(main, ["explain", "nobody"])
    assert unknown.exit_code != 0
    assert "no image has the id" in unknown.output
    assert "no release 9" in CliRunner().invoke(main, ["explain", kept[0], "--release", "9"]).output
