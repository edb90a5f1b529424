"""The report of a corpus: what entered, what was excluded by which clause, what waits for whom.

Every number is computed from the tables, and the report says from which versions of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, select_autoescape

from curation_dagster.core.criteria.loading import CriteriaSet
from curation_dagster.core.duplicates.overlap import Matrix, matrix, overlap_in
from curation_dagster.lake import Lake

_TABLES = ("records", "decisions", "duplicates", "corpus", "admissions")


@dataclass(frozen=True)
class Summary:
    """The numbers of the report."""

    criteria: str
    criteria_digest: str
    archives: list[dict[str, Any]]
    by_clause: list[list[Any]]
    clause_headers: list[str]
    distributions: dict[str, list[tuple[str, int]]]
    images: list[dict[str, Any]] = field(default_factory=list)
    overlap: list[dict[str, Any]] = field(default_factory=list)
    overlap_matrix: Matrix = field(default_factory=lambda: ([], []))
    table_versions: dict[str, int | None] = field(default_factory=dict)

    @property
    def totals(self) -> dict[str, int]:
        """The sums over all archive versions."""
        return {
            n: sum(a[n] for a in self.archives)
            for n in ("images_in", "images_kept", "images_excluded", "images_quarantined")
        }


def summarize(lake: Lake, criteria: CriteriaSet) -> Summary:
    """Return the numbers of the report from the newest tables.

    An image that fails several criteria counts under each of them, so the columns of a clause don't add up to the
    images excluded; ``only here`` counts those that nothing else excludes.
    """
    archives = sorted(lake.read("admissions").to_pylist(), key=lambda r: (r["archive"], r["version"]))
    keys = [f"{a['archive']}@{a['version']}" for a in archives]
    with lake.sql("decisions", "corpus") as sql:
        counts = sql.execute(
            "WITH failing AS (SELECT *, count(*) FILTER (outcome = 'fail') OVER (PARTITION BY archive, version, image_id) AS fails "
            "FROM decisions WHERE outcome IN ('fail', 'review')) "
            "SELECT criterion, clause, archive || '@' || version, count(*) FILTER (outcome = 'fail'), "
            "count(*) FILTER (outcome = 'fail' AND fails = 1), count(*) FILTER (outcome = 'review' AND fails = 0) "
            "FROM failing GROUP BY ALL"
        ).fetchall()
        distributions = {
            title: sql.execute(
                f"SELECT coalesce(CAST({column} AS VARCHAR), 'not stated'), count(*) FROM corpus GROUP BY 1 ORDER BY 2 DESC, 1"
            ).fetchall()
            for title, column in (
                ("Diagnosis", "icd11_code || ' ' || icd11_title"),
                ("Phototype", "'Fitzpatrick ' || fitzpatrick"),
                ("Sex", "sex"),
                (
                    "Age",
                    "CAST(floor(coalesce(age_years, age_low) / 10) * 10 AS INTEGER) || ' to ' || CAST(floor(coalesce(age_years, age_low) / 10) * 10 + 9 AS INTEGER)",
                ),
                ("Site", "anatomy_label"),
                ("Modality", "modality"),
                ("Confirmation", "confirmation"),
                ("Licence", "licence"),
            )
        }
        images = (
            sql.sql(
                "SELECT image_id, file, icd11_code, icd11_title, modality FROM corpus ORDER BY image_id LIMIT 60"
            )
            .to_arrow_table()
            .to_pylist()
        )
    shared = overlap_in(lake, lake.read("duplicates"))
    found = {(c, k): (f, o, r) for c, _, k, f, o, r in counts}
    table = []
    for criterion in criteria.criteria:
        per_archive = [found.get((criterion.id, k), (0, 0, 0)) for k in keys]
        sums = [sum(p[i] for p in per_archive) for i in range(3)]
        if any(sums):
            table.append([criterion.clause, criterion.id, *sums, *(p[0] for p in per_archive)])
    table.sort(key=lambda r: (-r[2], -r[4], str(r[0])))
    return Summary(
        criteria=f"{criteria.name} {criteria.version}",
        criteria_digest=criteria.digest,
        archives=archives,
        by_clause=table,
        clause_headers=["clause", "criterion", "excluded", "only here", "for review", *keys],
        distributions=distributions,
        images=images,
        overlap=shared.to_pylist(),
        overlap_matrix=matrix(shared),
        table_versions={t: lake.version(t) for t in _TABLES},
    )


def write_report(summary: Summary, folder: Path) -> Path:
    """Write the report as HTML, with pictures from the corpus folder beside it, and its numbers as JSON beside it; return the path of the HTML."""
    folder.mkdir(parents=True, exist_ok=True)
    template = (
        resources.files("curation_dagster").joinpath("core/report/report.html.j2").read_text(encoding="utf-8")
    )
    page = Environment(autoescape=select_autoescape(default=True)).from_string(template)
    _replace(folder / "curation-report.html", page.render(s=summary, corpus="../corpus"))
    numbers = {
        "criteria": summary.criteria,
        "criteria_digest": summary.criteria_digest,
        "totals": summary.totals,
        "archives": summary.archives,
        "by_clause": [dict(zip(summary.clause_headers, row, strict=True)) for row in summary.by_clause],
        "distributions": summary.distributions,
        "overlap_of_archives": summary.overlap,
        "table_versions": summary.table_versions,
    }
    _replace(
        folder / "curation-report.json", json.dumps(numbers, indent=2, ensure_ascii=False, default=str) + "\n"
    )
    return folder / "curation-report.html"


def as_text(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as an aligned plain-text table, for a terminal."""
    from tabulate import tabulate

    return tabulate(rows, headers=headers, tablefmt="simple")


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
