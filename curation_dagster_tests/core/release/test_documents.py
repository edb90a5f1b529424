"""The documents of a release: every number in their tables, sentences and figures counted again."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from curation_dagster.core.release.flow import broken_sums
from curation_dagster.core.report.drawing import Text, read_svg
from curation_dagster.core.report.paper import Points, Table, plain, sentence, unplain
from curation_dagster_tests.core.release.conftest import sentences_of
from curation_dagster_tests.core.release.counting import COUNTED, Counted, groups_of, share, words

# tables of what a descriptor, the criteria or people say in words; their numbers are quoted, not counted
QUOTED = {
    "identification_fields", "licence_fields", "selection_evaluation", "retrieval_declared", "criteria", "clauses", "waived",
    "selection", "deidentification_version", "approvals", "documents", "beside", "sources", "licences", "agreement",
    "source_probes", "version_changes", "criteria_changes", "releases", "withdrawals",
}  # fmt: skip


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
        for said in sentences_of(paper):
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


def test_words_and_states_of_reasons_are_shown_without_underscores(papers: dict[str, Any]) -> None:
    boxes = next(
        b for b in papers["technical-file-corpus"].blocks if isinstance(b, Table) and b.id == "boxes"
    )
    assert all(row[0] == words(row[0]) for row in boxes.rows)
