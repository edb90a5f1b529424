"""The protocol's initial assessment of an archive version: what came, what is in it, and what does not fit.

Counts and distributions only. Values of the publisher appear where they are diagnoses, sites and the like; ids,
names and free text never do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.deidentification.showing import shown
from curation_dagster.core.harmonize import anatomy
from curation_dagster.core.harmonize.diagnosis import combined, shown_label
from curation_dagster.core.harmonize.fields import Field, convert_field
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.schemas import ASSESSMENTS, JOIN_STATES

_DECADE = 10
# fewer columns than this may well be blank together by chance
_BLOCK = 3
_FIELDS = ("sex", "age", "fitzpatrick", "anatomy", "confirmation", "modality")
_WORDS = {
    "record_without_file": "records have no file",
    "file_without_record": "files have no record",
    "duplicate_record": "records say the same as another one of the same image",
    "conflicting_record": "records contradict another one of the same image",
    "duplicate_file": "files have the same id and content as another one",
    "ambiguous_file": "files share their id with other content",
}
_REASONS = {
    "unmapped_value": "values are in no value map",
    "unparsable": "values can't be read",
    "out_of_range": "values lie outside the range of the field",
    "ambiguous": "values weigh several labels, and none has the declared share",
    "several_values": "records state several values that differ",
    "not_one_hot": "records don't mark exactly one of their label columns",
}


def assess(
    archive_version: ArchiveVersion, table: pa.Table, data: pa.Table, notes: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the initial assessment.

    Parameters
    ----------
    archive_version : ArchiveVersion
        With what the publisher states of the version.
    table : pyarrow.Table
        Rows of ``records``.
    data : pyarrow.Table
        The publisher's columns as text, a row for each of ``table``; null where a record does not have the column.
    notes : iterable of str
        What was found while reading, a sentence each.

    Returns
    -------
    dict
        ``counts``: rows, images, records (distinct rows of metadata), patients, lesions.
        ``join_states``: each state to its number of rows.
        ``labels``: the publisher's labels, each with its number of records, ICD-11 code and relation; most first.
        ``columns``: each column with ``records``, ``blank``, ``blank_share`` (0 to 1) and ``distinct`` values.
        ``distributions``: each field to its values and their numbers of records; ages by decade.
        ``reasons``: each field to the reasons why it is null and their numbers of records.
        ``issues``: what a reader should know, a sentence each.
    """
    columns = archive_version.descriptor.columns
    has_record = pc.is_valid(table["source_values"]).to_numpy(zero_copy_only=False).astype(bool)
    # images of an archive without metadata are described by the descriptor's constants
    described = has_record if has_record.any() else np.ones(table.num_rows, dtype=bool)
    part = data.filter(pa.array(described))
    names = (*_FIELDS, "diagnosis", "patient", "lesion")
    fields = {name: convert_field(name, getattr(columns, name), part) for name in names}
    counts = _counts(table, fields)
    states = Counter(table["join_state"].to_pylist())
    join_states = {state: states[state] for state in JOIN_STATES if states[state]}
    labels = _labels(fields["diagnosis"], archive_version)
    missingness = _columns(data, has_record)
    reasons = {name: _tally(field.reasons) for name, field in fields.items()}
    issues = [
        *notes,
        *_declared(archive_version, counts),
        *(f"{n} {_WORDS[s]}." for s, n in join_states.items() if s in _WORDS),
        *_unmapped(labels),
        *(
            f"{name}: {n} {_REASONS[reason]}."
            for name, found in reasons.items()
            for reason, n in found.items()
            if reason in _REASONS and (name != "diagnosis" or reason == "not_one_hot")
        ),
        *_blank_together(data.filter(pa.array(has_record))),
    ]
    return {
        "counts": counts,
        "join_states": join_states,
        "labels": labels,
        "columns": missingness,
        "distributions": {name: _distribution(name, fields[name]) for name in _FIELDS},
        "reasons": reasons,
        "issues": issues,
    }


def assessment_rows(archive_version: ArchiveVersion, assessment: Mapping[str, Any]) -> pa.Table:
    """Return what :func:`assess` found as rows of ``assessments`` without run_id."""
    found: list[dict[str, Any]] = []

    def add(section: str, rows: Iterable[dict[str, Any]]) -> None:
        found.extend({"section": section, "number": i, **row} for i, row in enumerate(rows, 1))

    for section in ("counts", "join_states"):
        add(section, ({"value": k, "counted": n} for k, n in assessment[section].items()))
    for section in ("distributions", "reasons"):
        add(
            section,
            (
                {"subject": s, "value": v, "counted": n}
                for s, c in assessment[section].items()
                for v, n in c.items()
            ),
        )
    add(
        "labels",
        (
            {
                "value": r["label"],
                "counted": r["records"],
                "icd11_code": r["icd11_code"],
                "relation": r["relation"],
            }
            for r in assessment["labels"]
        ),
    )
    add(
        "columns",
        (
            {"value": r["column"], "counted": r["blank"], "of": r["records"], "distinct": r["distinct"]}
            for r in assessment["columns"]
        ),
    )
    add("issues", ({"value": i} for i in assessment["issues"]))
    key = archive_version.key
    return ASSESSMENTS.conform([{"archive": key.archive, "version": key.version, **r} for r in found])


def _tally(values: Iterable[Any]) -> dict[str, int]:
    """Return how often each value occurs, most first; None is left out."""
    counted = Counter(str(v) for v in values if v is not None)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _counts(table: pa.Table, fields: dict[str, Field]) -> dict[str, int]:
    rows = table.select(["record_table", "record_row"]).filter(pc.is_valid(table["record_row"]))
    return {
        "rows": table.num_rows,
        "images": table.num_rows - table["path"].null_count,
        "records": rows.group_by(["record_table", "record_row"]).aggregate([]).num_rows,
        "patients": len({v for v in fields["patient"].values if v is not None}),
        "lesions": len({v for v in fields["lesion"].values if v is not None}),
    }


def _labels(field: Field, archive_version: ArchiveVersion) -> list[dict[str, Any]]:
    aliases = archive_version.descriptor.diagnosis_aliases
    counted = Counter((t, v) for t, v in zip(field.texts, field.values, strict=True) if t is not None)
    found = []
    for (text, labels), n in sorted(counted.items(), key=lambda item: (-item[1], item[0][0])):
        meant = combined(labels, aliases, archive_version.descriptor.id) if labels is not None else None
        found.append(
            {
                "label": shown_label(text),
                "records": n,
                "icd11_code": meant.icd11_code if meant else None,
                "relation": meant.relation if meant else None,
            }
        )
    return found


def _columns(data: pa.Table, has_record: np.ndarray) -> list[dict[str, Any]]:
    part = data.filter(pa.array(has_record))
    found = []
    for name in (n for n in part.column_names if n):
        values = pc.utf8_trim_whitespace(pc.fill_null(part[name], ""))
        blank = int(pc.sum(pc.equal(values, "")).as_py() or 0)
        distinct = pc.count_distinct(values).as_py() - (1 if blank else 0)
        share = round(blank / part.num_rows, 4) if part.num_rows else 0.0
        found.append(
            {
                "column": shown(name),
                "records": part.num_rows,
                "blank": blank,
                "blank_share": share,
                "distinct": distinct,
            }
        )
    return found


def _distribution(name: str, field: Field) -> dict[str, int]:
    if name == "age":
        bands = sorted(
            (int(a.low // _DECADE) * _DECADE, a.high is None) for a in field.values if a is not None
        )
        return {
            f"{low}+" if is_open else f"{low}-{low + _DECADE - 1}": n
            for (low, is_open), n in Counter(bands).items()
        }
    if name == "anatomy":
        return _tally(anatomy.common_site(v) if v is not None else None for v in field.values)
    return _tally(field.values)


def _declared(archive_version: ArchiveVersion, counts: dict[str, int]) -> list[str]:
    stated = archive_version.version
    pairs = (("images", stated.images), ("records", stated.records))
    return [
        f"The publisher states {expected} {what} for this version; {counts[what]} are here."
        for what, expected in pairs
        if expected is not None and expected != counts[what]
    ]


def _unmapped(labels: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for relation, words in (
        ("unmapped", "is not in the diagnosis vocabulary"),
        ("nonspecific", "names no single disease"),
        ("narrower", "pools several diseases of which the nearest code covers one"),
        ("not_a_diagnosis", "is no diagnosis"),
    ):
        found += [
            f'The label "{item["label"]}" ({item["records"]} records) {words}.'
            for item in labels
            if item["relation"] == relation
        ]
    return found


def _blank_together(data: pa.Table) -> list[str]:
    """Return which columns are blank in exactly the same records: a block that was never filled in."""
    blocks: dict[bytes, list[str]] = {}
    for name in (n for n in data.column_names if n):
        mask = pc.equal(pc.utf8_trim_whitespace(pc.fill_null(data[name], "")), "").to_numpy()
        if mask.all() and len(mask):
            continue
        if mask.any():
            blocks.setdefault(np.packbits(mask).tobytes(), []).append(name)
    sentences = []
    for packed, names in blocks.items():
        if len(names) >= _BLOCK:
            blank = int(np.unpackbits(np.frombuffer(packed, np.uint8), count=data.num_rows).sum())
            sentences.append(
                f"{len(names)} columns are blank together in {blank} of {data.num_rows} records: "
                f"{', '.join(map(shown, names))}. They are not missing at random."
            )
    return sentences
