"""A delivery in the layout of the consented healthy skin of AGPPGA: 19 photographs, no table, much that is hidden.

True to the original, photograph by photograph: which are too small, which carry coordinates, a time or a phone
model, which lie on their side, and which two are PNG files under a JPEG's name.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from curation_dagster.samples import encodings, skin
from curation_dagster.samples.delivery import Delivery, Planted, Shot, draw_all, picture_seed, write_files

ARCHIVE = "agppga_healthy_skin"
FOLDER = "data/NSL/consented_images"

_GPS = (5, 8, 12, 14, 15, 16, 19)
_ON_ITS_SIDE = (5, 12, 15, 16)
_PNG = (13, 18)
_TOO_SMALL = {  # short side below the 400 px that clinical photographs need
    1: (238, 172), 2: (320, 240), 3: (480, 360), 7: (360, 480), 9: (400, 300), 10: (300, 225), 13: (451, 338),
    18: (360, 270),
}  # fmt: skip
_WITHOUT_TIME = (1, 2, 3, 9)
_NAMED_MODEL = {5: "iPhone 11 Pro Max", 12: "Pixel 3 XL"}
_MAKER_NOTE = (5, 6, 8, 11, 12, 14, 15, 16, 19)
_LARGE = (14, 19)

_URLS = (
    "https://photos.example.org/es-es/foto/mano-939835/",
    "https://photos.example.org/es-es/foto/textura-4046568/",
    "https://photos.example.org/photo/skin-4046568/",
    "https://stock.example.com/es/images/torso/98106801?prev_url=detail",
    "https://premium.example.com/biceps_19420412.htm",
    "https://premium.example.com/biceps_19420412.htm",
    "https://es.example.net/photo_40045475_o%C3%ADdo.html",
    "https://premium.example.com/pie_2804919.html",
    "https://images.example.net/feet-image171378910",
    "https://wiki.example.org/wiki/Archivo:Ejemplo.jpg",
)


def write(folder: Path, images: int = 19, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``.

    Parameters
    ----------
    folder
        Drop folder of the archive version; made if it isn't there.
    images
        Photographs; past the 19 of the original, further ones are sound and hide nothing.
    seed
        The same seed gives the same bytes.
    """
    shots: list[Shot] = []
    planted: list[Planted] = []
    for number in range(1, images + 1):
        source_id = f"image_{number:04d}"
        where = f"{FOLDER}/{source_id}.jpg"
        for defect, expected in _defects(number):
            planted.append(Planted(ARCHIVE, where, source_id, defect, (expected,)))
        shots.append(Shot(where, partial(_draw, number, picture_seed(seed, ARCHIVE, number))))
    # a form that should not have been published: nobody's image of the archive, but its name is a person's
    form = f"data/NSL/consent_forms/{encodings.PERSON.replace(' ', '_')}_{encodings.BORN}.png"
    page = np.full((240, 180, 3), 246, np.uint8)
    page[30:220:14, 20:160] = 190
    planted.append(Planted(ARCHIVE, form, "", "name_in_file_name_outside_the_layout", ("role:other",)))
    papers = [
        (form, encodings.png(page)),
        # as in the original: no line break at the end
        ("data/NSL/internet_images_urls.txt", "\n".join(_URLS).encode()),
        ("README.md", b"# Synthetic twin of the healthy skin of AGPPGA\n\nThese pictures show nobody.\n"),
    ]
    write_files(folder, [*draw_all(shots), *papers])
    return Delivery(ARCHIVE, folder, len(shots), 0, tuple(planted))


def _defects(number: int) -> list[tuple[str, str]]:
    found = []
    if number in _TOO_SMALL:
        found.append(("too_small", "resolution"))
    if number in _GPS:
        found.append(("gps", "hidden:gps"))
    if number <= 19 and number not in _WITHOUT_TIME:
        found.append(("time_and_model", "hidden:date"))
    if number in _PNG:
        found.append(("png_named_jpg", "not:integrity"))
    if number in _ON_ITS_SIDE:
        found.append(("orientation_6", "orientation"))
    if number == 8:
        found.append(("secrets", "hidden:name"))
    return found


def _draw(number: int, seed: int) -> bytes:
    size = _TOO_SMALL.get(number, (1600, 1200) if number in _LARGE else ((800, 600), (600, 800))[number % 2])
    phototype = 1 + number % 6
    picture = skin.healthy(seed, size, phototype)
    if number > 19 or number in _WITHOUT_TIME:
        return encodings.jpeg(picture, 90)
    asked: dict[str, Any] = {"gps": number in _GPS, "model": _NAMED_MODEL.get(number, "Phone Model 11")}
    if number in _PNG:
        return encodings.png_with_exif(picture, encodings.exif(**asked))
    if number in _ON_ITS_SIDE:
        return encodings.oriented_6(picture, **asked, maker_note=number in _MAKER_NOTE)
    if number == 8:
        return encodings.jpeg_with_secrets(picture, 90, **asked)
    return encodings.jpeg(picture, 90, exif=encodings.exif(**asked, maker_note=number in _MAKER_NOTE))
