"""A delivery in the layout of an ISIC Archive export: ``ISIC-images.zip`` with pictures, metadata, licences, credits.

True to the original: three generations of metadata columns, of which only the non-empty ones are written, sorted;
a licence per row; cells that begin with ``@`` guarded by a tab; photographs, tiles of total-body photography and
confocal microscopy beside dermoscopy; and pictures of HAM10000 that come again, re-encoded, under other ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from curation_dagster.samples import defects, encodings, ham10000, isic_api, skin
from curation_dagster.samples.delivery import (
    Delivery,
    Planted,
    Shot,
    csv_bytes,
    draw_all,
    generator,
    picture_seed,
    quotas,
    slots,
    write_files,
    write_zip,
)
from curation_dagster.samples.skin import Picture

ARCHIVE = "isic_archive"
CONTAINER = "ISIC-images.zip"
Generation = Literal["2024", "2025", "2026"]

# columns of each generation, beside isic_id, attribution and copyright_license, which always come first
_SHARED = (
    "acquisition_day", "age_approx", "anatom_site_special", "clin_size_long_diam_mm", "concomitant_biopsy",
    "dermoscopic_type", "diagnosis_confirm_type", "family_hx_mm", "fitzpatrick_skin_type", "image_manipulation",
    "image_type", "lesion_id", "melanocytic", "patient_id", "personal_hx_mm", "sex", "tbp_tile_type",
)  # fmt: skip
_DIAGNOSES = tuple(f"diagnosis_{level}" for level in range(1, 6))
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "2024": ("anatom_site_general", "benign_malignant", "diagnosis", *_SHARED),
    "2025": ("anatom_site_general", *_DIAGNOSES, *_SHARED),
    "2026": (*(f"anatom_site_{level}" for level in range(1, 6)), *_DIAGNOSES, *_SHARED),
}

# kind -> path in the archive's tree of diagnoses, and its share
_BENIGN, _MALIGNANT = "Benign", "Malignant"
_TREE: Mapping[str, tuple[str, ...]] = {
    "nevus": (_BENIGN, "Benign melanocytic proliferations", "Nevus"),
    "clark": (_BENIGN, "Benign melanocytic proliferations", "Nevus", "Nevus, Atypical, Dysplastic, or Clark"),
    "melanoma": (_MALIGNANT, "Malignant melanocytic proliferations (Melanoma)", "Melanoma, NOS"),
    "bcc": (_MALIGNANT, "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma"),
    "sk": (_BENIGN, "Benign epidermal proliferations", "Seborrheic keratosis"),
    "lentigo": (_BENIGN, "Benign epidermal proliferations", "Solar lentigo"),
    "ak": ("Indeterminate", "Indeterminate epidermal proliferations", "Solar or actinic keratosis"),
    "scc": (_MALIGNANT, "Malignant epidermal proliferations", "Squamous cell carcinoma, NOS"),
    "df": (_BENIGN, "Benign soft tissue proliferations - Fibro-histiocytic", "Dermatofibroma"),
    "vascular": (_BENIGN, "Benign soft tissue proliferations - Vascular", "Hemangioma"),
}
_SHARES = {
    "nevus": 26, "clark": 10, "melanoma": 16, "bcc": 15, "sk": 9, "lentigo": 4, "ak": 7, "scc": 5, "df": 4, "vascular": 4,
}  # fmt: skip
_GROUPS = {  # of the generation of 2024
    "nevus": "nevus", "clark": "nevus", "melanoma": "melanoma", "bcc": "basal cell carcinoma",
    "sk": "seborrheic keratosis", "lentigo": "solar lentigo", "ak": "actinic keratosis",
    "scc": "squamous cell carcinoma", "df": "dermatofibroma", "vascular": "vascular lesion",
}  # fmt: skip
_LICENCES = {"CC-0": 45, "CC-BY": 30, "CC-BY-NC": 25}
_CREDITS = {
    "CC-0": "Anonymous",
    "CC-BY": "Hautklinik Beispielstadt",
    "CC-BY-NC": "Hospital Clínic de Exemple",
}
_HAM_CREDIT = "ViDIR Group, Department of Dermatology, Medical University of Vienna"
_GUARDED = "\t@ Dermatology Service of Sample City"  # how the archive writes a cell that begins with @
_SITES = {
    "anterior torso": 30, "posterior torso": 16, "lower extremity": 21, "upper extremity": 14, "head/neck": 14,
    "lateral torso": 3, "palms/soles": 2,
}  # fmt: skip
_SITES_2026 = {
    "anterior torso": ("Trunk", "Anterior trunk", "Anterior chest"),
    "posterior torso": ("Trunk", "Posterior trunk", "Upper back"),
    "lower extremity": ("Lower extremity", "Lower leg"),
    "upper extremity": ("Upper extremity", "Forearm", "Volar forearm"),
    "head/neck": ("Head and neck", "Neck", "Nape of neck"),
    "lateral torso": ("Trunk", "Lateral trunk", "Lateral chest"),
    "palms/soles": ("Lower extremity", "Foot"),
}
_CONFIRMED = {
    "histopathology": 60,
    "single image expert consensus": 18,
    "serial imaging showing no change": 12,
    "confocal microscopy with consensus dermoscopy": 5,
    "single contributor clinical assessment": 5,
}

Record = dict[str, str]


def _record_only(**values: str) -> Callable[[Record], Record]:
    return lambda record: {**record, **values}


def _diagnosis(*path: str) -> Callable[[Record], Record]:
    def change(record: Record) -> Record:
        levels = dict.fromkeys(_DIAGNOSES, "") | dict(zip(_DIAGNOSES, path, strict=False))
        return {**record, **levels, "diagnosis": path[-1].lower() if path else "", "melanocytic": ""}

    return change


def _same(picture: Picture) -> bytes:
    return encodings.jpeg(picture, 90)


# defect -> what happens to the record, how the file is made, what a pipeline should say
_DEFECTS: dict[str, tuple[Callable[[Record], Record], Callable[[Picture], bytes], tuple[str, ...]]] = {
    "licence_non_commercial": (_record_only(copyright_license="CC-BY-NC"), _same, ("licence",)),
    "licence_missing": (_record_only(copyright_license=""), _same, ("licence",)),
    "guarded_cell": (_record_only(attribution=_GUARDED, copyright_license="CC-BY"), _same, ("not:licence",)),
    "nonspecific_benign": (_diagnosis(_BENIGN), _same, ("nonspecific",)),
    "nonspecific_malignant": (_diagnosis(_MALIGNANT), _same, ("nonspecific",)),
    "no_diagnosis": (_diagnosis(), _same, ("no_diagnosis",)),
    "unknown_label": (
        _diagnosis(_BENIGN, "Benign epidermal proliferations", "Sample papule of no known type"),
        _same,
        ("unmapped",),
    ),
    "oral_or_genital": (
        _record_only(
            anatom_site_special="oral or genital",
            anatom_site_general="",
            **{f"anatom_site_{n}": "Anogenital region" if n == 1 else "" for n in range(1, 6)},
        ),
        _same,
        ("anatomy",),
    ),
    "altered": (_record_only(image_manipulation="altered"), _same, ("manipulation",)),
    "synthetic": (_record_only(image_manipulation="synthetic"), _same, ("manipulation",)),
    "tbp_tile": (
        _record_only(image_type="TBP tile: close-up", dermoscopic_type="", tbp_tile_type="3D: white"),
        lambda p: encodings.jpeg(defects.resized(p, 0.24), 90),
        ("modality",),
    ),
    "rcm_tile": (
        _record_only(image_type="RCM: tile", dermoscopic_type=""),
        lambda p: encodings.tiff(np.dstack([p[..., 1]] * 3)),
        ("modality",),
    ),
    "motion_blurred": (_record_only(), lambda p: _same(defects.motion_blurred(p)), ("focus",)),
    "no_information": (_record_only(), lambda p: _same(defects.no_information(p)), ("no_information",)),
    "zeroed_block": (_record_only(), lambda p: defects.zeroed_block(_same(p)), ("integrity",)),
    "grey": (_record_only(), encodings.grey_jpeg, ("not:integrity",)),
    "cmyk": (_record_only(), encodings.cmyk_jpeg, ("not:integrity",)),
    "palette_png": (_record_only(), encodings.png_palette, ("not:integrity",)),
}
_SUFFIX = {"rcm_tile": ".tif", "palette_png": ".png"}

# copies of sound HAM10000 pictures -> how the file is made, its licence here, the expected relation
_HAM_COPIES: tuple[tuple[str, Callable[[Picture], bytes], str, str], ...] = (
    ("ham10000_same_file", encodings.jpeg, "CC-BY-NC", "exact_duplicate_of"),
    ("ham10000_re_encoded", lambda p: encodings.jpeg(p, 84, subsampling=2), "CC-BY-NC", "near_duplicate_of"),
    ("ham10000_larger", lambda p: encodings.jpeg(defects.resized(p, 1.5), 88), "CC-BY", "near_duplicate_of"),
    ("ham10000_mirrored", lambda p: encodings.jpeg(defects.mirrored(p), 90), "CC-BY", "near_duplicate_of"),
)


def write(
    folder: Path,
    images: int = 60,
    seed: int = 20250101,
    generation: Generation = "2025",
    ham_images: int | None = None,
    pages: bool = False,
) -> Delivery:
    """Write the delivery into ``folder``.

    Parameters
    ----------
    folder
        Drop folder of the archive version; made if it isn't there.
    images
        Pictures with a record, those that come from HAM10000 included.
    seed
        The same seed gives the same bytes.
    generation
        Which of the archive's metadata columns: until 2024, 2025, or from May 2026.
    ham_images
        Size of the HAM10000 delivery (of the same seed) that pictures are shared with; ``images`` by default,
        0 for none.
    pages
        True for what the archive's interface (API, version 2) gives: plain files, and pages of JSON for the table.
    """
    rng = generator(seed, ARCHIVE)
    shared = _shared(images if ham_images is None else ham_images, images, seed)
    own = images - len(shared)
    planted_at = slots(list(_DEFECTS), own, step=2)
    kinds, sites = quotas(rng, _SHARES, own), quotas(rng, _SITES, own)
    licences, confirmed = quotas(rng, _LICENCES, own), quotas(rng, _CONFIRMED, own)
    shots: list[Shot] = []
    rows: list[Record] = []
    planted: list[Planted] = []
    for number in range(own):
        isic_id = f"ISIC_{1_000_003 + number * 13:07d}"
        defect = planted_at.get(number)
        # licences are told apart in rows of their own, so that each other defect decides alone
        licence = "CC-0" if defect else licences[number]
        clinical = defect is None and number % 11 == 4
        record = _record(rng, isic_id, kinds[number], sites[number], licence, confirmed[number], clinical)
        make: Callable[[Picture], bytes] = _same
        if defect is not None:
            change, make, expected = _DEFECTS[defect]
            record = change(record)
        suffix = _SUFFIX.get(defect or "", ".jpg")
        if defect is not None:
            planted.append(Planted(ARCHIVE, f"{CONTAINER}!/{isic_id}{suffix}", isic_id, defect, expected))
        phototype = ("I", "II", "III", "IV", "V", "VI").index(record["fitzpatrick_skin_type"] or "II") + 1
        kind = "nevus" if kinds[number] == "clark" else kinds[number]
        draw = partial(_draw, picture_seed(seed, ARCHIVE, number), phototype, kind, clinical, number, make)
        shots.append(Shot(f"{isic_id}{suffix}", draw))
        rows.append(record)
    for number, (photo, (name, make, licence, relation)) in enumerate(shared):
        isic_id = f"ISIC_{5_000_011 + number * 17:07d}"
        shots.append(Shot(f"{isic_id}.jpg", lambda p=photo, m=make: m(ham10000.picture(p))))  # type: ignore[misc]
        rows.append(_from_ham(photo, isic_id, licence))
        where = f"{CONTAINER}!/{isic_id}.jpg"
        planted.append(
            Planted(ARCHIVE, where, isic_id, name, (f"{relation}:{ham10000.ARCHIVE}/{photo.image_id}",))
        )
    if rows:
        lost = "ISIC_9000001"
        rows.append({**rows[0], "isic_id": lost})
        planted.append(Planted(ARCHIVE, None, lost, "record_without_file", ("join:record_without_file",)))

    columns = _columns(rows, generation)
    if pages:
        write_files(folder, [*draw_all(shots), *isic_api.pages(rows, columns)])
        planted = [replace(p, path=p.path and p.path.removeprefix(f"{CONTAINER}!/")) for p in planted]
        return Delivery(ARCHIVE, folder, len(shots), len(rows), tuple(planted))
    table = csv_bytes(
        columns, [{k: v for k, v in row.items() if k in columns} for row in rows], newline="\r\n"
    )
    write_zip(folder / CONTAINER, [*draw_all(shots), ("metadata.csv", table), *_papers(rows)])
    return Delivery(ARCHIVE, folder, len(shots), len(rows), tuple(planted))


def _shared(
    ham_images: int, images: int, seed: int
) -> list[tuple[ham10000.Photo, tuple[str, Callable[[Picture], bytes], str, str]]]:
    """Return sound HAM10000 photographs that come again here, at most a sixth of the delivery."""
    if ham_images == 0:
        return []
    photos = ham10000.plan(ham_images, seed)
    twice = {n - 1 for n, p in enumerate(photos) if p.defect} | {
        n - 1 for n, p in enumerate(photos) if p.retake
    }
    sound = [
        p
        for n, p in enumerate(photos)
        # not the first few, whose rows are not sound, nor one that has another copy inside HAM10000
        if n > 5 and p.defect is None and p.retake == 0 and n not in twice
    ]
    return list(zip(sound, _HAM_COPIES, strict=False))[: images // 6]


def _draw(
    seed: int, phototype: int, kind: str, clinical: bool, number: int, make: Callable[[Picture], bytes]
) -> bytes:
    if clinical:
        return make(skin.lesion(seed, (800, 600), phototype, "clinical", kind))
    # real exports hold many sizes; the larger ones are scaled up from the same drawing only where it stays sharp
    size = ((600, 450), (640, 480), (720, 540), (600, 600))[number % 4]
    return make(skin.lesion(seed, size, phototype, "dermoscopic", kind))


def _record(
    rng: np.random.Generator, isic_id: str, kind: str, site: str, licence: str, confirmed: str, clinical: bool
) -> Record:
    path = _TREE[kind]
    if path[0] == _MALIGNANT:
        confirmed = "histopathology"
    number = int(isic_id[5:])
    levels = dict(zip(_DIAGNOSES, path, strict=False))
    regions = dict(zip((f"anatom_site_{n}" for n in range(1, 6)), _SITES_2026[site], strict=False))
    tones = ("I", "II", "III", "IV", "V", "VI", "")
    age = int(rng.integers(3, 18)) * 5
    return {
        "isic_id": isic_id,
        "attribution": _CREDITS[licence],
        "copyright_license": licence,
        "acquisition_day": str(int(rng.integers(1, 900))) if number % 5 == 0 else "",
        "age_approx": "" if number % 29 == 0 else str(age),
        "anatom_site_general": site,
        "anatom_site_special": "acral palms or soles" if site == "palms/soles" else "",
        **regions,
        "benign_malignant": path[0].lower(),
        "clin_size_long_diam_mm": f"{rng.uniform(2, 18):.1f}" if rng.random() < 0.5 else "",
        "concomitant_biopsy": str(confirmed == "histopathology"),
        "dermoscopic_type": ""
        if clinical
        else str(rng.choice(("contact polarized", "contact non-polarized"))),
        "diagnosis": _GROUPS[kind],
        **levels,
        "diagnosis_confirm_type": confirmed,
        "family_hx_mm": str(rng.choice(("True", "False", ""))),
        "fitzpatrick_skin_type": tones[int(rng.choice(7, p=(0.12, 0.26, 0.20, 0.12, 0.10, 0.08, 0.12)))],
        "image_manipulation": "instrument only" if number % 9 == 0 else "",
        "image_type": "clinical: close-up" if clinical else "dermoscopic",
        "lesion_id": f"IL_{number % 9_999_991:07d}",
        "melanocytic": str("melanocytic" in path[1]),
        "patient_id": f"IP_{(number // 2) % 9_999_973:07d}",
        "personal_hx_mm": str(rng.choice(("True", "False", ""))),
        "sex": "" if number % 31 == 0 else str(rng.choice(("male", "female"))),
        "tbp_tile_type": "",
    }


def _from_ham(photo: ham10000.Photo, isic_id: str, licence: str) -> Record:
    """Return the record that this archive keeps of a HAM10000 picture: same findings, other ids and words."""
    kind = {
        "nv": "nevus",
        "mel": "melanoma",
        "bkl": "sk",
        "bcc": "bcc",
        "akiec": "ak",
        "vasc": "vascular",
        "df": "df",
    }
    path = _TREE[kind[photo.record["dx"]]]
    torso = photo.record["localization"] in ("back", "trunk", "abdomen", "chest")
    confirm = {"histo": "histopathology", "follow_up": "serial imaging showing no change"}
    return {
        "isic_id": isic_id,
        "attribution": _HAM_CREDIT,
        "copyright_license": licence,
        "age_approx": "" if photo.record["age"] == "0.0" else photo.record["age"].removesuffix(".0"),
        "anatom_site_general": "anterior torso" if torso else "",
        "anatom_site_1": "Trunk" if torso else "",
        "benign_malignant": path[0].lower(),
        "diagnosis": _GROUPS[kind[photo.record["dx"]]],
        **dict(zip(_DIAGNOSES, path, strict=False)),
        "diagnosis_confirm_type": confirm.get(photo.record["dx_type"], "single image expert consensus"),
        "image_type": "dermoscopic",
        "lesion_id": f"IL_{photo.record['lesion_id'][4:]}",
        "melanocytic": str("melanocytic" in path[1]),
        "sex": photo.record["sex"].replace("unknown", ""),
    }


def _columns(rows: list[Record], generation: Generation) -> list[str]:
    """Return the header as the archive writes it: three fixed columns, then those that hold anything, sorted."""
    filled = {name for row in rows for name, value in row.items() if value}
    return ["isic_id", "attribution", "copyright_license", *sorted(filled & set(COLUMNS[generation]))]


def _papers(rows: list[Record]) -> list[tuple[str, bytes]]:
    names = {"CC-0": "CC0 1.0 Universal", "CC-BY": "Attribution 4.0 International",
             "CC-BY-NC": "Attribution-NonCommercial 4.0 International"}  # fmt: skip
    credits_ = sorted({row["attribution"].strip() for row in rows})
    used = sorted({row["copyright_license"] for row in rows} - {""})
    return [
        ("attribution.txt", "\n\n".join(credits_).encode()),
        *(
            (f"licenses/{k}.txt", f"Creative Commons {names[k]}\nSynthetic pictures.\n".encode())
            for k in used
        ),
    ]
