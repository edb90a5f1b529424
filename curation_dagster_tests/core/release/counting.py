"""Every number of every document of a release, counted once more: with pandas, row by row, not with the code under test."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.release.splits import balance_of
from curation_dagster.lake import Lake

Rows = list[list[Any]]
STAGES = ["records", "quality", "deidentified", "harmonized", "duplicates"]
OUTCOMES = ("pass", "fail", "review", "not_applicable")


class Counted:
    """The tables of a release as pandas frames, those of one archive version where a key is named."""

    def __init__(self, home: Path, bundle: Path, key: str | None = None) -> None:
        self.bundle, self.key = bundle, key
        self.manifest = json.loads((bundle / "MANIFEST.json").read_bytes())
        self.lake = Lake.open(home / "lake")
        self.criteria = load_criteria(bundle / "criteria" / "device.yaml")

    def of(self, table: str, everywhere: bool = False) -> pd.DataFrame:
        version = self.manifest["tables"][table]["version"]
        from curation_dagster.schemas import TABLES

        rows = TABLES[table].empty() if version is None else self.lake.read(table, version)
        frame = pd.DataFrame(rows.to_pylist(), columns=rows.column_names, dtype=object)
        if self.key is None or everywhere or "archive" not in frame:
            return frame
        archive, name = self.key.split("@")
        return frame[(frame.archive == archive) & (frame.version == name)]

    def images(self) -> pd.DataFrame:
        splits = self.of("splits")[["image_id", "split"]]
        merged = self.of("corpus").drop(columns=["split"]).merge(splits, on="image_id")
        return merged[merged.split.notna()]

    def fates(self) -> pd.DataFrame:
        """Where each image ended, walked through image by image."""
        place = {c.id: (STAGES.index(c.stage), n) for n, c in enumerate(self.criteria.criteria)}
        held: dict[tuple, dict[str, list[str]]] = {}
        for r in self.of("decisions").to_dict("records"):
            if r["outcome"] in ("fail", "review"):
                key = (r["archive"], r["version"], r["image_id"])
                held.setdefault(key, {"fail": [], "review": []})[r["outcome"]].append(r["criterion"])
        decided = {(r.archive, r.version) for r in self.of("decisions").itertuples()}
        kept = {(r.archive, r.version, r.image_id) for r in self.of("corpus").itertuples()}
        side = {r.image_id: r.split for r in self.of("splits").itertuples()}
        admitted = {(r.archive, r.version): r.admitted for r in self.of("admissions").itertuples()}
        modality = {
            (r.archive, r.version, r.image_id): r.modality for r in self.of("harmonized").itertuples()
        }
        found = []
        for r in self.of("records").itertuples():
            key = (r.archive, r.version, r.image_id)
            mine = held.get(key, {"fail": [], "review": []})
            reason = None
            if mine["fail"]:
                box, reason = "excluded", min(mine["fail"], key=place.__getitem__)
            elif key[:2] not in decided:
                box = "undecided"
            elif mine["review"]:
                box, reason = "waiting", min(mine["review"], key=place.__getitem__)
            elif key in kept:
                box, reason = ("released", side[r.image_id]) if side[r.image_id] else ("withheld", None)
            else:
                box = "not_written" if admitted.get(key[:2]) else "not_admitted"
            found.append(
                (*key, modality.get(key) or r.modality or "not stated", box, reason, len(mine["fail"]))
            )
        names = ["archive", "version", "image_id", "modality", "box", "reason", "fails"]
        return pd.DataFrame(found, columns=names, dtype=object)


def tally(frame: pd.DataFrame, by: list[str], *more: Callable[[pd.DataFrame], Any]) -> Rows:
    """Return a row for each distinct combination of columns: the values, and what is counted of its rows."""
    groups: dict[tuple, list[int]] = {}
    for n, row in enumerate(frame[by].itertuples(index=False)):
        groups.setdefault(tuple(None if v is None or v != v else v for v in row), []).append(n)
    return [[*key, *(f(frame.iloc[rows]) for f in more)] for key, rows in groups.items()]


def at(value: Any) -> Any:
    return None if value is None or value is pd.NaT else {"at": f"{value:%Y-%m-%dT%H:%M:%SZ}"}


def share(n: int, of: int) -> dict[str, int]:
    return {"n": int(n), "of": int(of)}


def words(value: str | None) -> str:
    return "not stated" if value is None else value.replace("_", " ")


def where(mask: str) -> Callable[[pd.DataFrame], int]:
    return lambda f: int(f.eval(mask).sum()) if len(f) else 0


def total(column: str) -> Callable[[pd.DataFrame], int]:
    return lambda f: int(sum(v for v in f[column] if v is not None))


def first(column: str) -> Callable[[pd.DataFrame], Any]:
    return lambda f: at(min(v for v in f[column] if v is not None))


def last(column: str) -> Callable[[pd.DataFrame], Any]:
    return lambda f: at(max(v for v in f[column] if v is not None))


def _by_version(c: Counted, *columns: str) -> list[str]:
    return [*(["archive", "version"] if c.key is None else []), *columns]


def _admission(r: Any) -> list[Any]:
    return [
        r.admitted,
        r.images_in,
        r.images_kept,
        r.images_excluded,
        r.images_quarantined,
        "; ".join(r.reasons or []),
    ]


def _admissions(c: Counted) -> Rows:
    return [
        [
            {"text": f"{r.archive}@{r.version}", "href": f"technical-file-{r.archive}@{r.version}.html"},
            *_admission(r),
        ]
        for r in c.of("admissions").itertuples()
    ]


def _exclusions(c: Counted) -> Rows:
    decided = Counter((r.criterion, r.outcome) for r in c.of("decisions").itertuples())
    fates = c.fates()
    lone = {(r.archive, r.version, r.image_id) for r in fates.itertuples() if r.fails == 1}
    alone = Counter(
        r.criterion
        for r in c.of("decisions").itertuples()
        if r.outcome == "fail" and (r.archive, r.version, r.image_id) in lone
    )
    first_met = Counter(fates[fates.box == "excluded"].reason)
    return [
        [k.clause, k.id, *(decided[k.id, o] for o in OUTCOMES), first_met[k.id], alone[k.id]]
        for k in c.criteria.criteria
    ]


def _panels(c: Counted) -> dict[tuple, dict[str, str]]:
    """Return archive version, image and criterion to the newest verdict of each reviewer."""
    found: dict[tuple, dict[str, str]] = {}
    for r in sorted(c.of("reviews").to_dict("records"), key=lambda r: (r["reviewed_at"], r["review_id"])):
        found.setdefault((r["archive"], r["version"], r["image_id"], r["criterion"]), {})[r["reviewer"]] = r[
            "outcome"
        ]
    return {k: {p: o for p, o in v.items() if o != "withdrawn"} for k, v in found.items()}


def _review(c: Counted) -> Rows:
    said = _panels(c)
    rows = []
    for (criterion, purpose), mine in c.of("review_queue").groupby(["criterion", "purpose"]):
        keys = {(r.archive, r.version, r.image_id, criterion) for r in mine.itertuples()}
        verdicts = [list(said[k].values()) for k in keys if said.get(k)]
        needed = c.criteria.reviewers[criterion]
        settled = [
            v for v in verdicts if len(v) >= needed and (needed == 1 or v.count("pass") != v.count("fail"))
        ]
        failed = [v for v in settled if (v.count("fail") > v.count("pass") if needed > 1 else "fail" in v)]
        disputed = [v for v in verdicts if needed > 1 and v.count("pass") == v.count("fail") > 0]
        rows.append([criterion, purpose, needed, len(keys), len(settled), len(failed), len(disputed)])
    return rows


def _reviewers(c: Counted) -> Rows:
    of = [where(f"outcome == '{o}'") for o in ("pass", "fail", "withdrawn")]
    return tally(
        c.of("reviews"), ["reviewer", "criterion"], len, lambda f: f.image_id.nunique(), *of, first("reviewed_at"), last("reviewed_at")
    )  # fmt: skip


def _missing(c: Counted) -> tuple[dict[str, int], dict[str, int], Rows]:
    frame = c.of("missingness")
    of: Counter[str] = Counter()
    for (_, _, field), mine in frame.groupby(["archive", "version", "field"]):
        of[field] += max(mine["of"])
    absent = frame[frame.reason != "present"]
    lacking = Counter({f: int(n) for f, n in absent.groupby("field").images.sum().items()})
    reasons = [
        [f, words(r), int(n), share(n, of[f])]
        for (f, r), n in absent.groupby(["field", "reason"]).images.sum().items()
        if n
    ]
    return dict(of), dict(lacking), reasons


def _missing_by_field(c: Counted) -> Rows:
    of, lacking, _ = _missing(c)
    return [[f, lacking.get(f, 0), share(lacking.get(f, 0), n), n] for f, n in of.items()]


def _checks(c: Counted) -> Rows:
    frame = c.of("check_results")
    rows = tally(
        frame, ["archive", "version", "stage"], len, where("passed == True"), where("passed == False"),
        where("blocking == True"), where("blocking == True and passed == False"), last("evaluated_at"),
    )  # fmt: skip
    return [["all" if r[0] == "*" else f"{r[0]}@{r[1]}", *r[2:]] for r in rows]


def _checks_failed(c: Counted) -> Rows:
    frame = c.of("check_results")
    return [
        [
            "all" if r.archive == "*" else f"{r.archive}@{r.version}",
            r.stage,
            r.check_name,
            r.blocking,
            at(r.evaluated_at),
        ]
        for r in frame[frame.passed == False].itertuples()  # noqa: E712 - a column of objects
    ]


def _assessed(section: str, *columns: str) -> Callable[[Counted], Rows]:
    def rows(c: Counted) -> Rows:
        frame = c.of("assessments")
        frame = frame[frame.section == section]
        if section == "labels":
            frame = frame[frame.relation.notna() & (frame.relation != "unmapped")]
        spaced = {"counts": "value", "join_states": "value", "reasons": "value", "labels": "relation"}.get(
            section
        )
        return [
            [words(r[k]) if k == spaced else r[k] for k in columns] for r in frame.astype(object).where(frame.notna(), None).to_dict("records")
        ]  # fmt: skip

    return rows


def _deidentified(aspect: str) -> Callable[[Counted], Rows]:
    def rows(c: Counted) -> Rows:
        frame = c.of("deidentification_record")
        mine = frame[frame.aspect == aspect].to_dict("records")
        return [[r["carrier"], words(r["kind"]), r["images"], r["detail"]] for r in mine]

    return rows


def _deidentification(c: Counted) -> Rows:
    titles = {
        "scanned": "What was scanned", "found": "What was found", "done": "What was done about it",
        "sampled": "What people are asked to look at", "judged": "What people have judged",
        "written": "What was written, and found in it afterwards",
    }  # fmt: skip
    frame = c.of("deidentification_record")
    rows = tally(frame[frame.aspect != "version"], ["aspect", "carrier", "kind"], total("images"))
    return [[titles[a], where_, words(kind), n] for a, where_, kind, n in rows]


def _consistency(c: Counted) -> Rows:
    clauses = {k.id: k.clause_id for k in c.criteria.criteria if k.clause_id in ("I.2", "E.5")}
    rows = tally(c.of("decisions"), ["criterion"], where("outcome == 'fail'"), where("outcome == 'review'"))
    return [[clauses[r[0]], *r] for r in rows if r[0] in clauses]


def _stages(c: Counted) -> Rows:
    frame = c.of("stages")
    return [
        ["all" if r.archive == "*" else f"{r.archive}@{r.version}", r.stage, r.rows_in, r.kept, r.excluded, r.quarantined,
         r.code_version, r.fingerprint[:16], r.run_id, at(r.finished_at)]
        for r in frame[frame.stage != "release"].itertuples()
    ]  # fmt: skip


def _declared(c: Counted) -> Rows:
    import hashlib

    files = yaml.safe_load((c.bundle / "vocabularies" / "versions.yaml").read_text())["files"]
    rows = []
    for name, entries in files.items():
        if c.key and name != f"archives/{c.key.split('@')[0]}.yaml" and not name.startswith("criteria/"):
            continue
        held = c.bundle / name
        digest = hashlib.sha256(held.read_bytes()).hexdigest() if held.is_file() else None
        for e in entries:
            same = digest == e["sha256"] if digest else None
            rows.append(
                [name, e["version"], str(e["recorded"]), e["author"], e["change"], e["sha256"][:16], same]
            )
    return rows


def _entries(c: Counted) -> Rows:
    frame = c.of("audit")
    mine = frame[frame.action != "verdict"]
    if c.key:
        mine = mine[mine.subject.isin([c.key, c.key.split("@")[0]])]
    return [
        [
            r.seq,
            at(r.at),
            r.who,
            r.with_whom,
            words(r.action),
            r.subject_kind,
            r.subject,
            r.why,
            r.entry_hash[:16],
        ]
        for r in mine.rename(columns={"at": "when_"}).rename(columns={"when_": "at"}).itertuples()
    ]


def _duplicates(c: Counted) -> Rows:
    frame = c.of("duplicates")
    rows = tally(
        frame, ["relation"], len, where("is_representative == True"), lambda f: f.group_id.dropna().nunique(),
        where("label_conflict == True"),
    )  # fmt: skip
    return [[words(r[0]), *r[1:]] for r in rows]


def _across(c: Counted) -> Rows:
    frame = c.of("duplicates")
    groups = frame[frame.group_id.notna()].groupby("group_id")
    found = [(", ".join(sorted(set(g.archive))), len(g)) for _, g in groups]
    return [
        [a, sum(b == a for b, _ in found), sum(n for b, n in found if b == a)]
        for a in sorted({a for a, _ in found})
    ]


def _balance(c: Counted) -> Rows:
    """Return the balance, its counts from `splits` by hand; the deviation is the worst of four differences."""
    from curation_dagster.core.release.settings import load_split_settings

    settings = load_split_settings(c.bundle / "criteria" / "splits.yaml")
    splits = c.of("splits")
    said = [
        list(b.values())
        for b in balance_of(c.lake.read("splits", c.manifest["tables"]["splits"]["version"]), settings)
    ]
    for stratum, value, n, *sides, deviation in said:
        place = None if stratum == "all" else settings.strata.index(stratum)
        fits = [place is None or s.split(" | ")[place] == value for s in splits.stratum]
        mine = splits[splits.split.notna() & pd.Series(fits, index=splits.index)]
        counts = [int((mine.split == s).sum()) for s in ("train", "validation", "test", "sequestered")]
        assert (n, sides) == (len(mine), counts)
        off = [
            count - settings.fractions[s] * n
            for s, count in zip(("train", "validation", "test", "sequestered"), counts, strict=True)
        ]
        assert abs(abs(deviation) - max(map(abs, off))) < 0.006
    return said


def _by(column: str) -> Callable[[Counted], Rows]:
    return lambda c: [
        list(i) for i in Counter("not stated" if v is None else str(v) for v in c.images()[column]).items()
    ]


def _sheet_exclusions(c: Counted) -> Rows:
    rows = tally(
        c.of("decisions"), ["clause", "criterion"], where("outcome == 'fail'"), where("outcome == 'review'")
    )
    return [r for r in rows if r[2] or r[3]]


def _sheet_missing(c: Counted) -> Rows:
    from curation_dagster.schemas import UNIFIED

    images = c.images()
    absent = {n: int(images[n].map(lambda v: v is None).sum()) for n in UNIFIED}
    return [[n, k, share(k, len(images))] for n, k in absent.items()]


COUNTED: dict[str, Callable[[Counted], Rows]] = {
    "admission": lambda c: [_admission(r) for r in c.of("admissions").itertuples()],
    "admissions": _admissions,
    "files_by_role": lambda c: tally(
        c.of("files"), _by_version(c, "role", "media_type", "checksum_state"), len, total("bytes"), first("retrieved_at"), last("retrieved_at")
    ),
    "containers": lambda c: [
        [r.role, r.media_type, r.sha256, r.bytes, r.checksum_state] for r in c.of("files").itertuples() if r.role in ("metadata", "container")
    ],
    "retrievals_by_method": lambda c: tally(c.of("retrievals"), _by_version(c, "method"), len),
    "addresses_by_fate": lambda c: tally(c.of("url_fates"), _by_version(c, "fate"), len),
    "assessment_counts": _assessed("counts", "value", "counted"),
    "assessment_join_states": _assessed("join_states", "value", "counted"),
    "assessment_labels": _assessed("labels", "value", "counted", "icd11_code", "relation"),
    "assessment_distributions": _assessed("distributions", "subject", "value", "counted"),
    "assessment_columns": _assessed("columns", "value", "of", "counted", "distinct"),
    "assessment_reasons": _assessed("reasons", "subject", "value", "counted"),
    "exclusions": _exclusions,
    "boxes": lambda c: [[words(r[0]), r[1]] for r in tally(c.fates(), ["box"], len)],
    "deidentification": _deidentification,
    **{f"deidentification_{a}": _deidentified(a) for a in ("scanned", "found", "done", "sampled", "judged", "written")},
    "review_by_criterion": _review,
    "reviewers": _reviewers,
    "labels_by_relation": lambda c: [
        [words(a), words(b), n] for a, b, n in tally(c.of("harmonized"), ["diagnosis_relation", "confirmation"], len)
    ],
    "labels_released": lambda c: tally(
        c.images(), ["diagnosis_source_label", "icd11_code", "icd11_title", "diagnosis_relation", "confirmation"], len
    ),
    "labels_waiting": lambda c: tally(c.of("label_worklist"), ["kind"], len, total("images")),
    "labels_consistency": _consistency,
    "missing_by_field": _missing_by_field,
    "missing_by_reason": lambda c: _missing(c)[2],
    "checks_by_stage": _checks,
    "checks_failed": _checks_failed,
    "declared_files": _declared,
    "stages": _stages,
    "audit_by_action": lambda c: [[words(r[0]), *r[1:]] for r in tally(c.of("audit"), ["action"], len, first("at"), last("at"))],
    "audit_entries": _entries,
    "duplicates_by_relation": _duplicates,
    "duplicates_across": _across,
    "balance": _balance,
    "sheet_exclusions": _sheet_exclusions,
    "sheet_missing": _sheet_missing,
    "sheet_licences": _by("licence"),
    **{f"sheet_by_{n}": _by(n) for n in ("icd11_title", "fitzpatrick", "sex", "anatomy_label", "modality", "archive", "confirmation", "licence")},
}  # fmt: skip


def groups_of(c: Counted) -> dict[str, list[str | None]]:
    """Return the group of each released image by dimension, as the document on representativeness should have it."""
    images = c.images()
    blocks = {
        r["code"]: r["block"].split(" > ")[-1]
        for r in csv.DictReader((c.bundle / "vocabularies/icd11.csv").open(encoding="utf-8"))
    }
    sites = {
        r["code"]: r for r in csv.DictReader((c.bundle / "vocabularies/anatomy.csv").open(encoding="utf-8"))
    }

    def region(code: str) -> str:
        while sites[code]["parent"]:
            code = sites[code]["parent"]
        return sites[code]["label"]

    def band(years: float) -> str:
        return "80 and over" if years >= 80 else f"{int(years) // 10 * 10} to {int(years) // 10 * 10 + 9}"

    rows = images.to_dict("records")
    ages = [r["age_years"] if r["age_years"] is not None else r["age_low"] for r in rows]
    return {
        "icd11_category": [blocks[r["icd11_code"]] for r in rows],
        "fitzpatrick": [None if r["fitzpatrick"] is None else ["I", "II", "III", "IV", "V", "VI"][r["fitzpatrick"] - 1] for r in rows],
        "age_band": [None if a is None else band(a) for a in ages],
        "sex": [r["sex"] for r in rows],
        "anatomy": [None if r["anatomy_code"] is None else region(r["anatomy_code"]) for r in rows],
        "modality": [r["modality"] for r in rows],
        "source": [f"{r['archive']}@{r['version']}" for r in rows],
        "confirmation": [r["confirmation"] for r in rows],
        "patient": [r["patient_key"] for r in rows],
    }  # fmt: skip
