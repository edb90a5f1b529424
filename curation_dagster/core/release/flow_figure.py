"""The exclusion flow as a figure: boxes down the middle for who is still there, boxes to the right for who left, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from curation_dagster.core.report.drawing import (
    INK,
    KEY,
    SOFT,
    TINT,
    WARN,
    Drawing,
    Line,
    Rect,
    Text,
    cut,
    width_of,
    wrapped,
)
from curation_dagster.schemas import SIDES

_WIDTH, _LEFT, _MAIN, _SIDE_X, _SIDE = 860.0, 24.0, 300.0, 392.0, 444.0
_MIDDLE = _LEFT + _MAIN / 2
_ROW, _PAD = 18.0, 11.0


def flow_svg(scope: Mapping[str, Any], title: str) -> str:
    """Return the figure of one scope of :func:`curation_dagster.core.release.flow.flow_numbers` as SVG, 860 px wide."""
    drawing = Drawing(_WIDTH, 0, title)
    y = 22.0
    for line in wrapped(title, _WIDTH - 2 * _LEFT, 16, bold=True):
        drawing.add(Text(_LEFT, y + 6, line, 16, bold=True))
        y += 22
    y += 8
    before: float | None = None
    for step in scope["steps"]:
        if before is not None:
            drawing.arrow(_MIDDLE, before, _MIDDLE, y)
        last = step["key"] == "released"
        _main_box(drawing, y, step["title"], step["n"], filled=last or step["key"] == "entered")
        before = y + 42
        y = before + 22
        for out in step["out"]:
            height = _side_height(out)
            drawing.arrow(_MIDDLE, y + 16, _SIDE_X, y + 16)
            _side_box(drawing, y, height, out)
            y += height + 14
        if step["out"]:
            y += 8
    if before is not None:
        y = _sides(drawing, before, scope["sides"])
    drawing.height = y + 18
    return drawing.svg()


def _main_box(drawing: Drawing, y: float, title: str, n: int, filled: bool) -> None:
    drawing.add(Rect(_LEFT, y, _MAIN, 42, KEY if filled else "#ffffff", KEY, 8))
    ink = "#ffffff" if filled else INK
    drawing.add(Text(_LEFT + 14, y + 26, title, 13, fill=ink))
    drawing.add(Text(_LEFT + _MAIN - 14, y + 26.5, f"n = {n:,}", 13.5, bold=True, anchor="end", fill=ink))


def _side_height(out: Mapping[str, Any]) -> float:
    return 32 + (_ROW * len(out["reasons"]) + 8 if out["reasons"] else 0)


def _side_box(drawing: Drawing, y: float, height: float, out: Mapping[str, Any]) -> None:
    excluded = out["key"].startswith("excluded_") or out["key"] == "not_clean"
    drawing.add(
        Rect(_SIDE_X, y, _SIDE, height, TINT if excluded else WARN, "#c3cfda" if excluded else "#e3cfa8", 8)
    )
    drawing.add(Text(_SIDE_X + 14, y + 21, out["title"], 13, bold=True))
    drawing.add(Text(_SIDE_X + _SIDE - 14, y + 21, f"n = {out['n']:,}", 13, bold=True, anchor="end"))
    line = y + 32 + _PAD
    for reason in out["reasons"]:
        number = f"{reason['n']:,}"
        room = _SIDE - 44 - width_of(number)
        drawing.add(Text(_SIDE_X + 14, line, cut(reason["title"], room), 12.5, fill=SOFT))
        drawing.add(Text(_SIDE_X + _SIDE - 14, line, number, 12.5, anchor="end", fill=SOFT))
        line += _ROW


def _sides(drawing: Drawing, top: float, sides: Mapping[str, int]) -> float:
    """Draw the sides of the split below the release, and the lines that lead to them."""
    width, gap = 194.0, 12.0
    y = top + 44
    centres = [_LEFT + width / 2 + n * (width + gap) for n in range(len(SIDES))]
    bar = top + 20
    drawing.add(Line(_MIDDLE, top, _MIDDLE, bar, "#7d8896"))
    drawing.add(Line(min(centres[0], _MIDDLE), bar, max(centres[-1], _MIDDLE), bar, "#7d8896"))
    for centre, side in zip(centres, SIDES, strict=True):
        drawing.arrow(centre, bar, centre, y)
        drawing.add(Rect(centre - width / 2, y, width, 42, "#ffffff", KEY, 8))
        drawing.add(Text(centre - width / 2 + 12, y + 26, side.capitalize(), 13))
        drawing.add(
            Text(centre + width / 2 - 12, y + 26.5, f"n = {sides[side]:,}", 13, bold=True, anchor="end")
        )
    return y + 42
