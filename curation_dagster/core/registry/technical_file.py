"""The technical file's record of an archive, and the protocol's evaluation of it before retrieval."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curation_dagster.core.registry.parts import Model, Text


class SampleSize(Model):
    """How much the publisher says there is."""

    images: int | None = Field(None, ge=0, description="Images in the whole archive.")
    patients: int | None = Field(None, ge=0, description="Persons.")
    lesions: int | None = Field(None, ge=0, description="Lesions.")


class Assessment(Model):
    """One line of the protocol's selection evaluation."""

    outcome: Literal["accepted", "conditional", "refused", "not_assessed"] = Field(
        description="What the evaluation says; `conditional` where the reason names the condition."
    )
    reason: Text = Field(description="Why, in one or two sentences.")


class SelectionEvaluation(Model):
    """The protocol's evaluation of a source before retrieval."""

    diagnostic_quality: Assessment = Field(description="Are the diagnoses specific and verified?")
    licence: Assessment = Field(
        description="Does the licence permit commercial use, modification and redistribution?"
    )
    diversity: Assessment = Field(
        description="Which ages, sexes, phototypes, sites and regions of the world are covered?"
    )
    governance: Assessment = Field(description="Ethics approval, consent, provenance, upkeep.")


class TechnicalFile(Model):
    """The record of the archive that the protocol asks for."""

    name: Text = Field(description="Name of the archive, as its publisher writes it.")
    publisher: Text = Field(description="Who publishes it.")
    country: Text = Field(description="Country of the publisher, or countries.")
    repository_url: str | None = Field(
        None, description="Landing page; null where none is known, never a guess."
    )
    doi: str | None = Field(None, description="DOI of the data, without `https://doi.org/`.")
    publications: tuple[str, ...] = Field((), description="DOIs or titles of the papers that describe it.")
    access: Literal["public", "registration", "gated"] = Field(description="Who may retrieve it.")
    access_method: Text = Field(description="How it is retrieved.")
    sample_size: SampleSize = Field(description="How much the publisher says there is.")
    diagnostic_coverage: Text = Field(description="Which diagnoses, with counts where they are known.")
    demographics: Text = Field(description="Ages, sexes, phototypes, region; what is not collected.")
    modality: Text = Field(description="How the pictures were taken.")
    validation_method: Text = Field(description="How the publisher verified the diagnoses.")
    selection: SelectionEvaluation = Field(description="The evaluation before retrieval.")
    gotchas: tuple[str, ...] = Field(
        (), description="What a careful reader must know: errors, traps and overlaps."
    )
