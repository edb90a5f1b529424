"""The documents that are generated from the criteria: the reference, and the map from clause to test.

They stand between markers inside hand-written pages. ``python -m curation_dagster.core.criteria.reference`` writes
them anew; a test fails when a page is stale.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.criteria.models import CriteriaSet, Criterion
from curation_dagster.core.criteria.protocol import Protocol, load_protocol
from curation_dagster.core.criteria.rules import COMBINATIONS, PERSON_DECIDES, RULES, describe

BEGIN = "<!-- generated -->"
END = "<!-- /generated -->"
FILES = ("device", "research")
TEST = "curation_dagster_tests/core/criteria/test_every_criterion_can_fail.py"
_MODALITIES = ("dermoscopic", "clinical")


def protocol_map(sets: Sequence[CriteriaSet], protocol: Protocol) -> str:
    """Return the map as Markdown: clause, criterion, asset, check, test.

    Parameters
    ----------
    sets : sequence of CriteriaSet
        The criteria files; a criterion that not all of them have says in which it stands.
    """
    lines = []
    for clause in protocol.clauses.values():
        lines += [f"### {clause.id} {clause.title}", "", clause.text, ""]
        for c in sets:
            if clause.id in c.waives:
                lines += [f"`{c.name}`: {c.waives[clause.id]}", ""]
        rows = [
            (f"`{c.id}`{_only(c, sets)}", f"`{c.stage}`", f"`{c.check}`", f"[`[{c.id}]`](../{TEST})")
            for c in _all_criteria(sets)
            if c.clause_id == clause.id
        ] + [
            (
                proof.how,
                f"`{proof.asset}`",
                f"`{proof.check}`" if proof.check else "",
                f"[`{Path(proof.test).name}`](../{proof.test})" if proof.test else "",
            )
            for proof in clause.carried_out_by
        ]
        lines += [*_table(("criterion, or how", "asset", "check", "test"), rows), ""]
    return "\n".join(lines).rstrip()


def criteria_reference(criteria: CriteriaSet, base: CriteriaSet | None = None) -> str:
    """Return the criteria of a file as Markdown, with rules in words, bounds and their sources.

    Parameters
    ----------
    base : CriteriaSet, optional
        Another file: what is the same there is only named.
    """
    lines = [f"## {criteria.name} {criteria.version}", "", criteria.intended_use, ""]
    known = {c.id: c for c in base.criteria} if base else {}
    same = [c.id for c in criteria.criteria if known.get(c.id) == c]
    if base:
        left_out = [c for c in known if c not in {k.id for k in criteria.criteria}]
        lines += [
            f"As in `{base.name}`: {', '.join(f'`{c}`' for c in same)}.",
            "",
            f"Not here: {', '.join(f'`{c}`' for c in left_out) or 'none'}. The others follow.",
            "",
        ]
    for c in (c for c in criteria.criteria if c.id not in same):
        facts = [
            ("clause", c.clause),
            ("asset", f"`{c.stage}`"),
            ("check", f"`{c.check}` ({c.severity})"),
            *_rule_lines(c),
            ("otherwise", "excluded" if c.on_fail == "exclude" else "a person decides"),
            ("if missing", c.on_missing.replace("_", " ")),
        ]
        if "review" in (c.on_fail, c.on_missing):
            facts.append(
                ("settled by", "a verdict on each image" if c.review == "each" else "a clean sample")
            )
        facts += [("why", c.rationale), ("since", c.since)]
        lines += [f"### `{c.id}`", "", c.statement, "", *_table(("", ""), facts), ""]
    s, r, d = criteria.sampling, criteria.representative, criteria.duplicates
    if base and (s, r, d) == (base.sampling, base.representative, base.duplicates):
        return "\n".join(
            [*lines, f"Samples, choice of the representative and search for duplicates as in `{base.name}`."]
        )
    lines += [
        "### Samples",
        "",
        f"{s.required()} images of an archive version and criterion, or all where there are fewer "
        f"(confidence {s.confidence:g}, residual rate at most {s.max_residual_rate:g}, at least {s.minimum}). {s.rationale}",
        "",
        "### Choice of the representative",
        "",
        f"By {', then '.join(r.order)}. Confirmation ranks {', '.join(r.confirmation_rank)}. {r.rationale}",
        "",
        f"From other members it takes over {'; '.join(', '.join(unit) for unit in r.completed) or 'nothing'}.",
        "",
        "### Bounds of the search for duplicates",
        "",
        *_table(
            ("bound", "value"),
            [(f"`{n}`", f"{v:g}") for n, v in d.model_dump(exclude={"rationale", "beyond"}).items()]
            + [
                (f"`{n}` beyond {step.images:,} images", f"{getattr(step, n):g}")
                for step in d.beyond
                for n in ("candidate_radius", "dihedral_radius")
            ],
        ),
        "",
        d.rationale,
    ]
    return "\n".join(lines)


def rules_reference() -> str:
    """Return the named rules as a Markdown table."""
    bounds = {
        "number": "a number, or one per modality",
        "texts": "a list of texts",
        "pattern": "a regular expression",
        "none": "",
    }
    rows = [
        (f"`{n}`", r.explanation, " or ".join(sorted(r.kinds)), bounds[r.bound]) for n, r in RULES.items()
    ]
    rows += [
        (f"`{n}`", f"The parts hold, combined with {w!r}; one that does not apply has no say.", "parts", "")
        for n, w in COMBINATIONS.items()
    ]
    rows.append((f"`{PERSON_DECIDES}`", "Never holds by itself: only a person's verdict settles it.", "", ""))
    return "\n".join(_table(("rule", "holds where", "columns", "bound"), rows))


def pages() -> dict[str, list[str]]:
    """Return for each page of ``docs/`` the blocks that are generated, in order."""
    sets = [load_criteria(n) for n in FILES]
    return {
        "protocol.md": [protocol_map(sets, load_protocol())],
        "criteria.md": [
            rules_reference(),
            criteria_reference(sets[0]),
            *(criteria_reference(c, sets[0]) for c in sets[1:]),
        ],
    }


def filled(page: str, blocks: Sequence[str]) -> str:
    """Return ``page`` with each marked place filled by its block.

    Raises
    ------
    ValueError
        If the page does not have a marked place for each block.
    """
    pieces = page.split(BEGIN)
    if len(pieces) != len(blocks) + 1 or any(END not in p for p in pieces[1:]):
        raise ValueError(
            f"expected {len(blocks)} places between {BEGIN!r} and {END!r}, got {len(pieces) - 1}"
        )
    text = pieces[0]
    for piece, block in zip(pieces[1:], blocks, strict=True):
        text += f"{BEGIN}\n\n{block}\n\n{END}{piece.split(END, 1)[1]}"
    return text


def main(folder: Path) -> None:
    """Write the generated blocks of every page below ``folder`` anew."""
    for name, blocks in pages().items():
        path = folder / name
        path.write_text(filled(path.read_text(encoding="utf-8"), blocks), encoding="utf-8")


def _rule_lines(criterion: Criterion) -> list[tuple[str, str]]:
    if not criterion.by_modality:
        return [("rule", f"`{describe(criterion, None)}`")]
    return [(f"rule, {m}", f"`{describe(criterion, m)}`") for m in _MODALITIES] + [
        ("rule, otherwise", f"`{describe(criterion, None)}`")
    ]


def _all_criteria(sets: Sequence[CriteriaSet]) -> list[Criterion]:
    found: dict[str, Criterion] = {}
    for criteria in sets:
        for c in criteria.criteria:
            found.setdefault(c.id, c)
    return list(found.values())


def _only(criterion: Criterion, sets: Sequence[CriteriaSet]) -> str:
    having = [c.name for c in sets if any(k.id == criterion.id for k in c.criteria)]
    return "" if len(having) == len(sets) else f" ({', '.join(having)} only)"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *(line(r) for r in rows)]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs"))
