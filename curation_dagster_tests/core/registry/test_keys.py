import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.registry.keys import ArchiveVersionKey, KeyFormatError, parse_key


@given(
    st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda v: ".." not in v),
)
def test_a_key_survives_being_written_and_read(archive, version):
    key = ArchiveVersionKey(archive, version)
    assert parse_key(str(key)) == key


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("pad_ufes_20", "expected <archive>@<version>"),
        ("pad_ufes_20@1@2", "expected <archive>@<version>"),
        ("", "expected <archive>@<version>"),
        ("PAD@1", "can't be an archive"),
        ("20pad@1", "can't be an archive"),
        ("../pad@1", "can't be an archive"),
        ("pad_ufes_20@", "can't be a version"),
        ("pad_ufes_20@../1", "can't be a version"),
        ("pad_ufes_20@1..2", "can't be a version"),
        ("pad_ufes_20@a/b", "can't be a version"),
        ("pad_ufes_20@1\n", "can't be a version"),
        ("pad_ufes_20 @1", "can't be an archive"),
    ],
)
def test_what_is_no_key_is_refused_with_the_form_that_is_expected(text, part):
    with pytest.raises(KeyFormatError, match=part):
        parse_key(text)


def test_keys_sort_by_archive_and_version():
    keys = [parse_key(t) for t in ("b@1", "a@2", "a@1")]
    assert [str(k) for k in sorted(keys)] == ["a@1", "a@2", "b@1"]
