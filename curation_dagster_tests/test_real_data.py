"""The publishers' real files, where they are at hand."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

from curation_dagster_tests.installation import Installation

LABELS = {"ISIC_0000002": "Melanoma, NOS", "ISIC_0000004": "Melanoma, NOS"}


def deliver_isic(
    installation: Installation, version: str, images: list[Path], archive: str = "isic_archive"
) -> str:
    """Deliver images as an export of the ISIC Archive, with the labels that its challenge published."""
    settings = installation.workspace.settings
    settings.archives[0].mkdir(parents=True, exist_ok=True)
    lines = [
        f"extends: isic_archive\nid: {archive}\n" if archive != "isic_archive" else "extends: isic_archive\n"
    ]
    lines.append(f"versions:\n  '{version}': {{note: real images}}\n")
    (settings.archives[0] / f"{archive}.yaml").write_text("".join(lines))
    folder = settings.landing / f"{archive}@{version}"
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(
            [
                "isic_id",
                "attribution",
                "copyright_license",
                "age_approx",
                "anatom_site_general",
                "diagnosis_1",
                "diagnosis_2",
                "diagnosis_3",
                "diagnosis_confirm_type",
                "image_type",
                "sex",
            ]
        )
        for image in images:
            label = LABELS.get(image.stem, "Nevus")
            kind = (
                ["Malignant", "Malignant melanocytic proliferations (Melanoma)"]
                if "Mel" in label
                else ["Benign", "Benign melanocytic proliferations"]
            )
            table.writerow(
                [
                    image.stem,
                    "Anonymous",
                    "CC-0",
                    "55",
                    "anterior torso",
                    *kind,
                    label,
                    "histopathology",
                    "dermoscopic",
                    "female",
                ]
            )
            shutil.copy(image, folder / image.name)
    return f"{archive}@{version}"


def test_the_same_isic_images_in_two_encodings_are_five_groups_and_no_false_one(
    installation: Installation, real_data: Path
) -> None:
    a = deliver_isic(installation, "a", sorted((real_data / "isic_cc0" / "a").glob("*.jpg")), "isic_mirror")
    b = deliver_isic(installation, "b", sorted((real_data / "isic_cc0" / "b").glob("*.jpg")))
    installation.all_the_way(a, b)
    lake = installation.workspace.lake
    groups = lake.read("duplicates", where="group_id IS NOT NULL").to_pylist()
    with lake.sql("records") as sql:
        name = dict(sql.execute("SELECT image_id, source_id FROM records").fetchall())
    members: dict[str, list[str]] = {}
    for row in groups:
        members.setdefault(row["group_id"], []).append(name[row["image_id"]])
    assert sorted(map(sorted, members.values())) == [[f"ISIC_000000{n}"] * 2 for n in range(5)]
    corpus = lake.read("corpus").to_pylist()
    assert len(corpus) == 10
    assert sorted(r["icd11_code"] for r in corpus) == ["2C30"] * 2 + ["2F20"] * 8
    assert {r["licence"] for r in corpus} == {"CC0-1.0"}
    states = set(lake.read("measurements")["decode_state"].to_pylist())
    assert states == {"ok"}


def test_the_real_pad_ufes_20_records_pass_through_intake_and_harmonization(
    installation: Installation, real_data: Path
) -> None:
    """2,298 records without their pictures: each is a row with the reason, and all are harmonized."""
    settings = installation.workspace.settings
    folder = settings.landing / "pad_ufes_20@1"
    folder.mkdir(parents=True)
    shutil.copy(real_data / "pad_ufes_20" / "metadata.csv", folder / "metadata.csv")
    assert all(installation.curate("pad_ufes_20@1").values())
    lake = installation.workspace.lake
    rows = lake.read("harmonized").to_pylist()
    assert len(rows) == 2298
    relations = Counter(r["diagnosis_relation"] for r in rows if r["icd11_code"])
    assert relations == {"exact": 2054, "narrower": 244}  # SCC with Bowen disease, MEL with melanoma in situ
    assert not [r for r in rows if (r["lesion_labels"] or 0) > 1]
    assert {r["verdict"] for r in lake.read("records", columns=["verdict"]).to_pylist()} == {"excluded"}
    unexplained = lake.read(
        "check_results", where={"check_name": "every_null_of_the_unified_schema_has_a_reason"}
    ).to_pylist()
    assert [c["passed"] for c in unexplained] == [True]
