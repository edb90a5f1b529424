"""Deliveries in the two layouts of BCN20000: the zips and tables of figshare, and the export of the ISIC Archive.

True to the original: the two copies share pictures and no id; figshare states real calendar days and withholds the
labels of its test table; the export leaves the third level of vascular lesions blank, has rows without a diagnosis
that claim histopathology, malignant rows without a confirmation, and knows no posterior torso.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curation_dagster.samples import defects, encodings
from curation_dagster.samples.delivery import (
    Delivery,
    Draw,
    Planted,
    Shot,
    csv_bytes,
    draw_all,
    write_files,
    write_zip,
)
from curation_dagster.samples.skin import Picture
from curation_dagster.samples.twins import Case, cases, photograph

ARCHIVE = "bcn20000"
KINDS = ("nevus", "melanoma", "bcc", "sk", "ak", "scc", "df", "vascular")
CODES = {
    "nevus": "NV", "melanoma": "MEL", "bcc": "BCC", "sk": "BKL", "ak": "AK", "scc": "SCC", "df": "DF",
    "vascular": "VASC",
}  # fmt: skip
COLUMNS = (
    "bcn_filename", "age_approx", "anatom_site_general", "diagnosis", "lesion_id", "capture_date", "sex", "split",
)  # fmt: skip
EXPORT_COLUMNS = (
    "isic_id", "attribution", "copyright_license", "age_approx", "anatom_site_general", "anatom_site_special",
    "concomitant_biopsy", "diagnosis_1", "diagnosis_2", "diagnosis_3", "diagnosis_confirm_type", "image_type",
    "lesion_id", "melanocytic", "sex",
)  # fmt: skip
_TREE = {
    "nevus": ("Benign", "Benign melanocytic proliferations", "Nevus"),
    "melanoma": ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS"),
    "bcc": ("Malignant", "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma"),
    "sk": ("Benign", "Benign epidermal proliferations", "Seborrheic keratosis"),
    "ak": ("Indeterminate", "Indeterminate epidermal proliferations", "Solar or actinic keratosis"),
    "scc": ("Malignant", "Malignant epidermal proliferations", "Squamous cell carcinoma, NOS"),
    "df": ("Benign", "Benign soft tissue proliferations - Fibro-histiocytic", "Dermatofibroma"),
    "vascular": ("Benign", "Benign soft tissue proliferations - Vascular", ""),
}
_CREDIT = "Hospital Clínic de Barcelona"
_WITHHELD = 3  # one in so many photographs is in the test table


def lesions(images: int, seed: int) -> tuple[Case, ...]:
    """Return the cases of both deliveries of the same seed."""
    return cases(ARCHIVE, images, seed, KINDS)


def photo(case: Case, seed: int, make: Callable[[Picture], bytes] = encodings.jpeg) -> Draw:
    """Return what draws a photograph of this archive, here or in another one that took it over."""
    return photograph(
        ARCHIVE, seed, case, lambda p: make(defects.with_vignette(p) if case.number % 5 == 4 else p)
    )


def lesion_id(case: Case) -> str:
    """Return the id of the lesion on figshare and in ISIC 2019."""
    return f"BCN_{3884 + case.number * 3:07d}"


def write(folder: Path, images: int = 12, seed: int = 20250101) -> Delivery:
    """Write the delivery of figshare into ``folder``: a training and a test zip, and a table of each."""
    parts: dict[str, tuple[list[Shot], list[dict[str, str]]]] = {"train": ([], []), "test": ([], [])}
    for case in lesions(images, seed):
        split = "test" if case.number % _WITHHELD == _WITHHELD - 1 else "train"
        name = f"BCN_{case.number * 7 + 11:010d}.jpg"
        shots, rows = parts[split]
        shots.append(Shot(f"bcn_20k_{split}/{name}", photo(case, seed)))
        rows.append(
            {
                "bcn_filename": name,
                "age_approx": "" if case.last else f"{case.age}.0",
                "anatom_site_general": _site(case),
                "lesion_id": lesion_id(case),
                "capture_date": f"201{case.number % 6 + 1}-0{case.number % 8 + 1}-{case.number % 27 + 1:02d}",
                "sex": "" if case.last else case.sex,
                "split": split,
            }
            | ({"diagnosis": CODES[case.kind]} if split == "train" else {})
        )
    planted = tuple(
        Planted(ARCHIVE, f"bcn_20k_test.zip!/{s.name}", s.name[13:-4], "label_withheld", ("no_diagnosis",))
        for s in parts["test"][0]
    )
    for split, (shots, rows) in parts.items():
        columns = [c for c in COLUMNS if split == "train" or c != "diagnosis"]
        write_zip(folder / f"BCN_20k_{split}.zip", draw_all(shots))
        write_files(folder, [(f"bcn_20k_{split}.csv", csv_bytes(columns, rows))])
    return Delivery(ARCHIVE, folder, images, images, planted)


def write_export(folder: Path, images: int = 12, seed: int = 20250101) -> Delivery:
    """Write the export of the ISIC Archive into ``folder``: the same photographs, encoded anew, under other ids."""
    shots, rows = [], []
    for case in lesions(images, seed):
        isic_id = f"ISIC_{53454 + case.number * 9:07d}"
        shots.append(
            Shot(f"{isic_id}.jpg", photo(case, seed, lambda p: encodings.jpeg(p, 86, subsampling=2)))
        )
        levels = ("", "", "") if case.last else _TREE[case.kind]
        confirmed = (
            "" if case.number == 1 or (levels[0] == "Benign" and case.number > 3) else "histopathology"
        )
        rows.append(
            {
                "isic_id": isic_id,
                "attribution": _CREDIT,
                "copyright_license": "CC-BY-NC",
                "age_approx": str(case.age),
                "anatom_site_general": _site(case),
                "anatom_site_special": "oral or genital" if case.number == 6 else "",
                "concomitant_biopsy": str(bool(confirmed)),
                **{f"diagnosis_{n}": text for n, text in enumerate(levels, start=1)},
                "diagnosis_confirm_type": confirmed,
                "image_type": "dermoscopic",
                "lesion_id": f"IL_{433332 + case.number * 5:07d}",
                "melanocytic": str("melanocytic" in levels[1]),
                "sex": case.sex,
            }
        )
    write_zip(folder / "ISIC-images.zip", draw_all(shots))
    table = csv_bytes(EXPORT_COLUMNS, rows, newline="\r\n")
    write_files(folder, [("bcn20000_metadata_2025-07-22.csv", table)])
    return Delivery("bcn20000_isic", folder, images, images, ())


def _site(case: Case) -> str:
    """Return the site as this archive states it: all of the torso is anterior."""
    return "anterior torso" if "torso" in case.site else case.site
