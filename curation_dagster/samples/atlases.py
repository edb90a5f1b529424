"""Deliveries whose label is a folder, or a line of a manifest: SD-198, DermNet from Kaggle, and five atlases of the web."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from curation_dagster.samples import encodings
from curation_dagster.samples.delivery import Delivery, Planted, csv_bytes, draw_all, write_files, write_zip
from curation_dagster.samples.small import MOST, photograph

_SD = ("Follicular_Mucinosis", "Psoriasis", "Basal_Cell_Carcinoma", "Rosacea", "Folder_Of_Nobody")
_DERMNET = (
    "Psoriasis pictures Lichen Planus and related diseases",
    "Acne and Rosacea Photos",
    "Atopic Dermatitis Photos",
    "Melanoma Skin Cancer Nevi and Moles",
)
_FINER = ("psoriasis-pustular-generalized", "acne-cystic", "atopic-dermatitis", "malignant-melanoma")
_DIAGNOSES = ("Psoriasis", "Basal cell carcinoma", "rash", "Vitiligo", "a label that no vocabulary has")


def write_sd_198(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write ``SD-198/images/<Class_Name>/######VB.jpg`` into ``folder``; one class is in no vocabulary."""
    shots = []
    for n in range(min(images, MOST)):
        label = _SD[n % len(_SD)]
        name = f"SD-198/images/{label}/{9_554 + n:06d}{'VH'[n % 2]}B.jpg"
        shots.append(photograph("sd_198", seed, n, name, size=((480, 640), (640, 480))[n % 2]))
    write_files(folder, [*draw_all(shots), ("SD-198/Readme.txt", b"Synthetic twin; nobody is shown.\n")])
    planted = [
        Planted(
            "sd_198",
            s.name,
            s.name.removeprefix("SD-198/images/")[:-4],
            "folder_of_no_vocabulary",
            ("unmapped",),
        )
        for s in shots
        if "Nobody" in s.name
    ]
    return Delivery("sd_198", folder, len(shots), 0, tuple(planted))


def write_dermnet(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the zip of Kaggle: ``train`` and ``test`` with folders of diseases; one image is in both."""
    shots = []
    count = min(images, MOST)
    for n in range(count):
        part, label = ("train", "test")[n % 4 == 3], _DERMNET[n % len(_DERMNET)]
        shots.append(photograph("dermnet", seed, n, f"{part}/{label}/{_FINER[n % len(_FINER)]}-{n + 1}.jpg"))
    members = draw_all(shots)
    again = f"test/{_DERMNET[1]}/{_FINER[0]}-1.jpg"
    members.append((again, members[0][1]))
    write_zip(folder / "archive.zip", members)
    first = members[0][0].removesuffix(".jpg")
    planted = Planted(
        "dermnet", f"archive.zip!/{again}", again.removesuffix(".jpg"), "image_in_two_folders",
        (f"exact_duplicate_of:dermnet/{first}",),
    )  # fmt: skip
    return Delivery("dermnet", folder, len(members), 0, (planted,))


def atlas(archive: str, address: str, suffix: str = ".jpg") -> Callable[[Path, int, int], Delivery]:
    """Return what writes the delivery of an atlas of the web: images that were licensed, and a manifest of them.

    One row of the manifest has no image, and one image no row.
    """

    def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
        count = min(images, 6)
        make = encodings.png if suffix == ".png" else encodings.jpeg
        shots = [
            photograph(archive, seed, n, f"images/{archive}-{n + 1}{suffix}", make=make) for n in range(count)
        ]
        rows = [
            {
                "file": f"{archive}-{n + 1}{suffix}",
                "diagnosis": _DIAGNOSES[n % len(_DIAGNOSES)],
                "url": address.format(n + 1),
            }
            for n in range(count - 1)
        ]
        rows.append({"file": f"{archive}-99{suffix}", "diagnosis": "Psoriasis", "url": address.format(99)})
        table = csv_bytes(("file", "diagnosis", "url"), rows)
        write_files(folder, [*draw_all(shots), ("manifest.csv", table)])
        planted = (
            Planted(archive, None, f"{archive}-99", "row_without_image", ("join:record_without_file",)),
            Planted(
                archive,
                shots[-1].name,
                f"{archive}-{count}",
                "image_without_row",
                ("join:file_without_record",),
            ),
        )
        return Delivery(archive, folder, count, len(rows), planted)

    return write
