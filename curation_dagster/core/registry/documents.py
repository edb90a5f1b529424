"""Reading of declared files: YAML, without the surprises.

Three things differ from YAML as PyYAML reads it. Keys are text, always: a version named ``1`` or ``4.0`` stays what was
written. Only ``true`` and ``false`` are booleans, and nothing is a date: ``no`` is Norway, ``2025-12-18`` a version.
A key that stands twice is an error, because the first one would vanish without a word; anchors and aliases are errors
too, because a reader of one place must see everything that holds there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from curation_dagster.core.registry.problems import Crumb, Problem, breadcrumb


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2, less its octal and hexadecimal numbers."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", [*"~nN", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    ("int", r"[-+]?[0-9]+", [*"-+0123456789"]),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", [*"-+.0123456789"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def label(path: Path) -> str:
    """Return how a file is called in messages: its folder and its name."""
    return f"{path.parent.name}/{path.name}"


def read_document(path: Path, file: str | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """Read one declared file.

    Parameters
    ----------
    path : Path
        The file.
    file : str, optional
        How it is called in messages; by default its folder and its name.

    Returns
    -------
    data : dict
        The document with its keys as text. Empty if the file can't be read at all.
    problems : list of Problem
        Why not, or which keys stand twice (then the first one is in ``data``).
    """
    file = file or label(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return {}, [Problem(file, "", f"can't be read: {error.strerror}")]
    except UnicodeDecodeError as error:
        return {}, [
            Problem(file, "", f"is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}")
        ]
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if getattr(event, "anchor", None) and event.start_mark is not None:
                line = event.start_mark.line + 1
                return {}, [
                    Problem(file, "", f"line {line}: anchors and aliases are not permitted; write it out")
                ]
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        return {}, [Problem(file, "", _syntax(error))]
    except yaml.YAMLError as error:
        return {}, [Problem(file, "", f"is not YAML: {' '.join(str(error).split())}")]
    except RecursionError:
        return {}, [Problem(file, "", "is nested too deeply to be read")]
    if node is None or (isinstance(node, yaml.MappingNode) and not node.value):
        return {}, [Problem(file, "", "is empty")]
    if not isinstance(node, yaml.MappingNode):
        return {}, [Problem(file, "", "expected a mapping of keys to values at the top")]
    problems: list[Problem] = []
    return _value(node, (), file, problems), problems


def _syntax(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    context = f" {error.context}" if error.context else ""
    return f"{where}is not YAML: {error.problem or 'unreadable'}{context}"


def _value(node: yaml.Node, crumbs: Sequence[Crumb], file: str, problems: list[Problem]) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*crumbs, n), file, problems) for n, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                problems.append(Problem(file, breadcrumb(crumbs), f"line {line}: expected text as a key"))
                continue
            inner = (*crumbs, key.value)
            value = _value(child, inner, file, problems)
            if key.value in found:
                message = f"line {line}: the key stands twice; it was given in line {lines[key.value]} before"
                problems.append(Problem(file, breadcrumb(inner), message))
                continue
            found[key.value], lines[key.value] = value, line
        return found
    return _scalar(node, crumbs, file, problems)


def _scalar(node: yaml.Node, crumbs: Sequence[Crumb], file: str, problems: list[Problem]) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind == "str":
        return node.value
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() == "true"
    try:
        if kind == "int":
            return int(node.value)
        if kind == "float":
            return float(node.value)
    except ValueError:
        pass  # an explicit tag on a text that is no number
    line = node.start_mark.line + 1
    problems.append(
        Problem(file, breadcrumb(crumbs), f"line {line}: a value of the type {node.tag} is not permitted")
    )
    return None
