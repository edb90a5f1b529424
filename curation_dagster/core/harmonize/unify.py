"""Records to the unified schema: the table ``harmonized`` without its verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curation_dagster.core.harmonize import anatomy, icd11
from curation_dagster.core.harmonize.coded import diagnosis_of_icd10, diagnosis_of_icd11
from curation_dagster.core.harmonize.consistency import (
    ages_backwards,
    distinct_values,
    flag_agrees,
    lesion_diagnoses,
    meaning,
    order_of,
)
from curation_dagster.core.harmonize.derived import derivation_columns
from curation_dagster.core.harmonize.diagnosis import (
    Diagnosis,
    combined,
    diagnoses,
    normalized,
    shown_label,
    together,
)
from curation_dagster.core.harmonize.fields import Field, convert_field
from curation_dagster.core.harmonize.keys import lesion_key, patient_key
from curation_dagster.core.harmonize.parsing import Age
from curation_dagster.core.harmonize.scores import severity_columns
from curation_dagster.core.harmonize.severity import skin_tones
from curation_dagster.core.harmonize.vocabulary import folded
from curation_dagster.core.registry.licences import licence
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.mapping import Columns
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.schemas import HARMONIZED, UNIFIED

_CHUNK = 20_000
_PLAIN = (
    "modality",
    "confirmation",
    "sex",
    "fitzpatrick",
    "skin_tone_scale",
    "lesion_size_mm",
    "presentation",
    "device",
    "acquired_year",
)
_CODED = {"icd10": diagnosis_of_icd10, "icd11": diagnosis_of_icd11}
_ADDED_LATER = ("verdict", "failed", "review", "run_id")


def harmonize(archive_version: ArchiveVersion, records: pa.Table, secret: bytes) -> pa.Table:
    """Return the records in the unified schema.

    Parameters
    ----------
    archive_version : ArchiveVersion
        With the descriptor whose column mappings apply.
    records : pyarrow.Table
        Rows of the table ``records`` of this archive version.
    secret : bytes
        Secret of the installation, for the keys of patients and lesions.

    Returns
    -------
    pyarrow.Table
        The columns of ``harmonized`` without verdict, failed, review and run_id; one row for each record, in the
        same order. ``missing`` gives a reason for each null of the unified columns.
    """
    descriptor = archive_version.descriptor
    table, has_record = source_table(records["source_values"], used_columns(descriptor))
    fields = {
        name: convert_field(name, getattr(descriptor.columns, name), table, has_record)
        for name in Columns.model_fields
    }
    values: dict[str, Sequence[Any] | np.ndarray] = {n: fields[n].values for n in _PLAIN}
    reasons: dict[str, np.ndarray] = {n: fields[n].reasons for n in _PLAIN}
    values["is_control"] = np.array([v is True for v in fields["is_control"].values], dtype=bool)
    reasons["is_control"] = np.full(records.num_rows, None, dtype=object)
    for part_values, part_reasons in (
        _ages(fields["age"]),
        _sites(fields["anatomy"]),
        _diagnoses(fields["diagnosis"], descriptor),
        _keys(fields, descriptor.id, secret),
        _skin_tones(fields),
        severity_columns(descriptor, fields, table, has_record),
        derivation_columns(records, fields, descriptor),
    ):
        values |= part_values
        reasons |= part_reasons
    values |= _consistency(values, fields)
    values["image_manipulation"] = fields["image_manipulation"].values
    values |= _licences(descriptor, table)
    values["source_url"] = [descriptor.technical_file.repository_url] * records.num_rows
    values["missing"] = _missing(values, reasons, records.num_rows)
    for name in ("image_id", "archive", "version", "sha256"):
        values[name] = records[name]
    schema = pa.schema([f for f in HARMONIZED.arrow_schema if f.name not in _ADDED_LATER])
    return pa.Table.from_arrays([_array(values[f.name], f.type) for f in schema], schema=schema)


def used_columns(descriptor: Descriptor) -> tuple[str, ...]:
    """Return the publisher's columns that harmonization reads."""
    mappings = (getattr(descriptor.columns, name) for name in Columns.model_fields)
    names = [c for m in (*mappings, *descriptor.severities.values()) if m is not None for c in m.source]
    terms = descriptor.licence
    names += [c for c in (terms.column, terms.attribution_column) if c is not None]
    return tuple(dict.fromkeys(names))


def source_table(source_values: pa.ChunkedArray, columns: Iterable[str]) -> tuple[pa.Table, np.ndarray]:
    """Return the named columns of the publisher's records as text, and which rows have a record at all.

    A column that a record does not have is blank.
    """
    names = list(columns)
    batches = []
    schema = pa.schema([pa.field(n, pa.string()) for n in names])
    for start in range(0, len(source_values), _CHUNK):
        objects = [json.loads(t) if t else {} for t in source_values.slice(start, _CHUNK).to_pylist()]
        arrays = [pa.array([o.get(n, "") for o in objects], pa.string()) for n in names]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    has_record = source_values.is_valid().to_numpy(zero_copy_only=False).astype(bool)
    if not names:
        # a table without columns has no rows either: one that nobody asks for keeps their number
        return pa.table({"": pa.nulls(len(source_values), pa.string())}), has_record
    return pa.Table.from_batches(batches, schema=schema), has_record


def _array(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray | pa.Array):
        return values.cast(kind)
    return pa.array(
        list(values) if not isinstance(values, np.ndarray) or values.dtype == object else values, kind
    )


def _column(items: Iterable[Any]) -> np.ndarray:
    items = list(items)
    found = np.empty(len(items), dtype=object)
    found[:] = items
    return found


def _ages(field: Field) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    ages: list[Age | None] = list(field.values)
    values = {
        "age_years": _column(a.years if a else None for a in ages),
        "age_low": _column(a.low if a else None for a in ages),
        "age_high": _column(a.high if a else None for a in ages),
    }
    reason = _column(a.reason if a else r for a, r in zip(ages, field.reasons, strict=True))
    return values, dict.fromkeys(values, reason)


def _sites(field: Field) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    codes = {key: anatomy.common_site(key) for key in {v for v in field.values if v is not None}}
    labels = {code: anatomy.sites()[code].label for code in codes.values() if code is not None}
    scopes = {key: anatomy.scope_of(key) for key in codes}
    faces = {key: any(anatomy.may_show_face(one) for one in key) for key in codes}
    code = _column(codes.get(v) for v in field.values)
    values = {
        "anatomy_code": code,
        "anatomy_label": _column(labels.get(c) for c in code),
        "anatomy_scope": _column(scopes.get(v) for v in field.values),
        "may_show_face": _column(faces.get(v) for v in field.values),
    }
    return values, {"anatomy_code": field.reasons, "anatomy_label": field.reasons}


def _diagnoses(field: Field, descriptor: Descriptor) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Map the labels to ICD-11; a null code has the reason of the label, or else the relation of its mapping."""
    stated_as = descriptor.columns.diagnosis.parse if descriptor.columns.diagnosis else "label"
    pairs = list(zip(field.values, field.reasons, field.texts, strict=True))
    known = {pair: _diagnosis(*pair, descriptor, stated_as) for pair in set(pairs)}
    found = [known[pair] for pair in pairs]
    relation_reasons = {"unmapped": "unmapped_value"}
    no_code = [
        reason or (relation_reasons.get(d.relation, d.relation) if d and d.icd11_code is None else None)
        for d, (_, reason, _) in zip(found, pairs, strict=True)
    ]
    release = icd11.release()
    values = {
        "icd11_code": _column(d.icd11_code if d else None for d in found),
        "icd11_title": _column(d.icd11_title if d else None for d in found),
        "icd11_release": _column(release if d and d.icd11_code else None for d in found),
        "diagnosis_source_label": _column(shown_label(t) for t in field.texts),
        "diagnosis_relation": _column(d.relation if d else None for d in found),
        "diagnosis_granularity": _column(d.granularity if d else None for d in found),
        "diagnosis_confidence": _column(d.confidence if d else None for d in found),
        "icd11_candidates": _column(list(d.candidates) if d and d.candidates else None for d in found),
    }
    code_reason = _column(no_code)
    reasons = dict.fromkeys(("icd11_code", "icd11_title", "icd11_release"), code_reason)
    return values, reasons | {"diagnosis_source_label": field.reasons, "diagnosis_relation": field.reasons}


def _diagnosis(
    labels: Any, reason: str | None, text: str | None, descriptor: Descriptor, stated_as: str
) -> Diagnosis | None:
    if labels is not None and stated_as in _CODED:
        return together([_CODED[stated_as](code) for code in labels])
    if labels is not None:
        return combined(labels, descriptor.diagnosis_aliases, descriptor.id)
    if text is None:
        return None
    if reason == "unmapped_value":
        return Diagnosis(None, None, "unmapped", None, None)
    # the publisher says in so many words that the diagnosis is not known
    listed = diagnoses().get(normalized(text))
    return (
        listed if listed and listed.icd11_code is None else Diagnosis(None, None, "nonspecific", None, None)
    )


def _keys(
    fields: dict[str, Field], archive: str, secret: bytes
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    values, reasons = {}, {}
    for name, key in (("patient", patient_key), ("lesion", lesion_key)):
        field = fields[name]
        known = {id: key(secret, archive, id) for id in {v for v in field.values if v is not None}}
        values[f"{name}_key"] = _column(known.get(v) for v in field.values)
        reasons[f"{name}_key"] = field.reasons
    return values, reasons


def _skin_tones(fields: dict[str, Field]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the skin tone where it is a value of the scale that the archive names."""
    scales, tones = fields["skin_tone_scale"].values, fields["skin_tone_value"]
    values, reasons = tones.values.copy(), tones.reasons.copy()
    for row in np.flatnonzero(~pd.isna(values)):
        if folded(str(values[row])) not in _tone_values(scales[row]):
            values[row], reasons[row] = None, "not_on_scale"
        else:
            values[row] = _tone_values(scales[row])[folded(str(values[row]))]
    return {"skin_tone_value": values}, {"skin_tone_value": reasons}


@cache
def _tone_values(scale: str | None) -> dict[str, str]:
    return {folded(v): v for v in skin_tones().get(scale or "", ())}


def _consistency(values: dict[str, Any], fields: dict[str, Field]) -> dict[str, Any]:
    """Return what the criteria of consistency look at."""
    pool: dict[Any, Any] = {}
    meanings = []
    for code, candidates in zip(values["icd11_code"], values["icd11_candidates"], strict=True):
        pair = (code, tuple(candidates or ()))
        meanings.append(pool.setdefault(pair, meaning(*pair)))
    patients, visits = values["patient_key"], fields["visit"].values
    return {
        "lesion_labels": lesion_diagnoses(values["lesion_key"], meanings),
        "patient_sexes": distinct_values(patients, values["sex"]),
        "patient_phototypes": distinct_values(patients, values["fitzpatrick"]),
        "age_step_back": ages_backwards(
            patients, values["age_low"], values["age_high"], order_of(visits, values["acquired_year"])
        ),
        "behaviour_agrees": flag_agrees(list(fields["benign_malignant"].values), meanings),
    }


def _licences(descriptor: Descriptor, table: pa.Table) -> dict[str, Any]:
    """Return the licence of each row: its own statement where the archive has a column for it, else the archive's."""
    terms, n = descriptor.licence, table.num_rows
    if terms.column is None:
        ids: list[str | None] = [terms.default] * n
    else:
        listed = {folded(k): v for k, v in terms.values.items()}
        ids = [listed.get(folded(t or "")) for t in table[terms.column].to_pylist()]
    known = {id: licence(id) for id in set(ids) if id is not None}
    attributions: list[str | None] = [terms.attribution] * n
    if terms.attribution_column is not None:
        own = table[terms.attribution_column].to_pylist()
        attributions = [(t or "").strip() or terms.attribution for t in own]
    found: dict[str, Any] = {"licence": ids, "attribution": attributions}
    for permission in ("permits_commercial", "permits_modification", "permits_redistribution"):
        found[permission] = [getattr(known[id], permission) if id is not None else None for id in ids]
    return found


def _missing(values: dict[str, Any], reasons: dict[str, np.ndarray], n: int) -> np.ndarray:
    """Return for each row the JSON object of null unified columns, and single scores, to reasons."""
    names = (*UNIFIED, *(name for name in reasons if name.startswith("severities.")))
    given = {n: _where_null(values[n], reasons[n]) if n in values else reasons[n] for n in names}
    numbers = np.zeros(n, np.int64)
    for name in names:
        codes, levels = pd.factorize(given[name], use_na_sentinel=False)
        numbers, _ = pd.factorize(numbers * max(len(levels), 1) + codes)
    _, first = np.unique(numbers, return_index=True)
    pool = _column(
        json.dumps({name: given[name][row] for name in names if given[name][row] is not None})
        for row in first
    )
    return pool[numbers]


def _where_null(values: Any, reasons: np.ndarray) -> np.ndarray:
    found = reasons.copy()
    found[~pd.isna(_column(values))] = None
    return found
