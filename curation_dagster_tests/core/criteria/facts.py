"""Rows that pass every criterion of a stage, to be broken one column at a time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from curation_dagster.core.criteria.columns import columns_of
from curation_dagster.core.criteria.evaluate import Stamp

STAMP = Stamp("run-1", "0.1.0+abc", datetime(2025, 3, 1, 12, tzinfo=UTC))

GOOD: dict[str, dict[str, Any]] = {
    "records": {"join_state": "matched", "modality": "dermoscopic", "derivation": "original"},
    "quality": {
        "join_state": "matched",
        "modality": "dermoscopic",
        "decode_state": "ok",
        "frames": 1,
        "short_side": 450,
        "long_side": 600,
        "laplacian_variance_512": 60.0,
        "laplacian_variance_256": 120.0,
        "reblur_512": 0.3,
        "reblur_256": 0.25,
        "blur_anisotropy": 1.1,
        "luma_p05": 60.0,
        "luma_p95": 200.0,
        "luma_std": 30.0,
        "luma_entropy": 6.5,
        "dark_share": 0.0,
        "bright_share": 0.0,
        "hash_is_degenerate": False,
        "jpeg_quality": 92,
        "is_lossless": False,
        "bits_per_pixel": 2.0,
        "hair_strands": 0,
        "hair_share": 0.0,
        "vignette_share": 0.0,
        "ink_share": 0.0,
        "ruler_score": 0.1,
    },
    "deidentified": {
        "join_state": "matched",
        "modality": "dermoscopic",
        "found_in_file": ["exif", "exif_gps"],
        "found_in_name": ["full_date"],
        "found_in_record": ["capture_date:full_date"],
        "found_in_pixels": [],
        "decode_state": "ok",
        "pixels_searched": True,
        "faces": 0,
        "text_regions": 0,
        "text_doubtful": 0,
        "face_score": 0.3,
        "regions_share": 0.0,
        "regions_core_share": 0.0,
        "actions": [
            "file:exif:strip",
            "file:exif_gps:strip",
            "name:full_date:rename",
            "record:capture_date:full_date:drop",
        ],
        "hidden_kinds": ["exif", "exif_gps"],
        "media_type": "image/jpeg",
    },
    "harmonized": {
        "join_state": "matched",
        "modality": "dermoscopic",
        "anatomy_scope": "in",
        "anatomy_label": "Back",
        "may_show_face": False,
        "is_control": False,
        "diagnosis_source_label": "mel",
        "diagnosis_relation": "exact",
        "diagnosis_granularity": "disease",
        "diagnosis_confidence": "high",
        "icd11_code": "2C30",
        "confirmation": "histopathology",
        "lesion_labels": 1,
        "licence": "CC-BY-4.0",
        "permits_commercial": True,
        "permits_modification": True,
        "permits_redistribution": True,
    },
    "duplicates": {
        "is_representative": True,
        "representative_id": "x",
        "relation": "single",
        "label_conflict": False,
    },
}


def image_id(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))


def facts(stage: str, *changes: dict[str, Any], archive: str = "pad", version: str = "1") -> pa.Table:
    """Return one row per change: a good row of the stage with these columns changed."""
    types = columns_of(stage) | {n: pa.string() for n in ("image_id", "archive", "version")}
    rows = [
        {"image_id": image_id(i), "archive": archive, "version": version} | GOOD[stage] | change
        for i, change in enumerate(changes)
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))
