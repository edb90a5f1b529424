"""The documents of a release: every number counted again, in every form, and every image told to the end."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from curation_dagster.cli import main
from curation_dagster.core.release.flow import broken_sums
from curation_dagster.core.release.reading import issued_at, papers_of, read_paper
from curation_dagster.core.report.drawing import Text, read_svg
from curation_dagster.core.report.paper import Link, Points, Say, Table, plain, sentence, shown, unplain
from curation_dagster.core.report.pdf import as_pdf
from curation_dagster_tests.core.release.counting import COUNTED, Counted, groups_of, share, words

# tables of what a descriptor, the criteria or people say in words; their numbers are quoted, not counted
QUOTED = {
    "identification_fields", "licence_fields", "selection_evaluation", "retrieval_declared", "criteria", "clauses", "waived",
    "selection", "deidentification_version", "approvals", "documents", "beside", "sources", "licences", "agreement",
    "source_probes", "version_changes", "criteria_changes", "releases", "withdrawals",
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(curated_home: Path) -> Path:
    return curated_home / "releases" / "1"


@pytest.fixture(scope="module")
def papers(bundle: Path) -> dict[str, Any]:
    return {name: read_paper(path) for name, path in papers_of(bundle).items()}


def canonical(rows: list[list[Any]]) -> list[str]:
    return sorted(json.dumps([plain(unplain(c)) for c in row], sort_keys=True, default=str) for row in rows)


def test_every_number_in_every_table_is_what_the_tables_hold(
    papers: dict[str, Any], bundle: Path, curated_home: Path
) -> None:
    seen = Counter()
    for name, paper in papers.items():
        key = name.removeprefix("technical-file-")
        counted = Counted(curated_home, bundle, key if "@" in key else None)
        for table in (b for b in paper.blocks if isinstance(b, Table)):
            known = (
                f"sheet_{table.id}" if name == "datasheet" and f"sheet_{table.id}" in COUNTED else table.id
            )
            if name == "representativeness" or known.startswith("table_flow"):
                continue  # counted again below
            said = canonical([[plain(c) for c in row] for row in table.rows])
            if known in COUNTED:
                assert said == canonical(COUNTED[known](counted)), (name, table.id)
                seen[known] += bool(said)
            else:
                assert known in QUOTED, f"{name}: nobody counts the table {table.id} again"
    assert set(COUNTED) - set(seen) == set()
    # what the synthetic archives can't have: fetched files, listed addresses, labels that two people disputed
    empty = {"retrievals_by_method", "addresses_by_fate", "checks_failed", "duplicates_across"}
    assert {k for k, n in seen.items() if not n} <= empty


def test_the_assessment_that_is_quoted_is_the_one_of_the_records(bundle: Path, curated_home: Path) -> None:
    counted = Counted(curated_home, bundle)
    for (archive, version), mine in counted.of("assessments").groupby(["archive", "version"]):
        records = Counted(curated_home, bundle, f"{archive}@{version}").of("records")
        counts = {r.value: r.counted for r in mine[mine.section == "counts"].itertuples()}
        assert counts["rows"] == len(records)
        assert counts["images"] == records.path.notna().sum()
        states = {r.value: r.counted for r in mine[mine.section == "join_states"].itertuples()}
        assert states == Counter(records.join_state)
        with_record = records[records.source_values.notna()]
        for row in mine[mine.section == "columns"].itertuples():
            texts = [json.loads(v).get(row.value) for v in with_record.source_values]
            if any(t is not None for t in texts):  # a name that was held back can't be looked up
                assert row.counted == sum(not (t or "").strip() for t in texts), (archive, row.value)


def test_every_number_in_a_sentence_is_a_value_and_every_value_is_counted(
    papers: dict[str, Any], bundle: Path, curated_home: Path
) -> None:
    whole = Counted(curated_home, bundle)
    images, admissions = whole.images(), whole.of("admissions")
    numbers = {
        ("datasheet", "images"): len(images),
        ("datasheet", "people"): images.patient_key.dropna().nunique(),
        ("datasheet", "lesions"): images.lesion_key.dropna().nunique(),
        ("datasheet", "without"): int(images.patient_key.isna().sum()),
        ("datasheet", "entered"): len(whole.of("records")),
        ("datasheet", "excluded"): int((whole.fates().box == "excluded").sum()),
        ("datasheet", "waiting"): int(admissions.images_quarantined.sum()),
        ("datasheet", "kept"): len(whole.of("corpus")),
        ("datasheet", "withheld"): len(whole.of("corpus")) - len(images),
        ("datasheet", "withdrawals"): len(whole.of("withdrawals")),
        ("index", "kept"): len(images),
        ("index", "entered"): len(whole.of("records")),
        ("representativeness", "images"): len(images),
        ("representativeness", "patients"): images.patient_key.dropna().nunique(),
        ("representativeness", "without_patient"): int(images.patient_key.isna().sum()),
    }
    sides = Counter(images.split)
    head = max(whole.of("audit").seq)
    found = set()
    for name, paper in papers.items():
        for said in _sentences(paper):
            # a digit that is no value may stand only in a name: of a clause, a rule, a paper's year
            bare = re.sub(
                r"\{\w+\}|S\.\d+|\(\d{4}\)|CONSORT 2010|STARD 2015|croissant|SHA-256|SHA256SUMS",
                "",
                said.template,
            )
            if said.values or name in ("datasheet", "flow", "index"):
                assert name == "representativeness" or not re.search(r"\d", bare), (name, said.template)
            for field, value in said.values.items():
                if (name, field) in numbers:
                    assert value == numbers[name, field], (name, field)
                    found.add((name, field))
                elif field == "seq":
                    assert value == head
                elif field == "n" and said.values.get("side") in sides:
                    assert value == sides[said.values["side"]]
    assert found == set(numbers)


def _sentences(paper: Any) -> list[Say]:
    alone = [b for b in paper.blocks if isinstance(b, Say)]
    return alone + [i for b in paper.blocks if isinstance(b, Points) for i in b.items]


class _Page(HTMLParser):
    """The cells of the tables of a page, the sentences, and every address that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.sentences: list[str] = []
        self.loaded: list[str] = []
        self._table, self._cell, self._said = "", False, False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = dict(attributes)
        self.loaded += [said[k] or "" for k in ("src", "data", "srcset") if k in said]
        if tag == "link":
            self.loaded.append(said.get("href") or "")
        if tag == "table":
            self._table = (said["id"] or "").removeprefix("t-")
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
            self._cell = True
        elif tag in ("p", "li"):
            self.sentences.append("")
            self._said = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        self._said = self._said and tag not in ("p", "li")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[self._table][-1][-1] += data
        elif self._said:
            self.sentences[-1] += data


def test_markdown_and_html_say_what_the_json_says(papers: dict[str, Any], bundle: Path) -> None:
    for name, paper in papers.items():
        page = _Page((bundle / "documents" / f"{name}.html").read_text(encoding="utf-8"))
        text = (bundle / "documents" / f"{name}.md").read_text(encoding="utf-8")
        lines = [line.replace("\\", "") for line in text.splitlines()]
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
        listed = iter([[_unescaped(c) for c in row] for row in cells])
        for table in (b for b in paper.blocks if isinstance(b, Table) and b.rows):
            expected = [[" ".join(shown(c).split()) for c in row] for row in table.rows]
            told = [[" ".join(c.split()) for c in row] for row in page.tables[table.id][1:]]
            assert told == expected, (name, table.id)
            assert next(listed) == [" ".join(h.split()) for h in table.headers]
            assert [next(listed) for _ in expected] == expected, (name, table.id)
        assert next(listed, None) is None
        for said in _sentences(paper):
            told_so = " ".join(sentence(said).split())
            assert told_so in [" ".join(s.split()) for s in page.sentences], name
            assert any(told_so.replace("\\", "") in line for line in lines), name
        assert not page.loaded, f"{name}.html loads {page.loaded}"
        assert "@import" not in page.rawdata
        assert "url(" not in (bundle / "documents" / f"{name}.html").read_text(encoding="utf-8")


def _unescaped(cell: str) -> str:
    link = re.fullmatch(r"\[(.*)\]\(<.*>\)", cell.strip())
    return re.sub(r"\\(.)", r"\1", link.group(1) if link else cell.strip())


def test_the_flow_is_what_a_walk_over_every_image_gives(
    papers: dict[str, Any], bundle: Path, curated_home: Path
) -> None:
    numbers = json.loads((bundle / "documents" / "flow.numbers.json").read_bytes())
    assert broken_sums(numbers) == []
    fates = Counted(curated_home, bundle).fates()
    walked = Counter((r.archive, r.version, r.modality, r.box, r.reason) for r in fates.itertuples())
    told = {
        (r["archive"], r["version"], r["modality"], r["box"], r["reason"]): r["images"]
        for r in numbers["rows"]
    }
    assert told == walked
    assert sum(walked.values()) == len(Counted(curated_home, bundle).of("records"))
    for scope in numbers["scopes"]:
        mine = fates
        if scope["kind"] == "archive":
            mine = fates[(fates.archive + "@" + fates.version) == scope["name"]]
        elif scope["kind"] == "modality":
            mine = fates[fates.modality == scope["name"]]
        boxes = Counter(mine.box)
        steps = {s["key"]: s["n"] for s in scope["steps"]}
        assert steps["entered"] == len(mine)
        assert steps["passed"] == len(mine) - boxes["excluded"]
        assert steps["released"] == boxes["released"]
        reasons = {
            r["key"]: r["n"]
            for s in scope["steps"]
            for o in s["out"]
            if o["key"].startswith("excluded")
            for r in o["reasons"]
        }
        assert reasons == Counter(mine[mine.box == "excluded"].reason)
        assert scope["sides"] == {s: Counter(mine.reason)[s] for s in scope["sides"]}
        # the figure and the table show just these numbers
        name = "all" if scope["kind"] == "all" else f"{scope['kind']}-{scope['name'].replace(' ', '_')}"
        drawn = read_svg((bundle / "documents" / "figures" / f"flow-{name}.svg").read_text(encoding="utf-8"))
        shown_numbers = Counter(
            int(s.text.removeprefix("n = ").replace(",", "")) for s in drawn.shapes if isinstance(s, Text) and re.fullmatch(r"(n = )?[\d,]+", s.text)
        )  # fmt: skip
        outs = [o for s in scope["steps"] for o in s["out"]]
        expected = [
            *steps.values(),
            *(o["n"] for o in outs),
            *(r["n"] for o in outs for r in o["reasons"]),
            *scope["sides"].values(),
        ]
        assert shown_numbers == Counter(expected)
        table = next(
            b for b in papers["flow"].blocks if isinstance(b, Table) and b.id == f"table_flow_{name}"
        )
        assert Counter(c for row in table.rows for c in row if isinstance(c, int)) == Counter(expected)


def test_no_number_of_a_flow_can_be_changed_unseen(bundle: Path) -> None:
    numbers = json.loads((bundle / "documents" / "flow.numbers.json").read_bytes())
    # of the rows only the sum matters here
    numbers["rows"] = [numbers["rows"][0] | {"images": sum(r["images"] for r in numbers["rows"])}]
    places = list(_integers({k: v for k, v in numbers.items() if k != "release"}))
    assert len(places) > 60
    for place in places:
        changed = copy.deepcopy(numbers)
        inner: Any = changed
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] += 1
        assert broken_sums(changed), place


def _integers(value: Any, place: tuple[Any, ...] = ()) -> Any:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _integers(inner, (*place, key))
    elif isinstance(value, int):
        yield place


def test_representativeness_is_counted_from_the_images(
    papers: dict[str, Any], bundle: Path, curated_home: Path
) -> None:
    counted = Counted(curated_home, bundle)
    groups = groups_of(counted)
    numbers = json.loads((bundle / "documents" / "representativeness.numbers.json").read_bytes())
    total = len(groups["sex"])
    tables = {b.id: b for b in papers["representativeness"].blocks if isinstance(b, Table)}
    for d in numbers["dimensions"]:
        column = groups[d["id"]]
        here = Counter(v for v in column if v is not None)
        assert {v["value"]: v["images"] for v in d["values"] if v["images"]} == here
        assert (d["stated"], d["not_stated"]) == (here.total(), total - here.total())
        rows = []
        for v in d["values"]:
            people = {p for g, p in zip(column, groups["patient"], strict=True) if g == v["value"] and p}
            n = here[v["value"]]
            state = "absent" if not n else "thin" if n < 59 or n < 0.05 * here.total() else "fine"
            rows.append([v["value"], n, share(n, here.total()), len(people), state])
        if total > here.total():
            rows.append(
                ["not stated", total - here.total(), share(total - here.total(), total), None, "missing"]
            )
        assert canonical([[plain(c) for c in r] for r in tables[f"by_{d['id']}"].rows]) == canonical(rows)
    for c in numbers["crosses"]:
        pairs = Counter(zip(groups[c["rows"]], groups[c["columns"]], strict=True))
        assert c["cells"] == [[pairs[a, b] for b in c["column_values"]] for a in c["row_values"]]
        told = tables[f"cells_{c['rows']}_by_{c['columns']}"]
        assert [list(r[1:]) for r in told.rows] == c["cells"]
        flat = [n for row in c["cells"] for n in row]
        assert c["without"] == sum(n for (a, b), n in pairs.items() if a is None or b is None)
        assert (c["empty"], c["thin"], c["of"]) == (flat.count(0), sum(0 < n < 59 for n in flat), len(flat))
    said = [
        sentence(i) for b in papers["representativeness"].blocks if isinstance(b, Points) for i in b.items
    ]
    absent = [v["value"] for d in numbers["dimensions"] for v in d["values"] if v["state"] == "absent"]
    thin = [v for d in numbers["dimensions"] for v in d["values"] if v["state"] == "thin"]
    assert thin
    assert all(any(re.search(rf"\b{re.escape(a)}\b", s) for s in said) for a in absent)
    for c in numbers["crosses"]:
        words_of = f"of {c['of']:,} combinations, {c['empty']:,} hold no image and {c['thin']:,} hold fewer than 59. {c['without']:,} images"
        assert any(words_of in s for s in said)
    assert all(any(f"{v['value']} ({v['images']:,}, " in s for s in said) for v in thin)


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


def test_a_document_as_pdf_is_the_same_twice_and_needs_the_bundle_only(bundle: Path, tmp_path: Path) -> None:
    found = papers_of(bundle)
    assert {"flow", "representativeness", "datasheet", "index", "technical-file-corpus"} <= set(found)
    paper = read_paper(found["representativeness"])
    once, twice = (as_pdf(paper, issued_at(bundle)) for _ in range(2))
    assert once == twice
    assert once.startswith(b"%PDF-")
    assert once.count(b"/Type /Page\n") > 3
    args = ["release", "pdf", str(bundle), "--document", "flow", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, args, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "flow.pdf").stat().st_size > 10_000
    refused = CliRunner().invoke(main, [*args[:3], "--document", "nothing", "--out", str(tmp_path)])
    assert "has no document nothing; it has: " in refused.output


def test_the_first_page_leads_to_every_document_and_every_link_leads_somewhere(bundle: Path) -> None:
    folder = bundle / "documents"
    index = read_paper(folder / "index.json")
    linked = {
        c.href
        for b in index.blocks
        if isinstance(b, Table)
        for row in b.rows
        for c in row
        if isinstance(c, Link)
    }
    there = {p.relative_to(folder).as_posix() for p in folder.iterdir() if p.is_file()}
    assert there - linked == {"index.html", "index.md", "index.json"}
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8").split('<script type="application/json"', 1)[0]
        for href in re.findall(r'href="([^"#:]+)', text):
            assert (page.parent / href).resolve().exists(), (page.name, href)
    for page in folder.glob("*.md"):
        for href in re.findall(r"\]\(<?([^)>#:]+)>?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / href).resolve().exists(), (page.name, href)


def test_words_and_states_of_reasons_are_shown_without_underscores(papers: dict[str, Any]) -> None:
    boxes = next(
        b for b in papers["technical-file-corpus"].blocks if isinstance(b, Table) and b.id == "boxes"
    )
    assert all(row[0] == words(row[0]) for row in boxes.rows)
