"""Deliveries that are lists of addresses: Fitzpatrick17k, and the two lists of AGPPGA with their notes and brackets."""

from __future__ import annotations

import hashlib
from pathlib import Path

from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import MOST, crop_of, photograph

FITZPATRICK_COLUMNS = (
    "md5hash", "fitzpatrick_scale", "fitzpatrick_centaur", "label", "nine_partition_label", "three_partition_label", "qc",
    "url", "url_alphanum",
)  # fmt: skip

_LABELS = (
    ("psoriasis", "inflammatory", "non-neoplastic"),
    ("basal cell carcinoma", "malignant epidermal", "malignant"),
    ("acquired autoimmune bullous diseaseherpes gestationis", "inflammatory", "non-neoplastic"),
    ("seborrheic keratosis", "benign epidermal", "benign"),
    ("a label that no vocabulary has", "genodermatoses", "non-neoplastic"),
)
_SCALES = ("1", "2", "3", "4", "5", "6", "-1", "3.0")

# as in the original: one photograph in two languages, one line twice, pages only, no line break at the end
_PAGES = (
    "https://photos.example.org/es-es/foto/textura-4046568/",
    "https://photos.example.org/photo/skin-4046568/",
    "https://stock.example.com/es/images/torso/98106801?prev_url=detail",
    "https://premium.example.com/biceps_19420412.htm",
    "https://premium.example.com/biceps_19420412.htm",
    "https://es.example.net/photo_40045475_o%C3%ADdo.html",
)

_KAGGLE = "https://www.kaggle.example/datasets/someone/dermnet/"
_V1 = (
    ("DermNet", f"{_KAGGLE} -> psoriasis-pustular-generalized-1.jpg"),
    ("DermNet", f"{_KAGGLE} -> psoriasis-pustular-generalized-1.jpg) [crop to lesion]"),
    ("DermIS", "https://www.dermis.example/bilder/CD004/550px/img0100.jpg"),
    ("DermnetNZ", "https://dermnetnz.example/imagedetail/38303"),
    ("DermnetNZ", "https://dermnetnz.example/imagedetail/38303"),
    ("Danderm", "https://www.danderm.example/atlas/pics/5/5-47.jpg"),
    ("Dermatology Atlas", "https://www.atlas.example/img?imageId=12067"),
    ("DermQuest", "https://www.dermquest.example/gone"),
)


def write_fitzpatrick17k(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write ``fitzpatrick17k.csv`` and images by the MD5 of their address; one image is gone, one address is blank."""
    shots, rows = [], []
    count = min(images, MOST)
    for n in range(count):
        url = f"https://www.atlas.example/skin/{n}.jpg" if n % 3 else f"http://atlas.example/img?imageId={n}"
        name = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
        label, nine, three = _LABELS[n % len(_LABELS)]
        rows.append(
            {
                "md5hash": name, "fitzpatrick_scale": _SCALES[n % len(_SCALES)],
                "fitzpatrick_centaur": _SCALES[(n + 1) % len(_SCALES)], "label": label, "nine_partition_label": nine,
                "three_partition_label": three, "qc": "3 Wrongly labelled" if n == 3 else "",
                "url": "" if n == 5 else url, "url_alphanum": "" if n == 5 else "".join(c for c in url if c.isalnum()),
            }
        )  # fmt: skip
        if n != 7:
            shots.append(photograph("fitzpatrick17k", seed, n, f"images/{name}.jpg"))
    write_files(folder, [*draw_all(shots), ("fitzpatrick17k.csv", csv_bytes(FITZPATRICK_COLUMNS, rows))])
    gone = [
        Planted("fitzpatrick17k", None, r["md5hash"], "image_gone", ("join:record_without_file",))
        for r in rows[7:8]
    ]
    return Delivery("fitzpatrick17k", folder, len(shots), len(rows), tuple(gone))


def write_agppga_internet(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the list of pages and the two images that could be licensed, named by their lines."""
    shots = [
        photograph("agppga_internet", seed, n, f"images/{line:05d}.jpg", kind="healthy", size=(800, 600))
        for n, line in enumerate((1, 3)[:images])
    ]
    text = "\n".join(_PAGES).encode()
    write_files(folder, [*draw_all(shots), ("data/NSL/internet_images_urls.txt", text)])
    return Delivery("agppga_internet", folder, len(shots), len(_PAGES), ())


def write_agppga_v1(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the list with its notes and stray brackets, the images as far as they can be had, a crop, and severities."""
    shots = [
        photograph("agppga_v1", seed, n, f"images/{line:05d}.jpg", kind="papules", size=(800, 600))
        for n, line in enumerate((1, 3, 6, 7, 8)[:images])
    ]
    shots.append(crop_of(shots[0], "images/00001_crop.jpg"))
    shots.append(crop_of(shots[0], "images/00005_crop2.jpg"))
    rows = [{"": str(n), "dataset_name": name, "url": url} for n, (name, url) in enumerate(_V1)]
    # the total of line 3 is not what its components give, and line 6 has a score off the scale
    scores = (("1", "3", "3", "2", "3"), ("3", "4", "1", "1", "1"), ("6", "2", "5", "2", "1"))
    columns = ("line", "gppga_total", "pustules", "erythema", "scaling")
    severity = csv_bytes(columns, [dict(zip(columns, row, strict=True)) for row in scores])
    write_files(
        folder,
        [
            *draw_all(shots),
            ("data/V1_public_image_urls.csv", csv_bytes(("", "dataset_name", "url"), rows)),
            ("severity.csv", severity),
        ],
    )
    planted = (
        Planted("agppga_v1", "images/00001_crop.jpg", "1_crop", "declared_crop", ("original",)),
        Planted("agppga_v1", "images/00005_crop2.jpg", "5_crop2", "crop_without_its_parent", ("original",)),
    )
    return Delivery("agppga_v1", folder, len(shots), len(rows), planted)
