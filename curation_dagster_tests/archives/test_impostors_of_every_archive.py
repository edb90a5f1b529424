"""No archive takes what only bears the right names: another header, other ids, another number of rows or images.

Another header is held against every table in ``core/records/test_impostors.py``; here it is the ids of every table that
has a pattern, and the size of every version of which the publisher states one, with the tables of the synthetic twins.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from curation_dagster.core.records.impostors import AnotherRelease
from curation_dagster.core.records.joining import build_records
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.layout import MetadataTable
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.core.registry.paths import classify
from curation_dagster.core.retrieval.containers import load_limits, open_bytes
from curation_dagster.core.retrieval.staging import stage
from curation_dagster.samples.write import WRITERS, archive_of, key_of, write_samples
from curation_dagster_tests.core.records.builders import records_of

REGISTRY = load_registry()
FOREIGN = "mayor of Springfield"

#: tables without a pattern of ids, and why there is none
NO_PATTERN = {
    "agppga_internet": "The key is the number of the line; lines that are no address refuse the file.",
    "agppga_v1": "The key is the number of the row.",
    "mra_midas": "No file is at hand, and no source states how its names are made.",
    **dict.fromkeys(
        (
            "atlas_dermatologico",
            "danderm",
            "dermis",
            "dermnet_nz",
            "hellenic_atlas",
            "effisayil_1",
            "effisayil_2",
        ),
        "The manifest is written by whoever delivers; its keys are the names of the delivered files.",
    ),
}

#: versions whose stated number is noted and not enforced, and why
NOT_ENFORCED = {
    "isic_2017@complete": "150 and 600 of the rows are from memory.",
}


def enforced(archive: str) -> list[str]:
    """Return the versions of an archive whose stated size is enforced."""
    descriptor = REGISTRY.descriptors[archive]
    return [
        name
        for name, version in descriptor.versions.items()
        if version.records_tolerance is not None
        and (version.records if descriptor.layout.metadata else version.images) is not None
    ]


SIZED = sorted(t for t in WRITERS if "-" not in t and enforced(archive_of(t)))


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The deliveries of all twins of archives whose size is enforced, as small as they can be."""
    landing = tmp_path_factory.mktemp("twins")
    write_samples(landing, SIZED, images=4)
    for twin in SIZED:
        archive = archive_of(twin)
        (landing / key_of(twin)).rename(landing / f"{archive}@{enforced(archive)[0]}")
    return landing


def text_tables_with_pattern() -> list[tuple[str, str]]:
    """Return archive and table; both forms of PH2, no text with commas, stand in ``test_impostors_of_atlases.py``."""
    return [
        (id, table.name)
        for id, descriptor in REGISTRY.descriptors.items()
        for table in descriptor.layout.metadata
        if table.key_pattern and table.format != "json" and id != "ph2"
    ]


def named(archive: str, name: str) -> MetadataTable:
    return next(t for t in REGISTRY.descriptors[archive].layout.metadata if t.name == name)


def test_every_first_table_has_a_pattern_of_ids_or_a_reason_why_not() -> None:
    bare = {
        id
        for id, d in REGISTRY.descriptors.items()
        if d.layout.metadata and not any(t.key_pattern for t in d.layout.metadata)
    }
    assert bare == set(NO_PATTERN)


def test_every_stated_size_is_enforced_or_has_a_reason_why_not() -> None:
    for id, descriptor in REGISTRY.descriptors.items():
        for name, version in descriptor.versions.items():
            stated = version.records if descriptor.layout.metadata else version.images
            if stated is not None and f"{id}@{name}" not in NOT_ENFORCED:
                assert version.records_tolerance is not None, (
                    f"{id}@{name} states {stated} and takes any number"
                )
                assert version.records_tolerance <= 0.01


@pytest.mark.parametrize(("archive", "table"), text_tables_with_pattern())
def test_the_right_header_with_other_ids_is_refused(archive: str, table: str) -> None:
    spec = named(archive, table)
    made = REGISTRY.resolve(f"{archive}@{next(iter(REGISTRY.descriptors[archive].versions))}")
    made = replace(made, version=made.version.model_copy(update={"records": None}))
    keys = [c for c in (spec.key, spec.join_on, *spec.image_columns) if c]
    header = list(spec.columns) or list(dict.fromkeys([*keys, *spec.required_columns]))
    row = {c: FOREIGN if c in keys or (spec.columns and c == spec.columns[0]) else "1" for c in header}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header)
    if not spec.columns:
        writer.writeheader()
    writer.writerows([row] * 4)
    path = next(g for g in spec.files if "." in g.rpartition("/")[2]).replace("**/", "").replace("*", "x")
    contents = {path: buffer.getvalue().encode()}
    for other in made.descriptor.layout.metadata:
        if other.name == table:
            break
        if not other.optional and other.alternative_to is None and spec.alternative_to != other.name:
            contents |= empty(other)
    with pytest.raises(MetadataError, match="holds no id like"):
        records_of(made, contents)


def empty(spec: MetadataTable) -> dict[str, bytes]:
    """Return a table with its header and no rows, or, where it has none, nothing but one sound row."""
    keys = [c for c in (spec.key, spec.join_on, *spec.image_columns) if c]
    header = ",".join(dict.fromkeys([*keys, *spec.required_columns]))
    path = next(g for g in spec.files if "." in g.rpartition("/")[2]).replace("**/", "").replace("*", "x")
    return {path: f"{header}\n".encode()}


def test_almost_every_archive_has_an_enforced_size() -> None:
    assert len(SIZED) >= 22


@pytest.mark.parametrize("twin", SIZED)
def test_a_part_of_an_archive_is_not_the_archive(twin: str, twins: Path) -> None:
    """The small twin under the key of a release of which the publisher states the size."""
    archive = archive_of(twin)
    made = REGISTRY.resolve(f"{archive}@{enforced(archive)[0]}")
    staging = twins.with_name(f"{twins.name}-staging")
    files = stage(made, twins, staging, limits=load_limits())
    with pytest.raises(AnotherRelease, match=r"expected \d+ (records|images) .* No records were written"):
        build_records(made, files, lambda row: open_bytes(row, staging))


@pytest.mark.parametrize("archive", [i for i, d in REGISTRY.descriptors.items() if not d.layout.metadata])
def test_an_archive_without_a_table_takes_images_of_its_layout_only(archive: str) -> None:
    for path in ("photo.jpg", "images/photo.gif", "other/PAT_1_2_3.png"):
        assert classify(path, REGISTRY.descriptors[archive]) == "other", path
