"""Written files: clean by construction, proved by a second reader, the same every time."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageCms, ImageOps

from curation_dagster.core.imaging import publish as module
from curation_dagster.core.imaging.publish import PublishItem, publish, written_by
from curation_dagster.core.imaging.rescan import rescan, rescan_file
from curation_dagster.schemas import PUBLISHED
from curation_dagster_tests.core.imaging.carriers import SECRET, kitchen_sink, planted_jpegs, planted_pngs
from curation_dagster_tests.core.imaging.pictures import (
    display_p3_like,
    every_format,
    exif,
    item_of,
    jpeg,
    png16,
    saved,
    skin,
    with_chunk,
    with_segment,
)

PIXELS = skin(160, 120)


def put(folder: Path, data: bytes, image_id: str | None = None) -> tuple[dict, Path]:
    root = folder / "corpus"
    row = publish(
        PublishItem(image_id or str(uuid.uuid5(uuid.NAMESPACE_OID, "x")), item_of(folder, data), str(root))
    )
    PUBLISHED.conform([row])
    return row, root


def pixels_of(row: dict, root: Path) -> np.ndarray:
    with Image.open(root / row["file"]) as image:
        # a grey JPEG that keeps its compressed pixels stays grey
        assert image.mode == "RGB" or (image.mode, row["transformations"]) == ("L", ["lossless"])
        return np.asarray(image.convert("RGB"))


# -- the re-scan


@pytest.mark.parametrize("kind", planted_jpegs())
def test_the_rescan_finds_every_carrier_planted_in_a_jpeg(kind: str) -> None:
    found = rescan(planted_jpegs()[kind])
    assert found
    assert ("exif" if kind.startswith("exif_") else kind) in found or kind == "exif_unreadable"


@pytest.mark.parametrize("kind", planted_pngs())
def test_the_rescan_finds_every_carrier_planted_in_a_png(kind: str) -> None:
    assert kind in rescan(planted_pngs()[kind])


def test_the_rescan_passes_what_the_writer_writes() -> None:
    assert rescan(jpeg(PIXELS, 95, "444")) == []
    assert rescan(saved(PIXELS, "PNG")) == []


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"\x89PNG\r\n\x1a\n", saved(PIXELS, "BMP")]
)
def test_what_is_no_whole_jpeg_or_png_is_not_clean(data: bytes) -> None:
    assert "unknown_structure" in rescan(data)


def test_bytes_hidden_in_places_that_readers_skip_are_found() -> None:
    plain, png = jpeg(PIXELS), saved(PIXELS, "PNG")
    table = plain.find(b"\xff\xdb")
    longer = (
        plain[: table + 2]
        + (67 + 8).to_bytes(2, "big")
        + plain[table + 4 : table + 69]
        + b"\x00secret!"
        + plain[table + 69 :]
    )
    assert rescan(longer)
    assert rescan(plain[:2] + b"\xff\xff\xff" + plain[2:])
    import zlib

    stream = zlib.compress(Image.fromarray(PIXELS).tobytes() + b"behind the pixels")
    head = png[:33]
    chunk = b"IDAT" + stream
    forged = head + len(stream).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + png[-12:]
    assert rescan(forged)
    tail = with_chunk(saved(PIXELS, "PNG"), b"IDAT", b"not a stream")
    assert rescan(tail)


def test_a_file_on_disk_is_scanned_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(planted_jpegs()["jpeg_comment"])
    assert rescan_file(path) == ["jpeg_comment"]


def test_the_rescan_shares_no_code_with_the_writer() -> None:
    source = Path(module.__file__).with_name("rescan.py").read_text()
    assert "from curation_dagster" not in source


# -- the writer


@pytest.mark.parametrize("name", every_format(PIXELS))
def test_each_format_is_written_clean_and_shows_the_same_picture(name: str, tmp_path: Path) -> None:
    data, tolerance = every_format(PIXELS)[name]
    row, root = put(tmp_path, data)
    assert (row["state"], row["rescan_findings"]) == ("written", [])
    lossy = name.startswith(("jpeg", "heic", "dicom_jpeg", "tiff_jpeg")) or name == "webp"
    assert row["file"].endswith(".jpg" if lossy else ".png")
    kept = name in ("jpeg", "jpeg_progressive", "jpeg_grey")
    assert (row["transformations"] == ["lossless"]) == kept
    assert ("re_encoded" in row["transformations"]) == (lossy and not kept)
    expected = np.asarray(Image.fromarray(PIXELS).convert("L").convert("RGB")) if "grey" in name else PIXELS
    assert np.abs(pixels_of(row, root).astype(int) - expected).mean() <= tolerance + 2
    assert rescan_file(root / row["file"]) == []
    assert row["bytes"] == (root / row["file"]).stat().st_size


def encodings(value: bytes) -> list[bytes]:
    text = value.decode()
    cores = [base64.b64encode(value[i:])[4:-4] for i in range(3)]
    return [
        value,
        value[::-1],
        value.hex().encode(),
        value.hex().upper().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        *cores,
    ]


@pytest.mark.parametrize("name", kitchen_sink())
def test_nothing_that_was_planted_survives(name: str, tmp_path: Path) -> None:
    data = kitchen_sink()[name]
    assert SECRET.encode() in data or name == "heic"
    row, root = put(tmp_path, data)
    assert row["state"] == "written"
    written = (root / row["file"]).read_bytes()
    for form in encodings(SECRET.encode()):
        assert form not in written
        assert form not in json.dumps(row).encode()


@pytest.mark.parametrize("name", kitchen_sink())
def test_exiftool_finds_nothing_either(name: str, tmp_path: Path) -> None:
    tool = shutil.which("exiftool")
    if tool is None:
        if os.environ.get("CI") == "true":
            pytest.fail("exiftool is not installed: .ci/run installs it as the oracle of this test")
        pytest.skip("exiftool is not on PATH")
    row, root = put(tmp_path, kitchen_sink()[name])
    shown = subprocess.run(
        [tool, "-j", "-G", "-a", "-u", str(root / row["file"])], capture_output=True, check=True
    )
    groups = {key.split(":")[0] for key in json.loads(shown.stdout)[0] if ":" in key}
    assert groups <= {"ExifTool", "File", "JFIF", "PNG", "Composite"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    data = with_segment(jpeg(PIXELS, 97, "444"), 0xE1, exif(zeroth={0x0112: orientation}))
    row, root = put(tmp_path, data)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert pixels_of(row, root).shape == expected.shape == (row["height"], row["width"], 3)
    assert np.abs(pixels_of(row, root).astype(int) - expected).mean() < 2
    assert ("oriented" in row["transformations"]) == (orientation != 1)


def test_a_profile_is_converted_and_not_dropped(tmp_path: Path) -> None:
    profile = display_p3_like()
    row, root = put(tmp_path, saved(PIXELS, "PNG", icc_profile=profile))
    expected = ImageCms.profileToProfile(
        Image.fromarray(PIXELS),
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert row["transformations"] == ["icc_to_srgb"]
    assert np.abs(pixels_of(row, root).astype(int) - np.asarray(expected)).max() <= 2
    assert np.abs(pixels_of(row, root).astype(int) - PIXELS).mean() > 5


def test_an_srgb_profile_changes_nothing(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    row, root = put(tmp_path, saved(PIXELS, "PNG", icc_profile=profile))
    assert row["transformations"] == []
    assert np.array_equal(pixels_of(row, root), PIXELS)


@pytest.mark.parametrize(
    "profile", [b"no profile at all" * 20, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()]
)
def test_a_broken_or_foreign_profile_is_noted_and_taken_as_srgb(profile: bytes, tmp_path: Path) -> None:
    row, root = put(tmp_path, saved(PIXELS, "PNG", icc_profile=profile))
    assert "sRGB" in row["detail"]
    assert np.array_equal(pixels_of(row, root), PIXELS)


def test_depth_alpha_and_grey_are_told(tmp_path: Path) -> None:
    assert put(tmp_path, png16(PIXELS))[0]["transformations"] == ["to_8_bit"]
    glass = np.dstack([PIXELS, np.full((120, 160), 128, np.uint8)])
    row, root = put(tmp_path, saved(glass, "PNG"))
    assert row["transformations"] == ["alpha_flattened"]
    expected = (PIXELS.astype(float) * 128 + 255 * 127) / 255
    assert np.abs(pixels_of(row, root) - expected).max() <= 1
    grey = cv2.cvtColor(PIXELS, cv2.COLOR_RGB2GRAY)
    assert put(tmp_path, saved(grey, "PNG"))[0]["transformations"] == ["to_rgb"]


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    for data, _ in every_format(PIXELS).values():
        first, second = put(tmp_path, data)[0], put(tmp_path, data)[0]
        assert first["sha256"] == second["sha256"]
        assert len(written_by()) == 64


def test_jpegs_are_written_at_95_without_subsampling(tmp_path: Path) -> None:
    row, root = put(tmp_path, with_segment(jpeg(PIXELS), 0xE1, exif(zeroth={0x0112: 6})))
    from curation_dagster.core.imaging.decode import decode

    picture = decode((root / row["file"]).read_bytes())
    assert (picture.jpeg_quality, picture.jpeg_subsampling) == (95, "444")


def test_files_lie_under_the_first_digits_of_their_id_and_nothing_else_is_left(tmp_path: Path) -> None:
    image_id = "0f" + str(uuid.uuid4())[2:]
    row, root = put(tmp_path, jpeg(PIXELS), image_id)
    (path,) = (p for p in root.rglob("*") if p.is_file())
    assert path.name == f"{image_id}-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.jpg"
    assert row["file"] == f"images/0f/{path.name}"


def test_what_is_not_clean_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dirty = planted_jpegs()["jpeg_comment"]
    monkeypatch.setattr(module, "_encode", lambda pixels, is_lossless: (dirty, ".jpg"))
    monkeypatch.setattr(module, "without_loss", lambda data, picture, settings: None)
    row, root = put(tmp_path, jpeg(PIXELS))
    assert (row["state"], row["rescan_findings"]) == ("not_clean", ["jpeg_comment"])
    monkeypatch.setattr(module, "without_loss", lambda data, picture, settings: dirty)
    row, root = put(tmp_path, jpeg(PIXELS))
    assert (row["state"], row["rescan_findings"]) == ("not_clean", ["jpeg_comment"])
    assert "sha256" not in row
    assert not [p for p in root.rglob("*") if p.is_file()]


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        put(tmp_path, jpeg(PIXELS))
    assert not [p for p in (tmp_path / "corpus").rglob("*") if p.is_file()]


@pytest.mark.parametrize("data", [jpeg(PIXELS)[:-800], b"<html>", b"", jpeg(PIXELS)[:30]])
def test_a_source_that_is_not_whole_is_not_published(data: bytes, tmp_path: Path) -> None:
    row, root = put(tmp_path, data)
    assert row["state"] == "failed"
    assert row["detail"]
    assert not root.exists()


def test_other_bytes_than_were_staged_are_not_published(tmp_path: Path) -> None:
    item = item_of(tmp_path, jpeg(PIXELS))
    Path(item.path).write_bytes(jpeg(skin(160, 120, seed=9)))
    row = publish(PublishItem(str(uuid.uuid4()), item, str(tmp_path / "corpus")))
    assert row["state"] == "failed"


@pytest.mark.parametrize("image_id", ["../../etc/passwd", "", "ABC", "73BE1036-6B59-4D99-B97A-58F14108DCC3"])
def test_an_id_that_is_no_uuid_never_becomes_a_path(image_id: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="UUID"):
        publish(PublishItem(image_id, item_of(tmp_path, jpeg(PIXELS)), str(tmp_path / "corpus")))


def test_what_jpeg_can_not_hold_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = module._encode
    monkeypatch.setattr(module, "_encode", lambda pixels, is_lossless: encode(pixels, False))
    row, root = put(tmp_path, saved(np.zeros((2, 70000, 3), np.uint8), "PNG"))
    assert row["state"] == "failed"
    assert "65500" in row["detail"]
    assert not root.exists()


def test_written_jpegs_decode_strictly(tmp_path: Path) -> None:
    row, root = put(tmp_path, jpeg(skin(641, 479)))
    simplejpeg.decode_jpeg((root / row["file"]).read_bytes(), strict=True)
