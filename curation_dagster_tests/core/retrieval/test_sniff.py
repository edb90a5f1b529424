from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.retrieval import sniff

from .builders import make_tar, make_zip


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"", "application/x-empty"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (bytes(128) + b"DICM", "application/dicom"),
        (b"BMI,age\n22,45\n", "text/plain"),
        (b"image_id,dx\n", "text/plain"),
        ("läsion,größe\n".encode("latin-1"), "text/plain"),
        ("läsion\n".encode("utf-16"), "text/plain"),
        (b"<!DOCTYPE html>", "text/html"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PAR1....", "application/vnd.apache.parquet"),
        (b"\x00\x01\x02\x03", "application/octet-stream"),
        (make_zip({"a": b"1"}), "application/zip"),
        (make_zip({}), "application/zip"),
        (make_zip({"mimetype": b"application/epub+zip", "b": b""}, 0), "application/epub+zip"),
        (
            make_zip({"[Content_Types].xml": b"", "word/x": b""}),
            "application/vnd.openxmlformats-officedocument",
        ),
        (make_tar([("a", b"1")]), "application/x-tar"),
        (make_tar([("a", b"1")], "gz"), "application/gzip"),
        (make_tar([("a", b"1")], "bz2"), "application/x-bzip2"),
    ],
    ids=lambda v: v if isinstance(v, str) else str(len(v)),
)
def test_media_types(head, media_type):
    assert sniff.media_type(head) == media_type


@given(st.binary(max_size=300))
def test_any_bytes_have_a_media_type(head):
    assert "/" in sniff.media_type(head)
    sniff.holds_tar(head, "x.tar.gz")
