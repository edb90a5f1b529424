from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import piexif
import pytest
import simplejpeg
import yaml
from PIL import Image

from curation_dagster.samples import ARCHIVES, SampleReport, ham10000, isic_archive, write_samples
from curation_dagster.samples.write import WRITERS
from curation_dagster_tests.samples.reading import inventory, table

PAD_HEADER = (
    "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,skin_cancer_history,"
    "cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,diameter_1,diameter_2,diagnostic,itch,grew,"
    "hurt,changed,bleed,elevation,img_id,biopsed"
)


@pytest.fixture(scope="module")
def inventories(written: tuple[Path, SampleReport]) -> dict[str, dict[str, bytes]]:
    return {d.archive: inventory(d.folder) for d in written[1].deliveries}


def _images(files: dict[str, bytes]) -> dict[str, bytes]:
    return {k: v for k, v in files.items() if k.lower().endswith((".jpg", ".png", ".tif"))}


# -- layouts ---------------------------------------------------------------------------------------


def test_pad_ufes_20_is_a_zip_of_zips_with_the_exact_header(written, inventories):
    assert [p.name for p in (written[0] / "pad_ufes_20@synthetic").iterdir()] == ["zr7vgbcyr2-1.zip"]
    files = inventories["pad_ufes_20"]
    header, rows = table(files["zr7vgbcyr2-1.zip!/metadata.csv"])
    assert ",".join(header) == PAD_HEADER
    assert {k.split("!/")[1] for k in _images(files)} == {f"images/imgs_part_{n}.zip" for n in (1, 2, 3)}
    blank = [row for row in rows if not row["gender"]]
    asked = [row for row in rows if row["gender"]]
    assert 0.15 < len(blank) / len(rows) < 0.55
    together = ("smoke", "background_father", "fitspatrick", "diameter_1", "has_sewage_system")
    assert all(not row[c] for row in blank for c in together)
    assert all(row[c] for row in asked for c in together)
    assert all(row["biopsed"] == "False" for row in blank)
    assert {row["diagnostic"] for row in rows} == {"BCC", "ACK", "NEV", "SEK", "SCC", "MEL"}
    assert all(row["biopsed"] == "True" for row in rows[:-3] if row["diagnostic"] in ("SCC", "MEL"))
    assert max(int(row["age"]) for row in rows) > 89
    assert {"BRASIL", "BRAZIL"} <= {row["background_father"] for row in rows} | {
        row["background_mother"] for row in rows
    }
    assert {"0.0", "100.0"} <= {row["diameter_1"] for row in rows}
    patients: dict[str, set[str]] = {}
    for row in rows:
        patients.setdefault(row["lesion_id"], set()).add(row["patient_id"])
    assert sum(len(p) > 1 for p in patients.values()) > 5, "lesion_id must not be a key"


def test_ham10000_is_two_zips_and_a_table_without_extension(written, inventories):
    names = sorted(p.name for p in (written[0] / "ham10000@synthetic").iterdir())
    assert names == ["HAM10000_images_part1.zip", "HAM10000_images_part2.zip", "HAM10000_metadata"]
    header, rows = table(inventories["ham10000"]["HAM10000_metadata"])
    assert header == ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
    assert {row["dx"] for row in rows} == {"nv", "mel", "bkl", "bcc", "akiec", "vasc", "df"}
    photos = ham10000.plan(60, 20250101)
    assert all(p.record["dx_type"] == "histo" for p in photos if p.record["dx"] in ("mel", "bcc", "akiec"))
    assert sum(p.retake > 0 for p in photos) >= 2, "a lesion must come in several photographs"
    assert all(p.record["age"] == "" or p.record["age"].endswith(".0") for p in photos)
    data = inventories["ham10000"][f"HAM10000_images_part1.zip!/{photos[0].image_id}.jpg"]
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == ("JPEG", (600, 450))


def test_isic_archive_is_one_zip_with_papers_and_a_licence_per_row(written, inventories):
    assert [p.name for p in (written[0] / "isic_archive@synthetic").iterdir()] == ["ISIC-images.zip"]
    files = inventories["isic_archive"]
    header, rows = table(files["ISIC-images.zip!/metadata.csv"])
    assert header[:3] == ["isic_id", "attribution", "copyright_license"]
    assert header[3:] == sorted(header[3:])
    assert "anatom_site_general" in header
    assert all(any(row[c] for row in rows) for c in header), "the archive leaves empty columns out"
    licences = Counter(row["copyright_license"] for row in rows)
    assert {"CC-0", "CC-BY", "CC-BY-NC", ""} == set(licences)
    assert any(row["attribution"].startswith("\t@") for row in rows)
    assert {f"ISIC-images.zip!/licenses/{k}.txt" for k in licences if k} <= set(files)
    assert "ISIC-images.zip!/attribution.txt" in files
    assert {"dermoscopic", "clinical: close-up", "TBP tile: close-up", "RCM: tile"} == {
        r["image_type"] for r in rows
    }


@pytest.mark.parametrize(
    ("generation", "present", "absent"),
    [
        ("2024", {"diagnosis", "benign_malignant", "anatom_site_general"}, {"diagnosis_1", "anatom_site_1"}),
        ("2025", {"diagnosis_1", "diagnosis_3", "anatom_site_general"}, {"diagnosis", "anatom_site_1"}),
        ("2026", {"diagnosis_1", "anatom_site_1", "anatom_site_2"}, {"diagnosis", "anatom_site_general"}),
    ],
)
def test_isic_archive_knows_three_generations_of_columns(tmp_path, generation, present, absent):
    isic_archive.write(tmp_path, 12, generation=generation, ham_images=0)
    header, _ = table(inventory(tmp_path)["ISIC-images.zip!/metadata.csv"])
    assert present <= set(header)
    assert not absent & set(header)


def test_passion_has_a_row_per_subject_and_a_split_with_two_more(inventories):
    files = inventories["passion"]
    header, rows = table(files["MICCAI_2024/label.csv"])
    assert header == [
        "subject_id",
        "country",
        "age",
        "sex",
        "fitzpatrick",
        "body_loc",
        "impetig",
        "conditions_PASSION",
    ]
    _, split = table(files["MICCAI_2024/PASSION_split.csv"])
    subjects = {row["subject_id"] for row in rows}
    assert len({row["subject_id"] for row in split} - subjects) == 2
    pictured = {Path(k).stem.split("_")[0] for k in _images(files)}
    assert pictured == subjects
    assert any("; " in row["body_loc"] for row in rows)


def test_agppga_repeats_the_original_photograph_by_photograph(inventories):
    files = inventories["agppga_healthy_skin"]
    gps, sideways, png, small = set(), set(), set(), set()
    for number in range(1, 20):
        data = files[f"data/NSL/consented_images/image_{number:04d}.jpg"]
        with Image.open(io.BytesIO(data)) as image:
            tags = image.getexif()
            if tags.get_ifd(0x8825):
                gps.add(number)
            if tags.get(piexif.ImageIFD.Orientation, 1) == 6:
                sideways.add(number)
            if image.format == "PNG":
                png.add(number)
            if min(image.size) < 400:
                small.add(number)
    assert gps == {5, 8, 12, 14, 15, 16, 19}
    assert sideways == {5, 12, 15, 16}
    assert png == {13, 18}
    assert small == {1, 2, 3, 7, 9, 10, 13, 18}
    lines = files["data/NSL/internet_images_urls.txt"].decode()
    assert len(lines.split("\n")) == 10
    assert len(set(lines.split("\n"))) == 9
    assert not lines.endswith("\n")


# -- what was planted ------------------------------------------------------------------------------


def test_every_planted_item_is_where_the_report_says(written, inventories):
    for item in written[1].planted:
        if item.path is not None:
            assert item.path in inventories[item.archive], item
            assert item.source_id in item.path


def test_every_kind_of_trouble_is_planted(written):
    planted = {item.defect for item in written[1].planted}
    assert {
        "truncated", "zeroed_block", "html_page", "empty_file", "blurred", "motion_blurred", "underexposed",
        "overexposed", "tiny", "too_small", "hair", "ruler", "vignette", "exact_copy", "re_encoded_copy",
        "half_size_copy", "mirrored_copy", "record_without_file", "file_without_record", "duplicated_row",
        "conflicting_rows", "nonspecific_benign", "no_diagnosis", "unknown_label", "licence_missing", "oral_or_genital",
        "altered", "synthetic", "tbp_tile", "rcm_tile", "secrets", "gps", "orientation_6", "png_named_jpg",
        "name_in_folder", "ham10000_same_file", "ham10000_re_encoded", "no_information", "grey", "cmyk", "progressive",
        "age_above_89",
    } <= planted  # fmt: skip


def test_strict_decoders_refuse_what_is_planted_as_damaged_and_nothing_else(written, inventories):
    damaged = {(i.archive, i.path) for i in written[1].planted if "integrity" in i.expected}
    assert len(damaged) >= 7
    for archive, files in inventories.items():
        for path, data in _images(files).items():
            assert _decodes(data) == ((archive, path) not in damaged), (archive, path)


def _decodes(data: bytes) -> bool:
    try:
        if data.startswith(b"\xff\xd8"):
            simplejpeg.decode_jpeg(data, colorspace="GRAY", strict=True)
        else:
            with Image.open(io.BytesIO(data)) as image:
                image.load()
    except (ValueError, OSError, SyntaxError):
        return False
    return True


def test_copies_are_copies_of_what_they_name(written, inventories):
    paths = {
        (archive, Path(path).stem): data
        for archive, files in inventories.items()
        for path, data in _images(files).items()
    }
    links = [(i, e) for i in written[1].planted for e in i.expected if "_duplicate_of:" in e]
    assert len(links) == 10
    for item, expected in links:
        kind, _, original = expected.partition(":")
        archive, _, source_id = original.partition("/")
        same = paths[archive, source_id] == paths[item.archive, item.source_id]
        assert same == (kind == "exact_duplicate_of"), item


def test_only_the_files_that_should_be_equal_are_equal(written, inventories):
    expected = sum(e.startswith("exact_duplicate_of") for i in written[1].planted for e in i.expected)
    contents = [d for files in inventories.values() for d in _images(files).values()]
    assert len(contents) - len(set(contents)) == expected


def test_records_and_files_meet_but_for_the_planted_orphans(written, inventories):
    ids = {
        "pad_ufes_20": ("zr7vgbcyr2-1.zip!/metadata.csv", "img_id"),
        "ham10000": ("HAM10000_metadata", "image_id"),
        "isic_archive": ("ISIC-images.zip!/metadata.csv", "isic_id"),
    }
    for delivery in written[1].deliveries:
        if delivery.archive not in ids:
            continue
        name, key = ids[delivery.archive]
        _, rows = table(inventories[delivery.archive][name])
        records = {row[key].removesuffix(".png") for row in rows}
        files = {Path(k).stem for k in _images(inventories[delivery.archive])}
        expected: dict[str, set[str]] = {}
        for item in delivery.planted:
            for state in item.expected:
                expected.setdefault(state, set()).add(item.source_id)
        assert records - files == expected["join:record_without_file"]
        assert files - records == expected.get("join:file_without_record", set())
        assert len(rows) == delivery.records
        assert len(files) == delivery.images
        repeated = {k for k, n in Counter(row[key].removesuffix(".png") for row in rows).items() if n > 1}
        assert repeated == expected.get("join:duplicate_record", set()) | expected.get(
            "join:conflicting_record", set()
        )


def test_counts_of_the_report(written):
    counts = {d.archive: d.images for d in written[1].deliveries}
    assert counts == {
        "pad_ufes_20": 61,
        "ham10000": 61,
        "isic_archive": 60,
        "passion": 60,
        "agppga_healthy_skin": 19,
    }


# -- writing ---------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_samples(
            tmp_path / name, tuple(WRITERS), images=8, seed=seed, overlay_dir=tmp_path / f"{name}_overlays"
        )
    a, b, c = (
        {k.relative_to(tmp_path / n): k.read_bytes() for k in (tmp_path / n).rglob("*") if k.is_file()}
        for n in "abc"
    )
    assert a == b
    assert set(a) == set(c)
    changed = {path for path in a if a[path] != c[path]}
    assert any(path.suffix == ".zip" for path in changed)


def test_a_few_images_are_enough(tmp_path):
    report = write_samples(tmp_path, images=1)
    assert [d.images for d in report.deliveries] == [2, 2, 1, 1]


def test_overlays_extend_the_known_archives(tmp_path):
    report = write_samples(tmp_path / "landing", images=3, overlay_dir=tmp_path / "overlays")
    assert sorted(p.stem for p in (tmp_path / "overlays").iterdir()) == sorted(ARCHIVES)
    for delivery in report.deliveries:
        overlay = yaml.safe_load((tmp_path / "overlays" / f"{delivery.archive}.yaml").read_text())
        assert overlay == {
            "extends": delivery.archive,
            "versions": {
                "synthetic": {
                    "synthetic": True,
                    "images": delivery.images,
                    "records": delivery.records,
                    "note": "A small synthetic twin for demonstrations and tests; no person is shown.",
                }
            },
        }


def test_the_report_is_json_outside_of_the_landing_folder(tmp_path):
    report = write_samples(tmp_path / "landing", images=3, report_file=tmp_path / "planted.json")
    assert json.loads((tmp_path / "planted.json").read_text()) == report.as_dict()
    with pytest.raises(ValueError, match="would lie in the landing folder"):
        write_samples(tmp_path / "landing", images=3, report_file=tmp_path / "landing" / "planted.json")


def test_a_version_is_never_written_over(tmp_path):
    write_samples(tmp_path, ("ham10000",), images=2)
    before = inventory(tmp_path)
    with pytest.raises(FileExistsError, match="A version is immutable"):
        write_samples(tmp_path, ("pad_ufes_20", "ham10000"), images=2)
    assert inventory(tmp_path) == before


def test_what_has_no_writer_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no samples are made for nowhere"):
        write_samples(tmp_path, ("nowhere",))
    with pytest.raises(ValueError, match="expected at least 1"):
        write_samples(tmp_path, images=0)
