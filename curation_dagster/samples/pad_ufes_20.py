"""A delivery in the layout of PAD-UFES-20: one zip that holds ``metadata.csv`` and three zips of smartphone PNGs.

True to the original: 26 columns with their spelling (``fitspatrick``, ``biopsed``), a block of anamnesis columns that
is blank as a whole for a third of the rows, a ``lesion_id`` that two patients share, exact ages above 89, BRASIL
beside BRAZIL, and diameters of 0 and 100 mm.
"""

from __future__ import annotations

from collections.abc import Callable
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
    write_zip,
    zip_bytes,
)
from curation_dagster.samples.skin import Picture

ARCHIVE = "pad_ufes_20"
CONTAINER = "zr7vgbcyr2-1.zip"
COLUMNS = (
    "patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age", "pesticide",
    "gender", "skin_cancer_history", "cancer_history", "has_piped_water", "has_sewage_system", "fitspatrick",
    "region", "diameter_1", "diameter_2", "diagnostic", "itch", "grew", "hurt", "changed", "bleed", "elevation",
    "img_id", "biopsed",
)  # fmt: skip
#: Columns that are blank together: what was never asked of a patient.
ANAMNESIS = (
    "smoke", "drink", "background_father", "background_mother", "pesticide", "gender", "skin_cancer_history",
    "cancer_history", "has_piped_water", "has_sewage_system", "fitspatrick", "diameter_1", "diameter_2",
)  # fmt: skip

_DIAGNOSTIC = {"BCC": 845, "ACK": 730, "NEV": 244, "SEK": 235, "SCC": 192, "MEL": 52}
_KINDS = {"BCC": "bcc", "ACK": "ak", "NEV": "nevus", "SEK": "sk", "SCC": "scc", "MEL": "melanoma"}
_BIOPSED = {"BCC": 1.0, "MEL": 1.0, "SCC": 1.0, "ACK": 178 / 730, "NEV": 60 / 244, "SEK": 15 / 235}
_REGIONS = {
    "FACE": 570, "FOREARM": 392, "CHEST": 280, "BACK": 248, "ARM": 192, "NOSE": 158, "HAND": 126, "NECK": 93,
    "THIGH": 73, "EAR": 73, "ABDOMEN": 36, "LIP": 23, "SCALP": 18, "FOOT": 16,
}  # fmt: skip
_PHOTOTYPES = {"2.0": 876, "3.0": 392, "1.0": 153, "4.0": 62, "5.0": 10, "6.0": 1}
_ORIGINS = ("POMERANIA", "GERMANY", "ITALY", "UNK", "BRAZIL", "BRASIL", "PORTUGAL")
_REPEAT_CHANCE = 0.5  # 2,298 photographs of 1,891 lesions in the original
_NEVER_ASKED = 804 / 956  # share of the rows without biopsy that miss the anamnesis
# Photographs that are neither defects nor originals of copies; something is wrong with their rows only.
_TWICE, _CONTRADICTED = 2, 5
_SIZES = ((640, 480), (480, 640), (720, 540), (800, 600), (640, 640), (1024, 768))


@dataclass(frozen=True)
class _Look:
    """What a photograph shows, before any defect."""

    seed: int
    phototype: int
    kind: str
    size: tuple[int, int]
    retake: int = 0


def _on_picture(change: Callable[[Picture], Picture]) -> Callable[[Picture], bytes]:
    return lambda picture: encodings.png(change(picture))


_DEFECTS: dict[str, tuple[Callable[[Picture], bytes], tuple[str, ...]]] = {
    "blurred": (_on_picture(defects.blurred), ("focus",)),
    "underexposed": (_on_picture(defects.underexposed), ("underexposed",)),
    "too_small": (_on_picture(lambda p: defects.tiny(p, 300)), ("resolution",)),
    "truncated": (lambda p: defects.truncated(encodings.png(p)), ("integrity",)),
    "motion_blurred": (_on_picture(defects.motion_blurred), ("focus",)),
    "overexposed": (_on_picture(defects.overexposed), ("overexposed",)),
    "zeroed_block": (lambda p: defects.zeroed_block(encodings.png(p)), ("integrity",)),
    "ruler": (_on_picture(defects.with_ruler), ("ruler",)),
    "hair": (_on_picture(defects.with_hair), ("hair",)),
    "alpha": (encodings.png_alpha, ("not:integrity",)),
    "16_bit": (encodings.png_16_bit, ("not:integrity",)),
    "jpeg_named_png": (lambda p: encodings.jpeg(p), ("not:integrity",)),
    "secrets": (
        lambda p: encodings.png_with_exif(p, encodings.exif(gps=True, name=True)),
        ("hidden:gps", "hidden:name", "hidden:date", "hidden:device"),
    ),
}
_COPIES: dict[str, tuple[Callable[[Picture], bytes], str]] = {
    "exact_copy": (encodings.png, "exact_duplicate_of"),
    "smaller_copy": (_on_picture(lambda p: defects.resized(p, 0.86)), "near_duplicate_of"),
    "mirrored_copy": (_on_picture(defects.mirrored), "near_duplicate_of"),
}


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``.

    Parameters
    ----------
    folder
        Drop folder of the archive version; made if it isn't there.
    images
        Photographs with a record. One more record has no file, and one more file has no record.
    seed
        The same seed gives the same bytes.
    """
    rng = generator(seed, ARCHIVE)
    planted_at = slots([*_COPIES, *_DEFECTS], images)
    part = roles(rng, images, planted_at, _COPIES, _REPEAT_CHANCE)
    lesions = part.count("new")
    labels, regions = iter(quotas(rng, _DIAGNOSTIC, lesions)), iter(quotas(rng, _REGIONS, lesions))
    tones = iter(quotas(rng, _PHOTOTYPES, lesions))
    rows: list[dict[str, str]] = []
    shots: list[Shot] = []
    planted: list[Planted] = []
    looks: list[_Look] = []
    for number, role in enumerate(part):
        defect = planted_at.get(number)
        if role == "new":
            tone = next(tones)
            row = _row(rng, number, next(labels), next(regions), tone)
            kind = _KINDS[row["diagnostic"]]
            # a copy that is smaller must still be large enough to be judged as a copy, not as too small
            copied = planted_at.get(number + 1) in _COPIES
            size = (800, 600) if copied else _SIZES[number % len(_SIZES)]
            look = _Look(picture_seed(seed, ARCHIVE, number), int(float(tone)), kind, size)
        elif role == "repeat":
            row, look = dict(rows[-1]), replace(looks[-1], retake=looks[-1].retake + 1)
            row.update(_ids(rng, row["patient_id"], row["lesion_id"]))
        else:
            row, look = dict(rows[-1]), looks[-1]
            row.update(_ids(rng, f"PAT_{3000 + number}", str(4000 + number)))
        make: Callable[[Picture], bytes] = encodings.png
        if defect is not None:
            if role == "copy":
                make, relation = _COPIES[defect]
                expected: tuple[str, ...] = (f"{relation}:{ARCHIVE}/{_stem(rows[-1])}",)
            else:
                make, expected = _DEFECTS[defect]
            where = _path(_part(number, images), row["img_id"])
            planted.append(Planted(ARCHIVE, where, _stem(row), defect, expected))
        rows.append(row)
        looks.append(look)
        shots.append(Shot(row["img_id"], partial(_draw, look, make)))

    _quirks(rows, planted, images)
    drawn = draw_all(shots)
    parts: list[list[tuple[str, bytes]]] = [[], [], []]
    for number, item in enumerate(drawn):
        parts[_part(number, images) - 1].append(item)
    stray = "PAT_2999_3999_111"
    parts[2].append(
        (
            f"{encodings.PERSON.replace(' ', '_')}_{encodings.BORN}/{stray}.png",
            encodings.png(
                skin.lesion(picture_seed(seed, ARCHIVE, images + 1), (640, 480), 2, "clinical", "nevus")
            ),
        )
    )
    planted.append(
        Planted(
            ARCHIVE,
            _path(3, f"{encodings.PERSON.replace(' ', '_')}_{encodings.BORN}/{stray}.png"),
            stray,
            "name_in_folder",
            ("join:file_without_record", "name_in_path"),
        )
    )
    order = rng.permutation(len(rows))  # the original is in no order either
    members = [(f"images/imgs_part_{n}.zip", zip_bytes(part)) for n, part in enumerate(parts, 1)]
    table = csv_bytes(COLUMNS, [rows[i] for i in order])
    write_zip(folder / CONTAINER, [*members, ("metadata.csv", table)])
    return Delivery(ARCHIVE, folder, len(shots) + 1, len(rows), tuple(planted))


def _draw(look: _Look, make: Callable[[Picture], bytes]) -> bytes:
    first = skin.lesion(look.seed, look.size, look.phototype, "clinical", look.kind)
    return make(skin.retake(first, look.seed + look.retake) if look.retake else first)


def _stem(row: dict[str, str]) -> str:
    return row["img_id"].removesuffix(".png")


def _part(number: int, images: int) -> int:
    return 1 + min(2, number * 3 // max(images, 1))


def _path(part: int, name: str) -> str:
    return f"{CONTAINER}!/images/imgs_part_{part}.zip!/{name}"


def _ids(rng: np.random.Generator, patient: str, lesion: str) -> dict[str, str]:
    image = f"{patient}_{lesion}_{int(rng.integers(100, 1000))}"
    return {"patient_id": patient, "lesion_id": lesion, "img_id": f"{image}.png"}


def _row(rng: np.random.Generator, number: int, diagnostic: str, region: str, tone: str) -> dict[str, str]:
    def yes(chance: float) -> str:
        return str(bool(rng.random() < chance))

    def symptom(chance: float, unknown: float = 0.0) -> str:
        return "UNK" if rng.random() < unknown else yes(chance)

    biopsed = bool(rng.random() < _BIOPSED[diagnostic])
    # two patients share each lesion_id, as 250 of the original do
    row = {
        **_ids(rng, f"PAT_{1000 + number}", str(880 + number // 2)),
        "smoke": yes(0.1),
        "drink": yes(0.2),
        "background_father": str(rng.choice(_ORIGINS)),
        "background_mother": str(rng.choice(_ORIGINS)),
        "age": str(int(rng.integers(22, 89))),
        "pesticide": yes(0.4),
        "gender": str(rng.choice(("FEMALE", "MALE"))),
        "skin_cancer_history": yes(0.4),
        "cancer_history": yes(0.5),
        "has_piped_water": yes(0.6),
        "has_sewage_system": yes(0.5),
        "fitspatrick": tone,
        "region": region,
        "diameter_1": f"{int(rng.integers(3, 25))}.0",
        "diameter_2": f"{int(rng.integers(2, 18))}.0",
        "diagnostic": diagnostic,
        "itch": symptom(0.6),
        "grew": symptom(0.4, 0.17),
        "hurt": symptom(0.2),
        "changed": symptom(0.1, 0.17),
        "bleed": symptom(0.3),
        "elevation": symptom(0.6),
        "biopsed": str(biopsed),
    }
    if not biopsed and rng.random() < _NEVER_ASKED:
        row.update(dict.fromkeys(ANAMNESIS, ""))
    return row


def _quirks(rows: list[dict[str, str]], planted: list[Planted], images: int) -> None:
    """Plant what is odd in the original's table: ages above 89, diameters, doubled and contradicting rows, orphans."""
    asked = [n for n, row in enumerate(rows) if row["gender"]]
    for n, age in zip(asked[:2], ("94", "91"), strict=False):
        for row in rows:
            if row["patient_id"] == rows[n]["patient_id"]:
                row["age"] = age
        name = rows[n]["img_id"]
        where = _path(_part(n, images), name)
        planted.append(Planted(ARCHIVE, where, _stem(rows[n]), "age_above_89", ("age_capped",)))
    for n, diameters in zip(asked[2:4], (("0.0", "0.0"), ("100.0", "70.0")), strict=False):
        rows[n]["diameter_1"], rows[n]["diameter_2"] = diameters
    lost = {**rows[0], "img_id": "PAT_2998_3998_222.png", "patient_id": "PAT_2998", "lesion_id": "3998"}
    extra = [lost]
    planted.append(
        Planted(ARCHIVE, None, "PAT_2998_3998_222", "record_without_file", ("join:record_without_file",))
    )
    if images > _CONTRADICTED:
        for n, defect, state in (
            (_TWICE, "duplicated_row", "join:duplicate_record"),
            (_CONTRADICTED, "conflicting_rows", "join:conflicting_record"),
        ):
            row = dict(rows[n])
            if defect == "conflicting_rows":
                row["diagnostic"] = "NEV" if row["diagnostic"] != "NEV" else "BCC"
            extra.append(row)
            where = _path(_part(n, images), row["img_id"])
            planted.append(Planted(ARCHIVE, where, _stem(row), defect, (state,)))
    rows.extend(extra)
