"""A delivery in the layout of SCIN: cases of up to three images, differential diagnoses as Python literals."""

from __future__ import annotations

from pathlib import Path

from curation_dagster.samples import encodings
from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import photograph

_PARTS = (
    "head_or_neck", "arm", "palm", "back_of_hand", "torso_front", "torso_back", "genitalia_or_groin", "buttocks", "leg",
    "foot_top_or_side", "foot_sole",
)  # fmt: skip
CASES = (
    "case_id", "source", "release", "year", "age_group", "sex_at_birth", "fitzpatrick_skin_type",
    *(f"body_parts_{p}" for p in _PARTS), "related_category", "condition_duration",
    *(f"image_{n}_{what}" for n in (1, 2, 3) for what in ("path", "shot_type")),
)  # fmt: skip
LABELS = (
    "case_id", "dermatologist_skin_condition_on_label_name", "dermatologist_skin_condition_confidence",
    "weighted_skin_condition_label", "dermatologist_fitzpatrick_skin_type_label_1", "monk_skin_tone_label_india",
    "monk_skin_tone_label_us",
)  # fmt: skip

# case, images, age group, sex, phototype, marked body parts, weighted label, Monk
_CASES = (
    ("-2243186711511406658", 3, "AGE_18_TO_29", "FEMALE", "FST2", ("arm",), "{'Eczema': 0.75, 'Psoriasis': 0.25}", "3"),
    ("8731402651947211873", 2, "AGE_80_OR_ABOVE", "MALE", "FST5", ("torso_front", "torso_back"), "{'Tinea': 0.5, 'Eczema': 0.5}", "8"),
    ("-31415926535897932", 1, "AGE_UNKNOWN", "OTHER_OR_UNSPECIFIED", "NONE_IDENTIFIED", (), "{}", ""),
    ("1000000000000000003", 1, "AGE_30_TO_39", "FEMALE", "FST6", ("genitalia_or_groin",), "{'Urticaria': 1.0}", "10"),
    ("7", 1, "AGE_40_TO_49", "MALE", "FST1", ("head_or_neck",), "{'Eczema': 0.41", "1"),
)  # fmt: skip


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``: one image is listed and missing, one case was never labelled."""
    cases = _CASES[: max(1, min(images, len(_CASES)))]
    shots, rows, labels = [], [], []
    number = 0
    for case, count, age, sex, phototype, parts, weighted, monk in cases:
        row = {
            "case_id": case, "source": "SCIN", "release": "1.0.0", "year": "2023", "age_group": age, "sex_at_birth": sex,
            "fitzpatrick_skin_type": phototype, "related_category": "RASH", "condition_duration": "ONE_DAY",
        } | {f"body_parts_{p}": "YES" for p in parts}  # fmt: skip
        for n in range(count):
            id = case if n == 0 else f"{'-' * (n % 2)}{abs(int(case)) + n}"
            row[f"image_{n + 1}_path"] = f"dataset/images/{id}.png"
            row[f"image_{n + 1}_shot_type"] = ("CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE")[n]
            if not (case == cases[0][0] and n == 2):
                shots.append(photograph("scin", seed, number, f"dataset/images/{id}.png", make=encodings.png))
            number += 1
        rows.append(row)
        labels.append(
            {"case_id": case, "weighted_skin_condition_label": weighted, "monk_skin_tone_label_us": monk,
             "dermatologist_skin_condition_on_label_name": "['Eczema']", "dermatologist_skin_condition_confidence": "[3]"}
        )  # fmt: skip
    tables = [
        ("dataset/scin_cases.csv", csv_bytes(CASES, rows)),
        ("dataset/scin_labels.csv", csv_bytes(LABELS, labels)),
    ]
    write_files(folder, [*draw_all(shots), *tables])
    lost = Planted(
        "scin", None, f"{abs(int(cases[0][0])) + 2}", "listed_and_missing", ("join:record_without_file",)
    )
    return Delivery("scin", folder, len(shots), len(rows), (lost,))
