"""Two kinds of charts, drawn by :mod:`curation_dagster.core.report.drawing`: bars, and a table whose cells are shaded."""

from __future__ import annotations

from collections.abc import Sequence

from curation_dagster.core.report.drawing import (
    INK,
    KEY,
    SOFT,
    Drawing,
    Line,
    Rect,
    Text,
    cut,
    width_of,
    wrapped,
)

_WIDTH, _LABEL = 860.0, 268.0
_THIN, _MISSING, _EMPTY = "#d08a2e", "#c5ccd4", "#f4f6f8"


def bars(title: str, rows: Sequence[tuple[str, int, str, str]], note: str = "") -> str:
    """Return bars as SVG, 860 px wide.

    Parameters
    ----------
    rows : sequence of (label, number, what stands behind the bar, state)
        ``state`` is ``fine``, ``thin`` or ``missing``, and colours the bar.
    note : str
        Stands below the title, such as what the colours mean.
    """
    drawing = Drawing(_WIDTH, 0, title)
    y = _head(drawing, title, note)
    most = max((n for _, n, _, _ in rows), default=0)
    room = _WIDTH - _LABEL - 24 - max((width_of(said, 12) for _, _, said, _ in rows), default=0) - 12
    for label, n, said, state in rows:
        drawing.add(Text(_LABEL - 10, y + 14, cut(label, _LABEL - 34), 12.5, anchor="end"))
        length = room * n / most if most else 0.0
        colour = {"thin": _THIN, "missing": _MISSING}.get(state, KEY)
        if n:
            drawing.add(Rect(_LABEL, y + 2, max(length, 1.5), 16, colour, "none", 2))
        drawing.add(Text(_LABEL + max(length, 1.5) + 7, y + 14.5, said, 12, fill=SOFT))
        y += 23
    drawing.add(Line(_LABEL, y - 23 * len(rows) - 2, _LABEL, y, "#8c97a4", 1))
    drawing.height = y + 14
    return drawing.svg()


def shaded(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[int]],
    thin: int,
    note: str = "",
) -> str:
    """Return a table of counts as SVG, 860 px wide: the more, the darker; fewer than ``thin`` in amber, none left white."""
    drawing = Drawing(_WIDTH, 0, title)
    y = _head(drawing, title, note) + 6
    width = min(116.0, (_WIDTH - _LABEL - 24) / max(1, len(columns)))
    most = max((n for row in cells for n in row), default=0)
    for i, name in enumerate(columns):
        lines = wrapped(name, width - 6, 11.5)[:2]
        for k, line in enumerate(lines):
            drawing.add(
                Text(_LABEL + (i + 0.5) * width, y + 12 + 13 * (k + 2 - len(lines)), cut(line, width, 11.5), 11.5, anchor="middle", fill=SOFT)
            )  # fmt: skip
    y += 34
    for name, numbers in zip(rows, cells, strict=True):
        drawing.add(Text(_LABEL - 10, y + 18, cut(name, _LABEL - 34), 12.5, anchor="end"))
        for i, n in enumerate(numbers):
            fill, ink = _shade(n, most, thin)
            drawing.add(Rect(_LABEL + i * width + 1, y + 1, width - 2, 26, fill, "#dde3e9", 3))
            drawing.add(Text(_LABEL + (i + 0.5) * width, y + 18.5, f"{n:,}", 12, anchor="middle", fill=ink))
        y += 28
    drawing.height = y + 14
    return drawing.svg()


def _head(drawing: Drawing, title: str, note: str) -> float:
    drawing.add(Text(24, 28, title, 15, bold=True))
    y = 28.0
    for line in wrapped(note, _WIDTH - 48, 12):
        y += 18
        drawing.add(Text(24, y, line, 12, fill=SOFT))
    return y + 16


def _shade(n: int, most: int, thin: int) -> tuple[str, str]:
    """Return the colours of a cell and of the number in it."""
    if n == 0:
        return "#ffffff", "#a3262a"
    if n < thin:
        return "#fbe9cd", INK
    part = 0.18 + 0.82 * n / most
    # from white to the key colour, each channel on its own
    channels = [round(255 + (target - 255) * part) for target in (0x1F, 0x5F, 0x8B)]
    return "#" + "".join(f"{c:02x}" for c in channels), "#ffffff" if part > 0.5 else INK
