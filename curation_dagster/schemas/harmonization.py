"""The unified schema."""

from __future__ import annotations

import pyarrow as pa

from curation_dagster.schemas.columns import ARCHIVE, IMAGE_ID, RUN, SHA256, VERDICT, VERSION
from curation_dagster.schemas.table import ID, TEXT, TEXTS, Table, column
from curation_dagster.schemas.vocabulary import (
    CONFIRMATIONS,
    DERIVATIONS,
    MODALITIES,
    RELATIONS,
    SKIN_TONE_SCALES,
)

# one score on one scale of vocabularies/severity_scales.csv
SEVERITIES = pa.list_(pa.struct([pa.field("scale", pa.string()), pa.field("value", pa.float32())]))

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
    column(
        "skin_tone_scale",
        TEXT,
        "Scale of a skin tone that is no Fitzpatrick phototype of one person, in skin_tone_scales.csv.",
        isin=SKIN_TONE_SCALES,
    ),
    column("skin_tone_value", TEXT, "Skin tone on that scale, as the scale writes it; never converted."),
    column("anatomy_code", TEXT, "Code of the site in anatomy.csv."),
    column("anatomy_label", TEXT, "Label of the site."),
    column("lesion_size_mm", pa.float32(), "Largest diameter.", unit="mm", ge=0),
    column("presentation", TEXT, "Clinical presentation, such as solitary or disseminated."),
    column("severity_scale", TEXT, "Scale of the severity score; of several, the one that sums them up."),
    column("severity_value", pa.float32(), "Severity score on that scale."),
    column(
        "severities", SEVERITIES, "All severity scores of the image: scale in severity_scales.csv, value."
    ),
    column("device", TEXT, "Kind of device: dermatoscope, smartphone, camera."),
    column("acquired_year", pa.int16(), "Year of the photograph.", unit="year", ge=1900, le=2100),
    column("patient_key", ID, "Keyed hash of the patient within the archive."),
    column("lesion_key", ID, "Keyed hash of the lesion within the archive."),
    column(
        "parent_image_id",
        ID,
        "image_id of the image of the same archive that this one was made of: never a case of its own.",
    ),
    column("derivation", TEXT, "How it was made of its parent, such as crop.", isin=DERIVATIONS),
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
            "icd11_candidates",
            TEXTS,
            "Codes that a coder may choose from, where the label pools several diseases.",
        ),
        column(
            "lesion_labels",
            pa.int32(),
            "Diagnoses of the same lesion in the archive version that exclude each other.",
            ge=0,
        ),
        column(
            "patient_sexes", pa.int32(), "Distinct sexes of the same person in the archive version.", ge=1
        ),
        column(
            "patient_phototypes",
            pa.int32(),
            "Distinct Fitzpatrick phototypes of the same person in the archive version.",
            ge=1,
        ),
        column(
            "age_step_back",
            pa.float32(),
            "By how many years the person gets younger from one photograph to a later one.",
            unit="year",
            ge=0,
        ),
        column(
            "behaviour_agrees",
            pa.bool_(),
            "Whether the archive's flag, benign or malignant, fits the diagnosis; null without a flag.",
        ),
        column(
            "severity_agrees",
            pa.bool_(),
            "Whether a total severity score is what its subscores give; null without all of them.",
        ),
        column(
            "may_show_face", pa.bool_(), "True where the site is on head or neck; null where it is not known."
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

LABEL_WORKLIST = Table(
    "label_worklist",
    "Labels that wait for a coder; suggestions are never applied by themselves.",
    ("archive", "version", "label"),
    (
        ARCHIVE,
        VERSION,
        column("label", TEXT, "The publisher's label.", nullable=False),
        column(
            "kind",
            TEXT,
            "unmapped: no vocabulary has it; pooled: it pools several diseases.",
            nullable=False,
            isin=("unmapped", "pooled"),
        ),
        column("images", pa.int64(), "Images that carry it.", nullable=False, ge=1),
        column(
            "suggestions",
            TEXTS,
            "unmapped: codes with the most similar label and its similarity, 0 to 100; pooled: the candidates.",
        ),
        RUN,
    ),
    ("archive", "version"),
)

MISSINGNESS = Table(
    "missingness",
    "How many images of an archive version lack each field of the unified schema, and why.",
    ("archive", "version", "field", "reason"),
    (
        ARCHIVE,
        VERSION,
        column("field", TEXT, "Column of the unified schema.", nullable=False),
        column(
            "reason",
            TEXT,
            "Reason in missing_reasons.csv; `present` for images with a value.",
            nullable=False,
        ),
        column("images", pa.int64(), "Images that lack, or have, the field.", nullable=False, ge=0),
        column("of", pa.int64(), "Images of the archive version.", nullable=False, ge=1),
        RUN,
    ),
    ("archive", "version"),
)
