"""Text and faces in pictures: found, told apart from hairs and rulers, filled, and not found again."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from curation_dagster.core.imaging.declared import ModelError
from curation_dagster.core.imaging.detecting import FEATURES, detecting, parse_detecting
from curation_dagster.core.imaging.publish import PublishItem, publish
from curation_dagster.core.imaging.redact import fill_color, redact
from curation_dagster.core.imaging.regions import boxes_to_fill, find_regions, harm, prepare
from curation_dagster.core.imaging.settings import VOCABULARIES
from curation_dagster.core.imaging.text import find_text
from curation_dagster.samples import skin
from curation_dagster_tests.core.imaging.pictures import item_of, jpeg

WORDS = "Erika Mustermann 1964"
FACE = {"kind": "face", "left": 10, "top": 20, "width": 30, "height": 40, "score": 0.9, "certain": True}


def lesion(phototype: int = 3) -> np.ndarray:
    return skin.lesion(4200 + phototype, (640, 480), phototype, "dermoscopic", "nevus")


def written(picture: np.ndarray, ink: int, tilt: float = 0.0, size: float = 0.7) -> np.ndarray:
    """Return the picture with words in its upper left, black (0) or white (255)."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.putText(mask, WORDS, (30, 70), cv2.FONT_HERSHEY_SIMPLEX, size, 255, 2, cv2.LINE_AA)
    turn = cv2.getRotationMatrix2D((150, 70), tilt, 1)
    mask = cv2.warpAffine(mask, turn, mask.shape[::-1])
    share = mask[..., None] / 255
    return (picture * (1 - share) + ink * share).astype(np.uint8)


@pytest.mark.parametrize("phototype", [1, 6])
@pytest.mark.parametrize(("ink", "tilt"), [(5, 0), (250, 0), (5, 10), (250, -10)])
def test_text_is_found_on_light_and_dark_skin(phototype: int, ink: int, tilt: float) -> None:
    found = find_text(written(lesion(phototype), ink, tilt), detecting())
    assert any(score >= detecting().reading.score for _, score in found)
    assert all(box[0] < 330 and box[1] < 130 for box, _ in found)


@pytest.mark.parametrize("phototype", range(1, 7))
def test_a_lesion_has_neither_text_nor_face(phototype: int) -> None:
    found = find_regions(lesion(phototype), detecting())
    assert (found["faces"], found["text_regions"], found["regions_share"]) == (0, 0, 0.0)
    assert found["face_score"] < detecting().faces.score


def test_rulers_and_hairs_are_no_text() -> None:
    picture = lesion()
    for x in range(20, 620, 12):
        cv2.line(picture, (x, 460), (x, 440 if x % 60 == 20 else 450), (20, 20, 20), 2)
    for number in range(1, 9):
        cv2.putText(picture, str(number), (60 * number, 430), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        a, b = rng.integers(0, 480, (2, 2)).tolist()
        cv2.line(picture, a, b, (30, 22, 18), 2, cv2.LINE_AA)
    assert find_regions(picture, detecting())["text_regions"] == 0


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_face_is_found_also_turned(turns: int) -> None:
    picture = np.ascontiguousarray(np.rot90(skimage.data.astronaut(), turns))
    found = find_regions(picture, detecting())
    assert found["faces"] == 1
    (region,) = (r for r in found["regions"] if r["kind"] == "face" and r["certain"])
    centre = (region["left"] + region["width"] / 2, region["top"] + region["height"] / 2)
    at = {0: (224, 120), 1: (120, 512 - 224), 3: (512 - 120, 224)}[turns]
    assert np.hypot(centre[0] - at[0], centre[1] - at[1]) < 40


@pytest.mark.parametrize("share", [0.26, 0.3, 0.34])
def test_a_small_face_on_skin_is_found(share: float) -> None:
    picture = skin.healthy(4300 + round(100 * share), (800, 600), 3)
    portrait = skimage.data.astronaut()[20:220, 120:300]
    side = share * 600 / 200
    small = cv2.resize(np.ascontiguousarray(portrait), None, fx=side, fy=side, interpolation=cv2.INTER_AREA)
    picture[200 : 200 + small.shape[0], 400 : 400 + small.shape[1]] = small
    found = find_regions(picture, detecting())
    assert found["faces"] == 1
    (region,) = (r for r in found["regions"] if r["certain"])
    assert 390 < region["left"] + region["width"] / 2 < 410 + small.shape[1]
    assert 190 < region["top"] + region["height"] / 2 < 210 + small.shape[0]


def test_a_grey_picture_is_searched_too() -> None:
    grey = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
    assert find_regions(grey, detecting())["faces"] == 1
    assert find_regions(np.full((1, 1), 128, np.uint8), detecting())["regions"] == []


def test_padding_stays_in_the_picture_and_harm_is_counted() -> None:
    boxes = boxes_to_fill([FACE, FACE | {"certain": False}], 100, 100, detecting())
    assert boxes == [(0, 10, 50, 70)]
    counted = harm([FACE], 100, 100, detecting())
    assert counted["regions_share"] == pytest.approx(0.3)
    assert counted["regions_core_share"] == pytest.approx(30 * 50 / 3600)
    assert harm([], 100, 100, detecting()) == {"regions_share": 0.0, "regions_core_share": 0.0}


def test_a_filled_box_holds_one_colour_and_nothing_else_changes() -> None:
    picture = lesion()
    filled = redact(picture, [(5, 6, 50, 60)], (1, 2, 3))
    assert (filled[6:60, 5:50] == (1, 2, 3)).all()
    filled[6:60, 5:50] = picture[6:60, 5:50]
    assert (filled == picture).all()
    for box in ((5, 6, 5, 60), (-1, 0, 5, 5), (0, 0, 641, 5)):
        with pytest.raises(ValueError, match="does not lie in 640x480 px"):
            redact(picture, [box], fill_color())


def test_a_written_file_is_searched_again(tmp_path: Path) -> None:
    """With its boxes filled it is written; with the boxes forgotten it is refused and nothing is left on disk."""
    picture = written(lesion(), 5)
    data = jpeg(picture)
    item, root, name = item_of(tmp_path, data), tmp_path / "corpus", "0b2e1f6c-8f6d-5d1a-9c5e-3a7b5f0c1d2e"
    found = find_regions(picture, detecting())
    boxes = tuple(boxes_to_fill(found["regions"], 640, 480, detecting()))
    row = publish(PublishItem(name, item, str(root), boxes))
    assert (row["state"], row["residual_regions"]) == ("written", 0)
    assert row["transformations"] == ["redacted", "re_encoded"]
    wrong = publish(PublishItem("1" + name[1:], item, str(root), ((600, 400, 630, 430),)))
    assert wrong["state"] == "not_clean"
    assert wrong["rescan_findings"] == ["residual_text"] * wrong["residual_regions"]
    assert [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()] == [row["file"]]


def test_a_network_that_nobody_declared_is_not_used() -> None:
    declared = detecting()
    for section in ("faces", "letters"):
        part = getattr(declared, section)
        other = dataclasses.replace(declared, **{section: dataclasses.replace(part, sha256="0" * 64)})
        with pytest.raises(ModelError, match=f"has SHA-256 {part.sha256[:8]}"):
            prepare(other)
    prepare(declared)


def test_the_declared_numbers_are_checked() -> None:
    text = (VOCABULARIES / "detecting.yaml").read_text()
    assert set(parse_detecting(text).gate.features) == set(FEATURES)
    with pytest.raises(ValueError, match=r"detecting.yaml > faces: .*'overlop'"):
        parse_detecting(text.replace("  overlap:", "  overlop:"))
    with pytest.raises(ValueError, match="expected the sections"):
        parse_detecting("version: '1'")


OFFLINE = """
import socket
def refuse(*_, **__):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import skimage.data
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.regions import find_regions
import cv2
picture = skimage.data.astronaut().copy()
picture[430:] = 200
cv2.putText(picture, "Erika Mustermann", (20, 480), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2, cv2.LINE_AA)
found = find_regions(picture, detecting())
print(found["faces"], found["text_regions"])
"""


def test_nothing_is_fetched() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["1", "1"]


def test_real_dermoscopic_pictures_raise_no_alarm(real_data: Path) -> None:
    for path in sorted((real_data / "isic_cc0").rglob("*.jpg")):
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        found = find_regions(picture, detecting())
        assert (found["faces"], found["text_regions"]) == (0, 0)
