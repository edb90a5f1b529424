"""Characters that don't show: they make two names look like one, or a line read otherwise than it was written.

Control characters, which terminals obey; format characters such as the right-to-left override, which turn around what
follows, and blanks of no width (Unicode TR 36). The two joiners that Persian, Hindi and emoji are written with count in
what is typed, and are nothing that tells one person from another.
"""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"
_HIDDEN = ("Cc", "Cf", "Cs")
_BREAKS = ("Zl", "Zp")


def hidden_in(text: str) -> list[str]:
    r"""Return the characters of a one-line text that don't show, as code points, each once.

    >>> hidden_in("Anna Weber"), hidden_in("Anna\u202e rebeW"), hidden_in("a\nb")
    ([], ['U+202E'], ['U+000A'])
    """
    return [f"U+{ord(c):04X}" for c in dict.fromkeys(text) if _hides(c)]


def visible(text: str) -> str:
    r"""Return a text in which what does not show is written as its code point; breaks of lines and tabs stay.

    >>> visible("Anna\u202e rebeW"), visible("two\nlines")
    ('Anna[U+202E] rebeW', 'two\nlines')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"[U+{ord(c):04X}]" if _hides(c) and c not in "\n\r\t" else c for c in text)


def without_hidden(text: str) -> str:
    r"""Return a text with blanks where it had characters that don't show.

    >>> without_hidden("a\x00b\ud800")
    'a b '
    """
    return "".join(" " if _hides(c) else c for c in text)


def _hides(character: str) -> bool:
    category = unicodedata.category(character)
    return category in _BREAKS or (category in _HIDDEN and character not in _JOINERS)
