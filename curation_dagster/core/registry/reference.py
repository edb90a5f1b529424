"""The reference of the descriptor format, generated from the models, so that docs and code can't differ.

It stands in ``docs/archives.md`` between ``<!-- generated: descriptor -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from curation_dagster.core.registry.models import Descriptor

_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Any: "any value"}


def descriptor_reference() -> str:
    """Return the Markdown reference of all parts of a descriptor, the descriptor itself first.

    Each part has a heading, its docstring, and a table with one row for each field: name, type, whether it must be
    there or its default, and meaning.
    """
    return "\n\n".join(_section(model) for model in _models(Descriptor)) + "\n"


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return a model and all models inside it, each once, in order of first mention."""
    found = [model]
    for current in found:  # grows while it is walked
        for field in current.model_fields.values():
            found += [m for m in _inside(field.annotation) if m not in found]
    return found


def _inside(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for argument in get_args(annotation):
        found += [m for m in _inside(argument) if m not in found]
    return found


def _section(model: type[BaseModel]) -> str:
    lines = [f"### {model.__name__}", "", _markdown(inspect.getdoc(model) or ""), ""]
    lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        cells = (f"`{field.alias or name}`", _type(field), _default(field), field.description or "")
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def _markdown(docstring: str) -> str:
    return docstring.replace("``", "`")


def _type(field: FieldInfo) -> str:
    words = _words(field.annotation)
    for constraint in field.metadata:
        if isinstance(constraint, Ge):
            words += f", at least {constraint.ge}"
        elif isinstance(constraint, MinLen) and words != "text":
            words += ", not empty"
        elif getattr(constraint, "pattern", None):
            words += f" like `{constraint.pattern}`"
    return words


def _words(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{a}`" for a in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"{_words(arguments[0])} to {_words(arguments[1])}"
    if origin in {Union, types.UnionType}:
        return " or ".join(_words(a) for a in arguments if a is not type(None))
    raise TypeError(
        f"a descriptor has a field of the type {annotation!r}, which the reference has no word for"
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None:
        return "null"
    if field.default in ((), {}):
        return "none"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
