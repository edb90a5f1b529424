"""The clauses of the curation protocol, as ``criteria/protocol.yaml`` declares them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field

from curation_dagster.core.criteria.models import Model, Text

PROTOCOL = Path(__file__).parents[2] / "criteria" / "protocol.yaml"


class Proof(Model):
    """What carries out a step of the protocol, or a part of a clause that no criterion carries out."""

    asset: Text
    check: str | None = None
    test: str | None = None
    how: Text


class Clause(Model):
    """One clause: I for inclusion, E for exclusion, S for a step of the work."""

    id: str = Field(pattern=r"^[IES]\.\d+$")
    title: Text
    text: Text
    carried_out_by: tuple[Proof, ...] = ()

    @property
    def is_step(self) -> bool:
        """True for a step of the work, which assets and checks carry out rather than criteria."""
        return self.id.startswith("S.")


class _File(Model):
    version: Text
    clauses: tuple[Clause, ...]


@dataclass(frozen=True)
class Protocol:
    """The protocol: its version, and its clauses by id in the order of the document."""

    version: str
    clauses: dict[str, Clause]


@functools.cache
def load_protocol(path: Path = PROTOCOL) -> Protocol:
    """Load the protocol's clauses.

    Raises
    ------
    pydantic.ValidationError
        If the file does not have the declared form.
    ValueError
        If two clauses have the same id.
    """
    file = _File.model_validate(yaml.safe_load(path.read_bytes()))
    clauses = {c.id: c for c in file.clauses}
    if len(clauses) != len(file.clauses):
        raise ValueError(f"{path.name}: clause ids must differ")
    return Protocol(file.version, clauses)
