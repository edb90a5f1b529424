"""YAML without surprises."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.registry.documents import read_document


def read(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("2025-12-18", "2025-12-18"),
        ("12:30:00", "12:30:00"),
        ("4.0", 4.0),
        ("3", 3),
        ("-1", -1),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("'4.0'", "4.0"),
        ("\"true\"", "true"),
        (".", "."),
        ("4.0.1", "4.0.1"),
    ],
)  # fmt: skip
def test_plain_values(tmp_path, text, expected):
    data, problems = read(tmp_path, f"key: {text}\n")
    assert problems == []
    assert data == {"key": expected}
    assert type(data["key"]) is type(expected)


def test_keys_are_text_as_written(tmp_path):
    data, _ = read(tmp_path, "1: a\n4.0: b\n2025-12-18: c\ntrue: d\nno: e\n~: f\n")
    assert list(data) == ["1", "4.0", "2025-12-18", "true", "no", "~"]


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=10),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=10),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_what_pyyaml_writes_is_read_back(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("yaml") / "x.yaml"

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True

    # quoted throughout, because our reading of plain text differs from PyYAML's
    path.write_text(yaml.dump(data, Dumper=Dumper, default_style=None, allow_unicode=False), encoding="utf-8")
    assert read_document(path) == (data, [])


def test_a_value_of_a_special_type_is_a_problem(tmp_path):
    _, problems = read(tmp_path, "a: !!binary aGVsbG8=\nb: !!int x\nc: !!python/name:os.system ''\n")
    assert [p.breadcrumb for p in problems] == ["a", "b", "c"]
    assert "line 1" in problems[0].message


def test_a_key_that_is_a_list_is_a_problem(tmp_path):
    _, problems = read(tmp_path, "? [a, b]\n: c\n")
    assert "expected text as a key" in problems[0].message


def test_a_file_that_is_gone_is_a_problem(tmp_path):
    data, problems = read_document(tmp_path / "gone.yaml")
    assert data == {}
    assert "No such file" in problems[0].message


def test_a_bomb_of_brackets_is_a_problem(tmp_path):
    data, problems = read(tmp_path, "a: " + "[" * 5000 + "]" * 5000)
    assert data == {}
    assert "nested too deeply" in problems[0].message


def test_a_byte_order_mark_is_fine(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfid: x\n")
    assert read_document(path) == ({"id": "x"}, [])
