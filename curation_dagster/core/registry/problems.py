"""What is wrong with a declared file, as a sentence with the place where it stands.

A problem names the file, the way to the value as a breadcrumb, and what was expected there:
``archives/ham10000.yaml > columns > sex > values > "m": "x" is not a value of the vocabulary sex (female, male,
other)``. Problems are collected, not raised one by one, so that one look mends a file.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Crumb = str | int

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")

# mappings whose keys the author of the file invents
_OPEN = frozenset({"values", "versions", "files", "aliases", "diagnosis_aliases", "licences", "severities"})


class DescriptorError(ValueError):
    """A declared file, or what is asked of it, is wrong; the message says what and where."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong with a declared file.

    Parameters
    ----------
    file : str
        The file with its folder, such as ``archives/ham10000.yaml``.
    breadcrumb : str
        The way to the value, such as ``columns > sex``; empty where the whole file is meant.
    message : str
        What is wrong, and what was expected.
    """

    file: str
    breadcrumb: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file} > {self.breadcrumb}" if self.breadcrumb else self.file
        return f"{place}: {self.message}"


def breadcrumb(crumbs: Iterable[Crumb]) -> str:
    """Return a way into a document as text: names as they are, keys of open mappings quoted, positions from 1.

    Examples
    --------
    >>> breadcrumb(["versions", "4.0", "files", 0])
    'versions > "4.0" > files > #1'
    """
    shown_crumbs, before = [], None
    for crumb in crumbs:
        if isinstance(crumb, int):
            shown_crumbs.append(f"#{crumb + 1}")
        else:
            plain = _PLAIN.fullmatch(crumb) and before not in _OPEN
            shown_crumbs.append(crumb if plain else f'"{crumb}"')
        before = crumb
    return " > ".join(shown_crumbs)


def shown(value: Any) -> str:
    """Return a value as it may stand in a message: quoted if text, never longer than a line."""
    if isinstance(value, dict):
        return f"a mapping with {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:76] + '..."'


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known names, or the list of all of them."""
    names = [str(k) for k in known]
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(names) or 'none'}"


def problems_of(error: ValidationError, file: str, model: type[BaseModel]) -> list[Problem]:
    """Return pydantic's errors as problems, in the words of the file instead of the words of Python.

    Parameters
    ----------
    error : pydantic.ValidationError
        What validation against ``model`` raised.
    file : str
        The file with its folder, for the breadcrumb.
    model : type of pydantic.BaseModel
        The model of the whole document: it tells which keys are known where one is unknown.
    """
    found = []
    for item in error.errors(include_url=False):
        crumbs = [c for c in item["loc"] if c != "[key]"]
        place = [c for n, c in enumerate(crumbs) if not _is_tag(model, crumbs[:n], c)]
        found.append(Problem(file, breadcrumb(place), _message(dict(item), crumbs, model)))
    return found


def _message(item: dict[str, Any], crumbs: Sequence[Crumb], model: type[BaseModel]) -> str:
    kind, got, context = item["type"], shown(item["input"]), item.get("ctx", {})
    if kind == "extra_forbidden":
        parent = _model_at(model, crumbs[:-1])
        names = sorted(f.alias or n for n, f in parent.model_fields.items()) if parent else []
        return f"unknown key; {near(str(crumbs[-1]), names)}"
    if kind == "missing":
        return "required, but absent"
    if kind == "value_error":
        return str(context["error"])
    if kind == "union_tag_invalid":
        return f'method: "{context["tag"]}" is not one of {context["expected_tags"].replace(chr(39), "")}'
    if kind == "literal_error":
        return f"{got} is not one of {context['expected'].replace(chr(39), '')}"
    if kind == "string_pattern_mismatch":
        return f"{got} does not match the pattern {context['pattern']}"
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    expected = {
        "string_type": "expected text",
        "int_type": "expected a whole number",
        "int_parsing": "expected a whole number",
        "int_from_float": "expected a whole number",
        "float_type": "expected a number",
        "float_parsing": "expected a number",
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "tuple_type": "expected a list",
        "dict_type": "expected a mapping",
        "model_type": "expected a mapping",
        "model_attributes_type": "expected a mapping",
        "greater_than_equal": f"expected at least {context.get('ge')}",
    }.get(kind, item["msg"])
    return f"{expected}, got {got}"


def _model_at(model: type[BaseModel], crumbs: Sequence[Crumb]) -> type[BaseModel] | None:
    """Return the model that stands at the end of a way into a document."""
    at: Any = model
    for crumb in crumbs:
        if isinstance(at, type) and issubclass(at, BaseModel):
            fields = at.model_fields
            field = fields.get(str(crumb)) or next((f for f in fields.values() if f.alias == crumb), None)
            at = None if field is None else _inner(field.annotation)
        elif get_origin(at) in {dict, tuple}:
            # the crumb is a key of an open mapping, or a position in a list
            at = _inner(next(a for a in reversed(get_args(at)) if a is not Ellipsis))
        else:
            at = _tagged(at, crumb)
    return at if isinstance(at, type) and issubclass(at, BaseModel) else None


def _is_tag(model: type[BaseModel], before: Sequence[Crumb], crumb: Crumb) -> bool:
    """Return whether a crumb is no key of the file, but the method by which pydantic chose one of several models."""
    at: Any = model
    for step in before:
        if isinstance(at, type) and issubclass(at, BaseModel):
            fields = at.model_fields
            field = fields.get(str(step)) or next((f for f in fields.values() if f.alias == step), None)
            at = None if field is None else _inner(field.annotation)
        else:
            return False
    return _tagged(at, crumb) is not None


def _tagged(annotation: Any, tag: Crumb) -> Any:
    """Return the model of a tagged union that a tag chooses, or None."""
    if get_origin(annotation) not in {Union, types.UnionType}:
        return None
    for option in get_args(annotation):
        found = _inner(option)
        method = (
            found.model_fields.get("method")
            if isinstance(found, type) and issubclass(found, BaseModel)
            else None
        )
        if method is not None and get_args(method.annotation) == (tag,):
            return found
    return None


def _inner(annotation: Any) -> Any:
    """Return an annotation without ``Annotated`` and without the None of an optional value."""
    if get_origin(annotation) is typing.Annotated:
        return _inner(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        options = [a for a in get_args(annotation) if a is not type(None)]
        return _inner(options[0]) if len(options) == 1 else annotation
    return annotation
