"""What a criteria file may say: the models that validate ``criteria/*.yaml``.

A criteria file is one intended use. Each criterion carries out one clause of the protocol by one named rule over
declared columns; the bounds, and where their numbers come from, stand beside it. Unknown keys are errors, so that a
misspelt one is never silently ignored.

A rule may be made of others: ``all_of`` and ``any_of`` take ``parts``, and any condition may carry ``when``, the
condition under which it applies at all. That is enough to say "at 512 px and more this bound, below it that one"
without a special rule for each such sentence.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.schemas import CONFIRMATIONS

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Clause = Annotated[str, Field(pattern=r"^[IES]\.\d+( .+)?$")]
Stage = Literal["records", "quality", "deidentified", "harmonized", "duplicates"]
Outcome = Literal["pass", "fail", "review", "not_applicable"]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Bound = Number | str | tuple[str, ...] | dict[str, Number] | None

DEFAULT = "default"
"""Key of a bound per modality that holds for an unknown modality and for those that are not named."""


class Model(BaseModel):
    """Base of all parts of a criteria file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(Model):
    """A named rule over columns, or a combination of conditions.

    Parameters
    ----------
    rule : str
        Name of a rule in :data:`curation_dagster.core.criteria.rules.RULES`.
    columns : tuple of str
        The columns that the rule looks at; where there are several, each of them must hold.
    bound : number, text, list of texts, or number per modality
        What the rule compares with; which form it takes depends on the rule.
    parts : tuple of Condition
        The conditions that ``all_of`` and ``any_of`` combine.
    when : Condition, optional
        Where it is false, the condition does not apply. Where it is unknown, so is the condition.
    """

    rule: Name
    columns: tuple[Name, ...] = ()
    bound: Bound = None
    parts: tuple[Condition, ...] = ()
    when: Condition | None = None

    def all_columns(self) -> tuple[str, ...]:
        """Return the columns that the condition reads, parts and ``when`` included, each once."""
        nested = [c for p in (*self.parts, *((self.when,) if self.when else ())) for c in p.all_columns()]
        return tuple(dict.fromkeys((*self.columns, *nested)))

    def judged_columns(self) -> tuple[str, ...]:
        """Return the columns that are judged, those of ``when`` left out, each once."""
        return tuple(dict.fromkeys((*self.columns, *(c for p in self.parts for c in p.judged_columns()))))

    @property
    def by_modality(self) -> bool:
        """True where a bound depends on the modality of the image."""
        nested = (*self.parts, *((self.when,) if self.when else ()))
        return isinstance(self.bound, dict) or any(p.by_modality for p in nested)


class Criterion(Condition):
    """One criterion of the protocol, and one asset check.

    Parameters
    ----------
    on_fail : {"exclude", "review"}
        What becomes of an image that breaks the rule.
    on_missing : {"pass", "fail", "review", "not_applicable"}
        Outcome where the columns that decide are null.
    review : {"each", "sample"}
        Who settles a ``review``: a person for each image, or a clean people's sample for the archive version.
    reviewers : {1, 2}
        How many people look at an image that a person settles; of two, neither sees the other's verdict.
    population : {"review", "everyone"}
        What a sample is drawn from: the images whose outcome is ``review``, or all that nothing excludes. The second
        holds back the archive version at the gate, not each image in the ledger.
    severity : {"error", "warn"}
        ``error`` where the protocol says must.
    detail_columns : tuple of str
        Columns whose values a reader of the ledger needs, such as the publisher's label.
    notes : dict of outcome to str
        A sentence for the ledger's detail.
    """

    id: Name
    clause: Clause
    stage: Stage
    check: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)+$")]
    statement: Text
    on_fail: Literal["exclude", "review"]
    on_missing: Outcome
    review: Literal["each", "sample"] = "each"
    reviewers: Literal[1, 2] = 1
    population: Literal["review", "everyone"] = "review"
    severity: Literal["error", "warn"]
    detail_columns: tuple[Name, ...] = ()
    notes: dict[Outcome, Text] = {}
    rationale: Text
    since: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]

    @property
    def clause_id(self) -> str:
        """The clause without its title, such as ``E.4``."""
        return self.clause.split(" ", 1)[0]

    @property
    def reads(self) -> tuple[str, ...]:
        """Every column that must be in the table."""
        needed = (*self.all_columns(), *self.detail_columns, *(("modality",) if self.by_modality else ()))
        return tuple(dict.fromkeys(needed))


class Sampling(Model):
    """How many images of an archive version people look at for one criterion.

    If none of n images that were drawn at random is bad, then with ``confidence`` at most
    ``1 - (1 - confidence) ** (1 / n)`` of all are (exact binomial; about 3 / n at 95 %, the "rule of three").
    """

    confidence: float = Field(gt=0, lt=1)
    max_residual_rate: float = Field(gt=0, lt=1)
    minimum: int = Field(ge=1)
    rationale: Text

    def required(self) -> int:
        """Return the images that a sample of a large archive version needs: 299 for 0.95 and 0.01."""
        return max(
            self.minimum, math.ceil(math.log(1 - self.confidence) / math.log(1 - self.max_residual_rate))
        )

    def size_for(self, images: int) -> int:
        """Return the images to draw from ``images``: the required number, or all of them if there are fewer."""
        return min(images, self.required())

    def residual_rate(self, n: int) -> float:
        """Return the largest share of bad images that a clean sample of ``n`` leaves open."""
        return 1 - (1 - self.confidence) ** (1 / n)


CompletedField = Literal[
    "age_years", "age_low", "age_high", "sex", "fitzpatrick", "anatomy_code", "anatomy_label", "lesion_size_mm",
    "presentation", "severity_scale", "severity_value", "device", "acquired_year",
]  # fmt: skip


class Representative(Model):
    """Which image stands for a group of duplicates: the first rule that tells two members apart decides.

    ``confirmation_rank`` orders the ways of confirmation, the strongest first. ``completed`` are the fields that other
    members of the group may give it, in units that are filled together. A diagnosis and its confirmation, a licence, a
    patient and a lesion are never passed on.
    """

    order: tuple[Literal["eligible", "confirmation", "pixels", "sharpness", "image_id"], ...]
    confirmation_rank: tuple[
        Literal["histopathology", "confocal", "consensus", "follow_up", "expert", "unverified"], ...
    ]
    completed: tuple[tuple[CompletedField, ...], ...] = ()
    rationale: Text

    @model_validator(mode="after")
    def _complete(self) -> Representative:
        if len(set(self.order)) != len(self.order) or self.order[-1:] != ("image_id",):
            raise ValueError(
                "order: each rule once, and image_id last, because only it always tells two images apart"
            )
        if sorted(self.confirmation_rank) != sorted(CONFIRMATIONS):
            raise ValueError(f"confirmation_rank: expected each of {', '.join(CONFIRMATIONS)} once")
        return self


class SmallerRadii(Model):
    """Radii of the search beyond a number of images."""

    images: int
    candidate_radius: int
    dihedral_radius: int


class Duplicates(Model):
    """Bounds of the search for duplicates, as :class:`curation_dagster.core.duplicates.bounds.DuplicateBounds` has them."""

    candidate_radius: int
    accept_radius: int
    dihedral_radius: int
    keypoint_accept: int
    keypoint_review: int
    correlation_accept: float
    beyond: tuple[SmallerRadii, ...] = ()
    rationale: Text

    @model_validator(mode="after")
    def _consistent(self) -> Duplicates:
        self.bounds()
        return self

    def bounds(self) -> DuplicateBounds:
        """Return the bounds without their rationale."""
        return DuplicateBounds.from_mapping(self.model_dump())


class CriteriaFile(Model):
    """A criteria file as it is written."""

    name: Name
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]
    intended_use: Text
    waives: dict[Annotated[str, Field(pattern=r"^[IE]\.\d+$")], Text] = {}
    sampling: Sampling
    representative: Representative
    duplicates: Duplicates
    shared: dict[Name, Condition] = {}
    criteria: tuple[Criterion, ...] = Field(min_length=1)


class CriteriaSet(CriteriaFile):
    """A criteria file that was loaded, with the SHA-256 of its bytes."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @cached_property
    def _by_id(self) -> dict[str, Criterion]:
        return {c.id: c for c in self.criteria}

    @property
    def confirmation_rank(self) -> tuple[str, ...]:
        """The ways of confirmation, the strongest first."""
        return self.representative.confirmation_rank

    @cached_property
    def duplicate_bounds(self) -> DuplicateBounds:
        """The bounds of the search for duplicates."""
        return self.duplicates.bounds()

    def of_stage(self, stage: str) -> tuple[Criterion, ...]:
        """Return the criteria that a stage applies, in the order of the file."""
        return tuple(c for c in self.criteria if c.stage == stage)

    def criterion(self, identifier: str) -> Criterion:
        """Return one criterion by its id; raises ``KeyError`` if there is none."""
        try:
            return self._by_id[identifier]
        except KeyError:
            raise KeyError(f"criteria {self.name} {self.version} have no criterion {identifier!r}") from None

    @cached_property
    def reviewers(self) -> dict[str, int]:
        """How many people each criterion asks for."""
        return {c.id: c.reviewers for c in self.criteria}

    def whole_population(self) -> tuple[str, ...]:
        """Return the ids of the criteria whose sample stands for all images, in the order of the file."""
        return tuple(c.id for c in self.criteria if c.review == "sample" and c.population == "everyone")

    def reviewed_by(self, mode: Literal["each", "sample"]) -> tuple[str, ...]:
        """Return the ids of the criteria whose ``review`` is settled in this way, in the order of the file."""
        return tuple(c.id for c in self.criteria if c.review == mode)
