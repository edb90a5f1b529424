"""Tables drawn with bars, as text documents hold them: ``|| Name || Diagnosis || Asymmetry | Colours ||``.

``||`` and ``|`` both end a cell; the outer bars belong to the frame. Legends stand above or below such a table: lines
without any bar are text and no rows, and how many there are is noted. A line with bars that is not framed by them is a
row that somebody mangled: it is kept, and marked as malformed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BAR = re.compile(r"\|\|?")
_RULER = re.compile(r"[-=+_|\s]+")


def is_barred(text: str) -> bool:
    """Return whether the first line of a text that has a bar is framed by double bars."""
    first = next((line.strip() for line in text.splitlines() if "|" in line), "")
    return first.startswith("||") and first.endswith("||") and len(first) > 4


def barred_rows(text: str) -> tuple[list[str], Iterator[list[str]], int]:
    """Return the cells of the header, an iterator over the rows below it, and the number of lines that are text.

    Examples
    --------
    >>> header, rows, legend = barred_rows("|| Name || A | B ||\\n|| IMD002 ||  | 1 ||\\n\\nA: a legend")
    >>> header, list(rows), legend
    (['Name', 'A', 'B'], [['IMD002', '', '1']], 1)
    """
    lines = [line.strip() for line in text.splitlines()]
    drawn = [line for line in lines if "|" in line and not _RULER.fullmatch(line)]
    legend = sum(bool(line) and "|" not in line and not _RULER.fullmatch(line) for line in lines)
    rows = (_cells(line) for line in drawn)
    return next(rows, []), rows, legend


def _cells(line: str) -> list[str]:
    cells = [cell.strip() for cell in _BAR.split(line)]
    if line.startswith("|"):
        cells = cells[1:]
    return cells[:-1] if line.endswith("|") else cells
