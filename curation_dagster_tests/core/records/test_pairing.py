"""Which record meets which image file: orphans, copies, contradictions and names on both sides."""

from __future__ import annotations

from curation_dagster_tests.core.records.builders import (
    TABLE,
    archive_version,
    records_of,
    rows_of,
    states_of,
)

MADE = archive_version()


def test_records_meet_files_and_orphans_on_both_sides_are_rows() -> None:
    found = records_of(MADE, {"metadata.csv": "id,dx\nA,NEV\nB,MEL\n", "x/A.png": b"a", "x/C.png": b"c"})
    assert states_of(found) == [
        ("A", "x/A.png", 1, "matched"),
        ("B", None, 2, "record_without_file"),
        ("C", "x/C.png", None, "file_without_record"),
    ]
    assert rows_of(found)[0]["source_values"] == '{"id": "A", "dx": "NEV"}'
    assert rows_of(found)[2]["source_values"] is None


def test_a_further_row_that_says_the_same_is_a_duplicate_and_has_no_file() -> None:
    found = records_of(MADE, {"metadata.csv": "id,dx\nA,NEV\nA,NEV\n", "A.png": b"a"})
    assert states_of(found) == [("A", "A.png", 1, "matched"), ("A", None, 2, "duplicate_record")]
    assert rows_of(found)[1]["detail"] == "says the same as row 1 of metadata.csv"


def test_rows_that_contradict_each_other_are_all_conflicting() -> None:
    found = records_of(MADE, {"metadata.csv": "id,dx,age\nA,NEV,5\nA,NEV,5\nA,MEL,5\n", "A.png": b"a"})
    assert [s[3] for s in states_of(found)] == ["conflicting_record"] * 3
    assert [s[1] for s in states_of(found)] == ["A.png", None, None]
    assert rows_of(found)[0]["detail"] == "3 records differ about it: dx"


def test_a_further_file_with_the_same_bytes_is_a_duplicate() -> None:
    found = records_of(MADE, {"metadata.csv": "id\nA\n", "1/A.png": b"a", "2/A.png": b"a"})
    assert states_of(found) == [("A", "1/A.png", 1, "matched"), ("A", "2/A.png", None, "duplicate_file")]


def test_files_with_one_id_and_other_bytes_are_all_ambiguous() -> None:
    found = records_of(MADE, {"metadata.csv": "id\nA\n", "1/A.png": b"a", "2/A.png": b"b"})
    assert states_of(found) == [
        ("A", "1/A.png", 1, "ambiguous_file"),
        ("A", "2/A.png", None, "ambiguous_file"),
    ]


def test_an_archive_of_images_only_has_matched_files() -> None:
    made = archive_version(layout={"metadata": []}, version={"images": 3})
    found = records_of(made, {"A.png": b"a", "B.png": b"b"})
    assert states_of(found) == [("A", "A.png", None, "matched"), ("B", "B.png", None, "matched")]
    assert [r["modality"] for r in rows_of(found)] == ["clinical", "clinical"]
    assert "The publisher states 3 images for this version; 2 are here." in found.assessment["issues"]


def test_a_malformed_row_describes_no_file() -> None:
    found = records_of(MADE, {"metadata.csv": "id,dx\nA,NEV,MEL\nB,NEV\n", "A.png": b"a", "B.png": b"b"})
    assert states_of(found) == [
        ("A", "A.png", None, "file_without_record"),
        ("A", None, 1, "record_without_file"),
        ("B", "B.png", 2, "matched"),
    ]
    assert all("has 3 cells, expected 2" in r["detail"] for r in rows_of(found)[:2])
    assert rows_of(found)[1]["values"] == {"id": "A", "dx": "NEV", "column_3": "MEL"}


def test_rows_without_a_key_are_rows() -> None:
    found = records_of(MADE, {"metadata.csv": "id,dx\n,NEV\n,NEV\nA,NEV\n", "A.png": b"a"})
    assert [s[3] for s in states_of(found)] == ["matched", "record_without_file", "record_without_file"]
    assert rows_of(found)[1]["detail"] == "row 1 of metadata.csv has no id"


def test_a_path_without_an_id_is_a_row() -> None:
    made = archive_version(layout={"source_id": r"(?P<id>ISIC_\d+)$"})
    found = records_of(made, {"metadata.csv": "id\nISIC_1\n", "ISIC_1.png": b"a", "cover.png": b"c"})
    assert states_of(found)[1] == ("cover.png", "cover.png", None, "file_without_record")
    assert "does not hold an id" in rows_of(found)[1]["detail"]


def test_the_key_is_stripped_and_compared_as_the_layout_says() -> None:
    spec = TABLE | {"key_strip": r"\.(png|jpg)$"}
    made = archive_version(layout={"metadata": [spec], "case_sensitive_ids": False})
    found = records_of(made, {"metadata.csv": "id\n Nel026.png \n", "NEL/NEL026.png": b"a"})
    assert states_of(found) == [("nel026", "NEL/NEL026.png", 1, "matched")]


def test_composed_and_decomposed_names_are_the_same() -> None:
    found = records_of(MADE, {"metadata.csv": "id\nna\u0308vus\n", "n\u00e4vus.png": b"a"})
    assert states_of(found)[0][3] == "matched"


def test_one_record_of_a_patient_describes_all_images_of_the_patient() -> None:
    spec = {"name": "subjects", "files": ["label.csv"], "key": "subject", "key_group": "subject"}
    split = {"name": "split", "files": ["split.csv"], "join_on": "subject", "optional": True}
    layout = {"source_id": r"(?P<id>(?P<subject>[^/_]+)_\d+)$", "metadata": [spec, split]}
    made = archive_version(layout=layout)
    found = records_of(
        made,
        {
            "label.csv": "subject,dx\nP1,NEV\nP2,MEL\nP4,MEL\nP4,NEV\n",
            "split.csv": "subject,split\nP1,TRAIN\n",
            "P1_1.png": b"a", "P1_2.png": b"b", "P3_1.png": b"c", "P4_1.png": b"d",
        },
    )  # fmt: skip
    assert states_of(found) == [
        ("P1_1", "P1_1.png", 1, "matched"),
        ("P1_2", "P1_2.png", 1, "matched"),
        ("P2", None, 2, "record_without_file"),
        ("P3_1", "P3_1.png", None, "file_without_record"),
        ("P4", None, 4, "conflicting_record"),
        ("P4_1", "P4_1.png", 3, "conflicting_record"),
    ]
    assert rows_of(found)[1]["values"] == {"subject": "P1", "dx": "NEV", "split": "TRAIN"}
