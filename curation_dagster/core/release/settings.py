"""How a corpus is divided: ``criteria/splits.yaml``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from curation_dagster.schemas import CORPUS, SIDES

PACKAGED = Path(__file__).parents[2] / "criteria" / "splits.yaml"
AGE_BAND = "age_band"
Side = Literal["train", "validation", "test", "sequestered"]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(min_length=1)]


class SplitSettingsError(ValueError):
    """The settings can't be used; the message lists every problem."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reservation(_Strict):
    """Groups that go to a side by declaration: ``where`` maps columns of the corpus to values that count."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    where: dict[str, tuple[str | int | bool, ...]] = Field(min_length=1)
    side: Side
    share: Share = 1.0
    why: Text

    @model_validator(mode="after")
    def _columns(self) -> Reservation:
        unknown = [c for c in self.where if c not in CORPUS.arrow_schema.names]
        if unknown:
            raise ValueError(f"where: the corpus has no column {', '.join(unknown)}")
        return self

    def fits(self, row: dict[str, Any]) -> bool:
        """Return whether an image, a row of the corpus, is meant."""
        return all(row[c] in values for c, values in self.where.items())


class SplitSettings(_Strict):
    """The settings, with the SHA-256 of the file as ``digest``."""

    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    clause: Text
    seed: Text
    fractions: dict[str, Share]
    strata: tuple[str, ...]
    age_band_years: int = Field(ge=1, le=120)
    reservations: tuple[Reservation, ...] = ()
    on_conflict: Literal["keep_the_most_exposed_side"]
    rationale: Text
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _consistent(self) -> SplitSettings:
        if set(self.fractions) != set(SIDES):
            raise ValueError(f"fractions: expected each of {', '.join(SIDES)}")
        if abs(sum(self.fractions.values()) - 1) > 1e-9:
            raise ValueError(f"fractions: they add up to {sum(self.fractions.values()):g}, not to 1")
        unknown = [c for c in self.strata if c != AGE_BAND and c not in CORPUS.arrow_schema.names]
        if unknown:
            raise ValueError(f"strata: the corpus has no column {', '.join(unknown)}")
        names = [r.id for r in self.reservations]
        if len(set(names)) != len(names):
            raise ValueError("reservations: an id is there twice")
        return self

    @property
    def strata_columns(self) -> tuple[str, ...]:
        """The columns of the corpus that the strata are made of."""
        return tuple(dict.fromkeys(c for c in self.strata if c != AGE_BAND)) + (
            ("age_years", "age_low") if AGE_BAND in self.strata else ()
        )


def load_split_settings(path: str | os.PathLike[str] = PACKAGED) -> SplitSettings:
    """Return the settings of a file, the packaged one if none is named.

    Raises
    ------
    SplitSettingsError
        With every problem of the file.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
        said = yaml.safe_load(data)
        if not isinstance(said, dict):
            raise SplitSettingsError(f"{file}: expected a mapping, got {type(said).__name__}")
        return SplitSettings(**said, digest=hashlib.sha256(data).hexdigest())
    except ValidationError as error:
        lines = [f"  {' > '.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()]
        raise SplitSettingsError(
            f"{file}: nothing is divided until this is mended:\n" + "\n".join(lines)
        ) from error
    except (OSError, yaml.YAMLError) as error:
        raise SplitSettingsError(f"{file} can't be read: {error}") from error
