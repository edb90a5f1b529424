"""A file with the right name that is another table is refused, with the reason; nothing of it enters."""

from __future__ import annotations

from typing import Any

import pytest

from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.samples import ddi, derm7pt, lists, mra_midas, ph2, scin, trials
from curation_dagster.samples.delivery import csv_bytes
from curation_dagster.samples.small import workbook
from curation_dagster_tests.core.records.builders import records_of

REGISTRY = load_registry()
DATA_MNIST = b"image_id,label,split\n1,nv,train\n"


def published(archive: str) -> Any:
    return REGISTRY.resolve(f"{archive}@{next(iter(REGISTRY.descriptors[archive].versions))}")


def table(columns: tuple[str, ...], **cells: str) -> bytes:
    return csv_bytes(columns, [dict.fromkeys(columns, "") | cells])


def ph2_book(name: str) -> bytes:
    rows: list[Any] = [["Legend"], *[[]] * 11, ph2.HEADER, [name]]
    return workbook(rows, "Folha1")


#: archive, name of the file, another table under that name, what the refusal says
ANOTHER_HEADER = [
    ("fitzpatrick17k", "fitzpatrick17k.csv", DATA_MNIST, "the column 'md5hash' is missing"),
    ("derm7pt", "release_v0/meta/meta.csv", b"case_num,diagnosis,clinic,derm\n1,a,b/c,d/e\n", "'seven_point_score' is missing"),
    ("ddi", "ddi_metadata.csv", DATA_MNIST, "the column 'DDI_file' is missing"),
    ("scin", "dataset/scin_cases.csv", b"case_id,image_path\n1,x\n", "the column 'image_1_path' is missing"),
    ("mra_midas", "release_midas.xlsx", workbook([["file_name", "dx"], ["a", "b"]], "S"), "'midas_file_name' is missing"),
    ("ph2", "PH2_dataset.xlsx", workbook([["Image Name", "dx"], ["IMD003", "b"]], "Folha1"), "end of the file"),
    ("ph2", "PH2_dataset.txt", b"|| Image || Diagnosis ||\n|| IMD003 || x ||\n", "the column 'Name' is missing"),
    ("passion", "label.csv", DATA_MNIST, "the column 'subject_id' is missing"),
    ("agppga_v1", "data/V1_public_image_urls.csv", b",name,link\n0,a,b\n", "the column 'dataset_name' is missing"),
    ("effisayil_1", "manifest.csv", b"file,patient_id\na,b\n", "the column 'gppga_total' is missing"),
    ("effisayil_1", "manifest.csv", table((*trials.COLUMNS, "date_of_birth")), "'date_of_birth' is not expected"),
    ("danderm", "manifest.csv", b"file,label\na,b\n", "the column 'diagnosis' is missing"),
]  # fmt: skip

ANOTHER_ID = [
    (
        "fitzpatrick17k",
        "fitzpatrick17k.csv",
        table(lists.FITZPATRICK_COLUMNS, md5hash="ISIC_0000001"),
        "holds no id like",
    ),
    ("derm7pt", "meta/meta.csv", table(derm7pt.COLUMNS, derm="ISIC_0000001.jpg"), "holds no id like"),
    ("ddi", "ddi_metadata.csv", table(ddi.COLUMNS, DDI_file="PAT_8_15_820.png"), "holds no id like"),
    (
        "scin",
        "dataset/scin_cases.csv",
        table(scin.CASES, image_1_path="images/ISIC_1.png"),
        "holds no id like",
    ),
    ("ph2", "PH2_dataset.xlsx", ph2_book("ISIC_0000001"), "holds no id like"),
]

ANOTHER_COUNT = [
    ("fitzpatrick17k", "fitzpatrick17k.csv", table(lists.FITZPATRICK_COLUMNS, md5hash="0" * 32), 16577),
    ("derm7pt", "meta/meta.csv", table(derm7pt.COLUMNS, derm="NEL/NEL025.JPG"), 1011),
    ("ddi", "ddi_metadata.csv", table(ddi.COLUMNS, DDI_file="000001.png"), 656),
    ("ph2", "PH2_dataset.xlsx", ph2_book("IMD003"), 200),
    ("mra_midas", "release_midas.xlsx", workbook([mra_midas.COLUMNS, [1, 1, "s-prd-1.jpg"]], "S"), 3416),
    ("agppga_v1", "V1_public_image_urls.csv", b",dataset_name,url\n0,DermIS,x\n", 172),
    ("agppga_internet", "internet_images_urls.txt", b"https://a.example/1", 10),
]


@pytest.mark.parametrize(("archive", "name", "content", "message"), [*ANOTHER_HEADER, *ANOTHER_ID])
def test_another_table_under_the_right_name_is_refused(
    archive: str, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(MetadataError, match=message) as raised:
        records_of(published(archive), {name: content})
    assert name in str(raised.value)


@pytest.mark.parametrize(("archive", "name", "content", "stated"), ANOTHER_COUNT)
def test_another_number_of_rows_is_refused(archive: str, name: str, content: bytes, stated: int) -> None:
    with pytest.raises(MetadataError, match=f"expected {stated} records .* the tables hold 1"):
        records_of(published(archive), {name: content})


@pytest.mark.parametrize(
    ("archive", "path"),
    [
        ("sd_198", "SD-198/Psoriasis/009554HB.jpg"),
        ("dermnet", "dermnet/valid/Psoriasis pictures/x.jpg"),
        ("ph2", "PH2Dataset/PH2 Dataset images/IMD003/IMD003_lesion/IMD003_lesion.bmp"),
        ("ph2", "PH2Dataset/PH2 Dataset images/IMD003/IMD003_roi/IMD003_R1_LabelStreaks.bmp"),
    ],
)
def test_a_file_outside_of_the_layout_is_no_image(archive: str, path: str) -> None:
    from curation_dagster.core.registry.paths import classify

    assert classify(path, REGISTRY.descriptors[archive]) in ("other", "ignored")
