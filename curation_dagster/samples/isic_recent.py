"""Deliveries in the layouts of ISIC 2020 (JPEG and DICOM), ISIC 2024 (SLICE-3D, whole and permissive) and MILK10k.

True to the originals: 2020 has most diagnoses "unknown", ages up to 90, two generations of its table, a list of its own
duplicates, and DICOM files with patients in their headers; 2024 has small tiles with a label of two classes and a
supplement; MILK10k has two pictures of each lesion in a folder of its own, and a scale of skin tone that is not
Fitzpatrick's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curation_dagster.samples import defects, encodings
from curation_dagster.samples.delivery import Delivery, Shot, csv_bytes, draw_all, write_files, write_zip
from curation_dagster.samples.skin import Modality, Picture
from curation_dagster.samples.twins import Case, cases, one_hot, photograph

_SEED = 20250101
_KINDS_2020 = ("nevus", "melanoma", "nevus", "sk", "lentigo", "nevus", "nevus", "sk")
_DIAGNOSES = {
    "nevus": "nevus",
    "melanoma": "melanoma",
    "sk": "seborrheic keratosis",
    "lentigo": "lentigo NOS",
}
_V1 = (
    "image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge", "diagnosis", "benign_malignant",
    "target",
)  # fmt: skip
_VIEWS_MILK: tuple[tuple[Modality, int, tuple[int, int]], ...] = (
    ("clinical", 0, (800, 600)),
    ("dermoscopic", 1, (600, 450)),
)
_KINDS_2024 = ("nevus", "bcc", "nevus", "melanoma", "sk", "scc")
_IDDX = {
    "bcc": ("Malignant", "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma"),
    "melanoma": ("Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma in situ"),
    "scc": ("Malignant", "Malignant epidermal proliferations", "Squamous cell carcinoma in situ"),
}
_KINDS_MILK = ("bcc", "nevus", "melanoma", "sk", "scc", "ak", "df")
_MILK_LABELS = ("AKIEC", "BCC", "BEN_OTH", "BKL", "DF", "INF", "MAL_OTH", "MEL", "NV", "SCCKA", "VASC")
_MILK = {
    "bcc": ("BCC", "Basal cell carcinoma"),
    "nevus": ("NV", "Nevus"),
    "melanoma": ("MEL", "Melanoma, NOS"),
    "sk": ("BKL", "Seborrheic keratosis"),
    "scc": ("SCCKA", "Squamous cell carcinoma, NOS"),
    "ak": ("AKIEC", "Solar or actinic keratosis"),
    "df": ("DF", "Dermatofibroma"),
}
_MONET = tuple(
    f"MONET_{n}"
    for n in (
        "ulceration_crust",
        "hair",
        "vasculature_vessels",
        "erythema",
        "pigmented",
        "gel_water_drop_fluid_dermoscopy_liquid",
        "skin_markings_pen_ink_purple_pen",
    )
)


def write_2020(
    folder: Path, images: int = 12, seed: int = _SEED, dicom: bool = False, v1: bool = False
) -> Delivery:
    """Write the training data.

    Parameters
    ----------
    dicom
        True for the corrected DICOM files instead of the JPEGs.
    v1
        True for the table of the first generation only: without lesions, and with ages as ``45.0``.
    """
    top = "ISIC_2020_Train_DICOM_corrected" if dicom else "ISIC_2020_Training_JPEG"
    suffix = "dcm" if dicom else "jpg"
    shots: list[Shot] = []
    rows: list[dict[str, str]] = []
    mine = cases("isic_2020", images, seed, _KINDS_2020)
    for case in mine:
        make: Callable[[Picture], bytes] = encodings.dicom if dicom else encodings.jpeg
        name = _name(case)
        shots.append(Shot(f"train/{name}.{suffix}", photograph("isic_2020", seed, case, make, (640, 480))))
        rows.append(_record_2020(case, name))
    pairs = []
    if images > 3:
        # the publisher found some of its duplicates itself, and lists them
        twice = mine[1]
        again = f"ISIC_{9_000_123:07d}"
        make = encodings.dicom if dicom else _encoded_anew
        shots.append(Shot(f"train/{again}.{suffix}", photograph("isic_2020", seed, twice, make, (640, 480))))
        rows.append({**rows[1], "image_name": again, "lesion_id": "IL_0999999"})
        pairs.append({"image_name_1": rows[1]["image_name"], "image_name_2": again})
    write_zip(folder / f"{top}.zip", draw_all(shots))
    columns = _V1 if v1 else ("image_name", "patient_id", "lesion_id", *_V1[2:])
    for row in rows:
        row["age_approx"] += ".0" if v1 and row["age_approx"] else ""
    table = csv_bytes(columns, [{c: row[c] for c in columns} for row in rows])
    ending = "" if v1 else "_v2"
    write_files(
        folder,
        [
            (f"ISIC_2020_Training_GroundTruth{ending}.csv", table),
            ("ISIC_2020_Training_Duplicates.csv", csv_bytes(("image_name_1", "image_name_2"), pairs)),
        ],
    )
    return Delivery("isic_2020_dicom" if dicom else "isic_2020", folder, len(shots), len(rows), ())


def _name(case: Case) -> str:
    return f"ISIC_{15719 + case.number * 17:07d}"


def _encoded_anew(picture: Picture) -> bytes:
    return encodings.jpeg(picture, 82, subsampling=2)


def _record_2020(case: Case, name: str) -> dict[str, str]:
    known = case.number % 8 < 5
    malignant = case.kind == "melanoma"
    site = "torso" if "torso" in case.site else case.site
    return {
        "image_name": name,
        "patient_id": f"IP_{4337745 + case.number // 2:07d}",
        "lesion_id": f"IL_{3012 + case.number:07d}",
        "sex": "" if case.last else case.sex,
        "age_approx": "" if case.last else "90" if case.number == 2 else str(case.age),
        "anatom_site_general_challenge": "" if case.last else site,
        "diagnosis": _DIAGNOSES[case.kind] if known or malignant else "unknown",
        "benign_malignant": "malignant" if malignant else "benign",
        "target": str(int(malignant)),
    }


def write_2024(folder: Path, images: int = 12, seed: int = _SEED, permissive: bool = False) -> Delivery:
    """Write the training data; ``permissive`` for the part under CC BY: every other tile of the whole."""
    stem = "ISIC_2024_Permissive_Training" if permissive else "ISIC_2024_Training"
    mine = [c for c in cases("isic_2024", images, seed, _KINDS_2024) if not permissive or c.number % 2 == 0]
    shots, people, truth, extra = [], [], [], []
    for case in mine:
        name = f"ISIC_{15670 + case.number * 23:07d}"
        draw = photograph("isic_2024", seed, case, _tile, (600, 600), "clinical")
        shots.append(Shot(f"{stem}_Input/{name}.jpg", draw))
        levels = _IDDX.get(case.kind, ("Benign", "", ""))
        people.append(
            {
                "isic_id": name,
                "patient_id": f"IP_{1235828 + case.number // 3:07d}",
                "age_approx": "" if case.last else f"{case.age}.0",
                "sex": case.sex,
                "anatom_site_general": "posterior torso" if "torso" in case.site else case.site,
                "clin_size_long_diam_mm": f"{2.5 + case.number / 4:.2f}",
                "image_type": "TBP tile: close-up",
                "tbp_tile_type": ("3D: XP", "3D: white")[case.number % 2],
            }
        )
        truth.append({"isic_id": name, "malignant": f"{int(levels[0] == 'Malignant')}.0"})
        extra.append(
            {
                "isic_id": name,
                "attribution": "University of Athens Medical School" if permissive else "Hospital of Basel",
                "copyright_license": "CC-BY" if permissive else "CC-BY-NC",
                "lesion_id": f"IL_{77000 + case.number:07d}" if levels[2] else "",
                "iddx_full": "::".join(t for t in levels if t),
                **{f"iddx_{n}": text for n, text in enumerate(levels, start=1)},
            }
        )
    members = [*draw_all(shots), (f"{stem}_Input/metadata.csv", csv_bytes(list(people[0]), people))]
    write_zip(folder / f"{stem}_Input.zip", members)
    tables = [(f"{stem}_GroundTruth.csv", truth), (f"{stem}_Supplement.csv", extra)]
    write_files(folder, [(name, csv_bytes(list(rows[0]), rows)) for name, rows in tables])
    return Delivery("isic_2024_permissive" if permissive else "isic_2024", folder, len(mine), len(mine), ())


def _tile(picture: Picture) -> bytes:
    return encodings.jpeg(defects.resized(picture, 0.22), 90)


def write_milk10k(folder: Path, images: int = 12, seed: int = _SEED) -> Delivery:
    """Write the training data: for each of ``images / 2`` lesions a clinical close-up and a dermoscopic picture."""
    stem = "MILK10k_Training"
    shots, people, truth, extra = [], [], [], []
    for case in cases("milk10k", max(images // 2, 1), seed, _KINDS_MILK):
        lesion = f"IL_{17 + case.number * 31:07d}"
        label, full = _MILK[case.kind]
        truth.append({"lesion_id": lesion, **one_hot(_MILK_LABELS, label)})
        for view, number, size in _VIEWS_MILK:
            name = f"ISIC_{4650111 + case.number * 2 + number:07d}"
            draw = photograph("milk10k", seed + number, case, encodings.jpeg, size, view)
            shots.append(Shot(f"{stem}_Input/{lesion}/{name}.jpg", draw))
            people.append(
                {
                    "lesion_id": lesion,
                    "image_type": "clinical: close-up" if view == "clinical" else "dermoscopic",
                    "isic_id": name,
                    "attribution": "MILK study team",
                    "copyright_license": "CC-BY-NC",
                    "image_manipulation": "instrument only" if case.number == 2 else "",
                    "age_approx": "" if case.last else f"{case.age}.0",
                    "sex": case.sex,
                    "skin_tone_class": str(case.number % 6),
                    "site": ("head_neck_face", "trunk", "lower_extremity", "upper_extremity")[
                        case.number % 4
                    ],
                    **dict.fromkeys(_MONET, "0.125"),
                }
            )
            extra.append(
                {
                    "isic_id": name,
                    "diagnosis_full": full,
                    "diagnosis_confirm_type": "single image expert consensus"
                    if label == "NV"
                    else "histopathology",
                    "invasion_thickness_interval": "",
                }
            )
    write_zip(folder / f"{stem}_Input.zip", draw_all(shots))
    tables = [("Metadata", people), ("GroundTruth", truth), ("Supplement", extra)]
    write_files(folder, [(f"{stem}_{name}.csv", csv_bytes(list(rows[0]), rows)) for name, rows in tables])
    return Delivery("milk10k", folder, len(shots), len(people), ())
