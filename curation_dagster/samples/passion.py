"""A delivery in the layout of PASSION: ``MICCAI_2024/`` with one row per subject and several photographs of each.

True to the original: labels are groups (Fungal, Others), impetigo is a second flag beside them, body sites are
joined by ``; ``, phototypes are III to VI, ages are exact and many subjects are children, and the split names two
subjects that have no label.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

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
    write_files,
)
from curation_dagster.samples.skin import Picture

ARCHIVE = "passion"
COLUMNS = ("subject_id", "country", "age", "sex", "fitzpatrick", "body_loc", "impetig", "conditions_PASSION")
SPLIT_COLUMNS = ("subject_id", "Split")

_CONDITIONS = {"Fungal": 579, "Scabies": 471, "Eczema": 414, "Others": 189}
_KINDS = {"Fungal": "tinea", "Scabies": "papules", "Eczema": "eczema", "Others": "df"}
_COUNTRIES = {"Madagascar": 985, "Guinea": 384, "Malawi": 261, "Tanzania": 23}
_PHOTOTYPES = {"3": 354, "4": 486, "5": 428, "6": 384}
_SITES = ("torso", "arm", "leg", "back", "pelvic", "hand", "hair", "face", "foot")

_DEFECTS: dict[str, tuple[Callable[[Picture], bytes], tuple[str, ...]]] = {
    "blurred": (lambda p: encodings.jpeg(defects.blurred(p)), ("focus",)),
    "underexposed": (lambda p: encodings.jpeg(defects.underexposed(p)), ("underexposed",)),
    "truncated": (lambda p: defects.truncated(encodings.jpeg(p)), ("integrity",)),
    "secrets": (encodings.jpeg_with_secrets, ("hidden:gps", "hidden:name", "hidden:date")),
}


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``.

    Parameters
    ----------
    folder
        Drop folder of the archive version; made if it isn't there.
    images
        Photographs; there are two of most subjects.
    seed
        The same seed gives the same bytes.
    """
    rng = generator(seed, ARCHIVE)
    subjects = max(1, (images + 1) // 2)
    conditions, countries = quotas(rng, _CONDITIONS, subjects), quotas(rng, _COUNTRIES, subjects)
    tones = quotas(rng, _PHOTOTYPES, subjects)
    planted_at = dict(zip(range(2, images, 4), _DEFECTS, strict=False))
    rows: list[dict[str, str]] = []
    shots: list[Shot] = []
    planted: list[Planted] = []
    for number in range(subjects):
        subject = f"AA{970_100 + number:08d}"
        sites = rng.choice(_SITES, size=int(rng.integers(1, 3)), replace=False)
        rows.append(
            {
                "subject_id": subject,
                "country": countries[number],
                "age": str(int(rng.integers(0, 15)) if rng.random() < 0.6 else int(rng.integers(15, 98))),
                "sex": str(rng.choice(("m", "f"))),
                "fitzpatrick": tones[number],
                "body_loc": "" if number % 12 == 11 else "; ".join(str(s) for s in sites),
                "impetig": "1.0" if rng.random() < 0.12 else "0.0",
                "conditions_PASSION": conditions[number],
            }
        )
        kind, tone = _KINDS[conditions[number]], int(tones[number])
        for n in range(2 * number, min(2 * number + 2, images)):
            source_id = f"{subject}_{n - 2 * number + 1}"
            defect = planted_at.get(n)
            make: Callable[[Picture], bytes] = encodings.jpeg
            if defect is not None:
                make, expected = _DEFECTS[defect]
                where = f"MICCAI_2024/images/{source_id}.jpg"
                planted.append(Planted(ARCHIVE, where, source_id, defect, expected))
            draw = partial(_draw, picture_seed(seed, ARCHIVE, n), tone, kind, make)
            shots.append(Shot(f"MICCAI_2024/images/{source_id}.jpg", draw))
    split = [
        {"subject_id": row["subject_id"], "Split": "TEST" if n % 5 == 4 else "TRAIN"}
        for n, row in enumerate(rows)
    ]
    split += [{"subject_id": f"AA{970_254 + 1000 * n:08d}", "Split": "TRAIN"} for n in (1, 2)]
    write_files(
        folder,
        [
            *draw_all(shots),
            ("MICCAI_2024/label.csv", csv_bytes(COLUMNS, rows)),
            ("MICCAI_2024/PASSION_split.csv", csv_bytes(SPLIT_COLUMNS, split)),
        ],
    )
    return Delivery(ARCHIVE, folder, len(shots), len(rows), tuple(planted))


def _draw(seed: int, phototype: int, kind: str, make: Callable[[Picture], bytes]) -> bytes:
    return make(skin.lesion(seed, (640, 480), phototype, "clinical", kind))
