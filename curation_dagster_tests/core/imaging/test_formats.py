"""What a file is, by content."""

from __future__ import annotations

import pytest

from curation_dagster.core.imaging.formats import sniff
from curation_dagster_tests.core.imaging.pictures import every_format, skin

FILES = every_format(skin(80, 60))
EXPECTED = {
    "jpeg": "JPEG",
    "png": "PNG",
    "tiff": "TIFF",
    "bmp": "BMP",
    "webp": "WEBP",
    "gif": "GIF",
    "heic": "HEIF",
    "dicom": "DICOM",
}


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_known_by_its_content(name: str) -> None:
    found = sniff(FILES[name][0])
    assert found.format == EXPECTED[name.split("_")[0]]
    assert found.media_type is not None
    assert found.detail is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "HTML"),
        (b"\xef\xbb\xbf\n  <html lang='en'>", "HTML"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b'<!-- made by hand --><svg width="1"/>', "SVG"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": "rate limit"}', "JSON"),
        (b"isic_id,diagnosis\nISIC_0000000,nevus\n", "text"),
        ("Größe;Ort\n1;Zürich\n".encode(), "text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04....", "zip"),
        (b"\0" * 5000, "zero"),
        (b"\x93\x12\x88\x01" * 40, "no known"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "AVIF"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_what_is_no_picture_is_called_by_name(content: bytes, said: str) -> None:
    found = sniff(content)
    assert found.format is None
    assert found.detail is not None
    assert said in found.detail


def test_a_character_cut_by_the_window_is_still_text() -> None:
    assert sniff(b"a" * 4095 + "ü".encode()).media_type == "text/plain"
