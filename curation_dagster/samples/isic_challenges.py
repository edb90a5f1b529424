"""Deliveries in the layouts of the ISIC challenges of 2016 to 2019.

True to the originals: 2016 has a table without a header; 2017 marks two labels of three, and has masks beside its
pictures; 2018 has pictures without any label (tasks 1 and 2) and HAM10000 once more (task 3); 2019 takes HAM10000 and
BCN20000 over, splits ``akiec`` in two, and brings pictures of before back under ``_downsampled``.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from curation_dagster.samples import bcn20000, defects, encodings, ham10000
from curation_dagster.samples.delivery import Delivery, Shot, csv_bytes, draw_all, write_files, write_zip
from curation_dagster.samples.skin import Picture
from curation_dagster.samples.twins import Case, cases, one_hot, photograph

_SEED = 20250101
_HAM_IMAGES = 30  # size of the HAM10000 twin that pictures are taken over from
_DX_2018 = ("MEL", "NV", "BCC", "AKIEC", "BKL", "DF", "VASC")
_DX_2019 = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
_SITE_OF_HAM = {
    "chest": "anterior torso", "abdomen": "anterior torso", "trunk": "anterior torso", "back": "posterior torso",
    "foot": "lower extremity", "hand": "upper extremity", "acral": "palms/soles", "genital": "", "unknown": "",
    "face": "head/neck", "neck": "head/neck", "scalp": "head/neck", "ear": "head/neck",
}  # fmt: skip
_CONFIRMED = {
    "histo": "histopathology", "follow_up": "serial imaging showing no change",
    "consensus": "single image expert consensus", "confocal": "confocal microscopy with consensus dermoscopy",
}  # fmt: skip


def first_years(images: int, seed: int) -> tuple[Case, ...]:
    """Return the cases that the challenges of 2016 to 2019 share, under the same ids."""
    return cases("isic_2016", images, seed, ("nevus", "melanoma", "sk", "nevus"))


def _id(case: Case) -> str:
    return f"ISIC_{case.number * 11:07d}"


def _mask(picture: Picture) -> bytes:
    return encodings.png(np.full_like(picture, 255))


def write_2016(folder: Path, images: int = 12, seed: int = _SEED) -> Delivery:
    """Write part 3: pictures, and ``id,label`` without a header; the test table has numbers for words."""
    parts: dict[str, list[Case]] = {"Training": [], "Test": []}
    for case in first_years(images, seed):
        parts["Test" if case.number % 4 == 3 else "Training"].append(case)
    for part, mine in parts.items():
        stem = f"ISBI2016_ISIC_Part3_{part}"
        shots = [Shot(f"{stem}_Data/{_id(c)}.jpg", photograph("isic_2016", seed, c)) for c in mine]
        write_zip(folder / f"{stem}_Data.zip", draw_all(shots))
        words = ("benign", "malignant") if part == "Training" else ("0.0", "1.0")
        lines = [f"{_id(c)},{words[c.kind == 'melanoma']}" for c in mine]
        write_files(folder, [(f"{stem}_GroundTruth.csv", ("\n".join(lines) + "\n").encode())])
    return Delivery("isic_2016", folder, images, images, ())


def write_2017(folder: Path, images: int = 12, seed: int = _SEED) -> Delivery:
    """Write the training data: pictures with superpixels and a table among them, and the ground truth of part 3."""
    stem = "ISIC-2017_Training"
    shots, people, truth = [], [], []
    for case in first_years(images, seed):
        shots.append(Shot(f"{stem}_Data/{_id(case)}.jpg", photograph("isic_2016", seed, case)))
        shots.append(
            Shot(
                f"{stem}_Data/{_id(case)}_superpixels.png",
                photograph("isic_2016", seed, case, _mask, (60, 45)),
            )
        )
        age, sex = ("unknown", "unknown") if case.last else (str(case.age), case.sex)
        people.append({"image_id": _id(case), "age_approximate": age, "sex": sex})
        marks = one_hot(
            ("melanoma", "seborrheic_keratosis"), {"sk": "seborrheic_keratosis"}.get(case.kind, case.kind)
        )
        truth.append({"image_id": _id(case), **marks})
    if images > 5:
        truth[5] = {**truth[5], "melanoma": "1.0", "seborrheic_keratosis": "1.0"}  # both cannot be
    table = csv_bytes(("image_id", "age_approximate", "sex"), people)
    write_zip(
        folder / f"{stem}_Data.zip", [*draw_all(shots), (f"{stem}_Data/{stem}_Data_metadata.csv", table)]
    )
    columns = ("image_id", "melanoma", "seborrheic_keratosis")
    write_files(folder, [(f"{stem}_Part3_GroundTruth.csv", csv_bytes(columns, truth))])
    return Delivery("isic_2017", folder, images, images, ())


def write_2018_task12(folder: Path, images: int = 8, seed: int = _SEED) -> Delivery:
    """Write tasks 1 and 2: pictures, masks of two kinds, and no table."""
    stem = "ISIC2018_Task1-2_Training_Input"
    mine = first_years(images, seed)
    shots = [Shot(f"{stem}/{_id(c)}.jpg", photograph("isic_2016", seed, c)) for c in mine]
    papers = [(f"{stem}/{n}.txt", b"CC-0. Synthetic pictures.\n") for n in ("LICENSE", "ATTRIBUTION")]
    write_zip(folder / f"{stem}.zip", [*draw_all(shots), *papers])
    for task, ending in (
        ("Task1_Training_GroundTruth", "segmentation"),
        ("Task2_Training_GroundTruth_v3", "attribute_globules"),
    ):
        masks = [
            Shot(f"ISIC2018_{task}/{_id(c)}_{ending}.png", photograph("isic_2016", seed, c, _mask, (60, 45)))
            for c in mine
        ]
        write_zip(folder / f"ISIC2018_{task}.zip", draw_all(masks))
    return Delivery("isic_2018_task12", folder, images, 0, ())


def write_2018_task3(folder: Path, images: int = 12, seed: int = _SEED) -> Delivery:
    """Write task 3: HAM10000 with its ids and bytes, one-hot labels, and the groupings of lesions."""
    stem = "ISIC2018_Task3_Training"
    photos = _sound(images, seed)
    shots = [Shot(f"{stem}_Input/{p.image_id}.jpg", partial(ham10000.file_of, p)) for p in photos]
    truth = [{"image": p.image_id, **one_hot(_DX_2018, p.record["dx"].upper())} for p in photos]
    groups = [
        {
            "image": p.image_id,
            "lesion_id": p.record["lesion_id"],
            "diagnosis_confirm_type": _CONFIRMED[p.record["dx_type"]],
        }
        for p in photos
    ]
    write_zip(folder / f"{stem}_Input.zip", draw_all(shots))
    table = csv_bytes(("image", *_DX_2018), truth)
    write_zip(folder / f"{stem}_GroundTruth.zip", [(f"{stem}_GroundTruth/{stem}_GroundTruth.csv", table)])
    columns = ("image", "lesion_id", "diagnosis_confirm_type")
    write_files(folder, [(f"{stem}_LesionGroupings.csv", csv_bytes(columns, groups))])
    return Delivery("isic_2018_task3", folder, len(photos), len(photos), ())


def write_2019(folder: Path, images: int = 12, seed: int = _SEED) -> Delivery:
    """Write the training data: pictures of HAM10000, of BCN20000 and of the first years, and the two tables."""
    stem = "ISIC_2019_Training"
    shots, truth, people = [], [], []

    def add(name: str, shot: Shot, label: str, age: str, site: str, lesion: str, sex: str) -> None:
        shots.append(shot)
        truth.append({"image": name, **one_hot(_DX_2019, label)})
        people.append(
            {"image": name, "age_approx": age, "anatom_site_general": site, "lesion_id": lesion, "sex": sex}
        )

    third = max(images // 3, 1)
    for photo in _sound(images, seed)[: images - 2 * third]:
        record = photo.record
        # what HAM10000 pools is split here: squamous cell carcinoma in situ, and actinic keratosis
        label = ("SCC" if photo.kind == "scc" else "AK") if record["dx"] == "akiec" else record["dx"].upper()
        shot = Shot(f"{stem}_Input/{photo.image_id}.jpg", partial(_again, photo))
        sex, site = record["sex"].replace("unknown", ""), record["localization"]
        add(
            photo.image_id, shot, label, record["age"], _SITE_OF_HAM.get(site, site), record["lesion_id"], sex
        )
    for case in bcn20000.lesions(images, seed)[:third]:
        name = f"ISIC_{53454 + case.number * 9:07d}"
        draw = bcn20000.photo(case, seed, lambda p: encodings.jpeg(p, 88))
        code, age = bcn20000.CODES[case.kind], f"{case.age}.0"
        add(
            name,
            Shot(f"{stem}_Input/{name}.jpg", draw),
            code,
            age,
            "anterior torso",
            bcn20000.lesion_id(case),
            case.sex,
        )
    for case in first_years(images, seed)[:third]:
        name = f"{_id(case)}_downsampled"
        draw = photograph("isic_2016", seed, case, lambda p: encodings.jpeg(defects.resized(p, 0.9), 90))
        code = {"melanoma": "MEL", "nevus": "NV", "sk": "BKL"}[case.kind]
        lesion = f"MSK4_{case.number:07d}" if case.number == 0 else ""
        age = "85.0" if case.number == 1 else f"{case.age}.0"
        add(name, Shot(f"{stem}_Input/{name}.jpg", draw), code, age, case.site, lesion, case.sex)
    if images > 5:
        truth[-1] |= {"NV": "1.0", "MEL": "1.0"}  # two labels at once, which no row of the original has
    write_zip(folder / f"{stem}_Input.zip", draw_all(shots))
    columns = ("image", "age_approx", "anatom_site_general", "lesion_id", "sex")
    tables = [
        ("GroundTruth", csv_bytes(("image", *_DX_2019), truth)),
        ("Metadata", csv_bytes(columns, people)),
    ]
    write_files(folder, [(f"{stem}_{name}.csv", table) for name, table in tables])
    return Delivery("isic_2019", folder, len(shots), len(truth), ())


def _sound(images: int, seed: int) -> list[ham10000.Photo]:
    """Return the photographs of HAM10000 in which nothing is planted, one of each label first."""
    photos = [p for p in ham10000.plan(_HAM_IMAGES, seed) if p.defect is None and p.retake == 0]
    firsts = {p.record["dx"]: p for p in reversed(photos)}
    found = [firsts[dx] for dx in sorted(firsts)]
    for photo in photos:
        if photo.kind == "scc" and photo not in found:
            found.append(photo)
            break
    return [*found, *(p for p in photos if p not in found)][:images]


def _again(photo: ham10000.Photo) -> bytes:
    return encodings.jpeg(ham10000.picture(photo), 88)
