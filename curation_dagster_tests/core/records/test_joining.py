"""Records joined to files: further tables, absent tables, identities, the assessment; and that nothing is lost."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.records.identity import image_id
from curation_dagster.core.records.joining import build_records
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.schemas import RECORDS
from curation_dagster_tests.core.records.builders import (
    TABLE,
    archive_version,
    files_table,
    records_of,
    rows_of,
    states_of,
)

MADE = archive_version()


def test_the_table_matches_its_declaration() -> None:
    found = records_of(MADE, {"metadata.csv": "id\nA\nB\n", "A.png": b"a", "C.png": b"c"}).table
    full = found.append_column("verdict", [["kept"] * found.num_rows])
    assert RECORDS.problems(RECORDS.conform(full)) == []


def test_several_files_of_a_table_are_read_one_after_the_other() -> None:
    spec = TABLE | {"files": ["train.csv", "test.csv"]}
    made = archive_version(layout={"metadata": [spec]})
    found = records_of(
        made, {"train.csv": "id,dx\nA,NEV\n", "test.csv": "id\nB\n", "A.png": b"a", "B.png": b"b"}
    )
    assert [(r["record_table"], r["record_row"], r["values"]) for r in rows_of(found)] == [
        ("train.csv", 1, {"id": "A", "dx": "NEV"}),
        ("test.csv", 1, {"id": "B"}),
    ]


FURTHER = {"name": "labels", "files": ["labels.csv"]}


def test_a_further_table_is_joined_by_a_column() -> None:
    made = archive_version(layout={"metadata": [TABLE, FURTHER | {"join_on": "case"}]})
    found = records_of(
        made,
        {"metadata.csv": "id,case\nA,1\nB,1\nC,2\n", "labels.csv": "case,dx\n1,NEV\n", "A.png": b"a", "B.png": b"b", "C.png": b"c"},
    )  # fmt: skip
    assert [r["values"] for r in rows_of(found)] == [
        {"id": "A", "case": "1", "dx": "NEV"},
        {"id": "B", "case": "1", "dx": "NEV"},
        {"id": "C", "case": "2"},
    ]
    assert "1 of 3 records have no row in the table labels." in found.assessment["issues"]


def test_a_further_table_that_contradicts_itself_makes_conflicts() -> None:
    made = archive_version(layout={"metadata": [TABLE, FURTHER | {"join_on": "id"}]})
    found = records_of(made, {"metadata.csv": "id\nA\nB\n", "labels.csv": "id,dx\nA,NEV\nA,MEL\nB,NEV\nB,NEV\n", "A.png": b"a", "B.png": b"b"})  # fmt: skip
    assert [s[3] for s in states_of(found)] == ["conflicting_record", "matched"]
    assert rows_of(found)[0]["detail"] == "2 rows of table labels differ about it (dx)"


def test_a_further_table_of_images_adds_columns_and_unknown_images() -> None:
    made = archive_version(layout={"metadata": [TABLE, FURTHER | {"key": "id"}]})
    found = records_of(made, {"metadata.csv": "id,age\nA,5\n", "labels.csv": "id,dx\nA,NEV\nB,MEL\n", "A.png": b"a", "B.png": b"b"})  # fmt: skip
    assert [(r["join_state"], r["values"]) for r in rows_of(found)] == [
        ("matched", {"id": "A", "age": "5", "dx": "NEV"}),
        ("matched", {"id": "B", "dx": "MEL"}),
    ]


def test_tables_of_images_that_say_another_thing_conflict() -> None:
    made = archive_version(layout={"metadata": [TABLE, FURTHER | {"key": "id"}]})
    found = records_of(made, {"metadata.csv": "id,dx\nA,MEL\nB,\n", "labels.csv": "id,dx\nA,NEV\nB,NEV\n", "A.png": b"a", "B.png": b"b"})  # fmt: skip
    assert [(r["join_state"], r["values"]) for r in rows_of(found)] == [
        ("conflicting_record", {"id": "A", "dx": "MEL", "labels.dx": "NEV"}),
        ("matched", {"id": "B", "dx": "", "labels.dx": "NEV"}),
    ]


def test_a_table_that_the_delivery_lacks_is_an_error_that_says_what_is_there() -> None:
    with pytest.raises(MetadataError, match=r"'metadata': expected a file that matches metadata\.csv"):
        records_of(MADE, {"A.png": b"a"})


def test_an_optional_table_may_be_absent() -> None:
    made = archive_version(layout={"metadata": [TABLE | {"optional": True}]})
    assert states_of(records_of(made, {"A.png": b"a"})) == [("A", "A.png", None, "file_without_record")]


def test_a_further_table_alone_describes_nothing() -> None:
    made = archive_version(layout={"metadata": [TABLE | {"optional": True}, FURTHER | {"join_on": "id"}]})
    found = records_of(made, {"labels.csv": "id,dx\nA,NEV\n", "A.png": b"a"})
    assert states_of(found) == [("A", "A.png", None, "file_without_record")]
    assert "The table labels has nothing to be joined to." in found.assessment["issues"]


def test_the_identity_does_not_depend_on_the_version_and_is_pinned() -> None:
    # a change of this value is a change of every identity ever published
    assert image_id("made_up", "A", "0" * 64) == "5aa85260-ee8d-5a19-b0bf-9e0ea8c05837"


def test_the_assessment_counts_and_never_shows_ids() -> None:
    made = archive_version(columns={"diagnosis": {"from": "dx", "parse": "label"}, "age": {"from": "age", "parse": "age_years"}, "patient": {"from": "p"}})  # fmt: skip
    content = (
        "id,p,dx,age,a,b,c\nA,secret1,nevus,45,,,\nB,secret2,nonsense,91,x,y,z\nC,secret2,unknown,old,x,y,z\n"
    )
    found = records_of(made, {"metadata.csv": content, **{f"{i}.png": i.encode() for i in "ABC"}}).assessment
    assert found["counts"] == {"rows": 3, "images": 3, "records": 3, "patients": 2, "lesions": 0}
    assert found["join_states"] == {"matched": 3}
    assert {item["label"]: item["relation"] for item in found["labels"]} == {
        "nevus": "exact",
        "nonsense": "unmapped",
        "unknown": "nonspecific",
    }
    assert found["distributions"]["age"] == {"40-49": 1, "90+": 1}
    assert found["columns"][4] == {
        "column": "a",
        "records": 3,
        "blank": 1,
        "blank_share": 0.3333,
        "distinct": 1,
    }
    assert 'The label "nonsense" (1 records) is not in the diagnosis vocabulary.' in found["issues"]
    assert "age: 1 values can't be read." in found["issues"]
    assert any(
        i.startswith("3 columns are blank together in 1 of 3 records: a, b, c") for i in found["issues"]
    )
    assert "secret" not in json.dumps(found)


# -- invariants ------------------------------------------------------------------------------------

ids = st.sampled_from("ABCDE")
deliveries = st.tuples(
    st.lists(
        st.tuples(st.sampled_from(["", *"ABCDE"]), st.sampled_from(["NEV", "MEL", "NEV,MEL"])), max_size=8
    ),
    st.dictionaries(st.tuples(st.sampled_from("12"), ids), st.sampled_from([b"x", b"y"]), max_size=8),
)


@settings(max_examples=60, deadline=None)
@given(deliveries, st.randoms(use_true_random=False))
def test_nothing_is_lost_or_doubled_and_order_does_not_matter(
    delivery: tuple[list, dict], shuffled: random.Random
) -> None:
    records, images = delivery
    text = "id,dx\n" + "".join(f"{id},{dx}\n" for id, dx in records)
    contents = {f"{folder}/{id}.png": data for (folder, id), data in images.items()} | {
        "metadata.csv": text.encode()
    }
    found = records_of(MADE, contents)
    table = rows_of(found)

    paths = [r["path"] for r in table if r["path"]]
    assert sorted(paths) == sorted(p for p in contents if p.endswith(".png"))
    numbers = [r["record_row"] for r in table if r["record_row"]]
    assert sorted(numbers) == list(range(1, len(records) + 1))
    assert all(r["path"] or r["record_row"] for r in table)
    assert max(Counter(r["image_id"] for r in table).values(), default=1) == 1

    files = files_table(MADE, contents)
    order = list(range(files.num_rows))
    shuffled.shuffle(order)
    again = build_records(MADE, files.take(order), lambda f: contents[f["path"]])
    assert again.table.equals(found.table)
