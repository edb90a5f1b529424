"""What all parts of a descriptor share: frozen, unknown keys are errors, patterns and globs are checked when read.

Every field says what it means in its own ``description``: the reference in ``docs/archives.md`` is generated from
the models.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


def compiled_pattern(pattern: str) -> re.Pattern[str]:
    """Compile, with a ValueError that pydantic reports: ``re.error`` would escape it."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f'"{pattern}" is not a regular expression: {error}') from error


def relative_globs(globs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the globs as they are, or refuse one that can't match a path of the inventory."""
    for glob in globs:
        if glob.startswith("/") or "\\" in glob:
            raise ValueError(
                f'"{glob}" can\'t match: paths are POSIX and relative to the archive; begin with **/ and use /'
            )
    return globs


class Model(BaseModel):
    """Base of all parts of a descriptor: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
