"""Croissant 1.1: what a loader needs to read the release, and what a reader must know before using it.

Specification: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and, for the responsible-AI fields,
https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html. Use conditions stand under ``usageInfo`` as policies
of ODRL (https://www.w3.org/TR/odrl-model/), one per licence. The sequestered images are not described: no loader that
follows the description ever reads one.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from curation_dagster.core.registry.licences import licence as terms_of
from curation_dagster.core.release.documents import document
from curation_dagster.core.release.view import ReleaseView, as_json, stamped
from curation_dagster.schemas import CORPUS, SIDES

OPEN_SIDES = tuple(s for s in SIDES if s != "sequestered")
NAME = "curation-dagster corpus"
_PARQUET = "application/x-parquet"
_TYPES = {
    "string": "sc:Text",
    "bool": "sc:Boolean",
    "float": "sc:Float",
    "int8": "sc:Integer",
    "int16": "sc:Integer",
    "int32": "sc:Integer",
    "int64": "sc:Integer",
    "timestamp[us, tz=UTC]": "sc:DateTime",
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


@document
def croissant(view: ReleaseView) -> dict[str, bytes]:
    """The description that `mlcroissant` validates and loads."""
    images = view.images.filter(pa.compute.is_in(view.images["split"], pa.array(OPEN_SIDES)))
    licences = sorted(set(images["licence"].to_pylist()))
    sources = sorted({u for u in images["source_url"].to_pylist() if u})
    description = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": NAME,
        "description": (
            f"Release {view.number}: {images.num_rows} dermatological images with ICD-11 diagnoses, curated under the "
            f"criteria {view.criteria.name} {view.criteria.version}. Intended use: {view.criteria.intended_use.strip()}"
        ),
        "version": f"{view.number}.0.0",
        "datePublished": stamped(view.issued_at),
        "license": [_licence_url(licence) for licence in licences],
        "url": sources[0] if sources else f"urn:curation-dagster:release:{view.number}",
        "citeAs": " ".join(sorted({a for a in images["attribution"].to_pylist() if a})) or NAME,
        "creator": {"@type": "sc:Organization", "name": "team:data-curation"},
        "keywords": ["dermatology", "dermoscopy", "ICD-11", "medical device"],
        "isLiveDataset": False,
        "sameAs": sources,
        "prov:wasDerivedFrom": sources,
        "usageInfo": [_policy(licence) for licence in licences],
        **_responsible(view, images),
        "distribution": _distribution(view),
        "recordSet": [_records()],
    }
    return {"croissant.json": as_json(description)}


def _distribution(view: ReleaseView) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    for side in OPEN_SIDES:
        path = f"data/{side}/metadata.parquet"
        files.append(
            {
                "@type": "cr:FileObject",
                "@id": f"{side}_metadata",
                "name": f"{side}_metadata",
                "description": f"A row per image of the side {side}.",
                "contentUrl": path,
                "contentSize": f"{view.files[path][1]} B",
                "encodingFormat": _PARQUET,
                "sha256": view.files[path][0],
            }
        )
    files.append(
        {
            "@type": "cr:FileSet",
            "@id": "metadata",
            "name": "metadata",
            "description": "The metadata of all open sides.",
            "encodingFormat": _PARQUET,
            "includes": "data/*/metadata.parquet",
        }
    )
    files.append(
        {
            "@type": "cr:FileSet",
            "@id": "pictures",
            "name": "pictures",
            "description": "The pictures of all open sides; SHA256SUMS holds the checksum of each.",
            "encodingFormat": ["image/jpeg", "image/png"],
            "includes": ["data/*/images/*/*.jpg", "data/*/images/*/*.png"],
        }
    )
    return files


def _records() -> dict[str, Any]:
    """Return the one record set: a record per image, with its picture and every column of its metadata."""
    picture = {"fileSet": {"@id": "pictures"}, "extract": {"fileProperty": "filename"}}
    fields = [
        _field(
            "file_name", "sc:Text", "Name of the picture's file.", _column("file_name", r"(?:.*/)?([^/]+)$")
        )
        | {"references": picture},
        _field(
            "image",
            "sc:ImageObject",
            "The picture: 8-bit sRGB, upright.",
            {"fileSet": {"@id": "pictures"}, "extract": {"fileProperty": "content"}},
        ),
        _field("split", "sc:Text", "Side of the image: train, validation or test.", _column("split")),
    ]
    for c in CORPUS.columns:
        if c.name not in ("file", "split", "run_id"):
            unit = f" Unit: {c.unit}." if c.unit else ""
            if pa.types.is_list(c.type) and pa.types.is_struct(c.type.value_type):
                continue  # Croissant has no lists of structures: the Parquet file alone has them
            of_many = pa.types.is_list(c.type)
            kind = _TYPES[str(c.type.value_type if of_many else c.type)]
            field = _field(c.name, kind, c.description + unit, _column(c.name))
            fields.append(field | ({"isArray": True, "arrayShape": "-1"} if of_many else {}))
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "One record per image. Columns that are lists of structures are in the Parquet files only.",
        "key": {"@id": "images/image_id"},
        "field": fields,
    }


def _field(name: str, kind: str, description: str, source: dict[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        "source": source,
    }


def _column(name: str, regex: str | None = None) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": "metadata"}, "extract": {"column": name}}
    return source | ({"transform": {"regex": regex}} if regex else {})


def _licence_url(licence: str) -> str:
    return terms_of(licence).url or f"licences/{licence}.txt"


def _policy(licence: str) -> dict[str, Any]:
    """Return what a licence permits and asks for, as a policy of ODRL."""
    terms = terms_of(licence)
    allowed = [
        ("odrl:commercialize", terms.permits_commercial),
        ("odrl:derive", terms.permits_modification),
        ("odrl:distribute", terms.permits_redistribution),
    ]
    duties = [
        action
        for action, asked in (("odrl:attribute", terms.attribution), ("odrl:shareAlike", terms.share_alike))
        if asked
    ]
    policy: dict[str, Any] = {
        "@type": "odrl:Policy",
        "@id": f"#terms-{licence}",
        "name": f"Terms of {terms.title}",
        "odrl:permission": [{"odrl:action": {"@id": a}} for a, yes in allowed if yes],
        "odrl:prohibition": [{"odrl:action": {"@id": a}} for a, yes in allowed if not yes],
    }
    if terms.no_reidentification:
        policy["odrl:prohibition"].append({"odrl:action": {"@id": "#re-identification"}})
    if duties:
        policy["odrl:obligation"] = [{"odrl:action": {"@id": d}} for d in duties]
    return {k: v for k, v in policy.items() if v != []}


def _responsible(view: ReleaseView, images: pa.Table) -> dict[str, Any]:
    """Return the responsible-AI fields; every number in them is counted from the tables."""
    total = images.num_rows
    columns = ("fitzpatrick", "sex", "age_years", "anatomy_code", "patient_key")
    absent = ", ".join(f"{c} {images[c].null_count}" for c in columns)
    admitted = [a for a in view.read("admissions").to_pylist() if a["admitted"] and a["images_kept"]]
    entered = sum(a["images_in"] for a in view.read("admissions", ["images_in"]).to_pylist())
    names = ", ".join(f"{a['archive']}@{a['version']}" for a in admitted)
    confirmed = _shares(images, "confirmation")
    transformed = _transformations(view)
    return {
        "rai:dataCollection": f"Published archives: {names}. {entered} images entered, {total} are on an open side.",
        "rai:dataCollectionType": ["Secondary data analysis"],
        "rai:dataCollectionMissingData": f"Null where the source says nothing, never imputed. Images without: {absent}.",
        "rai:dataPreprocessingProtocol": [
            "Upright 8-bit sRGB, all hidden metadata removed, each written file scanned again by another reader.",
            f"Done to the pixels: {transformed}.",
        ],
        "rai:dataManipulationProtocol": "No pixel is retouched; see `transformations` in tables/published.parquet.",
        "rai:dataImputationProtocol": "Nothing is imputed.",
        "rai:dataAnnotationProtocol": [
            f"Diagnoses are the publishers', mapped to ICD-11 MMS by a vocabulary. Confirmation: {confirmed}."
        ],
        "rai:machineAnnotationTools": ["none: no label is made by a machine"],
        "rai:dataUseCases": [view.criteria.intended_use.strip()],
        "rai:dataBiases": [
            f"Phototype (Fitzpatrick): {_shares(images, 'fitzpatrick')}.",
            f"Sex: {_shares(images, 'sex')}.",
            f"Source: {_shares(images, 'archive')}.",
        ],
        "rai:dataLimitations": [
            "Diagnoses were mapped by a vocabulary that no medical coder has reviewed.",
            f"{images['patient_key'].null_count} images name no patient, so images of one person may be on two sides "
            "where nothing else ties them.",
        ],
        "rai:dataSocialImpact": "A model trained on it is only as fair as its phototypes, ages and sexes are balanced.",
        "rai:personalSensitiveInformation": [
            "Health data. De-identified: no names, dates, places or source ids; patients and lesions are keyed hashes. "
            "Re-identification must not be tried."
        ],
        "rai:dataReleaseMaintenancePlan": "Releases are numbered and never changed. What is withdrawn leaves the next "
        "one, and its files leave all earlier ones.",
    }


def _shares(images: pa.Table, column: str) -> str:
    counts = Counter("not stated" if v is None else str(v) for v in images[column].to_pylist())
    total = max(1, images.num_rows)
    return ", ".join(
        f"{v} {n} ({n / total:.0%})" for v, n in sorted(counts.items(), key=lambda c: (-c[1], c[0]))
    )


def _transformations(view: ReleaseView) -> str:
    with view.sql("images", "published") as sql:
        rows = sql.execute(
            "SELECT t, count(DISTINCT image_id) FROM (SELECT image_id, unnest(p.transformations) AS t FROM images "
            "JOIN published p USING (image_id, sha256)) GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
    return ", ".join(f"{t} {n}" for t, n in rows) or "nothing"
