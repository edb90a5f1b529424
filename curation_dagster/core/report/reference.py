"""The generated parts of ``docs/``: tables, criteria, checks, descriptor fields. Never typed twice.

``make docs`` writes them anew; a test fails while they are stale. A generated part stands between the lines
``<!-- generated: NAME -->`` and ``<!-- end -->``. The pages of the criteria are made by
:mod:`curation_dagster.core.criteria.reference`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curation_dagster.checks.catalogue import CATALOGUE, blocking_checks
from curation_dagster.core.criteria import reference as criteria_reference
from curation_dagster.core.harmonize import reference as harmonize_reference
from curation_dagster.core.registry.admissible import admissible, as_markdown
from curation_dagster.core.registry.licences import licence
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.core.registry.reference import descriptor_reference
from curation_dagster.schemas import STAGES, TABLES

_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables_reference() -> str:
    """Return the reference of all tables and columns."""
    parts = []
    for table in TABLES.values():
        parts.append(f"### `{table.name}`\n\n{table.description}\n")
        by = f" Replaced by {', '.join(f'`{c}`' for c in table.partition_by)}." if table.partition_by else ""
        parts.append(f"Key: {', '.join(f'`{c}`' for c in table.key)}.{by}\n")
        parts.append("| column | type | null | description |\n|---|---|---|---|")
        for c in table.columns:
            notes = [c.description]
            if c.unit:
                notes.append(f"Unit: {c.unit}.")
            if c.isin:
                notes.append("One of " + ", ".join(f"`{v}`" for v in c.isin) + ".")
            if c.ge is not None or c.le is not None:
                notes.append(
                    f"Range: {'' if c.ge is None else f'{c.ge:g}'} to {'' if c.le is None else f'{c.le:g}'}."
                )
            if c.volatile:
                notes.append("Not part of the fingerprint.")
            parts.append(f"| `{c.name}` | {c.type} | {'yes' if c.nullable else 'no'} | {' '.join(notes)} |")
        parts.append("")
    return "\n".join(parts)


def checks_reference() -> str:
    """Return the reference of the structural checks, by stage."""
    blocking_checks(STAGES)  # enters all checks into the catalogue
    parts = ["| asset | check | what must hold | what to do where it does not |", "|---|---|---|---|"]
    parts += [
        f"| `{s}` | `{c.name}` | {c.description} | {c.remedy} |" for s in STAGES for c in CATALOGUE.get(s, [])
    ]
    return "\n".join(parts) + "\n"


def archives_reference() -> str:
    """Return the table of all packaged archives: what they are, their versions, and what the licence gate says."""
    rows = ["| id | what | images stated | versions | licence | passes the licence gate of `device` |"]
    rows.append("|---|---|--:|---|---|---|")
    for id, descriptor in sorted(load_registry().descriptors.items()):
        file, terms = descriptor.technical_file, descriptor.licence
        permits = licence(terms.default).permits_all
        gate = (
            "record by record" if terms.column else {True: "yes", False: "no", None: "no: unclear"}[permits]
        )
        images = "" if file.sample_size.images is None else f"{file.sample_size.images:,}"
        versions = ", ".join(f"`{v}`" for v in descriptor.versions)
        rows.append(f"| `{id}` | {file.name} | {images} | {versions} | {terms.default} | {gate} |")
    return "\n".join(rows)


def admissible_reference() -> str:
    """Return how many of the stated images of all packaged archives could be admitted by licence alone."""
    return as_markdown(admissible(load_registry().descriptors.values()))


def config_reference() -> str:
    """Return the table of what can be set in the launchpad, asset by asset."""
    from curation_dagster.definitions import defs

    rows = ["| asset | field | default | what it does |", "|---|---|---|---|"]
    assets: list[Any] = sorted(defs.assets or (), key=lambda a: str(a.node_def.name))  # type: ignore[union-attr]
    for asset in assets:
        fields = getattr(getattr(asset.node_def.config_field, "config_type", None), "fields", {})
        for name, said in sorted(fields.items()):
            default = said.default_value if said.default_provided else None
            text = " ".join((said.description or "").split())
            rows.append(
                f"| `{asset.node_def.name}` | `{name}` | {'' if default is None else default} | {text} |"
            )
    return "\n".join(rows)


def automation_reference() -> str:
    """Return the table of all sensors and schedules."""
    from curation_dagster.definitions import defs

    rows = ["| name | kind | looks | what it does |", "|---|---|---|---|"]
    for sensor in sorted(defs.sensors or (), key=lambda s: s.name):
        every = sensor.minimum_interval_seconds
        rows.append(f"| `{sensor.name}` | sensor | every {every} s | {sensor.description} |")
    schedules: list[Any] = sorted(defs.schedules or (), key=lambda s: s.name)
    for schedule in schedules:
        rows.append(f"| `{schedule.name}` | schedule | `{schedule.cron_schedule}` | {schedule.description} |")
    return "\n".join(rows)


GENERATED: dict[str, Callable[[], str]] = {
    "archives": archives_reference,
    "admissible": admissible_reference,
    "tables": tables_reference,
    "checks": checks_reference,
    "descriptor": descriptor_reference,
    "labels": harmonize_reference.labels_reference,
    "sites": harmonize_reference.sites_reference,
    "scales": harmonize_reference.scales_reference,
    "config": config_reference,
    "automation": automation_reference,
    "reasons": harmonize_reference.reasons_reference,
}


def render(text: str) -> str:
    """Return a page with its generated parts made anew.

    Raises
    ------
    KeyError
        If the page names a part that nobody generates.
    """
    return _BLOCK.sub(lambda m: m.group(1) + GENERATED[m.group("name")]().rstrip() + "\n" + m.group(3), text)


def pages(root: Path) -> list[Path]:
    """Return the pages below ``docs/`` that have generated parts."""
    return [p for p in sorted((root / "docs").rglob("*.md")) if _BLOCK.search(p.read_text(encoding="utf-8"))]


def main() -> None:
    """Write the generated parts of all pages anew."""
    root = Path(__file__).parents[3]
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        fresh = render(text)
        if fresh != text:
            page.write_text(fresh, encoding="utf-8")
            print(f"wrote {page.relative_to(root)}")
    criteria_reference.main(root / "docs")


if __name__ == "__main__":
    main()
