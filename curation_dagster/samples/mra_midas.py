"""A delivery in the layout of MRA-MIDAS: a workbook whose names fit the files exactly, by stem, by beginning, or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curation_dagster.samples import encodings
from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import photograph, workbook

COLUMNS = (
    "", "midas_record_id", "midas_file_name", "midas_iscontrol", "midas_distance", "midas_location", "midas_path",
    "midas_pathreport", "midas_gender", "midas_age", "midas_fitzpatrick", "midas_melanoma", "midas_ethnicity", "midas_race",
    "clinical_impression_1", "clinical_impression_2", "clinical_impression_3", "length_(mm)", "width_(mm)",
)  # fmt: skip

_TYPES = (
    "i pale white skin, blue/green eyes, blond/red hair", "ii fair skin, blue eyes", "iii darker white skin",
    "iv light brown skin", "v brown skin", "vi dark brown or black skin",
)  # fmt: skip
# record, name in the table, name of the file, control, distance, location, pathology, size
_ROWS = (
    (1, "s-prd-448520831.jpg", "s-prd-448520831.jpg", "no", "dscope", "l cheek", "malignant- bcc", (6, 4)),
    (1, "s-prd-448520832.jpeg", "s-prd-448520832.jpg", "no", "6in", "l cheek", "malignant- bcc", (6, 4)),
    (1, "s-prd-448520833.jpg", "s-prd-448520833_cropped.jpg", "no", "1ft", "l cheek", "malignant- bcc", (6, 4)),
    (2, "s-prd-551000001.jpg", "s-prd-551000001.jpg", "no", "dscope", "buttox", "malignant- ak", (3.5, 2)),
    (2, "s-prd-551000002.jpg", None, "no", "6in", "buttox", "malignant- ak", (3.5, 2)),
    (3, "s-prd-660000001.jpg", "s-prd-660000001.png", "no", "dscope", "r upper back", "benign-melanocytic nevus", (0, 0)),
    (3, "s-prd-660000002.jpg", "s-prd-660000002.jpg", "no", "n/a - virtual", "r upper back", "benign-other", (None, None)),
    (4, "s-prd-770000001.jpg", "s-prd-770000001.jpg", "yes", "dscope", "back", "", (None, None)),
)  # fmt: skip


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``: one record finds no file, and one file no record."""
    chosen = _ROWS[: max(1, min(images, len(_ROWS)))]
    shots = [
        photograph(
            "mra_midas", seed, n, f"images/{file}", modality="dermoscopic" if row[4] == "dscope" else "clinical",
            make=encodings.png if file.endswith(".png") else encodings.jpeg,
        )
        for n, row in enumerate(chosen)
        for file in [row[2]]
        if file is not None
    ]  # fmt: skip
    shots.append(photograph("mra_midas", seed, 90, "images/s-prd-999999999.jpg"))
    rows: list[tuple[Any, ...]] = []
    for n, (record, name, _, control, distance, location, path, size) in enumerate(chosen):
        rows.append(
            (n, record, name, control, distance, location, path, None, ("female", "male")[record % 2], 40 + 12 * record,
             _TYPES[record % 6], "no", "not hispanic", "white", "nevus", None, None, *size)
        )  # fmt: skip
    book = workbook([COLUMNS, *rows], "Sheet1")
    manifest = csv_bytes(
        ("file_id", "file_name", "size", "added_at", "md5_hash"),
        [
            {"file_id": f"f{n}", "file_name": s.name.rsplit("/", 1)[1], "size": "1", "added_at": "2024-05-01T00:00:00Z",
             "md5_hash": "1B2M2Y8AsgTpgAmY7PhCfg=="}
            for n, s in enumerate(shots)
        ],
    )  # fmt: skip
    write_files(folder, [*draw_all(shots), ("release_midas.xlsx", book), ("data.csv", manifest)])
    planted = (
        Planted(
            "mra_midas",
            "images/s-prd-999999999.jpg",
            "s-prd-999999999",
            "file_without_row",
            ("join:file_without_record",),
        ),
    )
    return Delivery("mra_midas", folder, len(shots), len(rows), planted)
