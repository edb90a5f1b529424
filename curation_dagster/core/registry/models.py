"""What an archive's descriptor may say: the model that validates ``archives/*.yaml``.

A descriptor is one archive: its technical-file record, its licence, how it is retrieved, its known versions, how
its files are laid out, and how its columns map to the unified schema. Adding an archive means adding one such
file. Licence and versions are described here, the larger parts in modules of their own.
"""

from __future__ import annotations

import re

from pydantic import Field, field_validator, model_validator

from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.mapping import Columns, FieldMapping
from curation_dagster.core.registry.parts import Model, Text
from curation_dagster.core.registry.retrieval import Retrieval
from curation_dagster.core.registry.technical_file import TechnicalFile


class LicenceTerms(Model):
    """The licence of the archive, and where a record states its own.

    ``default`` and the values of ``values`` are ids in ``vocabularies/licences.yaml``. Where ``column`` is given,
    a record's own statement holds; a blank or unlisted one is *unclear*, never the default.
    """

    default: Text = Field(
        description="Licence id; holds for every record unless `column` is given, and for the archive as a whole."
    )
    column: str | None = Field(None, description="Column in which a record states its own licence.")
    values: dict[str, str] = Field({}, description="What stands in that column, to the licence id.")
    images: dict[str, int] = Field(
        {},
        description="Images under each licence id, where records state their own and the shares are known; for counts only.",
    )
    attribution: str | None = Field(
        None, description="Text that the licence asks for; holds where a record states none."
    )
    attribution_column: str | None = Field(
        None, description="Column in which a record states its own attribution."
    )
    evidence: Text = Field(description="Where the licence was read, and how sure that is.")

    @model_validator(mode="after")
    def _values_need_a_column(self) -> LicenceTerms:
        if (self.column is None) != (not self.values):
            raise ValueError(
                "column and values go together: the column, and the licence id of each of its values"
            )
        return self


class PublishedFile(Model):
    """What the publisher states of one file of a version."""

    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="SHA-256, lower case.")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$", description="MD5, lower case.")
    bytes: int | None = Field(None, ge=0, description="Size in bytes.")
    url: str | None = Field(None, description="Where this file is.")


class Version(Model):
    """One immutable version of the archive."""

    released: str | None = Field(None, description="Date of release, YYYY-MM-DD or as far as it is known.")
    images: int | None = Field(None, ge=0, description="Images that the publisher states for this version.")
    records: int | None = Field(
        None, ge=0, description="Rows of the first metadata table that the publisher states."
    )
    files: dict[str, PublishedFile] = Field(
        {}, description="Path inside the delivery to what the publisher states of it."
    )
    source: str | None = Field(
        None,
        description="What this version is called at its source: the version of the record, the record itself, a folder, "
        "a prefix; its own name without it.",
    )
    superseded_by: str | None = Field(None, description="The version that replaces this one.")
    records_tolerance: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share by which the number of records may differ from `records` before the tables are refused "
        "as those of another release, and of the images from `images` where the archive has no table; 0 for exactly as "
        "many; null: a difference is only noted.",
    )
    synthetic: bool = Field(False, description="True for made-up data: never evidence of anything.")
    note: str | None = Field(None, description="What is particular about it.")


class Descriptor(Model):
    """One archive."""

    id: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$", description="Identifier; the name of the file without its extension."
    )
    technical_file: TechnicalFile = Field(description="The record of the archive that the protocol asks for.")
    licence: LicenceTerms = Field(description="The licence, and where a record states its own.")
    retrieval: Retrieval = Field(description="How the files come.")
    versions: dict[str, Version] = Field(min_length=1, description="Name of each known version to its facts.")
    layout: Layout = Field(description="Where images and metadata stand inside the archive.")
    columns: Columns = Field(description="The mapping to the unified schema.")
    severities: dict[str, FieldMapping] = Field(
        {},
        description="Scale of `vocabularies/severity_scales.csv` to where its score stands; any number of scales. "
        "`severity_scale` and `severity_value` then hold the total, unless `columns` gives them.",
    )
    diagnosis_aliases: dict[str, str] = Field(
        {},
        description="Labels whose meaning here differs from the shared diagnosis vocabulary, to the label there.",
    )

    @field_validator("versions")
    @classmethod
    def _version_names(cls, value: dict[str, Version]) -> dict[str, Version]:
        for name, version in value.items():
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or ".." in name:
                raise ValueError(
                    f'"{name}" can\'t be a version: letters, digits, ".", "_" and "-" only, no ".."'
                )
            if version.superseded_by is not None and version.superseded_by not in value:
                raise ValueError(
                    f'version "{name}" is superseded by "{version.superseded_by}", which is not a known version'
                )
        return value
