"""Where images and metadata stand inside an archive: globs, ids in paths, tables, and copies the publisher made."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from curation_dagster.core.registry.parts import Model, Text, compiled_pattern, relative_globs

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
        return relative_globs(value)

    @field_validator("key_strip", "key_pattern", "line_pattern")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None:
            compiled_pattern(value)
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
        if "parent" not in compiled_pattern(value).groupindex:
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
        return relative_globs(value)

    @field_validator("source_id")
    @classmethod
    def _has_id(cls, value: str) -> str:
        if "id" not in compiled_pattern(value).groupindex:
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
