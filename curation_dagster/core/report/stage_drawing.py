"""Small drawings as SVG, written by hand: the flow of a stage, and measured values with the bounds drawn in.

They hold counts and numbers only, so that they may stand in the event log (docs/decisions/0011), and take a few
kilobytes where a plot as PNG takes tens. A browser shows them inside ``<img>``, where an SVG runs nothing and loads
nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np

from curation_dagster.core.criteria.models import DEFAULT
from curation_dagster.core.report import measured as of
from curation_dagster.core.report.measured import Bound, Measured

KEPT, EXCLUDED, WAITING, LINE, INK, SOFT, BAR = (
    "#2f7d5b", "#b1483c", "#b7832f", "#dfe4ea", "#1d2530", "#5b6676", "#8aa5c1",
)  # fmt: skip
_WIDTH = 680
_BINS = 36
_CELL = (336, 168)
_MOST_REASONS = 8


def as_markdown(svg: str, title: str) -> str:
    """Return a drawing as Markdown that holds its bytes."""
    return f"![{title}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def flow(counts: dict[str, int], reasons: Sequence[tuple[str, int, int]], unit: str = "images") -> str:
    """Return the flow of a stage: what entered, what became of it, and the criteria that did most.

    Parameters
    ----------
    counts : dict
        rows_in, kept, excluded and quarantined.
    reasons : sequence of (str, int, int)
        Criterion, images that it excludes, images that wait for a person; the most frequent first.
    unit : str
        What is counted.
    """
    entered = counts["rows_in"]
    shares = [
        ("kept", counts["kept"], KEPT),
        ("excluded", counts["excluded"], EXCLUDED),
        ("waiting", counts["quarantined"], WAITING),
    ]
    # three lines of text always have room, whatever the shares: the bars show the proportions
    parts = [_text(20, 30, f"{entered:,} {unit} in", 15, INK, weight=600)]
    x, usable = 20.0, _WIDTH - 40
    for _, n, colour in shares:
        width = usable * n / entered if entered else 0
        if width:
            parts.append(
                f'<rect x="{x:.1f}" y="44" width="{max(width, 1.5):.1f}" height="26" fill="{colour}"/>'
            )
        x += width
    if not entered:
        parts.append(f'<rect x="20" y="44" width="{usable}" height="26" fill="{LINE}"/>')
    for place, (name, n, colour) in enumerate(shares):
        left = 20 + place * usable / 3
        parts.append(f'<rect x="{left:.0f}" y="84" width="11" height="11" rx="2" fill="{colour}"/>')
        share = f" ({n / entered:.1%})" if entered else ""
        parts.append(_text(left + 17, 94, f"{n:,} {name}{share}", 13, INK))
    top = 122
    shown = list(reasons)[:_MOST_REASONS]
    most = max((f + r for _, f, r in shown), default=0) or 1
    if shown:
        parts.append(_text(20, top, "Criteria that exclude, or leave to people", 12, SOFT))
    for number, (name, failing, open_) in enumerate(shown):
        y = top + 10 + number * 20
        room = _WIDTH - 340
        first, second = room * failing / most, room * open_ / most
        parts.append(_text(210, y + 12, name, 12, INK, anchor="end"))
        parts.append(f'<rect x="220" y="{y + 2}" width="{first:.1f}" height="12" fill="{EXCLUDED}"/>')
        parts.append(
            f'<rect x="{220 + first:.1f}" y="{y + 2}" width="{second:.1f}" height="12" fill="{WAITING}"/>'
        )
        said = " + ".join(
            text for n, text in ((failing, f"{failing:,}"), (open_, f"{open_:,} to people")) if n
        )
        parts.append(_text(226 + first + second, y + 12, said, 12, SOFT))
    height = top + 22 + len(shown) * 20 if shown else 112
    return _svg(
        _WIDTH, height, "".join(parts), f"{entered} {unit}: " + ", ".join(f"{n} {w}" for w, n, _ in shares)
    )


def histograms(measured: Sequence[Measured], across: int = 2) -> str:
    """Return one histogram for each measured value, with every bound that a criterion sets on it drawn in.

    A bar is divided by what the criteria on this value say of its images: kept, excluded, or left to people. The first and
    the last bar hold what lies beyond the drawn range. A bound for one modality only is dashed.
    """
    width, height = _CELL
    across = max(min(across, len(measured)), 1)
    rows = (len(measured) + across - 1) // across
    parts = []
    for number, one in enumerate(measured):
        x, y = (number % across) * (width + 8), (number // across) * (height + 8)
        parts.append(f'<g transform="translate({x},{y})">{_histogram(one)}</g>')
    title = "Measured values and bounds: " + ", ".join(m.column for m in measured)
    return _svg(across * (width + 8), max(rows, 1) * (height + 8), "".join(parts), title)


def _histogram(one: Measured) -> str:
    width, height = _CELL
    left, right, base, top = 14, width - 14, height - 34, 52
    low, high = one.span()
    counts, edges = np.histogram(np.clip(one.values, low, high), bins=_BINS, range=(low, high))
    most = max(int(counts.max()), 1)
    step = (right - left) / _BINS - 1

    def place(value: float) -> float:
        return left + (right - left) * (min(max(value, low), high) - low) / (high - low)

    unit = f" ({one.unit})" if one.unit else ""
    missing = f", {one.missing:,} without" if one.missing else ""
    parts = [
        _text(left, 16, f"{one.column}{unit}", 12, INK, weight=600),
        _text(right, base + 28, f"{len(one.values):,} values{missing}", 10.5, SOFT, anchor="end"),
    ]
    floor = np.zeros(_BINS)
    for fate, colour in ((of.KEPT, BAR), (of.WAITS, WAITING), (of.EXCLUDED, EXCLUDED)):
        n, _ = np.histogram(np.clip(one.values[one.fate == fate], low, high), bins=_BINS, range=(low, high))
        tall = np.where(n > 0, np.maximum((base - top) * n / most, 1.0), 0.0)
        bars = "".join(
            f"M{place(edges[i]) + 0.5:.0f} {base - floor[i]:.1f}v{-tall[i]:.1f}h{step:.1f}v{tall[i]:.1f}z"
            for i in np.flatnonzero(n)
        )
        floor += tall
        if bars:
            parts.append(f'<path d="{bars}" fill="{colour}"/>')
    parts.append(f'<path d="M{left} {base}H{right}" stroke="{LINE}"/>')
    last, row = -1e9, 0
    for bound in _distinct(one.bounds):
        x = place(bound.value)
        row = row + 1 if x - last < 110 and row < 1 else 0  # neighbouring labels stand on two lines
        last = x
        colour = _colour(bound)
        anchor = "start" if x < left + 60 else "end" if x > right - 60 else "middle"
        parts.append(
            f'<path d="M{x:.1f} {top - 6 if row == 0 else top - 19}V{base + 4}" stroke="{colour}" stroke-width="1.4" '
            f'stroke-dasharray="{"none" if bound.modality is None else "4 3"}"/>'
        )
        parts.append(_text(x, top - 9 if row == 0 else top - 22, bound.label, 10.5, colour, anchor=anchor))
    parts.append(_text(left, base + 15, _number(low), 10.5, SOFT))
    parts.append(_text(right, base + 15, _number(high), 10.5, SOFT, anchor="end"))
    names = ", ".join(dict.fromkeys(b.criterion for b in one.bounds))
    parts.append(_text(left, base + 28, names, 10.5, SOFT))
    return "".join(parts)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _distinct(bounds: Sequence[Bound]) -> list[Bound]:
    """Return the bounds that a drawing can tell apart, by value; one for a modality goes where it is that for all others."""
    others = {(b.criterion, b.value) for b in bounds if b.modality == DEFAULT}
    told = {
        (b.value, b.label, _colour(b)): b
        for b in bounds
        if b.modality in (None, DEFAULT) or (b.criterion, b.value) not in others
    }
    return sorted(told.values(), key=lambda b: b.value)


def _colour(bound: Bound) -> str:
    return EXCLUDED if bound.on_fail == "exclude" else WAITING


def _text(
    x: float, y: float, text: str, size: float, colour: str, anchor: str = "start", weight: int = 400
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _svg(width: int, height: int, inside: str, title: str) -> str:
    # a paper of its own: the Dagster UI has a dark theme, and the drawing must read on both
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif"><title>{escape(title)}</title>'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>{inside}</svg>'
    )
