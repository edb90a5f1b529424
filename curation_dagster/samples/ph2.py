"""A delivery in the layout of PH2: BMP images each in folders of its own, masks beside them, a workbook and a drawn table."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from curation_dagster.samples import encodings
from curation_dagster.samples.delivery import Delivery, Planted, draw_all, write_files
from curation_dagster.samples.small import MOST, photograph, workbook

HEADER = (
    "Image Name", "Histological Diagnosis", "Common Nevus", "Atypical Nevus", "Melanoma", "Asymmetry\n(0/1/2)",
    "Pigment Network\n(AT/T)", "Dots/Globules\n(A/AT/T)", "Streaks\n(A/P)", "Regression Areas\n(A/P)",
    "Blue-Whitish Veil\n(A/P)", "White", "Red", "Light-Brown", "Dark-Brown", "Blue-Gray", "Black",
)  # fmt: skip

# name, histology, clinical class (0 common, 1 atypical, 2 melanoma)
_CASES = (
    ("IMD003", "", 0), ("IMD009", "", 0), ("IMD058", "Melanoma", 2), ("IMD061", "", 2), ("IMD063", "Lentigo Maligna", 2),
    ("IMD075", "Dysplastic Nevus", 1), ("IMD088", "Intradermal Nevus", 1), ("IMD146", "", 1), ("IMD219", "Blue Nevus", 1),
    ("IMD400", "Nodular Melanoma", 2),
)  # fmt: skip
_KINDS = ("nevus", "nevus", "melanoma")
_LEGEND = (
    ("Legend",), (), ("Asymmetry", "0 - Fully symmetric; 1 - Symmetric in 1 axis; 2 - Fully asymmetric"),
    ("Pigment Network", "AT - Atypical; T - Typical"), ("Streaks", "A - Absent; P - Present"), ("X", "Present"),
    (), (), (), (), (), ("", "", "Clinical Diagnosis", "", "", "Colors"),
)  # fmt: skip


def write(folder: Path, images: int = 60, seed: int = 20250101) -> Delivery:
    """Write the delivery into ``folder``: the workbook has lost IMD146, which only the drawn table has."""
    cases = _CASES[: min(images, MOST)]
    root = "PH2Dataset/PH2 Dataset images"
    shots = [
        photograph(
            "ph2", seed, n, f"{root}/{name}/{name}_Dermoscopic_Image/{name}.bmp", modality="dermoscopic",
            kind=_KINDS[clinical], size=(763 + n % 7, 553 + n % 25), make=encodings.bmp,
        )
        for n, (name, _, clinical) in enumerate(cases)
    ]  # fmt: skip
    masks = [(f"{root}/{name}/{name}_lesion/{name}_lesion.bmp", _mask()) for name, *_ in cases]
    masks += [(f"{root}/{name}/{name}_roi/{name}_R1_LabelStreaks.bmp", _mask()) for name, *_ in cases[:2]]
    rows = [
        (name, histology, *("X" if clinical == c else "" for c in range(3)), clinical, "AT", "A", "A", "A", "A",
         "", "", "X", "X", "", "")
        for name, histology, clinical in cases
        if name != "IMD146"
    ]  # fmt: skip
    book = workbook([*_LEGEND, HEADER, *rows], "Folha1", ("C12:E12", "F12:G12"))
    write_files(
        folder,
        [
            *draw_all(shots), *masks, ("PH2Dataset/PH2_dataset.xlsx", book), ("PH2Dataset/PH2_dataset.txt", _drawn(cases)),
            ("PH2Dataset/Readme.txt", b"Synthetic twin; nobody is shown.\n"),
        ],
    )  # fmt: skip
    planted = tuple(
        Planted("ph2", path, path.rsplit("/", 1)[1][:-4], "mask", ("role:ignored",)) for path, _ in masks[:1]
    )
    return Delivery("ph2", folder, len(shots), len(rows), planted)


def _drawn(cases: tuple[tuple[str, str, int], ...]) -> bytes:
    lines = [
        "|| Name   || Histological Diagnosis || Clinical Diagnosis || Asymmetry | Pigment Network | Dots/Globules | Streaks | "
        "Regression Areas | Blue-Whitish Veil || Colors ||"
    ]
    lines += [
        f"|| {name} || {histology:22} || {clinical:18} || {clinical:9} | AT | A | A | A | A || 3 4 ||"
        for name, histology, clinical in cases
    ]
    legend = [
        "",
        "Legends:",
        "",
        "Clinical Diagnosis:",
        "\t0 - Common Nevus;",
        "\t1 - Atypical Nevus;",
        "\t2 - Melanoma.",
    ]
    return "\r\n".join([*lines, *legend]).encode()


def _mask() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (96, 72), 1).save(buffer, "BMP")
    return buffer.getvalue()
