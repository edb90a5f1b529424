"""What a part of a technical file speaks of: one archive version, or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation_dagster.core.release.view import ReleaseView
from curation_dagster.core.report.paper import Say

Rows = list[list[Any]]


@dataclass(frozen=True)
class Scope:
    """An archive version, or the whole corpus where ``archive`` is None."""

    view: ReleaseView
    archive: str | None = None
    version: str | None = None

    @property
    def name(self) -> str:
        """The name of the scope: the partition key, or ``corpus``."""
        return "corpus" if self.archive is None else f"{self.archive}@{self.version}"

    @property
    def is_corpus(self) -> bool:
        """True for the whole corpus."""
        return self.archive is None

    def rows(self, query: str, *tables: str, **arrow: pa.Table) -> Rows:
        """Return the rows of a query; ``{here}`` in it becomes the condition that keeps the scope's rows."""
        here = (
            "true"
            if self.is_corpus
            else f"archive = {quoted(self.archive)} AND version = {quoted(self.version)}"
        )
        with self.view.sql(*tables, **arrow) as sql:
            return [list(r) for r in sql.execute(query.replace("{here}", here)).fetchall()]


def said(template: str, **values: Any) -> Say:
    """Return a sentence; braces in the values are no placeholders."""
    return Say(template, values)


def verbatim(text: str) -> Say:
    """Return a text that is no template."""
    return Say(text.replace("{", "{{").replace("}", "}}"))


def joined(values: Sequence[str] | None) -> str:
    """Return texts in one cell."""
    return "; ".join(values or ())


def quoted(value: str | None) -> str:
    """Return a text as SQL writes it."""
    return "'" + str(value).replace("'", "''") + "'"
