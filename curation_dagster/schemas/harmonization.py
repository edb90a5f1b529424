"""The unified schema."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.table import ID, TEXT, Table, column
from curation_dagster.schemas.vocabulary import CONFIRMATIONS, MODALITIES, RELATIONS

UNIFIED_COLUMNS = (
    column("modality", TEXT, "How the picture was taken.", isin=MODALITIES, clause="harmonization"),
    column("icd11_code", TEXT, "ICD-11 MMS code of the diagnosis.", clause="diagnosis"),
    column("icd11_title", TEXT, "Title of the code, verbatim from WHO."),
    column("icd11_release", TEXT, "Release of ICD-11 MMS."),
    column("diagnosis_source_label", TEXT, "The publisher's label."),
    column(
        "diagnosis_relation",
        TEXT,
        "exact; broader: the code is wider than the label; narrower: it covers part of it.",
        isin=RELATIONS,
    ),
    column("confirmation", TEXT, "How the diagnosis was confirmed.", isin=CONFIRMATIONS, clause="diagnosis"),
    column(
        "age_years",
        pa.float32(),
        "Age where the source gives one year or the centre of a band; up to 89.",
        unit="year",
        ge=0,
        le=89,
    ),
    column("age_low", pa.float32(), "Lower end of the age band.", unit="year", ge=0, le=120),
    column("age_high", pa.float32(), "Upper end of the age band; null if open.", unit="year", ge=0, le=120),
    column("sex", TEXT, "As recorded.", isin=("female", "male", "other")),
    column("fitzpatrick", pa.int8(), "Fitzpatrick phototype of the person.", ge=1, le=6),
    column("anatomy_code", TEXT, "Code of the site in anatomy.csv."),
    column("anatomy_label", TEXT, "Label of the site."),
    column("lesion_size_mm", pa.float32(), "Largest diameter.", unit="mm", ge=0),
    column("presentation", TEXT, "Clinical presentation, such as solitary or disseminated."),
    column("severity_scale", TEXT, "Scale of the severity score."),
    column("severity_value", pa.float32(), "Severity score on that scale."),
    column("device", TEXT, "Kind of device: dermatoscope, smartphone, camera."),
    column("acquired_year", pa.int16(), "Year of the photograph.", unit="year", ge=1900, le=2100),
    column("patient_key", ID, "Keyed hash of the patient within the archive."),
    column("lesion_key", ID, "Keyed hash of the lesion within the archive."),
    column("is_control", pa.bool_(), "True for healthy skin.", nullable=False),
)

# names of the columns of the unified schema, those that `missing` explains where they are null
UNIFIED = tuple(c.name for c in UNIFIED_COLUMNS)

HARMONIZED = Table(
    "harmonized",
    "The records in the unified schema, one row per image.",
    ("archive", "version", "image_id"),
    (
        IMAGE_ID,
        ARCHIVE,
        VERSION,
        SHA256,
        *UNIFIED_COLUMNS,
        column("diagnosis_granularity", TEXT, "disease, subtype, group or composite."),
        column("diagnosis_confidence", TEXT, "Confidence of the mapping: high, medium, low."),
        column(
            "anatomy_scope", TEXT, "Whether the site is skin: in, out, review.", isin=("in", "out", "review")
        ),
        column(
            "may_show_face", pa.bool_(), "True where the site is on head or neck; null where it is not known."
        ),
        column(
            "lesion_labels", pa.int32(), "Distinct diagnoses of the same lesion in the archive version.", ge=0
        ),
        column(
            "image_manipulation",
            TEXT,
            "Manipulation that the publisher declares, such as altered or synthetic.",
        ),
        column("licence", TEXT, "SPDX id or named licence that holds for this image."),
        column("permits_commercial", pa.bool_(), "Null where unclear.", clause="licence"),
        column("permits_modification", pa.bool_(), "Null where unclear.", clause="licence"),
        column("permits_redistribution", pa.bool_(), "Null where unclear.", clause="licence"),
        column("attribution", TEXT, "Text that the licence asks for."),
        column("source_url", TEXT, "Landing page of the archive."),
        column("missing", TEXT, "JSON object: each null column of the unified schema to the reason why."),
        *VERDICT,
        RUN,
    ),
    ("archive", "version"),
)
