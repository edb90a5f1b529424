"""The documents of a sealed bundle, read back as papers: what a PDF is made of, without the tables."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from curation_dagster.core.report.paper import Paper, from_data


def papers_of(bundle: Path) -> dict[str, Path]:
    """Return the documents of a bundle by their name, each with its JSON."""
    found = sorted((bundle / "documents").glob("*.json"))
    return {p.name.removesuffix(".json"): p for p in found if not p.name.endswith(".numbers.json")}


def read_paper(path: Path) -> Paper:
    """Return the document of a JSON file, with the drawings that lie beside it."""
    data = json.loads(path.read_bytes())
    names = [b["figure"] for b in data["blocks"] if "figure" in b]
    return from_data(data, {n: (path.parent / n).read_text(encoding="utf-8") for n in names})


def issued_at(bundle: Path) -> datetime:
    """Return the time that the documents of a bundle carry."""
    said = json.loads((bundle / "MANIFEST.json").read_bytes())["issued_at"]
    return datetime.strptime(said, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
