"""Drawings of four shapes, written as SVG that is the same on every machine, and read back to be put on paper.

No drawing library: those write clocks, random ids or fonts' outlines into their SVG. Sizes are in px. Text is set in the
reader's own sans-serif; its width is estimated, a little too wide, so that nothing runs out of its box.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html import escape
from typing import Literal

from curation_dagster.core.visible import visible

INK, SOFT, LINE, KEY, TINT, WARN = "#1d2530", "#566173", "#b8c2cd", "#1f5f8b", "#eef4f9", "#fdf3e4"
FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_NARROW, _WIDE = set("ijltfrI.,:;|!'()[] "), set("mwMW@%")


@dataclass(frozen=True)
class Rect:
    """A rectangle with round corners."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "#ffffff"
    stroke: str = "none"
    radius: float = 0


@dataclass(frozen=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    stroke: str = LINE
    width: float = 1.4


@dataclass(frozen=True)
class Text:
    """A line of text, ``y`` at its base."""

    x: float
    y: float
    text: str
    size: float = 12.5
    bold: bool = False
    anchor: Literal["start", "middle", "end"] = "start"
    fill: str = INK


@dataclass(frozen=True)
class Polygon:
    """A filled polygon."""

    points: tuple[tuple[float, float], ...]
    fill: str = LINE


Shape = Rect | Line | Text | Polygon


@dataclass
class Drawing:
    """Shapes on a sheet; later ones lie above earlier ones. ``title`` is what a reader who can't see it hears."""

    width: float
    height: float
    title: str
    shapes: list[Shape] = field(default_factory=list)

    def add(self, *shapes: Shape) -> None:
        """Put shapes onto the sheet."""
        self.shapes += shapes

    def arrow(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw an arrow, upright or level."""
        self.add(Line(x1, y1, x2, y2, "#7d8896"))
        if x1 == x2:
            self.add(Polygon(((x2 - 4.5, y2 - 8), (x2 + 4.5, y2 - 8), (x2, y2)), "#7d8896"))
        else:
            self.add(Polygon(((x2 - 8, y2 - 4.5), (x2 - 8, y2 + 4.5), (x2, y2)), "#7d8896"))

    def svg(self) -> str:
        """Return the drawing as SVG."""
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(self.width)}" height="{_n(self.height)}" '
            f'viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" font-family="{escape(FONT, quote=True)}">',
            f"<title>{escape(visible(self.title))}</title>",
            f'<rect x="0" y="0" width="{_n(self.width)}" height="{_n(self.height)}" fill="#ffffff"/>',
        ]
        parts += [_element(s) for s in self.shapes]
        return "\n".join([*parts, "</svg>"]) + "\n"


def read_svg(svg: str) -> Drawing:
    """Return the drawing that :meth:`Drawing.svg` wrote.

    Raises
    ------
    ValueError
        If it holds a shape that this module does not write.
    """
    root = ET.fromstring(svg)  # noqa: S314
    drawing = Drawing(float(root.get("width", "0")), float(root.get("height", "0")), "")
    for node in list(root)[1:]:
        kind, get = node.tag.rsplit("}", 1)[-1], node.get
        number = lambda name, get=get: float(get(name) or 0)  # noqa: E731
        if kind == "title":
            drawing.title = node.text or ""
        elif kind == "rect":
            drawing.add(
                Rect(number("x"), number("y"), number("width"), number("height"), get("fill", ""), get("stroke", "none"), number("rx"))
            )  # fmt: skip
        elif kind == "line":
            drawing.add(
                Line(
                    number("x1"),
                    number("y1"),
                    number("x2"),
                    number("y2"),
                    get("stroke", LINE),
                    number("stroke-width"),
                )
            )
        elif kind == "polygon":
            pairs = [p.split(",") for p in get("points", "").split()]
            drawing.add(Polygon(tuple((float(a), float(b)) for a, b in pairs), get("fill", LINE)))
        elif kind == "text":
            anchor: Literal["start", "middle", "end"] = get("text-anchor", "start")  # type: ignore[assignment]
            drawing.add(
                Text(number("x"), number("y"), node.text or "", number("font-size"), get("font-weight") == "600", anchor, get("fill", INK))
            )  # fmt: skip
        else:
            raise ValueError(f"a drawing holds a {kind}; expected rect, line, polygon or text")
    return drawing


def width_of(text: str, size: float = 12.5, bold: bool = False) -> float:
    """Return how wide a text is at most, in px, about."""
    units = sum(
        0.34 if c in _NARROW else 0.92 if c in _WIDE else 0.7 if c.isupper() else 0.6 if c.isdigit() else 0.56
        for c in text
    )
    return units * size * (1.06 if bold else 1)


def wrapped(text: str, width: float, size: float = 12.5, bold: bool = False) -> list[str]:
    """Return a text in lines that are at most ``width`` px wide, as far as its words allow."""
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(f"{lines[-1]} {word}", size, bold) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def cut(text: str, width: float, size: float = 12.5) -> str:
    """Return a text that is at most ``width`` px wide, with an ellipsis where it was cut."""
    if width_of(text, size) <= width:
        return text
    while text and width_of(f"{text}…", size) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _element(s: Shape) -> str:
    if isinstance(s, Rect):
        edge = f' stroke="{s.stroke}" stroke-width="1.2"' if s.stroke != "none" else ""
        corner = f' rx="{_n(s.radius)}"' if s.radius else ""
        return f'<rect x="{_n(s.x)}" y="{_n(s.y)}" width="{_n(s.width)}" height="{_n(s.height)}"{corner} fill="{s.fill}"{edge}/>'
    if isinstance(s, Line):
        return f'<line x1="{_n(s.x1)}" y1="{_n(s.y1)}" x2="{_n(s.x2)}" y2="{_n(s.y2)}" stroke="{s.stroke}" stroke-width="{_n(s.width)}"/>'
    if isinstance(s, Polygon):
        return f'<polygon points="{" ".join(f"{_n(x)},{_n(y)}" for x, y in s.points)}" fill="{s.fill}"/>'
    weight = ' font-weight="600"' if s.bold else ""
    anchor = f' text-anchor="{s.anchor}"' if s.anchor != "start" else ""
    return f'<text x="{_n(s.x)}" y="{_n(s.y)}" font-size="{_n(s.size)}"{weight}{anchor} fill="{s.fill}">{escape(visible(s.text), quote=False)}</text>'


def _n(value: float) -> str:
    return f"{round(value, 1):.1f}".removesuffix(".0")
