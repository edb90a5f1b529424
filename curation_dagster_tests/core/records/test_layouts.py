"""Layouts beyond a row per image: several images in a row, labels in paths, names that only begin alike, crops."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from curation_dagster.core.harmonize.unify import harmonize
from curation_dagster.core.records.joining import RecordsResult
from curation_dagster.core.registry.layout import Layout, MetadataTable
from curation_dagster.core.registry.mapping import FieldMapping
from curation_dagster_tests.core.records.builders import archive_version, records_of

PAIRS = {
    "images": ["**/*.jpg"],
    "source_id": r"images/(?P<id>.+)$",
    "metadata": [
        {
            "name": "meta", "files": ["meta.csv"], "image_columns": ["derm", "clinic"],
            "key_strip": r"(?i)\.jpe?g$", "required_columns": ["case_num", "diagnosis"],
        }
    ],
}  # fmt: skip
MODALITY = {"modality": {"from": "image_column", "values": {"clinic": "clinical", "derm": "dermoscopic"}}}
META = (
    "case_num,diagnosis,clinic,derm,notes\n"
    "1,blue nevus,NEL/NEL025.JPG,NEL/Nel026.jpg,\n"
    "2,melanoma,Fal/F2.jpg,Fal/F2.jpg,no clinical image\n"
    "3,nevus,,Fal/F3.jpg,\n"
    "4,nevus,,,\n"
)


def by_id(made: RecordsResult) -> dict[str, dict[str, Any]]:
    rows = made.table.to_pylist()
    assert len({r["source_id"] for r in rows}) == len(rows)
    return {r["source_id"]: r for r in rows}


def test_a_row_with_several_images_is_a_record_of_each_with_its_own_modality() -> None:
    made = archive_version(layout=PAIRS, columns=MODALITY)
    files = {
        f"release/images/{n}": n for n in ("NEL/NEL025.JPG", "NEL/Nel026.jpg", "Fal/F2.jpg", "Fal/F3.jpg")
    }
    found = by_id(records_of(made, {"meta.csv": META, **files}))
    assert {k: r["modality"] for k, r in found.items() if r["path"]} == {
        "NEL/NEL025": "clinical", "NEL/Nel026": "dermoscopic", "Fal/F2": "dermoscopic", "Fal/F3": "dermoscopic",
    }  # fmt: skip
    # one file named in both columns is one image: the column that the descriptor names first holds
    assert {r["record_row"] for r in found.values()} == {1, 2, 3, 4}
    assert found["row 4 of meta.csv"]["detail"] == "row 4 of meta.csv has no image_id"


def test_an_image_that_two_cases_claim_is_a_conflict() -> None:
    made = archive_version(layout=PAIRS, columns=MODALITY)
    text = "case_num,diagnosis,clinic,derm\n1,nevus,a.jpg,b.jpg\n2,melanoma,c.jpg,a.jpg\n"
    rows = records_of(made, {"meta.csv": text, **{f"images/{n}.jpg": n for n in "abc"}}).table.to_pylist()
    assert sorted((r["source_id"], r["join_state"]) for r in rows) == [
        ("a", "conflicting_record"), ("a", "conflicting_record"), ("b", "matched"), ("c", "matched"),
    ]  # fmt: skip


def test_a_folder_may_be_the_label() -> None:
    layout = {
        "images": ["**/*.jpg"],
        "source_id": r"(?P<id>(?P<split>train|test)/(?P<label>[^/]+)/[^/]+)$",
        "path_columns": ["label", "split"],
        "metadata": [],
    }
    made = archive_version(layout=layout, columns={"diagnosis": {"from": "label", "parse": "label"}})
    records = records_of(
        made, {"d.zip!/train/Psoriasis/a-1.jpg": "1", "d.zip!/test/Tinea/a-1.jpg": "2", "x/odd.jpg": "3"}
    )
    found = by_id(records)
    assert {r["join_state"] for r in found.values()} == {"matched"}
    assert json.loads(found["train/Psoriasis/a-1"]["source_values"]) == {
        "label": "Psoriasis",
        "split": "train",
    }
    assert harmonize(made, records.table, b"secret")["diagnosis_source_label"].to_pylist() == [
        "Tinea",
        "Psoriasis",
        None,
    ]


def _prefixed(**rule: Any) -> dict[str, Any]:
    table = {"name": "m", "files": ["m.csv"], "key": "file", "key_strip": r"(?i)\.(jpe?g|png)$", **rule}
    return {"images": ["**/*.jpg", "**/*.jpeg"], "metadata": [table]}


def test_names_that_begin_alike_are_matched_only_by_a_declared_rule_and_only_one_to_one() -> None:
    keys = ["s-prd-000000001.jpeg", "s-prd-000000002", "s-prd-00000003x.jpg", "s-prd-0000005.jpg", "short"]
    text = "file,dx\n" + "".join(f"{k},nevus\n" for k in keys)
    names = ["s-prd-000000001.jpg", "s-prd-000000002_cropped.jpg", "s-prd-00000003.jpeg", "s-prd-0000005a.jpg",
             "s-prd-0000005b.jpg", "short_one.jpg"]  # fmt: skip
    files = {f"images/{n}": n for n in names}
    exact = by_id(records_of(archive_version(layout=_prefixed()), {"m.csv": text, **files}))
    assert [k for k, r in exact.items() if r["join_state"] == "matched"] == ["s-prd-000000001"]
    made = records_of(archive_version(layout=_prefixed(key_match="prefix")), {"m.csv": text, **files})
    found = by_id(made)
    matched = {k: r["detail"] for k, r in found.items() if r["join_state"] == "matched"}
    assert list(matched) == ["s-prd-000000001", "s-prd-000000002_cropped", "s-prd-00000003"]
    assert (
        matched["s-prd-00000003"]
        == "joined by the declared rule of prefixes: the record calls it s-prd-00000003x"
    )
    # two files fit one key, and one key is too short to say anything: rows on both sides
    assert {k for k, r in found.items() if r["join_state"] == "record_without_file"} == {
        "s-prd-0000005",
        "short",
    }
    assert {k for k, r in found.items() if r["join_state"] == "file_without_record"} == {
        "s-prd-0000005a",
        "s-prd-0000005b",
        "short_one",
    }


def test_a_crop_has_the_record_of_its_parent_and_says_so() -> None:
    layout = {
        "images": ["**/*.png"],
        "derivations": [{"name": "crop", "pattern": r"(?P<parent>image_\d+)_crop\d+", "note": "made up"}],
    }
    made = archive_version(layout=layout)
    files = {f"{n}.png": n for n in ("image_1", "image_1_crop1", "image_1_crop2", "image_9_crop1")}
    found = by_id(records_of(made, {"metadata.csv": "id,dx\nimage_1,nevus\n", **files}))
    parent = found["image_1"]["image_id"]
    assert {k: r["derivation"] for k, r in found.items()} == {
        "image_1": "original", "image_1_crop1": "crop", "image_1_crop2": "crop", "image_9_crop1": "crop",
    }  # fmt: skip
    assert [found[f"image_1_crop{n}"]["parent_image_id"] for n in (1, 2)] == [parent, parent]
    assert json.loads(found["image_1_crop1"]["source_values"])["dx"] == "nevus"
    assert found["image_9_crop1"]["parent_image_id"] is None
    assert found["image_9_crop1"]["join_state"] == "file_without_record"
    assert "image_9, which is not in the delivery" in found["image_9_crop1"]["detail"]


def test_names_that_begin_with_a_minus_and_64_bit_numbers_are_text() -> None:
    id = "-2243186711511406658"
    layout = {"images": ["dataset/images/*.png"], "metadata": [
        {"name": "cases", "files": ["cases.csv"], "image_columns": ["image_1_path"], "key_strip": r"^dataset/images/|\.png$"},
    ]}  # fmt: skip
    made = archive_version(layout=layout, columns={"patient": {"from": "case_id"}})
    records = records_of(
        made,
        {
            "cases.csv": f"case_id,image_1_path\n{id},dataset/images/{id}.png\n",
            f"dataset/images/{id}.png": "x",
        },
    )
    assert [(r["source_id"], r["join_state"]) for r in records.table.to_pylist()] == [(id, "matched")]
    assert json.loads(records.table["source_values"][0].as_py())["case_id"] == id


@pytest.mark.parametrize(
    ("cell", "value", "reason"),
    [
        ("{'Eczema': 0.75, 'Tinea': 0.25}", ("Eczema",), None),
        ("{'Eczema': 0.5, 'Tinea': 0.5}", None, "ambiguous"),
        ("{'Eczema': 3, 'Tinea': 2}", ("Eczema",), None),
        ("{}", None, "blank"),
        ("", None, "blank"),
        ("{'Eczema': 0.0}", None, "ambiguous"),
        ("{'Eczema': -1}", None, "out_of_range"),
        ("{'Eczema': float('nan')}", None, "unparsable"),
        ("__import__('os').getcwd()", None, "unparsable"),
        ("['Eczema']", None, "unparsable"),
        ("{'Eczema': 0.41", None, "unparsable"),
        ("{'Eczema': " + "-" * 9000 + "1}", None, "unparsable"),
        ("(" * 5000, None, "unparsable"),
        ("{'a':" + " " * 10_001 + "1}", None, "unparsable"),
    ],
)  # fmt: skip
def test_a_weighted_label_is_one_label_or_ambiguous(cell: str, value: Any, reason: str | None) -> None:
    from curation_dagster.core.harmonize.fields import convert

    mapping = FieldMapping.model_validate({"from": "w", "parse": "weighted_label", "min_share": 0.6})
    found = convert("diagnosis", mapping, [cell])
    assert (found.value, found.reason) == (value, reason)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MetadataTable(name="m", files=("m",), key="a", image_columns=("b",)), "give either key or image_columns"),
        (lambda: MetadataTable(name="m", files=("m",), key="a", format="lines"), "one column"),
        (lambda: Layout(images=("*",), path_columns=("label",)), 'no named group "label"'),
        (lambda: Layout.model_validate({"images": ["*"], "derivations": [{"name": "c", "pattern": "x", "note": "n"}]}), "named group `parent`"),
        (lambda: FieldMapping.model_validate({"from": "a", "parse": "weighted_label"}), "min_share"),
        (lambda: FieldMapping.model_validate({"from": "a", "parse": "weighted_label", "min_share": 0.5}), "greater than 0.5"),
    ],
)  # fmt: skip
def test_a_descriptor_that_contradicts_itself_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make()
