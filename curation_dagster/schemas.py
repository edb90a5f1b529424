"""Every table of the lake, declared once.

A table is a list of columns with type, unit, description, permitted values and, where the protocol asks for
it, the clause. Everything else is derived from this declaration: the Arrow schema that is written, the pandera
schema that the blocking checks validate with, the column schema that the Dagster UI shows, and the reference
in ``docs/tables.md``.

Names and columns are a contract with everybody who reads the lake: extend, don't rename.

Three conventions hold in all tables. Missing is null, never 0, -1 or "unknown". Times are UTC. A column that is
marked ``volatile`` says who or when, not what: two undisturbed runs over the same input differ in those columns
only, and a table's fingerprint leaves them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc

OUTCOMES = ("pass", "fail", "review", "not_applicable")
VERDICTS = ("kept", "excluded", "quarantined")
PER_ARCHIVE = (
    "staged",
    "records",
    "measurements",
    "quality",
    "deidentified",
    "harmonized",
    "duplicates_within",
    "review_queue",
)
OVER_ALL = ("duplicates", "decisions", "corpus")
STAGES = PER_ARCHIVE + OVER_ALL
MODALITIES = ("dermoscopic", "clinical", "other")
CONFIRMATIONS = ("histopathology", "consensus", "expert", "follow_up", "confocal", "unverified")
RELATIONS = ("exact", "broader", "narrower", "nonspecific", "not_a_diagnosis", "unmapped")
JOIN_STATES = (
    "matched",  # one record, one file
    "record_without_file",
    "file_without_record",
    "duplicate_record",  # a further row that says the same of the same image
    "conflicting_record",  # rows that contradict each other about the same image
    "duplicate_file",  # a further file with the same source id and the same bytes
    "ambiguous_file",  # several files with the same source id and different bytes
)
DECODE_STATES = (
    "ok",
    "damaged",  # decodes, but the strict decoder complains: pixels can't be trusted
    "unreadable",
    "unsupported",  # an image format, but none that the pipeline reads, or not an image
    "too_large",  # more pixels or bytes than the declared limits: never decoded
    "changed",  # other bytes than were staged
    "worker_died",  # the decoder killed its process
    "timed_out",
)

ID = pa.string()
TEXT = pa.string()
TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.string())


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type, what it means, and what may stand in it."""

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    nullable: bool = True
    isin: tuple[str, ...] | None = None
    ge: float | None = None
    le: float | None = None
    matches: str | None = None
    clause: str | None = None
    volatile: bool = False

    def checks(self) -> list[pandera.Check]:
        """Return the pandera checks of the declared values and range."""
        found = []
        if self.isin is not None:
            found.append(pandera.Check.isin(self.isin))
        if self.ge is not None:
            found.append(pandera.Check.ge(self.ge))
        if self.le is not None:
            found.append(pandera.Check.le(self.le))
        if self.matches is not None:
            found.append(pandera.Check.str_matches(self.matches))
        return found


class TableError(ValueError):
    """A table does not match its declaration; the message lists every problem."""


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    ``key`` names the columns that identify a row. ``partition_by`` names the columns by which a part of the
    table is replaced atomically.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    constraints: tuple[str, ...] = field(default=())

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The schema that is written, with descriptions as field metadata."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.nullable, metadata={"description": c.description})
                for c in self.columns
            ]
        )

    @cached_property
    def pandera_schema(self) -> pandera.DataFrameSchema:
        """The schema that the blocking checks validate values with."""
        return pandera.DataFrameSchema(
            {
                c.name: pandera.Column(
                    None,
                    checks=c.checks(),
                    nullable=c.nullable,
                    description=c.description,
                    metadata={"unit": c.unit, "clause": c.clause},
                )
                for c in self.columns
            },
            name=self.name,
            description=self.description,
            strict=True,
            unique=list(self.key),
        )

    def column(self, name: str) -> Column:
        """Return the declaration of one column."""
        for c in self.columns:
            if c.name == name:
                return c
        raise KeyError(f"table {self.name} has no column {name}")

    def conform(self, data: pa.Table | pd.DataFrame | Iterable[dict[str, Any]]) -> pa.Table:
        """Return ``data`` as an Arrow table with exactly the declared columns, in order.

        Columns that are nullable and absent become null. Raises :class:`TableError` for an undeclared column,
        a required column that is absent or holds nulls, or a value that does not fit its type.
        """
        if isinstance(data, pd.DataFrame):
            data = pa.Table.from_pandas(data, preserve_index=False)
        elif not isinstance(data, pa.Table):
            rows = list(data)
            names = sorted({k for r in rows for k in r})
            problems = [f"{n}: not a column of the table" for n in names if n not in self.arrow_schema.names]
            if problems:
                raise TableError(f"table {self.name}: " + "; ".join(problems))
            try:
                data = pa.Table.from_pylist(rows, schema=_relaxed(self.arrow_schema))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise TableError(f"table {self.name}: {error}") from error
        problems = [
            f"{n}: not a column of the table" for n in data.column_names if n not in self.arrow_schema.names
        ]
        arrays = []
        for c in self.columns:
            if c.name not in data.column_names:
                if not c.nullable:
                    problems.append(f"{c.name}: required, but absent")
                arrays.append(pa.nulls(data.num_rows, c.type))
                continue
            values = data[c.name]
            if not c.nullable and values.null_count:
                problems.append(f"{c.name}: {values.null_count} of {data.num_rows} rows are null")
            try:
                arrays.append(values.cast(c.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                problems.append(f"{c.name}: expected {c.type}, got {values.type}: {error}")
                arrays.append(pa.nulls(data.num_rows, c.type))
        if problems:
            raise TableError(f"table {self.name}: " + "; ".join(problems))
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema)

    def empty(self) -> pa.Table:
        """Return the table with no rows."""
        return self.arrow_schema.empty_table()

    def problems(self, data: pa.Table) -> list[str]:
        """Return what in ``data`` breaks the declaration, a sentence each; empty if nothing does."""
        scalar = [c.name for c in self.columns if not _nested(c.type)]
        frame = data.select([n for n in scalar if n in data.column_names]).to_pandas(
            types_mapper=pd.ArrowDtype
        )
        schema = self.pandera_schema.remove_columns([c.name for c in self.columns if _nested(c.type)])
        try:
            schema.validate(frame, lazy=True)
        except pandera.errors.SchemaErrors as errors:
            cases = errors.failure_cases
            found = []
            for (column, check), group in cases.groupby(["column", "check"], dropna=False, sort=True):
                # the intake tables hold source ids and file names, which no check may quote
                quoted = [] if self.name in ("files", "records") else group["failure_case"].head(3)
                examples = ", such as " + ", ".join(map(str, quoted)) if len(quoted) else ""
                found.append(f"{self.name}.{column}: {check} fails for {len(group)} values{examples}")
            return found
        return []

    def fingerprint(self, data: pa.Table) -> str:
        """Return the SHA-256 of the rows, whatever their order, without the volatile columns."""
        stable = [c.name for c in self.columns if not c.volatile and c.name in data.column_names]
        ordered = data.select(stable)
        if ordered.num_rows:
            order = pc.sort_indices(ordered, sort_keys=[(k, "ascending") for k in self.key if k in stable])
            ordered = ordered.take(order)
        # casting drops dictionary encodings and field metadata; IPC of one contiguous batch is canonical
        ordered = ordered.replace_schema_metadata(None).combine_chunks()
        digest = hashlib.sha256()
        digest.update(",".join(stable).encode())
        digest.update(str(ordered.num_rows).encode())
        for name in stable:
            digest.update(_column_bytes(ordered[name]))
        return digest.hexdigest()


def _relaxed(schema: pa.Schema) -> pa.Schema:
    return pa.schema([f.with_nullable(True) for f in schema])


def _nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind) or pa.types.is_binary(kind)


def _column_bytes(values: pa.ChunkedArray) -> bytes:
    """Return the values of one column as bytes that do not depend on offsets, padding or null slots."""
    if pa.types.is_nested(values.type) or pa.types.is_timestamp(values.type):
        return "\x1e".join(repr(v) for v in values.to_pylist()).encode()
    mask = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        array = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        kind = pa.binary() if pa.types.is_binary(values.type) else pa.string()
        joined = b"".join(
            v.encode() if isinstance(v, str) else v for v in array.cast(kind).drop_null().to_pylist()
        )
        return mask.tobytes() + lengths.astype("<i4").tobytes() + joined
    zero = pa.scalar(False if pa.types.is_boolean(values.type) else 0, values.type)
    filled = pc.fill_null(values, zero).to_numpy()
    return mask.tobytes() + filled.tobytes()


def _c(name: str, kind: pa.DataType, description: str, **rest: Any) -> Column:
    return Column(name, kind, description, **rest)


# -- columns that several tables share -------------------------------------------------------------

_ARCHIVE = _c(
    "archive",
    ID,
    "Identifier of the archive, as in its descriptor.",
    nullable=False,
    matches=r"^([a-z0-9_]+|\*)$",
)
_VERSION = _c("version", TEXT, "Version of the archive, as the publisher names it.", nullable=False)
_IMAGE_ID = _c(
    "image_id",
    ID,
    "UUIDv5 of archive, source id and content; survives re-runs and new versions.",
    nullable=False,
)
_SHA256 = _c(
    "sha256", ID, "SHA-256 of the source file; null where a record has no file.", matches=r"^[0-9a-f]{64}$"
)
_RUN = _c("run_id", ID, "Dagster run that wrote the row.", volatile=True)
_VERDICT = (
    _c("verdict", TEXT, "What this stage says of the image.", nullable=False, isin=VERDICTS),
    _c("failed", TEXTS, "Criteria of this stage that the image fails."),
    _c("review", TEXTS, "Criteria of this stage that a person must settle."),
)
_DECISION = (
    _IMAGE_ID,
    _ARCHIVE,
    _VERSION,
    _c("stage", TEXT, "Stage that applied the criterion.", nullable=False, isin=STAGES),
    _c("criterion", ID, "Identifier of the criterion in the criteria file.", nullable=False),
    _c("clause", TEXT, "Clause of the protocol that the criterion carries out.", nullable=False),
    _c("outcome", TEXT, "Outcome of the criterion for the image.", nullable=False, isin=OUTCOMES),
    _c("measured", TEXT, "What was measured, as text; null where nothing was."),
    _c("bound", TEXT, "The bound that applied to this image, as text."),
    _c("detail", TEXT, "What a reader needs besides: the label, the reason, the person's comment."),
    _c("criteria_version", TEXT, "Version of the criteria file.", nullable=False),
    _c("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
    _c("code_version", ID, "Version of the code that decided.", nullable=False),
    _c("decided_by", TEXT, "`rule`, or the person or sample that settled it.", nullable=False),
    _c("decided_at", TIME, "When.", nullable=False, volatile=True),
    _RUN,
)
_GROUP = (
    _IMAGE_ID,
    _ARCHIVE,
    _VERSION,
    _SHA256,
    _c("group_id", ID, "UUIDv5 of the group's members; null for an image that has no duplicate."),
    _c("group_size", pa.int32(), "Members of the group; 1 without duplicates.", nullable=False, ge=1),
    _c(
        "is_representative",
        pa.bool_(),
        "True for the one image that stands for the group, and for single images.",
        nullable=False,
    ),
    _c("representative_id", ID, "image_id of the representative.", nullable=False),
    _c(
        "relation",
        TEXT,
        "How the image relates to the group.",
        nullable=False,
        isin=("single", "representative", "same_file", "same_pixels", "near", "uncertain", "unreadable"),
    ),
    _c(
        "distance",
        pa.int32(),
        "Hamming distance of the 256-bit perceptual hashes to the image in `linked_to`.",
        unit="bit",
        ge=0,
        le=256,
    ),
    _c("linked_to", ID, "image_id of the member that this image was linked to."),
    _c("evidence", TEXT, "What verified the link: hash, keypoints, correlation, with their figures."),
    _c(
        "uncertain_with",
        TEXTS,
        "image_ids that may be duplicates of this image, or of a member that it stands for; a person settles.",
    ),
    _c("reason", TEXT, "Why the representative was chosen: the first rule that told the members apart."),
    _c(
        "label_conflict",
        pa.bool_(),
        "True where members carry diagnoses that exclude each other.",
        nullable=False,
    ),
    _c("labels", TEXTS, "The ICD-11 codes in the group, with their archives."),
)

# -- tables ----------------------------------------------------------------------------------------

FILES = Table(
    "files",
    "Inventory of every file of a staged archive version, members of containers included.",
    ("archive", "version", "path"),
    (
        _ARCHIVE,
        _VERSION,
        _c(
            "path",
            TEXT,
            "Path inside the archive; `outer.zip!/inner.png` for a member of a container.",
            nullable=False,
        ),
        _c(
            "role",
            TEXT,
            "What the descriptor says the file is.",
            nullable=False,
            isin=("image", "metadata", "container", "ignored", "other"),
        ),
        _c("container", TEXT, "Path of the container below staging, for members that are read in place."),
        _c("member", TEXT, "Name inside the container."),
        _c("bytes", pa.int64(), "Size.", unit="byte", nullable=False, ge=0),
        _c("sha256", ID, "SHA-256 of the content.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        _c(
            "media_type",
            TEXT,
            "By content, not by name; `application/octet-stream` if unknown.",
            nullable=False,
        ),
        _c(
            "checksum_state",
            TEXT,
            "Against the publisher's checksum.",
            nullable=False,
            isin=("verified", "mismatch", "unpublished"),
        ),
        _c("retrieved_at", TIME, "When the file was staged.", nullable=False, volatile=True),
        _c("source_url", TEXT, "Where it was retrieved, as far as the descriptor says."),
    ),
    ("archive", "version"),
)

RECORDS = Table(
    "records",
    "The publisher's metadata joined to files, verbatim. Orphans on both sides are rows.",
    ("archive", "version", "image_id"),
    (
        _IMAGE_ID,
        _ARCHIVE,
        _VERSION,
        _c(
            "source_id",
            TEXT,
            "The publisher's identifier of the image. Never leaves the intake tables.",
            nullable=False,
        ),
        _c("path", TEXT, "Path in `files`; null for a record without a file."),
        _SHA256,
        _c("join_state", TEXT, "How record and file met.", nullable=False, isin=JOIN_STATES),
        _c("record_table", TEXT, "Metadata file of the row; null for a file without a record."),
        _c(
            "record_row",
            pa.int64(),
            "Number of the row in the metadata file, 1 for the first below the header.",
            ge=1,
        ),
        _c("modality", TEXT, "Modality that the descriptor gives to the record.", isin=MODALITIES),
        _c("source_values", TEXT, "The record as a JSON object of column to verbatim text."),
        _c("detail", TEXT, "What does not fit, in words."),
        *_VERDICT,
        _RUN,
    ),
    ("archive", "version"),
)

MEASUREMENTS = Table(
    "measurements",
    "What one read and one full decode of a distinct file showed. Decisions are made over this table.",
    ("sha256", "measured_by"),
    (
        _c("sha256", ID, "SHA-256 of the file.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        _c(
            "measured_by",
            ID,
            "Version of the measuring code: digest of its source and of its decoders' versions.",
            nullable=False,
        ),
        _c("bytes", pa.int64(), "Size of the file.", unit="byte", ge=0),
        _c("decode_state", TEXT, "Integrity.", nullable=False, isin=DECODE_STATES, clause="quality"),
        _c("decode_detail", TEXT, "What the decoder said."),
        _c("media_type", TEXT, "By content."),
        _c("format", TEXT, "JPEG, PNG, TIFF, BMP, WEBP, GIF, HEIF, DICOM."),
        _c("color_mode", TEXT, "Colour mode as stored, such as RGB, L, CMYK, P, RGBA, I;16."),
        _c("bit_depth", pa.int16(), "Bits a channel as stored.", unit="bit"),
        _c("width", pa.int32(), "Width after orientation.", unit="px"),
        _c("height", pa.int32(), "Height after orientation.", unit="px"),
        _c("short_side", pa.int32(), "The smaller of width and height.", unit="px"),
        _c("long_side", pa.int32(), "The larger of width and height.", unit="px"),
        _c("megapixels", pa.float32(), "Width times height.", unit="Mpx"),
        _c("frames", pa.int32(), "Frames or pages in the file."),
        _c("orientation", pa.int16(), "EXIF orientation, 1 if none.", ge=1, le=8),
        _c("is_lossless", pa.bool_(), "True where the stored compression loses nothing."),
        _c("has_alpha", pa.bool_(), "True where an alpha channel or transparent colour is stored."),
        _c(
            "icc_profile",
            TEXT,
            "Kind of the colour profile (sRGB, Display P3, Adobe RGB, grey, other); null if none.",
        ),
        _c("jpeg_quality", pa.int16(), "IJG quality estimated from the quantization tables.", ge=0, le=100),
        _c("jpeg_subsampling", TEXT, "Chroma subsampling: 444, 422, 420, 440, 411, gray."),
        _c("jpeg_progressive", pa.bool_(), "True for a progressive JPEG."),
        _c(
            "dicom_technical",
            TEXT,
            "Of a DICOM file: how its pixels are stored and shown, by numbers and defined terms; a JSON object.",
        ),
        _c("bits_per_pixel", pa.float32(), "Bytes times 8 over pixels.", unit="bit/px"),
        _c("trailing_bytes", pa.int64(), "Bytes after the end of the image.", unit="byte", ge=0),
        # sharpness, at min(512, native) and 256 px on the long side, never upscaled
        _c(
            "laplacian_variance_512",
            pa.float32(),
            "Variance of the Laplacian of luma at up to 512 px.",
            unit="level²",
        ),
        _c(
            "laplacian_variance_256",
            pa.float32(),
            "Variance of the Laplacian of luma at up to 256 px.",
            unit="level²",
        ),
        _c(
            "reblur_512",
            pa.float32(),
            "Perceptual blur after Crete et al. 2007 at up to 512 px; 0 sharp, 1 blurred.",
            ge=0,
            le=1,
        ),
        _c("reblur_256", pa.float32(), "The same at up to 256 px.", ge=0, le=1),
        _c(
            "sharpest_tile_512",
            pa.float32(),
            "90th percentile of the Laplacian variance over 8x8 tiles at up to 512 px.",
            unit="level²",
        ),
        _c(
            "blur_anisotropy",
            pa.float32(),
            "Ratio of the larger to the smaller directional re-blur; high with motion blur.",
            ge=1,
        ),
        _c("noise_sigma", pa.float32(), "Noise after Immerkær 1996 at up to 512 px.", unit="level"),
        # light
        _c("luma_p01", pa.float32(), "1st percentile of luma.", unit="level", ge=0, le=255),
        _c("luma_p05", pa.float32(), "5th percentile of luma.", unit="level", ge=0, le=255),
        _c("luma_p50", pa.float32(), "Median luma.", unit="level", ge=0, le=255),
        _c("luma_p95", pa.float32(), "95th percentile of luma.", unit="level", ge=0, le=255),
        _c("luma_p99", pa.float32(), "99th percentile of luma.", unit="level", ge=0, le=255),
        _c("luma_std", pa.float32(), "Standard deviation of luma.", unit="level", ge=0),
        _c("dark_share", pa.float32(), "Share of pixels with luma up to 20.", ge=0, le=1),
        _c("bright_share", pa.float32(), "Share of pixels with luma from 250.", ge=0, le=1),
        _c("luma_entropy", pa.float32(), "Entropy of the luma histogram.", unit="bit", ge=0, le=8),
        _c("saturation_mean", pa.float32(), "Mean HSV saturation.", ge=0, le=1),
        _c(
            "skin_share",
            pa.float32(),
            "Share of pixels inside the declared YCrCb skin range; information only.",
            ge=0,
            le=1,
        ),
        # artifacts
        _c("hair_share", pa.float32(), "Share of pixels on dark thin strands at 256 px.", ge=0, le=1),
        _c("hair_strands", pa.int32(), "Long slender strands at 256 px, by the declared lengths.", ge=0),
        _c(
            "vignette_share",
            pa.float32(),
            "Share of pixels in dark components that touch a corner at 64 px.",
            ge=0,
            le=1,
        ),
        _c("ink_share", pa.float32(), "Share of pixels in the hue of surgical ink.", ge=0, le=1),
        _c(
            "ruler_score",
            pa.float32(),
            "Strength of periodic ticks along an edge; information and review only.",
            ge=0,
        ),
        # identity of pixels
        _c(
            "stream_sha256",
            ID,
            "SHA-256 of the image data without metadata: JPEG and PNG segments that carry pixels.",
        ),
        _c(
            "pixel_sha256",
            ID,
            "Digest of size and decoded, oriented 8-bit RGB pixels: SHA-256 over position-wise sums of all of them.",
        ),
        _c("phash", ID, "64-bit perceptual hash, hexadecimal, in the layout of imagehash.phash."),
        _c("phash256", pa.binary(), "256-bit DCT hash of the 64x64 grey image, 32 bytes."),
        _c(
            "hash_is_degenerate",
            pa.bool_(),
            "True where the picture has too little structure for a hash to mean anything.",
        ),
        _c("thumbnail_64", pa.binary(), "64x64 grey thumbnail, 4096 bytes row by row, oriented."),
        _c("thumbnail_256", pa.binary(), "Grey thumbnail, at most 256 px, oriented, JPEG."),
        # hidden metadata, by kind and never by value
        _c(
            "hidden_kinds",
            TEXTS,
            "Kinds of hidden metadata in the file, from the vocabulary hidden_metadata.csv.",
        ),
        _c("hidden_bytes", pa.int64(), "Bytes of hidden metadata.", unit="byte", ge=0),
        _c("faces", pa.int32(), "Faces found; null while no detector has run.", ge=0),
        _c("text_regions", pa.int32(), "Regions of text found; null while no detector has run.", ge=0),
    ),
)

QUALITY = Table(
    "quality",
    "Verdict of integrity, resolution, focus, light and artifacts, one row per image.",
    ("archive", "version", "image_id"),
    (_IMAGE_ID, _ARCHIVE, _VERSION, _SHA256, *_VERDICT, _RUN),
    ("archive", "version"),
)

DEIDENTIFIED = Table(
    "deidentified",
    "What was found that may identify a person, by kind and never by value, and what is done about it.",
    ("archive", "version", "image_id"),
    (
        _IMAGE_ID,
        _ARCHIVE,
        _VERSION,
        _SHA256,
        _c("found_in_file", TEXTS, "Kinds of hidden metadata in the file."),
        _c("found_in_name", TEXTS, "Kinds of identifiers in file and folder names."),
        _c("found_in_record", TEXTS, "Kinds of identifiers in the record, as `column:kind`."),
        _c("found_in_pixels", TEXTS, "Kinds of identifiers in the picture; null while no detector has run."),
        _c("actions", TEXTS, "What is done about each, as `carrier:kind:action`."),
        _c(
            "profile_codes",
            TEXTS,
            "Of a DICOM file: the option codes of PS3.15, E.3, that hold of what is published of it; no DICOM file is.",
        ),
        *_VERDICT,
        _RUN,
    ),
    ("archive", "version"),
)

DUPLICATES_WITHIN = Table(
    "duplicates_within",
    "Groups of duplicates and near-duplicates inside one archive version.",
    ("archive", "version", "image_id"),
    (*_GROUP, *_VERDICT, _RUN),
    ("archive", "version"),
)

_UNIFIED = (
    _c("modality", TEXT, "How the picture was taken.", isin=MODALITIES, clause="harmonization"),
    _c("icd11_code", TEXT, "ICD-11 MMS code of the diagnosis.", clause="diagnosis"),
    _c("icd11_title", TEXT, "Title of the code, verbatim from WHO."),
    _c("icd11_release", TEXT, "Release of ICD-11 MMS."),
    _c("diagnosis_source_label", TEXT, "The publisher's label."),
    _c(
        "diagnosis_relation",
        TEXT,
        "exact; broader: the code is wider than the label; narrower: it covers part of it.",
        isin=RELATIONS,
    ),
    _c("confirmation", TEXT, "How the diagnosis was confirmed.", isin=CONFIRMATIONS, clause="diagnosis"),
    _c(
        "age_years",
        pa.float32(),
        "Age where the source gives one year or the centre of a band; up to 89.",
        unit="year",
        ge=0,
        le=89,
    ),
    _c("age_low", pa.float32(), "Lower end of the age band.", unit="year", ge=0, le=120),
    _c("age_high", pa.float32(), "Upper end of the age band; null if open.", unit="year", ge=0, le=120),
    _c("sex", TEXT, "As recorded.", isin=("female", "male", "other")),
    _c("fitzpatrick", pa.int8(), "Fitzpatrick phototype of the person.", ge=1, le=6),
    _c("anatomy_code", TEXT, "Code of the site in anatomy.csv."),
    _c("anatomy_label", TEXT, "Label of the site."),
    _c("lesion_size_mm", pa.float32(), "Largest diameter.", unit="mm", ge=0),
    _c("presentation", TEXT, "Clinical presentation, such as solitary or disseminated."),
    _c("severity_scale", TEXT, "Scale of the severity score."),
    _c("severity_value", pa.float32(), "Severity score on that scale."),
    _c("device", TEXT, "Kind of device: dermatoscope, smartphone, camera."),
    _c("acquired_year", pa.int16(), "Year of the photograph.", unit="year", ge=1900, le=2100),
    _c("patient_key", ID, "Keyed hash of the patient within the archive."),
    _c("lesion_key", ID, "Keyed hash of the lesion within the archive."),
    _c("is_control", pa.bool_(), "True for healthy skin.", nullable=False),
)

# names of the columns of the unified schema, those that `missing` explains where they are null
UNIFIED = tuple(c.name for c in _UNIFIED)

HARMONIZED = Table(
    "harmonized",
    "The records in the unified schema, one row per image.",
    ("archive", "version", "image_id"),
    (
        _IMAGE_ID,
        _ARCHIVE,
        _VERSION,
        _SHA256,
        *_UNIFIED,
        _c("diagnosis_granularity", TEXT, "disease, subtype, group or composite."),
        _c("diagnosis_confidence", TEXT, "Confidence of the mapping: high, medium, low."),
        _c("anatomy_scope", TEXT, "Whether the site is skin: in, out, review.", isin=("in", "out", "review")),
        _c(
            "lesion_labels", pa.int32(), "Distinct diagnoses of the same lesion in the archive version.", ge=0
        ),
        _c(
            "image_manipulation",
            TEXT,
            "Manipulation that the publisher declares, such as altered or synthetic.",
        ),
        _c("licence", TEXT, "SPDX id or named licence that holds for this image."),
        _c("permits_commercial", pa.bool_(), "Null where unclear.", clause="licence"),
        _c("permits_modification", pa.bool_(), "Null where unclear.", clause="licence"),
        _c("permits_redistribution", pa.bool_(), "Null where unclear.", clause="licence"),
        _c("attribution", TEXT, "Text that the licence asks for."),
        _c("source_url", TEXT, "Landing page of the archive."),
        _c("missing", TEXT, "JSON object: each null column of the unified schema to the reason why."),
        *_VERDICT,
        _RUN,
    ),
    ("archive", "version"),
)

DUPLICATES = Table(
    "duplicates",
    "Groups across archives, over the current version of each archive.",
    ("image_id",),
    (*_GROUP, *_VERDICT, _RUN),
)

VERDICTS_TABLE = Table(
    "verdicts",
    "One row per image and criterion, as each stage of each archive version decided it by rule.",
    ("archive", "version", "stage", "image_id", "criterion"),
    _DECISION,
    ("archive", "version", "stage"),
)

DECISIONS = Table(
    "decisions",
    "The ledger: one row per image and criterion, people's verdicts included.",
    ("archive", "version", "image_id", "criterion"),
    _DECISION,
    ("archive", "version"),
)

CORPUS = Table(
    "corpus",
    "One row per curated image.",
    ("image_id",),
    (
        _IMAGE_ID,
        _c("file", TEXT, "Path of the published file below the corpus folder.", nullable=False),
        _c("sha256", ID, "SHA-256 of the published file.", nullable=False, matches=r"^[0-9a-f]{64}$"),
        _c("width", pa.int32(), "Width.", unit="px", nullable=False, ge=1),
        _c("height", pa.int32(), "Height.", unit="px", nullable=False, ge=1),
        *_UNIFIED,
        _c("duplicate_group", ID, "group_id of the duplicates that this image stands for."),
        _ARCHIVE,
        _VERSION,
        _c("licence", TEXT, "SPDX id or named licence that holds for this image.", nullable=False),
        _c("attribution", TEXT, "Text that the licence asks for."),
        _c("source_url", TEXT, "Landing page of the archive."),
        _c("ingested_at", TIME, "When the image first entered the corpus.", nullable=False, volatile=True),
        _c("criteria_version", TEXT, "Version of the criteria that admitted it.", nullable=False),
        _c("split", TEXT, "Train, validation, test or sequestered; null until splits are drawn."),
        _RUN,
    ),
)

PUBLISHED = Table(
    "published",
    "Every standardized file ever written, with the independent re-scan of its bytes.",
    ("image_id", "source_sha256", "written_by"),
    (
        _IMAGE_ID,
        _c("source_sha256", ID, "SHA-256 of the source file.", nullable=False),
        _c("written_by", ID, "Version of the writing code.", nullable=False),
        _c(
            "state",
            TEXT,
            "written; not_clean: the re-scan found something and the file was removed; failed.",
            nullable=False,
            isin=("written", "not_clean", "failed"),
        ),
        _c("file", TEXT, "Path below the corpus folder."),
        _c("sha256", ID, "SHA-256 of the written file."),
        _c("bytes", pa.int64(), "Size of the written file.", unit="byte", ge=0),
        _c("width", pa.int32(), "Width.", unit="px", ge=1),
        _c("height", pa.int32(), "Height.", unit="px", ge=1),
        _c(
            "transformations",
            TEXTS,
            "What was done to the pixels: lossless (nothing: the compressed data are those of the source), oriented, "
            "icc_to_srgb, to_8_bit, to_rgb, alpha_flattened, re_encoded.",
        ),
        _c("rescan_findings", TEXTS, "Kinds of hidden metadata that the re-scan found in the written bytes."),
        _c("detail", TEXT, "What went wrong, if anything did."),
    ),
)

ADMISSIONS = Table(
    "admissions",
    "Which archive versions the corpus admits, and why it refuses the others.",
    ("archive", "version"),
    (
        _ARCHIVE,
        _VERSION,
        _c("admitted", pa.bool_(), "True where the corpus takes images from it.", nullable=False),
        _c("reasons", TEXTS, "Why not, a sentence each."),
        _c("images_in", pa.int64(), "Rows that entered.", nullable=False, ge=0),
        _c("images_kept", pa.int64(), "Images in the corpus.", nullable=False, ge=0),
        _c("images_excluded", pa.int64(), "Images that fail a criterion.", nullable=False, ge=0),
        _c(
            "images_quarantined",
            pa.int64(),
            "Images that wait for a person, or for their archive version's admission.",
            nullable=False,
            ge=0,
        ),
        _c("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
        _RUN,
    ),
)

STAGES_TABLE = Table(
    "stages",
    "One row per archive version and stage: what went in, what came out, from which inputs. Written last, so "
    "that it marks a finished stage.",
    ("archive", "version", "stage"),
    (
        _ARCHIVE,
        _VERSION,
        _c("stage", TEXT, "Stage.", nullable=False, isin=STAGES),
        _c("rows_in", pa.int64(), "Rows that entered the stage.", nullable=False, ge=0),
        _c("kept", pa.int64(), "Rows that go on.", nullable=False, ge=0),
        _c("excluded", pa.int64(), "Rows that fail a criterion here.", nullable=False, ge=0),
        _c("quarantined", pa.int64(), "Rows that a person must settle.", nullable=False, ge=0),
        _c("fingerprint", ID, "SHA-256 of the stage's table, without volatile columns.", nullable=False),
        _c("inputs", TEXT, "JSON object: each input to its fingerprint when the stage ran.", nullable=False),
        _c("code_version", ID, "Version of the code.", nullable=False),
        _c("finished_at", TIME, "When.", nullable=False, volatile=True),
        _RUN,
    ),
    ("archive", "version", "stage"),
)

CHECK_RESULTS = Table(
    "check_results",
    "Last outcome of every asset check per archive version, with the fingerprint of the table it looked at.",
    ("archive", "version", "stage", "check_name"),
    (
        _ARCHIVE,
        _VERSION,
        _c("stage", TEXT, "Asset that was checked.", nullable=False, isin=STAGES),
        _c("check_name", TEXT, "The check, a sentence.", nullable=False),
        _c("passed", pa.bool_(), "Outcome.", nullable=False),
        _c(
            "blocking",
            pa.bool_(),
            "True where the corpus refuses an archive version that fails it.",
            nullable=False,
        ),
        _c("fingerprint", ID, "Fingerprint of the checked table.", nullable=False),
        _c("detail", TEXT, "What it found."),
        _c("evaluated_at", TIME, "When.", nullable=False, volatile=True),
        _RUN,
    ),
    ("archive", "version", "stage"),
)

REVIEW_QUEUE = Table(
    "review_queue",
    "Images that people look at: the sample of each archive version, and single images that no rule settles.",
    ("archive", "version", "image_id", "criterion"),
    (
        _ARCHIVE,
        _VERSION,
        _IMAGE_ID,
        _c("criterion", ID, "What is to be judged.", nullable=False),
        _c(
            "purpose",
            TEXT,
            "sample: stands for the archive version; each: settles this image only.",
            nullable=False,
            isin=("sample", "each"),
        ),
        _c("rank", pa.int64(), "Order in which people see it.", nullable=False, ge=1),
        _c("criteria_digest", ID, "SHA-256 of the criteria file.", nullable=False),
        _RUN,
    ),
    ("archive", "version"),
)

REVIEWS = Table(
    "reviews",
    "Verdicts of people. Rows are only ever added; the newest of a reviewer counts.",
    ("review_id",),
    (
        _c("review_id", ID, "UUID of the verdict.", nullable=False, volatile=True),
        _ARCHIVE,
        _VERSION,
        _IMAGE_ID,
        _c("criterion", ID, "What was judged.", nullable=False),
        _c(
            "outcome",
            TEXT,
            "pass: nothing wrong; fail: exclude the image.",
            nullable=False,
            isin=("pass", "fail"),
        ),
        _c("reviewer", TEXT, "Who.", nullable=False),
        _c("comment", TEXT, "In the reviewer's words."),
        _c("reviewed_at", TIME, "When.", nullable=False, volatile=True),
    ),
)

APPROVALS = Table(
    "approvals",
    "Change control: who put a source version or criteria file forward, and who approved it. Rows are only added.",
    ("approval_id",),
    (
        _c("approval_id", ID, "UUID of the approval.", nullable=False, volatile=True),
        _c("subject_kind", TEXT, "What is approved.", nullable=False, isin=("archive_version", "criteria")),
        _c("subject", TEXT, "The partition key, or the name of the criteria.", nullable=False),
        _c(
            "digest",
            ID,
            "Fingerprint of the files, or SHA-256 of the criteria file, that the approval is for.",
            nullable=False,
        ),
        _c("decision", TEXT, "approved, or withdrawn.", nullable=False, isin=("approved", "withdrawn")),
        _c("author", TEXT, "Who put it forward.", nullable=False),
        _c("approver", TEXT, "Who decided; another person than the author.", nullable=False),
        _c("comment", TEXT, "Why."),
        _c("approved_at", TIME, "When.", nullable=False, volatile=True),
    ),
)

DEIDENTIFICATION_RECORD = Table(
    "deidentification_record",
    "The verification record of each archive version: what was scanned, found, done and looked at, by which versions.",
    ("archive", "version", "aspect", "carrier", "kind"),
    (
        _ARCHIVE,
        _VERSION,
        _c(
            "aspect",
            TEXT,
            "What the row is about.",
            nullable=False,
            isin=("scanned", "found", "done", "sampled", "judged", "written", "version"),
        ),
        _c("carrier", TEXT, "Where: file, name, record, pixels, sample, published, code.", nullable=False),
        _c("kind", TEXT, "Of what: a kind, a state, an action, a criterion; never a value.", nullable=False),
        _c("images", pa.int64(), "How many images, or distinct files.", nullable=False, ge=0),
        _c("detail", TEXT, "What a reader needs besides, or the version."),
        _RUN,
    ),
    ("archive", "version"),
)

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        FILES, RECORDS, MEASUREMENTS, QUALITY, DEIDENTIFIED, DUPLICATES_WITHIN, HARMONIZED, DUPLICATES,
        VERDICTS_TABLE, DECISIONS, CORPUS, PUBLISHED, ADMISSIONS, STAGES_TABLE, CHECK_RESULTS,
        REVIEW_QUEUE, REVIEWS, APPROVALS, DEIDENTIFICATION_RECORD,
    )
}  # fmt: skip
