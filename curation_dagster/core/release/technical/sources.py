"""Where an archive comes from: its record, the evaluation before its retrieval, the retrieval, the initial assessment."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from curation_dagster.core.registry.licences import licence as terms_of
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.registry.technical_file import SelectionEvaluation
from curation_dagster.core.release.technical.scope import Rows, Scope, joined, said, verbatim
from curation_dagster.core.report.paper import Block, Heading, Points, Table

_MOST = 40
_WORD = re.compile(r"[\w-]+")
_HELD_BACK = "[an image of the archive]"
# shorter ones, such as a running number, are words like any other
_SHORTEST_ID = 6


def identification(scope: Scope) -> list[Block]:
    """The archive's record, field by field, with what its descriptor says of the version and the licence.

    Where a descriptor gives an image of the archive as an example, the publisher's id of it is left out.
    """
    return _without_ids(scope, _identification(scope))


def _without_ids(scope: Scope, blocks: list[Block]) -> list[Block]:
    found = scope.rows("SELECT source_id, path FROM records WHERE {here}", "records")
    names = {
        n for r in found for n in (r[0], PurePosixPath(r[1]).stem if r[1] else "") if len(n) >= _SHORTEST_ID
    }

    def plain(text: Any) -> Any:
        return (
            _WORD.sub(lambda w: _HELD_BACK if w[0] in names else w[0], text)
            if isinstance(text, str)
            else text
        )

    told: list[Block] = []
    for b in blocks:
        if isinstance(b, Table):
            b = replace(b, rows=[[plain(c) for c in row] for row in b.rows])
        elif isinstance(b, Points):
            b = Points([replace(i, template=plain(i.template)) for i in b.items])
        told.append(b)
    return told


def _identification(scope: Scope) -> list[Block]:
    descriptor = scope.view.descriptors.get(scope.archive or "")
    blocks: list[Block] = [Heading("Identification", "identification")]
    if descriptor is None:
        return [
            *blocks,
            said("No descriptor of this archive is in force, so nothing is known of it but its files."),
        ]
    t, version = descriptor.technical_file, descriptor.versions.get(scope.version or "")
    rows: Rows = [
        ["name", t.name],
        ["publisher", t.publisher],
        ["country", t.country],
        ["repository", t.repository_url],
        ["DOI", t.doi],
        ["publications", joined(t.publications)],
        ["access", t.access],
        ["access method", t.access_method],
        *([f"sample size: {n}", getattr(t.sample_size, n)] for n in ("images", "patients", "lesions")),
        ["diagnostic coverage", t.diagnostic_coverage],
        ["demographics", t.demographics],
        ["modality", t.modality],
        ["method of validation", t.validation_method],
    ]
    if version is not None:
        rows += [
            ["version", scope.version],
            ["released", version.released],
            ["images that the publisher states for the version", version.images],
            ["records that the publisher states for the version", version.records],
            ["superseded by", version.superseded_by],
            ["made up (synthetic)", version.synthetic],
            ["note on the version", version.note],
        ]
    blocks.append(Table("identification_fields", ["field", "what the descriptor says"], rows))
    return [*blocks, *_licence(descriptor), *_selection(descriptor)]


def _licence(descriptor: Descriptor) -> list[Block]:
    terms = descriptor.licence
    rows = []
    for name in sorted({terms.default, *terms.values.values()}):
        known = terms_of(name)
        allowed = (known.permits_commercial, known.permits_modification, known.permits_redistribution)
        rows.append([name, known.title, *("unclear" if a is None else a for a in allowed), known.url])
    headers = ["licence", "title", "commercial use", "modification", "redistribution", "text"]
    return [
        Heading("Licence", "licence"),
        Table("licences", headers, rows),
        Table(
            "licence_fields",
            ["field", "what the descriptor says"],
            [
                ["licence that holds by default", terms.default],
                ["column in which a record states its own", terms.column],
                ["attribution", terms.attribution],
                ["evidence", terms.evidence],
            ],
        ),
    ]


def _selection(descriptor: Descriptor) -> list[Block]:
    selection = descriptor.technical_file.selection
    rows = []
    for name, field in SelectionEvaluation.model_fields.items():
        line = getattr(selection, name)
        rows.append([name.replace("_", " "), field.description, line.outcome.replace("_", " "), line.reason])
    blocks: list[Block] = [
        Heading("Selection evaluation", "selection"),
        Table("selection_evaluation", ["aspect", "question", "outcome", "reason"], rows),
    ]
    if descriptor.technical_file.gotchas:
        blocks += [
            Heading("What a careful reader must know", "gotchas", 3),
            Points([verbatim(g) for g in descriptor.technical_file.gotchas]),
        ]
    return blocks


def retrieval(scope: Scope) -> list[Block]:
    """How the files came, what was verified, and what is there; no file name, for those may name a person."""
    blocks: list[Block] = [Heading("Retrieval", "retrieval")]
    descriptor = scope.view.descriptors.get(scope.archive or "")
    if descriptor is not None:
        source = descriptor.retrieval
        rows = [
            ["method", source.method],
            ["addresses", joined(source.urls)],
            ["instructions", source.instructions],
        ]
        blocks.append(Table("retrieval_declared", ["field", "what the descriptor says"], rows))
    by_archive = "archive, version, " if scope.is_corpus else ""
    first = ["archive", "version"] if scope.is_corpus else []
    blocks += [
        Heading("Files as delivered", "files", 3),
        Table(
            "files_by_role",
            [*first, "role", "type", "publisher's checksum", "files", "bytes", "first staged", "last staged"],
            scope.rows(
                f"SELECT {by_archive}role, media_type, checksum_state, count(*), CAST(sum(bytes) AS BIGINT), "
                "min(retrieved_at), max(retrieved_at) FROM files WHERE {here} GROUP BY ALL ORDER BY ALL",
                "files",
            ),
        ),
        Heading("What was fetched", "retrievals", 3),
        Table(
            "retrievals_by_method",
            [
                *first,
                "method",
                "checksum that matched",
                "files",
                "bytes",
                "resumed",
                "first fetched",
                "last fetched",
            ],
            scope.rows(
                f"SELECT {by_archive}method, coalesce(verified_by, 'none is published'), count(*), "
                "CAST(sum(bytes) AS BIGINT), count(*) FILTER (resumed_from > 0), min(fetched_at), max(fetched_at) "
                "FROM retrievals WHERE {here} GROUP BY ALL ORDER BY ALL",
                "retrievals",
            ),
            "Nothing: the files were put into the landing folder.",
        ),
        Heading("Addresses that were listed", "url_fates", 3),
        Table(
            "addresses_by_fate",
            [*first, "fate", "addresses"],
            scope.rows(
                f"SELECT {by_archive}fate, count(*) FROM url_fates WHERE {{here}} GROUP BY ALL ORDER BY ALL",
                "url_fates",
            ),
            "None: the archive is no list of addresses.",
        ),
    ]
    if scope.is_corpus:
        return blocks
    tables = scope.rows(
        "SELECT role, media_type, sha256, bytes, checksum_state FROM files WHERE {here} AND role IN ('metadata', 'container') "
        f"ORDER BY role, sha256 LIMIT {_MOST}",
        "files",
    )
    probes = scope.rows(
        "SELECT method, state, source, probed_at FROM source_probes WHERE {here} ORDER BY ALL",
        "source_probes",
    )
    return [
        *blocks,
        Heading("Containers and tables of the publisher", "containers", 3),
        Table("containers", ["role", "type", "SHA-256", "bytes", "publisher's checksum"], tables),
        Heading("Last look at the source", "probes", 3),
        Table(
            "source_probes",
            ["method", "state", "called by the source", "looked at"],
            probes,
            "It was never asked.",
        ),
    ]


def assessment(scope: Scope) -> list[Block]:
    """The initial assessment as it was made at the intake; labels that no vocabulary knows are counted, not quoted."""
    found = scope.rows(
        'SELECT section, subject, value, counted, "of", "distinct", icd11_code, relation FROM assessments WHERE {here} '
        "ORDER BY section, number",
        "assessments",
    )
    blocks: list[Block] = [Heading("Initial assessment", "assessment")]
    if not found:
        return [*blocks, said("None is on record: materialize `records` of this archive version again.")]

    def of(section: str) -> list[list[Any]]:
        return [r[1:] for r in found if r[0] == section]

    labels = of("labels")
    known = [r for r in labels if r[6] not in (None, "unmapped")]
    unknown = [r[1] for r in labels if r[6] in (None, "unmapped")]
    issues = [r[1] for r in of("issues") if not any(f'"{label}"' in r[1] for label in unknown)]
    blocks += [
        Table("assessment_counts", ["counted", "n"], [[r[1].replace("_", " "), r[2]] for r in of("counts")]),
        Table(
            "assessment_join_states",
            ["how record and file met", "rows"],
            [[r[1].replace("_", " "), r[2]] for r in of("join_states")],
        ),
    ]
    if issues:
        blocks += [Heading("Issues", "issues", 3), Points([verbatim(i) for i in issues])]
    blocks += [
        Heading("Labels", "assessment_labels_heading", 3),
        Table(
            "assessment_labels",
            ["publisher's label", "records", "ICD-11", "relation"],
            [[r[1], r[2], r[5], r[6].replace("_", " ")] for r in known],
        ),
    ]
    if unknown:
        unknown_records = sum(r[2] for r in labels if r[6] in (None, "unmapped"))
        blocks.append(
            said(
                "{n} labels of {records} records are in no vocabulary; they wait for a coder and are not quoted here.",
                n=len(unknown),
                records=unknown_records,
            )
        )
    blocks += [
        Heading("Distributions", "assessment_distributions_heading", 3),
        Table(
            "assessment_distributions", ["field", "value", "records"], [r[:3] for r in of("distributions")]
        ),
        Heading("Blanks in the publisher's columns", "assessment_columns_heading", 3),
        Table(
            "assessment_columns",
            ["column", "records", "blank", "different values"],
            [[r[1], r[3], r[2], r[4]] for r in of("columns")],
        ),
        Heading("Why fields could not be read", "assessment_reasons_heading", 3),
        Table(
            "assessment_reasons",
            ["field", "reason", "records"],
            [[r[0], r[1].replace("_", " "), r[2]] for r in of("reasons")],
            "Every field could be read.",
        ),
    ]
    return blocks
