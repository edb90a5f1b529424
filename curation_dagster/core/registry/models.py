"""What an archive's descriptor may say: the models that validate ``archives/*.yaml``.

A descriptor is one archive: its technical-file record, its licence, how it is retrieved, its known versions, how
its files are laid out, and how its columns map to the unified schema. Adding an archive means adding one such
file. Unknown keys are errors, so that a misspelt one is never silently ignored.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Text = Annotated[str, Field(min_length=1)]


class Model(BaseModel):
    """Base of all parts of a descriptor: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SampleSize(Model):
    """How much the publisher says there is."""

    images: int | None = Field(None, ge=0)
    patients: int | None = Field(None, ge=0)
    lesions: int | None = Field(None, ge=0)


class Assessment(Model):
    """One line of the protocol's selection evaluation."""

    outcome: Literal["accepted", "conditional", "refused", "not_assessed"]
    reason: Text


class SelectionEvaluation(Model):
    """The protocol's evaluation of a source before retrieval."""

    diagnostic_quality: Assessment
    licence: Assessment
    diversity: Assessment
    governance: Assessment


class TechnicalFile(Model):
    """The record of the archive that the protocol asks for."""

    name: Text
    publisher: Text
    country: Text
    repository_url: str | None = None
    doi: str | None = None
    publications: tuple[str, ...] = ()
    access: Literal["public", "registration", "gated"]
    access_method: Text
    sample_size: SampleSize
    diagnostic_coverage: Text
    demographics: Text
    modality: Text
    validation_method: Text
    selection: SelectionEvaluation
    gotchas: tuple[str, ...] = ()


class LicenceTerms(Model):
    """The licence of the archive, and where a record states its own.

    ``default`` and the values of ``values`` are ids in ``vocabularies/licences.yaml``. Where ``column`` is given,
    a record's own statement holds; a blank or unlisted one is *unclear*, never the default.
    """

    default: Text
    column: str | None = None
    values: dict[str, str] = {}
    attribution: str | None = None
    attribution_column: str | None = None
    evidence: Text


class Retrieval(Model):
    """How the files come. ``landing``: a person or a tool puts them into the landing folder."""

    method: Literal["landing"] = "landing"
    urls: tuple[str, ...] = ()
    instructions: Text


class PublishedFile(Model):
    """What the publisher states of one file of a version."""

    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    bytes: int | None = Field(None, ge=0)
    url: str | None = None


class Version(Model):
    """One immutable version of the archive."""

    released: str | None = None
    images: int | None = Field(None, ge=0)
    records: int | None = Field(None, ge=0)
    files: dict[str, PublishedFile] = {}
    superseded_by: str | None = None
    synthetic: bool = False
    note: str | None = None


class MetadataTable(Model):
    """One table of the publisher's metadata.

    ``files`` are globs over paths inside the archive. ``key`` names the column that holds the image's id (in a
    table that describes images) and ``join_on`` the column by which a further table is joined to the first.
    Format, delimiter and encoding are found out unless they are given.
    """

    name: Text
    files: tuple[Text, ...]
    key: str | None = None
    key_strip: str | None = None  # regular expression removed from the key, such as an extension
    join_on: str | None = None
    format: Literal["auto", "csv", "tsv", "xlsx", "json"] = "auto"
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header_row: int = Field(1, ge=1)  # number of the line that holds the column names
    required_columns: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] | None = None  # None: any other column is welcome
    aliases: dict[str, str] = {}  # other spelling of a column -> the name used here
    optional: bool = False  # True: the archive version may lack the table

    @model_validator(mode="after")
    def _one_key(self) -> MetadataTable:
        if (self.key is None) == (self.join_on is None):
            raise ValueError("give either key (a table of images) or join_on (a further table)")
        return self


class Layout(Model):
    """Where images and metadata stand inside the archive.

    Paths are those of the inventory: POSIX, below the archive's folder, with ``outer.zip!/inner`` for a member of a
    container. Globs: ``**`` any folders, ``*`` and ``?`` inside one name; they compare without case.
    """

    container: Literal["folder", "zip", "any"] = "any"
    images: tuple[Text, ...]
    ignore: tuple[str, ...] = ()
    # named group `id`, searched in the path without its extension; the default is the file's stem
    source_id: str = r"(?P<id>[^/]+)$"
    case_sensitive_ids: bool = True
    metadata: tuple[MetadataTable, ...] = ()

    @field_validator("source_id")
    @classmethod
    def _has_id(cls, value: str) -> str:
        if "id" not in re.compile(value).groupindex:
            raise ValueError("the pattern needs a named group `id`: (?P<id>...)")
        return value


class FieldMapping(Model):
    """How one field of the unified schema comes from the archive's columns.

    Order of work: take ``constant``, or combine the columns of ``from``; a blank, or a value listed in ``missing``,
    becomes null with its reason; ``values`` translates (compared without case and outer blanks); ``parse`` turns
    text into the field's type. A value that ``values`` does not list is an *unmapped value*, kept in the ledger,
    unless ``values`` is empty.
    """

    source: tuple[str, ...] = Field((), alias="from")
    constant: Any = None
    combine: Literal["first", "join", "max", "all"] = "first"
    separator: str | None = None  # splits one cell into several values
    missing: tuple[str, ...] = ()
    values: dict[str, Any] = {}
    parse: Literal[
        "text", "label", "number", "boolean", "age_years", "age_centre_5", "age_band", "fitzpatrick", "year"
    ] = "text"
    clamp_at: float | None = None  # the publisher writes every larger age as this one
    note: str | None = None

    @field_validator("source", mode="before")
    @classmethod
    def _as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _constant_or_source(self) -> FieldMapping:
        if (self.constant is None) == (not self.source):
            raise ValueError("give either constant or from")
        return self


class Columns(Model):
    """The mapping to the unified schema. A field that is left out is *not collected* by the archive."""

    modality: FieldMapping
    diagnosis: FieldMapping | None = None
    confirmation: FieldMapping | None = None
    patient: FieldMapping | None = None
    lesion: FieldMapping | None = None
    age: FieldMapping | None = None
    sex: FieldMapping | None = None
    fitzpatrick: FieldMapping | None = None
    anatomy: FieldMapping | None = None
    lesion_size_mm: FieldMapping | None = None
    presentation: FieldMapping | None = None
    severity_scale: FieldMapping | None = None
    severity_value: FieldMapping | None = None
    device: FieldMapping | None = None
    acquired_year: FieldMapping | None = None
    is_control: FieldMapping | None = None
    image_manipulation: FieldMapping | None = None


class Descriptor(Model):
    """One archive."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    technical_file: TechnicalFile
    licence: LicenceTerms
    retrieval: Retrieval
    versions: dict[str, Version] = Field(min_length=1)
    layout: Layout
    columns: Columns
    # labels of this archive whose meaning differs from the shared diagnosis vocabulary: label -> label there
    diagnosis_aliases: dict[str, str] = {}

    @field_validator("versions")
    @classmethod
    def _version_names(cls, value: dict[str, Version]) -> dict[str, Version]:
        for name in value:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or ".." in name:
                raise ValueError(f"{name!r} can't be a version: letters, digits, '.', '_' and '-' only, no '..'")
        return value
