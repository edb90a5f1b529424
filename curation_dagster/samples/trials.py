"""Deliveries of a trial that a user brings under an agreement: images and ``manifest.csv`` (EFFISAYIL 1 and 2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files
from curation_dagster.samples.small import MOST, photograph

COLUMNS = (
    "file", "patient_id", "visit_day", "sex", "age", "fitzpatrick", "body_site", "gppga_total", "pustules", "erythema",
    "scaling",
)  # fmt: skip

# pustules, erythema, scaling and the total that the trial's rule makes of them
_SCORES = (
    ("3", "3", "3", "3"),
    ("1", "2", "1", "1"),
    ("0", "0", "0", "0"),
    ("4", "4", "3", "4"),
    ("", "", "", ""),
)
_SITES = ("trunk", "arm", "face", "leg", "")


def trial(archive: str) -> Callable[[Path, int, int], Delivery]:
    """Return what writes the delivery of a trial: two visits of each patient; one image came without a row."""

    def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
        count = min(images, MOST - 1)
        shots = [
            photograph(
                archive,
                seed,
                n,
                f"visits/{archive[-1]}{n // 2:03d}_v{n % 2 + 1}.jpg",
                kind="papules",
                size=(800, 600),
            )
            for n in range(count)
        ]
        rows = []
        for n in range(count - 1):
            pustules, erythema, scaling, total = _SCORES[n % len(_SCORES)]
            rows.append(
                {
                    "file": shots[n].name.rsplit("/", 1)[1], "patient_id": f"P{n // 2:03d}", "visit_day": str(n % 2 * 7),
                    "sex": ("female", "male")[n // 2 % 2], "age": str(38 + n // 2 * 13), "fitzpatrick": str(1 + n // 2 % 6),
                    "body_site": _SITES[n % len(_SITES)], "gppga_total": total, "pustules": pustules, "erythema": erythema,
                    "scaling": scaling,
                }
            )  # fmt: skip
        files = [*draw_all(shots), ("manifest.csv", csv_bytes(COLUMNS, rows))]
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files)
        write_files(folder, [*files, ("SHA256SUMS", sums.encode())])
        last = shots[-1].name
        planted = Planted(
            archive, last, last.rsplit("/", 1)[1][:-4], "image_without_row", ("join:file_without_record",)
        )
        return Delivery(archive, folder, count, len(rows), (planted,))

    return write
