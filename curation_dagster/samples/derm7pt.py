"""A delivery in the layout of Derm7pt: cases of a clinical and a dermoscopic image, names that only case tells apart."""

from __future__ import annotations

from pathlib import Path

from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import photograph

COLUMNS = (
    "case_num", "diagnosis", "seven_point_score", "pigment_network", "streaks", "pigmentation", "regression_structures",
    "dots_and_globules", "blue_whitish_veil", "vascular_structures", "level_of_diagnostic_difficulty", "elevation",
    "location", "sex", "management", "clinic", "derm", "case_id", "notes",
)  # fmt: skip

# diagnosis, location, clinical image, dermoscopic image, note
_CASES = (
    ("clark nevus", "back", "NEL/NEL025.JPG", "NEL/Nel026.jpg", ""),
    ("melanoma (less than 0.76 mm)", "lower limbs", "Fal/Fal091.jpg", "Fal/Fal092.JPG", ""),
    # names of another case that differ by case only
    ("blue nevus", "acral", "nel/nel025.jpg", "nel/nel026.jpg", ""),
    ("miscellaneous", "genital areas", "Gpl/Gpl001.jpg", "Gpl/Gpl002.jpg", ""),
    # no clinical image: the column points at the dermoscopic one, or at a file of another case
    ("seborrheic keratosis", "head neck", "Gsl/Gsl010.jpg", "Gsl/Gsl010.jpg", "clinical image is missing"),
    ("melanosis", "abdomen", "Fal/Fal092.JPG", "Gsl/Gsl020.jpg", "clinical image is swapped"),
)


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``: six cases of at most two images, whatever ``images`` says above that."""
    cases = _CASES[: max(1, min(images, 12) // 2)]
    files = list(dict.fromkeys(name for case in cases for name in case[2:4]))
    dermoscopic = {case[3] for case in cases}
    shots = [
        photograph(
            "derm7pt",
            seed,
            n,
            f"release_v0/images/{name}",
            modality="dermoscopic" if name in dermoscopic else "clinical",
        )
        for n, name in enumerate(files)
    ]
    rows = [
        {
            "case_num": str(n + 1), "diagnosis": diagnosis, "seven_point_score": str(n), "pigment_network": "absent",
            "level_of_diagnostic_difficulty": "medium", "elevation": "flat", "location": location,
            "sex": ("female", "male")[n % 2], "management": ("excision", "clinical follow up")[n % 2], "clinic": clinic,
            "derm": derm, "case_id": "", "notes": note,
        }
        for n, (diagnosis, location, clinic, derm, note) in enumerate(cases)
    ]  # fmt: skip
    write_files(
        folder,
        [
            *draw_all(shots), ("release_v0/meta/meta.csv", csv_bytes(COLUMNS, rows)),
            ("release_v0/meta/train_indexes.csv", b"indexes\n0\n2\n"),
            ("release_v0/README.txt", b"Synthetic twin; nobody is shown.\n"),
        ],
    )  # fmt: skip
    planted = [
        Planted(
            "derm7pt",
            "release_v0/images/Fal/Fal092.JPG",
            "Fal/Fal092",
            "two_cases_name_it",
            ("join:conflicting_record",),
        )
    ]
    return Delivery("derm7pt", folder, len(shots), len(rows), tuple(planted if len(cases) > 5 else ()))
