"""Names of members and files: which are refused, and how they are written in the inventory.

A member's name never becomes a path on disk (members are read in place, and inner containers are stored under their
digest), so the rules here are a second wall, not the only one. They still matter: a name that climbs out of its
container is a sign that the container was made to harm, and whoever unpacks it later by other tools would be harmed.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile

_DRIVE = re.compile(r"[A-Za-z]:")
_UTF8_FLAG = 0x800


def problem_of(name: str) -> str | None:
    r"""Return what is wrong with the name of a member, or None.

    >>> problem_of("images/a.jpg"), problem_of("../a.jpg"), problem_of("images\\a.jpg")
    (None, "climbs out by '..'", 'backslash')
    """
    if "\\" in name:
        return "backslash"
    if name.startswith("/"):
        return "absolute path"
    if _DRIVE.match(name):
        return "drive letter"
    parts = name.split("/")
    if ".." in parts:
        return "climbs out by '..'"
    if not any(part not in ("", ".") for part in parts):
        return "empty name"
    for character in name:
        category = unicodedata.category(character)
        if category == "Cc":
            return "control character"
        if category == "Cs":
            return "not text"
    return None


def plain(name: str) -> str:
    """Return the name without empty and ``.`` parts, as it stands in the inventory.

    >>> plain("./images//a.jpg")
    'images/a.jpg'
    """
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def shown(name: str) -> str:
    """Return the name as it can be printed in a message: control characters and undecodable bytes escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def of_zip_member(info: zipfile.ZipInfo) -> str:
    """Return the name of a zip's member as its maker meant it.

    Names without the UTF-8 flag are code page 437 by the specification, but common tools (macOS Archive Utility
    among them) write UTF-8 there without the flag. Text of another code page is hardly ever valid UTF-8.
    """
    if info.flag_bits & _UTF8_FLAG or info.orig_filename.isascii():
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename


def of_tar_member(name: str) -> str:
    """Return the name of a tar's member; bytes that are not UTF-8 are read as code page 437, as in zips."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp437")
    return name
