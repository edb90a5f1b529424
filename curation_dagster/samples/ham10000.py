"""A delivery in the layout of HAM10000: two zips of dermoscopic JPEGs, and a CSV without an extension.

True to the original: eight columns, 600x450 pixels, five-year ages as ``45.0``, several photographs of a lesion under
one ``lesion_id``, and every mel, bcc and akiec confirmed by histopathology.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from curation_dagster.samples import defects, encodings, skin
from curation_dagster.samples.delivery import (
    Delivery,
    Planted,
    Shot,
    csv_bytes,
    draw_all,
    generator,
    picture_seed,
    quotas,
    roles,
    slots,
    write_files,
    write_zip,
)
from curation_dagster.samples.skin import Picture

ARCHIVE = "ham10000"
COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset")
SIZE = (600, 450)

_DX = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
_KINDS = {
    "nv": ("nevus",),
    "mel": ("melanoma",),
    "bkl": ("sk", "lentigo"),
    "bcc": ("bcc",),
    "akiec": ("ak", "scc"),
    "vasc": ("vascular",),
    "df": ("df",),
}
_SITES = {
    "back": 2192, "lower extremity": 2077, "trunk": 1404, "upper extremity": 1118, "abdomen": 1022, "face": 745,
    "chest": 407, "foot": 319, "unknown": 234, "neck": 168, "scalp": 128, "hand": 90, "ear": 56, "genital": 48,
    "acral": 7,
}  # fmt: skip
_DATASETS = {"vidir_molemax": 3954, "vidir_modern": 3363, "rosendahl": 2259, "vienna_dias": 439}
_CONFIRMED_BY_HISTOLOGY = ("mel", "bcc", "akiec")
# Chance that a photograph shows the lesion of the one before, where nothing is planted beside it. The original has
# 2,545 repeats among 10,015 photographs.
_REPEAT_CHANCE = 0.5
# Photographs that are neither defects nor originals of copies; something is wrong with their rows only.
_TWICE, _CONTRADICTED = 2, 5


@dataclass(frozen=True)
class Photo:
    """One photograph of the delivery, before anything is done to it."""

    image_id: str
    record: Mapping[str, str]
    seed: int
    phototype: int
    kind: str
    retake: int  # 0 for the first photograph of the lesion, else which further one
    defect: str | None


def _on_picture(change: Callable[[Picture], Picture]) -> Callable[[Picture], bytes]:
    return lambda picture: encodings.jpeg(change(picture))


def _on_file(change: Callable[[bytes], bytes]) -> Callable[[Picture], bytes]:
    return lambda picture: change(encodings.jpeg(picture))


# defect -> how the file is made, and what a pipeline should say of it
_DEFECTS: dict[str, tuple[Callable[[Picture], bytes], tuple[str, ...]]] = {
    "truncated": (_on_file(defects.truncated), ("integrity",)),
    "zeroed_block": (_on_file(defects.zeroed_block), ("integrity",)),
    "html_page": (lambda _: defects.html_page(), ("integrity",)),
    "empty_file": (lambda _: b"", ("integrity",)),
    "blurred": (_on_picture(defects.blurred), ("focus",)),
    "underexposed": (_on_picture(defects.underexposed), ("underexposed",)),
    "overexposed": (_on_picture(defects.overexposed), ("overexposed",)),
    "tiny": (_on_picture(defects.tiny), ("resolution",)),
    "hair": (_on_picture(partial(defects.with_hair, count=30)), ("hair",)),
    "ruler": (_on_picture(defects.with_ruler), ("ruler",)),
    "vignette": (_on_picture(defects.with_vignette), ("vignette",)),
    "progressive": (lambda p: encodings.jpeg(p, progressive=True), ("not:integrity",)),
    "secrets": (
        encodings.jpeg_with_secrets,
        (
            "hidden:gps",
            "hidden:name",
            "hidden:date",
            "hidden:device",
            "hidden:comment",
            "hidden:xmp",
            "hidden:trailer",
        ),
    ),
}
# copies of the photograph before, under an id and a lesion of their own, as the "missed duplicates" of the original
_COPIES: dict[str, tuple[Callable[[Picture], bytes], str]] = {
    "exact_copy": (encodings.jpeg, "exact_duplicate_of"),
    "re_encoded_copy": (lambda p: encodings.jpeg(p, 78, subsampling=2), "near_duplicate_of"),
    "half_size_copy": (_on_picture(defects.half_size), "near_duplicate_of"),
}


def plan(images: int, seed: int) -> tuple[Photo, ...]:
    """Return all photographs of the delivery that :func:`write` makes with the same arguments."""
    rng = generator(seed, ARCHIVE)
    planted = slots([*_COPIES, *_DEFECTS], images)
    part = roles(rng, images, planted, _COPIES, _REPEAT_CHANCE)
    lesions = part.count("new")
    labels = iter(quotas(rng, _DX, lesions))
    sites, sets = iter(quotas(rng, _SITES, lesions)), iter(quotas(rng, _DATASETS, lesions))
    # all numbers of the original are permitted; beyond them the sample counts on
    lesion_ids = (f"HAM_{int(n):07d}" for n in (*rng.permutation(7470), *range(7471, 7471 + images)))
    photos: list[Photo] = []
    for number, role in enumerate(part):
        image_id = f"ISIC_{24306 + number * 7:07d}"
        if role == "new":
            record = _record(rng, number, image_id, next(lesion_ids), next(labels), next(sites), next(sets))
            kinds = _KINDS[record["dx"]]
            photo = Photo(
                image_id,
                record,
                picture_seed(seed, ARCHIVE, number),
                int(rng.choice((1, 2, 3, 4), p=(0.2, 0.45, 0.27, 0.08))),
                kinds[int(rng.integers(len(kinds)))],
                0,
                planted.get(number),
            )
        else:
            # the same lesion has the same record; a copy that nobody noticed has a lesion of its own
            before = photos[-1]
            record = {**before.record, "image_id": image_id}
            if role == "copy":
                record["lesion_id"] = next(lesion_ids)
            again = before.retake + (role == "repeat")
            photo = replace(
                before, image_id=image_id, record=record, retake=again, defect=planted.get(number)
            )
        photos.append(photo)
    return tuple(photos)


def _record(
    rng: np.random.Generator, number: int, image_id: str, lesion_id: str, dx: str, site: str, dataset: str
) -> dict[str, str]:
    histo = dx in _CONFIRMED_BY_HISTOLOGY or rng.random() < 0.25
    otherwise = ("follow_up", "follow_up", "consensus", "confocal") if dx == "nv" else ("consensus",)
    age = 0 if number % 53 == 52 else int(rng.integers(4, 17)) * 5
    return {
        "lesion_id": lesion_id,
        "image_id": image_id,
        "dx": dx,
        "dx_type": "histo" if histo else otherwise[int(rng.integers(len(otherwise)))],
        "age": "" if number % 47 == 46 else f"{age}.0",
        "sex": "unknown" if number % 41 == 40 else str(rng.choice(("male", "female"), p=(0.54, 0.46))),
        "localization": site,
        "dataset": dataset,
    }


def picture(photo: Photo) -> Picture:
    """Return the photograph as it was taken, before any defect."""
    first = skin.lesion(photo.seed, SIZE, photo.phototype, "dermoscopic", photo.kind)
    return skin.retake(first, photo.seed + photo.retake) if photo.retake else first


def file_of(photo: Photo) -> bytes:
    """Return the photograph's file as the delivery holds it."""
    if photo.defect in _DEFECTS:
        return _DEFECTS[photo.defect][0](picture(photo))
    if photo.defect in _COPIES:
        return _COPIES[photo.defect][0](picture(photo))
    return encodings.jpeg(picture(photo))


def write(folder: Path, images: int = 60, seed: int = 20250101, kaggle: bool = False) -> Delivery:
    """Write the delivery into ``folder``.

    Parameters
    ----------
    folder
        Drop folder of the archive version; made if it isn't there.
    images
        Photographs with a record. One more record has no file, and one more file has no record.
    seed
        The same seed gives the same bytes.
    kaggle
        True for the copy on Kaggle: two folders instead of zips, and a table of seven columns with an extension.
    """
    photos = plan(images, seed)
    half = (len(photos) + 1) // 2
    drawn = draw_all([Shot(f"{p.image_id}.jpg", partial(file_of, p)) for p in photos])
    rows = [dict(p.record) for p in photos]
    planted = [
        item for n, p in enumerate(photos) for item in _planted(photos, n, 1 if n < half else 2) if p.defect
    ]

    lost = f"ISIC_{24306 + images * 7:07d}"
    rows.append({**photos[0].record, "image_id": lost, "lesion_id": "HAM_0007470"})
    planted.append(Planted(ARCHIVE, None, lost, "record_without_file", ("join:record_without_file",)))
    orphan = f"ISIC_{24306 + (images + 1) * 7:07d}"
    stray = skin.lesion(picture_seed(seed, ARCHIVE, images + 1), SIZE, 2, "dermoscopic", "nevus")
    drawn.append((f"{orphan}.jpg", encodings.jpeg(stray)))
    planted.append(
        Planted(ARCHIVE, _path(2, orphan), orphan, "file_without_record", ("join:file_without_record",))
    )
    if images > _CONTRADICTED:
        for number, defect, state in (
            (_TWICE, "duplicated_row", "join:duplicate_record"),
            (_CONTRADICTED, "conflicting_rows", "join:conflicting_record"),
        ):
            row = dict(rows[number])
            if defect == "conflicting_rows":
                row["dx"] = "nv" if row["dx"] != "nv" else "mel"
            rows.append(row)
            where = _path(1 if number < half else 2, row["image_id"])
            planted.append(Planted(ARCHIVE, where, row["image_id"], defect, (state,)))

    parts = {1: drawn[:half], 2: drawn[half:]}
    if kaggle:
        for part, members in parts.items():
            write_files(folder / f"HAM10000_images_part_{part}", members)
        columns = COLUMNS[:-1]
        table = csv_bytes(columns, [{c: row[c] for c in columns} for row in rows])
        write_files(folder, [("HAM10000_metadata.csv", table)])
        planted = [_on_kaggle(item) for item in planted]
        return Delivery(ARCHIVE, folder, len(drawn), len(rows), tuple(planted))
    for part, members in parts.items():
        write_zip(folder / f"HAM10000_images_part{part}.zip", members)
    write_files(folder, [("HAM10000_metadata", csv_bytes(COLUMNS, rows))])
    return Delivery(ARCHIVE, folder, len(drawn), len(rows), tuple(planted))


def _on_kaggle(item: Planted) -> Planted:
    path = item.path
    for part in (1, 2):
        path = path and path.replace(f"HAM10000_images_part{part}.zip!/", f"HAM10000_images_part_{part}/")
    return replace(item, path=path)


def _path(part: int, image_id: str) -> str:
    return f"HAM10000_images_part{part}.zip!/{image_id}.jpg"


def _planted(photos: tuple[Photo, ...], number: int, part: int) -> list[Planted]:
    photo = photos[number]
    if photo.defect in _COPIES:
        original = photos[number - 1].image_id
        expected: tuple[str, ...] = (f"{_COPIES[photo.defect][1]}:{ARCHIVE}/{original}",)
    elif photo.defect in _DEFECTS:
        expected = _DEFECTS[photo.defect][1]
    else:
        return []
    return [Planted(ARCHIVE, _path(part, photo.image_id), photo.image_id, str(photo.defect), expected)]
