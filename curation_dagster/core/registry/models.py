"""What an archive's descriptor may say: the models that validate ``archives/*.yaml``.

A descriptor is one archive: its technical-file record, its licence, how it is retrieved, its known versions, how
its files are laid out, and how its columns map to the unified schema. Adding an archive means adding one such
file. Unknown keys are errors, so that a misspelt one is never silently ignored.

Every field says what it means in its own ``description``: the reference in ``docs/archives.md`` is generated from
these models.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curation_dagster.core.registry.retrieval import Retrieval

Text = Annotated[str, Field(min_length=1)]


def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile, with a ValueError that pydantic reports: ``re.error`` would escape it."""
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(f'"{pattern}" is not a regular expression: {error}') from error


def _relative(globs: tuple[str, ...]) -> tuple[str, ...]:
    for glob in globs:
        if glob.startswith("/") or "\\" in glob:
            raise ValueError(
                f'"{glob}" can\'t match: paths are POSIX and relative to the archive; begin with **/ and use /'
            )
    return globs


class Model(BaseModel):
    """Base of all parts of a descriptor: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


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


#: Column that ``image_columns`` adds for the id of the image, and the one that says where it stood.
IMAGE_ID_COLUMN, IMAGE_COLUMN = "image_id", "image_column"


class MetadataTable(Model):
    """One table of the publisher's metadata.

    A table has either ``key`` or ``join_on``. ``key`` names the column whose value (after ``key_strip``) equals a
    named group of ``layout.source_id``: by default the group ``id``, so that one row describes one image; with
    another group in ``key_group``, such as the patient, one row describes every image that shares it. ``join_on``
    names the column that a further table shares with the tables before it. Format, delimiter and encoding are
    found out unless they are given.

    A file is the table only if it looks like it: it must have ``required_columns``, and where ``key_pattern`` is given,
    more than half of its keys must be like it. Anything else under the right name is refused with the reason. Where a
    delivery comes in one of several forms, each form is a table, and the later ones name the first one in
    ``alternative_to``: one of them must be there, and the first that is there is read.
    """

    name: Text = Field(description="Name of the table in messages.")
    files: tuple[Text, ...] = Field(
        min_length=1, description="Globs of its files; several files are read one after the other."
    )
    key: str | None = Field(
        None, description="Column that holds the id of the image, or of what `key_group` names."
    )
    key_strip: str | None = Field(
        None, description="Regular expression that is removed from the key, such as an extension."
    )
    key_pattern: str | None = Field(
        None,
        description="Regular expression that the whole key, less `key_strip`, is like. A row whose key is not is "
        "malformed; a file where that holds for half of the rows and more is another table and refused.",
    )
    key_group: str = Field("id", description="Named group of `layout.source_id` that the key is equal to.")
    join_on: str | None = Field(
        None, description="Column by which this further table is joined to the tables before it."
    )
    format: Literal["auto", "csv", "tsv", "xlsx", "json", "bars", "lines"] = Field(
        "auto",
        description="Format of the files; found out by content if `auto`. `bars`: a table drawn with `||` and `|`; "
        "`lines`: one value a line, without a header.",
    )
    delimiter: str | None = Field(None, description="Delimiter of a text table.")
    encoding: str | None = Field(None, description="Encoding of a text table.")
    sheet: str | None = Field(None, description="Sheet of a workbook; the first one if not given.")
    header_row: int = Field(1, ge=1, description="Number of the line that holds the column names.")
    columns: tuple[Text, ...] = Field(
        (), description="Names of the columns of a text table without a header, in order."
    )
    line_pattern: str | None = Field(
        None,
        description="Regular expression that a value of the format `lines` contains, such as `^https?://`; a file where "
        "that holds for half of the lines or fewer is another one and refused.",
    )
    row_number: str | None = Field(
        None, description="Name of a column to add, which holds the number of the row in its file."
    )
    image_columns: tuple[str, ...] = Field(
        (),
        description="Columns that each hold the id of one image, in place of `key`: a row with three images becomes "
        "three records, with the columns `image_id` and `image_column` added. Where one row names an image twice, the "
        "column that stands first here holds.",
    )
    key_match: Literal["exact", "prefix"] = Field(
        "exact",
        description="`prefix`: a record that no file is called like takes the one file whose id begins with its key, "
        "or that its key begins with, if no other record claims that file.",
    )
    key_match_length: int = Field(
        8, ge=4, description="Characters that a key and an id must share at least, for `key_match: prefix`."
    )
    required_columns: tuple[str, ...] = Field(
        (), description="Columns without which the table is refused as another one."
    )
    optional_columns: tuple[str, ...] | None = Field(
        None, description="The only further columns that may occur; null: any is welcome."
    )
    aliases: dict[str, str] = Field({}, description="Other spelling of a column, to the name used here.")
    optional: bool = Field(False, description="True: the archive version may lack the table.")
    alternative_to: str | None = Field(
        None,
        description="Name of a table before this one, instead of which this one is read where that is absent.",
    )
    adds_records: bool = Field(
        True,
        description="False: a further table of images, such as a list of duplicates, whose ids that no table before "
        "it has are noted and make no records.",
    )

    @field_validator("files")
    @classmethod
    def _globs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _relative(value)

    @field_validator("key_strip", "key_pattern", "line_pattern")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None:
            _compiled(value)
        return value

    @model_validator(mode="after")
    def _one_key(self) -> MetadataTable:
        given = [bool(self.key), bool(self.join_on), bool(self.image_columns)]
        if sum(given) != 1:
            raise ValueError(
                "give either key or image_columns (a table of images) or join_on (a further table)"
            )
        if self.format == "lines" and len(self.columns) != 1:
            raise ValueError("a table of the format lines has one column: give its name in columns")
        if self.columns and {self.key, self.join_on}.isdisjoint({*self.columns, self.row_number} - {None}):
            raise ValueError(f"columns must hold {self.key or self.join_on}, by which the table is joined")
        return self

    @property
    def image_key(self) -> str | None:
        """The column that holds the id of the image, or of what `key_group` names."""
        return IMAGE_ID_COLUMN if self.image_columns else self.key


class Derivation(Model):
    """Files that the publisher made from other images of the archive, such as crops: never cases of their own."""

    name: Literal["crop", "resized", "rotated", "colour_adjusted"] = Field(description="What was done.")
    pattern: str = Field(
        description="Regular expression that the id of such a file matches as a whole, with the named group `parent`: "
        "the id of the image that it was made from."
    )
    note: Text = Field(description="How it is known, and what it was made for.")

    @field_validator("pattern")
    @classmethod
    def _has_parent(cls, value: str) -> str:
        if "parent" not in _compiled(value).groupindex:
            raise ValueError("the pattern needs a named group `parent`: (?P<parent>...)")
        return value


class Layout(Model):
    """Where images and metadata stand inside the archive.

    Paths are those of the inventory: POSIX, below the archive's folder, with ``outer.zip!/inner`` for a member of a
    container. Globs: ``**`` any folders, ``*`` and ``?`` inside one name; they compare without case, and the border
    of a container (``!/``) is a border of a folder.
    """

    container: Literal["folder", "zip", "any"] = Field("any", description="What the delivery is made of.")
    images: tuple[Text, ...] = Field(min_length=1, description="Globs of the images.")
    ignore: tuple[str, ...] = Field(
        (), description="Globs of files that are neither images nor metadata of the archive, such as masks."
    )
    source_id: str = Field(
        r"(?P<id>[^/]+)$",
        description="Regular expression with the named group `id`, searched in the path without its extension; "
        "the default is the file's stem. Further named groups may serve as `key_group`.",
    )
    case_sensitive_ids: bool = Field(
        True, description="False: ids and keys are compared, and kept, in lower case."
    )
    path_columns: tuple[str, ...] = Field(
        (),
        description="Named groups of `source_id` that become columns of the record, such as a folder that is the label.",
    )
    derivations: tuple[Derivation, ...] = Field(
        (), description="Files that were made from other images of the archive, such as crops."
    )
    metadata: tuple[MetadataTable, ...] = Field(
        (), description="Tables of metadata; none where the archive has images only."
    )

    @field_validator("images", "ignore")
    @classmethod
    def _globs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _relative(value)

    @field_validator("source_id")
    @classmethod
    def _has_id(cls, value: str) -> str:
        if "id" not in _compiled(value).groupindex:
            raise ValueError("the pattern needs a named group `id`: (?P<id>...)")
        return value

    @model_validator(mode="after")
    def _tables_fit(self) -> Layout:
        groups = re.compile(self.source_id).groupindex
        for column in self.path_columns:
            if column not in groups:
                raise ValueError(
                    f'path_columns: source_id has no named group "{column}" (it has {", ".join(groups)})'
                )
        for number, table in enumerate(self.metadata):
            if number == 0 and table.image_key is None:
                raise ValueError(
                    f"the first metadata table ({table.name}) needs a key: there is nothing yet to join it to"
                )
            if table.key_group not in groups:
                raise ValueError(
                    f'metadata table {table.name}: source_id has no named group "{table.key_group}" '
                    f"(it has {', '.join(groups)})"
                )
            heads = [t.name for t in self.metadata[:number] if t.alternative_to is None]
            if table.alternative_to is not None and table.alternative_to not in heads:
                raise ValueError(
                    f"metadata table {table.name}: alternative_to names {table.alternative_to!r}; expected a table "
                    f"before it that is no alternative itself ({', '.join(heads) or 'there is none'})"
                )
        names = [t.name for t in self.metadata]
        for name in sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f'{names.count(name)} metadata tables have the name "{name}"')
        return self


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
