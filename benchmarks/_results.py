"""Where the benchmarks write their figures."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path


def record(name: str, value: float, unit: str, goal: float | None = None, detail: str = "") -> None:
    """Print one figure and append it to ``bench/results.jsonl`` below CURATION_HOME (default ``var``).

    Parameters
    ----------
    name : str
        Name of the figure; the same in every run.
    value : float
        What was measured.
    unit : str
        Its unit; ``ratio`` for quotients.
    goal : float, optional
        What it should be, None where there is no goal.
    detail : str, optional
        What it was measured on.
    """
    line = {
        "name": name,
        "value": round(float(value), 4),
        "unit": unit,
        "goal": goal,
        "detail": detail,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    target = Path(os.environ.get("CURATION_HOME", "var")) / "bench" / "results.jsonl"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    against = "" if goal is None else f" (goal {goal})"
    print(f"{name}: {line['value']} {unit}{against}", flush=True)
