"""The generated tables of ``docs/harmonization.md``."""

from __future__ import annotations

from collections import Counter

from curation_dagster.core.harmonize import anatomy
from curation_dagster.core.harmonize.diagnosis import diagnosis_of
from curation_dagster.core.harmonize.severity import scales, skin_tones
from curation_dagster.core.harmonize.vocabulary import missing_reasons, rows


def labels_reference() -> str:
    """Return how many known labels of each archive are mapped, wait for a person, or are refused."""
    counted: dict[str, Counter[str]] = {}
    for row in rows("publishers_labels"):
        found = diagnosis_of(row["label"], archive=row["archive"])
        kind = found.relation if found.icd11_code is None else "to confirm"
        if found.icd11_code is not None and found.relation != "narrower":
            kind = "coded"
        counted.setdefault(row["archive"], Counter())[kind] += 1
    kinds = ("coded", "to confirm", "narrower", "nonspecific", "not_a_diagnosis", "unmapped")
    lines = ["| archive | labels | " + " | ".join(kinds) + " |", "|---|" + "---|" * (len(kinds) + 1)]
    for archive, n in sorted(counted.items()):
        lines.append(f"| `{archive}` | {n.total()} | " + " | ".join(str(n[k]) for k in kinds) + " |")
    total = sum(counted.values(), Counter())
    lines.append(f"| **all** | {total.total()} | " + " | ".join(str(total[k]) for k in kinds) + " |")
    return "\n".join(lines)


def sites_reference() -> str:
    """Return all sites with what holds them and their scope."""
    lines = ["| code | label | held by | scope |", "|---|---|---|---|"]
    for site in anatomy.sites().values():
        parent = f"`{site.parent}`" if site.parent else ""
        lines.append(f"| `{site.code}` | {site.label} | {parent} | {anatomy.scope_of([site.code])} |")
    return "\n".join(lines)


def scales_reference() -> str:
    """Return the severity scales, and the scales of skin tone that are no phototype."""
    lines = ["| severity scale | label | scores | total of |", "|---|---|---|---|"]
    lines += [
        f"| `{s.id}` | {s.label} | {s.low:g} to {s.high:g}, step {s.step:g} | "
        + ", ".join(f"`{t}`" for t in s.total_of)
        + " |"
        for s in scales().values()
    ]
    lines += ["", "| skin tone scale | values |", "|---|---|"]
    lines += [f"| `{scale}` | {', '.join(values)} |" for scale, values in skin_tones().items()]
    return "\n".join(lines)


def reasons_reference() -> str:
    """Return every reason why a field may be missing."""
    lines = ["| reason | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{r}` | {text} |" for r, text in missing_reasons().items())])
