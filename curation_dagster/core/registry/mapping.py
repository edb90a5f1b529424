"""How an archive's columns become the fields of the unified schema."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from curation_dagster.core.registry.parts import Model


class FieldMapping(Model):
    """How one field of the unified schema comes from the archive's columns.

    Order of work: take ``constant``, or combine the columns of ``from``; a blank, or a value listed in ``missing``,
    becomes null with its reason; ``values`` translates (compared without case and outer blanks); ``parse`` turns
    text into the field's type. A value that ``values`` does not list is an *unmapped value*, kept in the ledger,
    unless ``values`` is empty: then fields with a vocabulary are translated by ``vocabularies/spellings.csv``, sites
    by ``vocabularies/anatomy.csv``, and all others are taken as they are. A mark means nothing without its column: the
    key ``column=cell`` of ``values`` holds for that column only, and goes before ``cell``. For an age, ``values`` may give a band as
    ``[low, high]``, with null for an open end.

    ``combine`` says what several columns mean. ``first``: the first column that is neither blank nor listed in
    ``missing``. ``join``: one key made of all of them; null if one of them is missing. ``max``: the largest of those
    that are not missing; of truth values, whether one is true. ``all``: all that are not missing, each translated by
    itself; a diagnosis may have several, sites become the region that holds them, truth values must all be true, and
    anything else must agree. ``one_hot``: each column is a label, marked by 1 among zeros; the value is the name of the
    marked column, which ``missing`` and ``values`` may speak of like of any cell. A row of zeros means ``all_zero``;
    without that, and wherever more than one column is marked or a cell is neither 0 nor 1, the row is *not one-hot* and
    gives nothing. ``separator`` splits each cell into several values, each translated by itself. A column
    that no table of the delivery has counts as blank; list it in ``required_columns`` if its absence must stop the
    work.
    """

    source: tuple[str, ...] = Field((), alias="from", description="Column, or list of columns.")
    constant: Any = Field(
        None, description="The value of every record, already in terms of the unified schema."
    )
    combine: Literal["first", "join", "max", "all", "one_hot"] = Field(
        "first", description="What several columns mean."
    )
    all_zero: str | None = Field(
        None, description="With `one_hot`: the label of a record of which no column is marked."
    )
    separator: str | None = Field(None, description="Splits one cell into several values.")
    missing: tuple[str, ...] = Field(
        (), description="Spellings of missing beside the blank cell; compared without case and outer blanks."
    )
    values: dict[str, Any] = Field(
        {}, description="The publisher's value, to the value of the unified schema."
    )
    parse: Literal[
        "text",
        "label",
        "weighted_label",
        "number",
        "boolean",
        "age_years",
        "age_centre_5",
        "age_band",
        "fitzpatrick",
        "year",
        "length_mm",
        "length_cm",
        "icd10",
        "icd11",
    ] = Field(
        "text",
        description="How text becomes a value: `age_years` exact years; `age_centre_5` centres of five-year bins; "
        "`age_band` such as 30-39 or 80+; `fitzpatrick` 1 to 6 in Arabic or Roman figures; `weighted_label` a Python "
        "literal of labels to weights, such as `{'Eczema': 0.75, 'Tinea': 0.25}`, of which `min_share` picks one; "
        "`length_mm` and `length_cm` lengths with or without a unit, the one named where there is none, two diameters "
        "such as 5 x 3 and ranges included; `icd10` and `icd11` a diagnosis that is stated as a code.",
    )
    min_share: float | None = Field(
        None,
        gt=0.5,
        le=1,
        description="Share of all weights from which the heaviest label of a `weighted_label` holds; below it the cell "
        "is *ambiguous*.",
    )
    clamp_at: float | None = Field(None, description="The publisher writes every larger age as this one.")
    note: str | None = Field(None, description="What a reader of the mapping must know.")

    @field_validator("source", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _constant_or_source(self) -> FieldMapping:
        if (self.constant is None) == (not self.source):
            raise ValueError("give either constant or from")
        if (self.parse == "weighted_label") != (self.min_share is not None):
            raise ValueError("min_share and parse: weighted_label go together")
        if self.all_zero is not None and self.combine != "one_hot":
            raise ValueError("all_zero says what a row of zeros means: it goes with combine: one_hot only")
        if self.combine == "one_hot" and self.separator is not None:
            raise ValueError("separator splits a cell; the cells of one_hot are marks")
        return self


class Columns(Model):
    """The mapping to the unified schema. A field that is left out is *not collected* by the archive."""

    modality: FieldMapping = Field(description="dermoscopic, clinical or other.")
    diagnosis: FieldMapping | None = Field(
        None,
        description="The publisher's label, deepest first; mapped to ICD-11 by the diagnosis vocabulary.",
    )
    confirmation: FieldMapping | None = Field(
        None, description="histopathology, consensus, expert, follow_up, confocal or unverified."
    )
    patient: FieldMapping | None = Field(None, description="The publisher's id of the person.")
    lesion: FieldMapping | None = Field(None, description="The publisher's id of the lesion.")
    age: FieldMapping | None = Field(None, description="Age in years.")
    sex: FieldMapping | None = Field(None, description="female, male or other.")
    fitzpatrick: FieldMapping | None = Field(None, description="Fitzpatrick phototype of the person, 1 to 6.")
    skin_tone_scale: FieldMapping | None = Field(
        None,
        description="Scale of a skin tone that is no Fitzpatrick phototype, in `vocabularies/skin_tone_scales.csv`.",
    )
    skin_tone_value: FieldMapping | None = Field(
        None, description="Skin tone on that scale, as the vocabulary writes it."
    )
    anatomy: FieldMapping | None = Field(None, description="Site, as a code of `vocabularies/anatomy.csv`.")
    lesion_size_mm: FieldMapping | None = Field(None, description="Largest diameter in millimetres.")
    presentation: FieldMapping | None = Field(None, description="Clinical presentation.")
    severity_scale: FieldMapping | None = Field(None, description="Name of a severity scale.")
    severity_value: FieldMapping | None = Field(None, description="Score on that scale.")
    device: FieldMapping | None = Field(None, description="Kind of device: dermatoscope, smartphone, camera.")
    acquired_year: FieldMapping | None = Field(None, description="Year of the photograph.")
    parent: FieldMapping | None = Field(
        None, description="The publisher's id of the image that this one was made of; blank for an original."
    )
    derivation: FieldMapping | None = Field(
        None, description="How it was made: crop, resized, rotated or colour_adjusted."
    )
    benign_malignant: FieldMapping | None = Field(
        None, description="benign or malignant, where the archive says so beside the diagnosis."
    )
    visit: FieldMapping | None = Field(
        None,
        description="When the photograph was taken relative to others of the person, a number that grows with time.",
    )
    is_control: FieldMapping | None = Field(None, description="True for healthy skin; false if left out.")
    image_manipulation: FieldMapping | None = Field(
        None, description="Manipulation that the publisher declares, such as altered or synthetic."
    )
