"""A paper as PDF, with fpdf2: Python alone, no system library and no browser. The extra `pdf` brings it.

The drawings are put on the page shape by shape; the letters come from DejaVu Sans, which matplotlib carries. The file holds
no clock but the one that it is given, so the same paper gives the same bytes.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from curation_dagster.core.report.drawing import Line, Polygon, Rect, Text, read_svg
from curation_dagster.core.report.paper import (
    Figure,
    Heading,
    Paper,
    Points,
    Say,
    Table,
    is_number,
    sentence,
    shown,
)

_INK, _SOFT, _LINE = (29, 37, 48), (86, 97, 115), (200, 208, 216)
_MM_PER_POINT = 25.4 / 72


class PdfUnavailable(RuntimeError):
    """fpdf2 is not installed; the message says how it is."""


def as_pdf(paper: Paper, when: datetime) -> bytes:
    """Return the document as PDF, A4 landscape.

    Parameters
    ----------
    when : datetime
        The time that the file states; that of the release.

    Raises
    ------
    PdfUnavailable
        If fpdf2 is not installed.
    """
    try:
        from fpdf import FPDF
    except ImportError as error:
        raise PdfUnavailable(
            "PDF needs fpdf2, the extra `pdf`, which is not installed: `pip install fpdf2`"
        ) from error
    import matplotlib

    class Pages(FPDF):
        def footer(self) -> None:
            self.set_y(-12)
            self.set_font("Sans", size=7.5)
            self.set_text_color(*_SOFT)
            self.cell(0, 6, f"{paper.title}    {self.page_no()}/{{nb}}", align="R")

    pdf = Pages(format="A4", orientation="landscape")
    pdf.set_creation_date(when)
    pdf.set_title(paper.title)
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdf.add_font("Sans", "", str(fonts / "DejaVuSans.ttf"))
    pdf.add_font("Sans", "B", str(fonts / "DejaVuSans-Bold.ttf"))
    pdf.set_margins(14, 14)
    pdf.set_auto_page_break(True, 16)
    pdf.add_page()
    _line(pdf, paper.title, 17, bold=True)
    _line(pdf, paper.about, 9, colour=_SOFT)
    for block in paper.blocks:
        if isinstance(block, Heading):
            pdf.ln(4 if block.level == 2 else 2)
            if pdf.get_y() > pdf.h - 45:
                pdf.add_page()
            pdf.start_section(block.text, block.level - 2, strict=False)
            _line(pdf, block.text, 13 if block.level == 2 else 10.5, bold=True)
        elif isinstance(block, Say):
            _line(pdf, sentence(block), 9)
        elif isinstance(block, Points):
            for item in block.items:
                _line(pdf, f"•  {sentence(item)}", 9)
        elif isinstance(block, Figure):
            _figure(pdf, block)
        else:
            _table(pdf, block)
    return bytes(pdf.output())


def _line(pdf: Any, text: str, size: float, bold: bool = False, colour: tuple[int, int, int] = _INK) -> None:
    pdf.set_font("Sans", "B" if bold else "", size)
    pdf.set_text_color(*colour)
    pdf.multi_cell(0, size * 0.48, text, align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(1)


def _table(pdf: Any, table: Table) -> None:
    if not table.rows:
        _line(pdf, table.empty, 9, colour=_SOFT)
        return
    from fpdf.enums import TableBordersLayout, VAlign
    from fpdf.fonts import FontFace

    cells = [[shown(c) for c in row] for row in table.rows]
    # as wide as their texts, within bounds, so that a column of numbers does not take the room of a sentence
    widths = [
        min(56, max(7, len(header), *(len(row[i]) for row in cells)) + 2)
        for i, header in enumerate(table.headers)
    ]
    right = [all(is_number(r[i]) or r[i] is None for r in table.rows) for i in range(len(table.headers))]
    pdf.set_font("Sans", size=7)
    pdf.set_text_color(*_INK)
    pdf.set_draw_color(*_LINE)
    face = FontFace(emphasis="BOLD", color=_SOFT, fill_color=(238, 244, 249))
    with pdf.table(
        col_widths=tuple(widths),
        text_align=tuple("RIGHT" if r else "LEFT" for r in right),
        headings_style=face,
        line_height=3.6,
        padding=0.8,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        v_align=VAlign.T,
    ) as made:
        for row in [list(table.headers), *cells]:
            line = made.row()
            for text in row:
                line.cell(text)
    pdf.ln(2)


def _figure(pdf: Any, figure: Figure) -> None:
    """Draw a figure as large as the page allows; what is taller than a page is made smaller."""
    drawing = read_svg(figure.svg)
    room = pdf.h - 16 - 14 - 8
    scale = min(0.25, pdf.epw / drawing.width, room / drawing.height)
    if pdf.get_y() + drawing.height * scale + 8 > pdf.h - 16:
        pdf.add_page()
    left, top = pdf.l_margin, pdf.get_y()
    for shape in drawing.shapes[1:]:  # the first is the white ground
        if isinstance(shape, Rect):
            if shape.fill != "none":
                pdf.set_fill_color(*_rgb(shape.fill))
            if shape.stroke != "none":
                pdf.set_draw_color(*_rgb(shape.stroke))
            style = ("F" if shape.fill != "none" else "") + ("D" if shape.stroke != "none" else "")
            pdf.set_line_width(0.25)
            place = (left + shape.x * scale, top + shape.y * scale, shape.width * scale, shape.height * scale)
            pdf.rect(
                *place, style=style or "D", round_corners=shape.radius > 2, corner_radius=shape.radius * scale
            )
        elif isinstance(shape, Line):
            pdf.set_draw_color(*_rgb(shape.stroke))
            pdf.set_line_width(max(0.1, shape.width * scale))
            pdf.line(
                *(
                    o + v * scale
                    for o, v in zip((left, top) * 2, (shape.x1, shape.y1, shape.x2, shape.y2), strict=True)
                )
            )
        elif isinstance(shape, Polygon):
            pdf.set_fill_color(*_rgb(shape.fill))
            pdf.polygon([(left + x * scale, top + y * scale) for x, y in shape.points], style="F")
        elif isinstance(shape, Text):
            pdf.set_font("Sans", "B" if shape.bold else "", shape.size * scale / _MM_PER_POINT)
            pdf.set_text_color(*_rgb(shape.fill))
            shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[shape.anchor] * pdf.get_string_width(shape.text)
            pdf.text(left + shape.x * scale - shift, top + shape.y * scale, shape.text)
    pdf.set_y(top + drawing.height * scale + 1)
    _line(pdf, figure.caption, 8, colour=_SOFT)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
