"""A file with the right name and another content is refused, and the message says what gave it away."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.loading import ArchiveVersion, load_registry
from curation_dagster.samples.small import workbook
from curation_dagster_tests.core.records.builders import archive_version, records_of

REGISTRY = load_registry()
HAM = "lesion_id,image_id,dx,dx_type,age,sex,localization\n"


def ham_row(number: int, image: str | None = None) -> str:
    return f"HAM_{number:07d},{image or f'ISIC_{24306 + number:07d}'},nv,histo,45.0,male,back\n"


def ham(records: int | None = None) -> ArchiveVersion:
    """Return HAM10000 as it is packaged, or as a release of another size."""
    made = REGISTRY.resolve("ham10000@4.0")
    return (
        made
        if records is None
        else replace(made, version=made.version.model_copy(update={"records": records}))
    )


def refused(made: ArchiveVersion, name: str, text: str) -> str:
    with pytest.raises(MetadataError) as caught:
        records_of(made, {name: text})
    return str(caught.value)


def test_the_file_of_dermamnist_is_refused_by_its_header() -> None:
    """A file of this name with three columns is about on GitHub."""
    found = refused(
        ham(), "HAM10000_metadata.csv", "image_id,label,split\ntrain_0,4,TRAIN\ntrain_1,2,TRAIN\n"
    )
    assert "not the table 'metadata'" in found
    assert "the column 'dx' is missing" in found
    assert "Expected the columns image_id, lesion_id" in found


def test_the_right_header_with_ids_of_another_data_set_is_refused_by_them() -> None:
    rows = [ham_row(n, f"train_{n}") for n in range(4)]
    found = refused(ham(4), "HAM10000_metadata.csv", HAM + "".join(rows))
    assert r"in 4 of 4 rows the column 'image_id' holds no id like ISIC_\d{7}, such as 'train_0'" in found


def test_a_single_strange_id_is_a_row_with_its_reason_and_stops_nothing() -> None:
    rows = [ham_row(1), ham_row(2), ham_row(3, "train_7")]
    images = {f"HAM10000_images_part_1/ISIC_{24306 + n:07d}.jpg": str(n) for n in (1, 2)}
    found = records_of(ham(3), {"HAM10000_metadata.csv": HAM + "".join(rows), **images}).table.to_pylist()
    assert [r["join_state"] for r in found] == ["matched", "matched", "record_without_file"]
    assert found[2]["detail"].startswith(
        r"row 3 of HAM10000_metadata.csv has an id that is not like ISIC_\d{7}"
    )


@pytest.mark.parametrize("rows", [3, 10_014, 10_016])
def test_another_number_of_rows_is_refused(rows: int) -> None:
    found = refused(ham(), "HAM10000_metadata", HAM + "".join(ham_row(n) for n in range(rows)))
    assert (
        f"ham10000@4.0: expected 10015 records (exactly), as the publisher states for this version; the tables hold {rows}"
        in found
    )
    assert "fetch it again, or declare the release as a version of its own" in found


def test_the_published_number_of_rows_is_taken() -> None:
    found = records_of(ham(), {"HAM10000_metadata": HAM + "".join(ham_row(n) for n in range(10_015))})
    assert found.table.num_rows == 10_015


@pytest.mark.parametrize(
    ("stated", "tolerance", "taken"), [(10, 0, False), (10, 0.5, True), (10, None, True), (None, 0, True)]
)
def test_the_tolerance_is_that_of_the_version(
    stated: int | None, tolerance: float | None, taken: bool
) -> None:
    made = archive_version(version={"records": stated, "records_tolerance": tolerance})
    text = "id\n" + "".join(f"A{n}\n" for n in range(6))
    if taken:
        assert records_of(made, {"metadata.csv": text}).table.num_rows == 6
    else:
        assert "within" not in refused(made, "metadata.csv", text)


def impostors() -> list[tuple[str, str, str]]:
    """Return each table of each archive under a name that its descriptor accepts, as key, table and path."""
    found = []
    for id, descriptor in REGISTRY.descriptors.items():
        for table in descriptor.layout.metadata:
            if table.format != "json":
                name = (
                    next(g for g in table.files if "." in g.rpartition("/")[2])
                    .replace("**/", "")
                    .replace("*", "x")
                )
                found.append((f"{id}@{next(iter(descriptor.versions))}", table.name, name))
    return found


@pytest.mark.parametrize(("key", "table", "name"), impostors())
def test_every_table_of_every_archive_refuses_a_table_of_something_else(
    key: str, table: str, name: str
) -> None:
    """Each file of metadata is replaced by a table of another subject, the others are sound."""
    made = REGISTRY.resolve(key)
    made = replace(made, version=made.version.model_copy(update={"records": None}))
    contents = {}
    for spec in made.descriptor.layout.metadata:
        if spec.alternative_to is None or spec.name == table:
            path = (
                next(n for k, t, n in impostors() if (k, t) == (key, spec.name))
                if spec.format != "json"
                else None
            )
            if path is not None:
                something_else = [["city", "mayor"], ["Springfield", "Quimby"], ["Gotham", "Hill"]]
                contents[path] = _written(something_else if spec.name == table else _sound(spec), spec)
    head = next(t.alternative_to for t in made.descriptor.layout.metadata if t.name == table)
    contents = {
        p: t for p, t in contents.items() if head is None or p == name or not p.endswith(_file(made, head))
    }
    with pytest.raises(MetadataError, match=f"{table!r}"):
        records_of(made, contents)


def _file(made: ArchiveVersion, table: str) -> str:
    spec = next(t for t in made.descriptor.layout.metadata if t.name == table)
    return spec.files[0].replace("**/", "")


def _sound(spec) -> list[list[str]]:
    """Return the rows of a table that has the needed columns and no records."""
    if spec.columns:
        return [["ISIC_0000001", *["x"] * (len(spec.columns) - 1)]]
    named = [c for c in (spec.key, spec.join_on) if c and c != spec.row_number]
    return [list(dict.fromkeys([*named, *spec.image_columns, *spec.required_columns]))]


def _written(rows: list[list[str]], spec) -> bytes:
    """Return rows in the format that the descriptor gives to the table."""
    if spec.files[0].endswith(".xlsx"):
        return workbook([*[[]] * (spec.header_row - 1), *rows], spec.sheet or "Sheet1")
    if spec.format == "bars":
        return "\n".join(f"|| {' || '.join(row)} ||" for row in rows).encode()
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def test_the_real_records_of_pad_ufes_20_are_no_impostor(real_data: Path) -> None:
    made = REGISTRY.resolve("pad_ufes_20@1")
    data = (real_data / "pad_ufes_20" / "metadata.csv").read_bytes()
    assert records_of(made, {"metadata.csv": data}).table.num_rows == 2298
    with pytest.raises(MetadataError, match="expected 2298 records"):
        records_of(made, {"metadata.csv": b"\n".join(data.splitlines()[:-1])})
