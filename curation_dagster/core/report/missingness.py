"""The plot of missing fields: a bar for each field, with the reasons as its parts.

It shows counts only, so that it may stand in the event log (docs/decisions/0005).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import pyarrow as pa

from curation_dagster.core.harmonize.missingness import PRESENT, shares

_COLOURS = ("#4c78a8", "#f58518", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d", "#ff9da6", "#54a24b")
_LIGHT = "#e6e6e6"


def missingness_png(rows: pa.Table) -> bytes:
    """Return the plot of the table ``missingness`` of one archive version as PNG, about 25 KiB.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of one archive version.
    """
    # its import makes a folder for caches, which importing the package must not
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = shares(rows)
    fields = list(found)
    reasons = sorted({r for share in found.values() for r in share} - {PRESENT})
    figure = Figure(figsize=(7.2, 0.6 + 0.2 * max(len(fields), 3)), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    left = dict.fromkeys(fields, 0.0)
    for number, reason in enumerate([PRESENT, *reasons]):
        widths = [found[f].get(reason, 0.0) for f in fields]
        colour = _LIGHT if reason == PRESENT else _COLOURS[(number - 1) % len(_COLOURS)]
        hatch = "//" if number > len(_COLOURS) else None
        axes.barh(fields, widths, left=list(left.values()), color=colour, hatch=hatch, label=reason)
        left = {f: left[f] + w for f, w in zip(fields, widths, strict=True)}
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.invert_yaxis()
    axes.tick_params(labelsize=7)
    figure.legend(loc="outside upper center", ncols=4, fontsize=7, frameon=False)
    made = io.BytesIO()
    figure.savefig(made, format="png", metadata={"Software": None})
    return made.getvalue()


def as_markdown(png: bytes, title: str) -> str:
    """Return a picture as Markdown that holds its bytes."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})"


def missing_table(rows: pa.Table) -> list[tuple[str, str, int, str]]:
    """Return field, reason, images and share of what is missing, as the UI shows it; the largest shares first."""
    found: list[Mapping[str, object]] = [
        r for r in rows.to_pylist() if r["reason"] != PRESENT and r["images"]
    ]
    ordered = sorted(found, key=lambda r: (-int(str(r["images"])), str(r["field"])))
    return [
        (
            str(r["field"]),
            str(r["reason"]),
            int(str(r["images"])),
            f"{int(str(r['images'])) / int(str(r['of'])):.1%}",
        )
        for r in ordered
    ]
