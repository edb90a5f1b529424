"""A delivery in the layout of DDI: numbered PNG files and a table whose first column has no name."""

from __future__ import annotations

from pathlib import Path

from curation_dagster.samples import encodings
from curation_dagster.samples.delivery import Delivery, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import MOST, photograph

COLUMNS = ("", "DDI_ID", "DDI_file", "skin_tone", "malignant", "disease")

_DISEASES = (
    ("melanocytic-nevi", False), ("melanoma-acral-lentiginous", True), ("seborrheic-keratosis", False),
    ("basal-cell-carcinoma", True), ("melanoma-in-situ", True), ("verruca-vulgaris", False),
)  # fmt: skip


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``, all in its root; half of the truth values are those of a spreadsheet."""
    count = min(images, MOST)
    shots = [photograph("ddi", seed, n, f"{n + 1:06d}.png", make=encodings.png) for n in range(count)]
    rows = []
    for n in range(count):
        disease, malignant = _DISEASES[n % len(_DISEASES)]
        value = str(malignant) if n % 2 else str(malignant).upper()
        rows.append(
            {"": str(n), "DDI_ID": str(n + 1), "DDI_file": f"{n + 1:06d}.png", "skin_tone": ("12", "34", "56")[n % 3],
             "malignant": value, "disease": disease}
        )  # fmt: skip
    write_files(folder, [*draw_all(shots), ("ddi_metadata.csv", csv_bytes(COLUMNS, rows))])
    return Delivery("ddi", folder, count, count, ())
