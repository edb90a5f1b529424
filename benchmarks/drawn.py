"""Pictures with drawn text and pasted faces, for the benchmarks of the detectors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import simplejpeg
from PIL import Image, ImageDraw, ImageFont

from curation_dagster.samples import skin

SIZES = (12, 16, 20, 28, 40)
TILTS = (0, 10, -10)
INKS = {"black": (12, 12, 12), "white": (245, 245, 245)}
WORDS = (
    "Maria Fernandez", "MRN 4471920", "12.03.1984", "J. Smith", "Pat. 55817", "Okafor, Ada", "2019-07-30 14:22",
    "Dr. Weber", "ID 90817263", "Nguyen Thi Lan", "DOB 04/11/1962", "Rossi Paolo",
)  # fmt: skip
_TTF = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
# what the first and the second look were fitted on, and what they are judged on
FITTED = ("default", "hershey0", "hershey2", "hershey3")
FITTED_LETTERS = (
    *FITTED, *(str(_TTF / f"{n}.ttf") for n in ("STIXGeneral", "STIXGeneralBol", "cmr10", "cmss10", "cmtt10")),
)  # fmt: skip
HELD_OUT = tuple(str(_TTF / f"DejaVu{n}.ttf") for n in ("Sans", "Sans-Bold", "Serif", "SansMono"))


@dataclass(frozen=True)
class Drawn:
    """A picture as a decoder gives it back, and where the text is (left, top, width, height in px)."""

    picture: np.ndarray
    box: tuple[int, int, int, int]
    size: int
    ink: str
    tilt: int
    phototype: int
    modality: str


def lesions(seed: int, each: int = 1) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield phototype, modality and picture of synthetic lesions, 600x450 and 1024x768."""
    kinds = list(skin.KINDS)
    for phototype, modality, (number, size), again in itertools.product(
        range(1, 7), ("dermoscopic", "clinical"), enumerate(((600, 450), (1024, 768))), range(each)
    ):
        own = seed + phototype * 100 + number * 10 + again + (5 if modality == "clinical" else 0)
        yield phototype, modality, skin.lesion(own, size, phototype, modality, kinds[own % len(kinds)])  # type: ignore[arg-type]


def stored(picture: np.ndarray, quality: int = 90) -> np.ndarray:
    """Return what is left of a picture after a JPEG."""
    data = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality, "RGB", "420")
    return simplejpeg.decode_jpeg(data, "RGB")


def drawn_text(seed: int, fonts: Sequence[str], each: int = 1) -> Iterator[Drawn]:
    """Yield a picture for each size, ink, tilt and phototype, ``each`` times; places, words and fonts by chance."""
    rng = np.random.default_rng(seed)
    backgrounds = list(lesions(seed, 2))
    for size, ink, tilt, _, phototype in itertools.product(SIZES, INKS, TILTS, range(each), range(1, 7)):
        mine = [b for b in backgrounds if b[0] == phototype]
        while True:
            _, modality, picture = mine[rng.integers(len(mine))]
            font, words = fonts[rng.integers(len(fonts))], WORDS[rng.integers(len(WORDS))]
            made = _written(picture, _mask(words, size, font, tilt), INKS[ink], rng)
            if made is not None:
                break
        yield Drawn(stored(made[0]), made[1], size, ink, tilt, phototype, modality)


def _mask(text: str, size: int, font: str, tilt: int) -> np.ndarray:
    """Return the coverage of a text of ``size`` px (em), uint8."""
    if font.startswith("hershey"):
        face, scale, thick = int(font[7:]), size / 30.0, max(1, round(size / 14))
        (width, height), below = cv2.getTextSize(text, face, scale, thick)
        mask = np.zeros((height + below + 8, width + 8), np.uint8)
        cv2.putText(mask, text, (4, height + 4), face, scale, 255, thick, cv2.LINE_AA)
    else:
        face = ImageFont.load_default(size) if font == "default" else ImageFont.truetype(font, size)
        left, top, right, bottom = face.getbbox(text)
        image = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8), 0)
        ImageDraw.Draw(image).text((4 - left, 4 - top), text, font=face, fill=255)
        mask = np.array(image)
    if not tilt:
        return mask
    height, width = mask.shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1)
    cosine, sine = abs(turn[0, 0]), abs(turn[0, 1])
    size_2 = int(height * sine + width * cosine) + 2, int(height * cosine + width * sine) + 2
    turn[:, 2] += (size_2[0] / 2 - width / 2, size_2[1] / 2 - height / 2)
    return cv2.warpAffine(mask, turn, size_2, flags=cv2.INTER_LINEAR)


def _written(
    picture: np.ndarray, mask: np.ndarray, ink: tuple[int, int, int], rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int, int, int]] | None:
    height, width = mask.shape
    if width > picture.shape[1] - 8 or height > picture.shape[0] - 8:
        return None
    x, y = (
        int(rng.integers(4, picture.shape[1] - width - 3)),
        int(rng.integers(4, picture.shape[0] - height - 3)),
    )
    out, share = picture.copy(), mask[..., None].astype(np.float32) / 255
    place = out[y : y + height, x : x + width]
    out[y : y + height, x : x + width] = (place * (1 - share) + np.array(ink) * share).astype(np.uint8)
    return out, (x, y, width, height)
