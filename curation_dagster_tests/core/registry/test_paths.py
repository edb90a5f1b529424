import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation_dagster.core.registry.layout import Layout
from curation_dagster.core.registry.loading import load_registry
from curation_dagster.core.registry.paths import classify, is_litter, matches, source_groups, source_id_of

DESCRIPTORS = load_registry().descriptors

names = st.text(
    st.characters(codec="utf-8", exclude_characters="/!*?", exclude_categories=["Cs"]), min_size=1, max_size=8
)
paths = st.lists(names, min_size=1, max_size=5)


@given(paths)
def test_a_path_without_wildcards_matches_itself_and_everything(parts):
    path = "/".join(parts)
    assert matches(path, [path])
    assert matches(path, ["**"])
    assert matches(path, ["**/*"])
    assert matches(path, ["**/" + parts[-1]])


@given(paths, st.data())
def test_the_border_of_a_container_counts_as_a_border_of_a_folder(parts, data):
    folders = "/".join(parts)
    borders = [data.draw(st.sampled_from(["/", "!/"])) for _ in parts[1:]]
    mixed = parts[0] + "".join(b + p for b, p in zip(borders, parts[1:], strict=True))
    glob = data.draw(
        st.sampled_from(["**/*", "**/" + parts[-1], "*/**", parts[0] + "/**", "*", folders, mixed])
    )
    assert matches(mixed, [glob]) == matches(folders, [glob])


@given(paths)
def test_an_asterisk_stays_inside_one_name(parts):
    assert matches("/".join(parts), ["*"]) == (len(parts) == 1)
    assert matches("/".join(parts), ["/".join(["*"] * len(parts))])
    assert not matches("/".join(parts), ["/".join(["*"] * (len(parts) + 1))])


@given(st.text(st.sampled_from("ab/"), max_size=8), st.text(st.sampled_from("ab*?/"), min_size=1, max_size=6))
def test_globs_agree_with_a_plain_translation(path, glob):
    expected, at = "", 0
    tokens = re.findall(r"(?:^|(?<=/))\*\*/|(?:^|(?<=/))\*\*$|\*+|\?|[^*?]", glob)
    for token in tokens:
        at += len(token)
        if token == "**/":
            expected += "(?:[^/]+/)*"
        elif token == "**" and at == len(glob) and (at == 2 or glob[at - 3] == "/"):
            expected += ".*"
        elif token[0] == "*":
            expected += "[^/]*"
        else:
            expected += "[^/]" if token == "?" else token
    assert matches(path, [glob]) == bool(re.fullmatch(expected, path, re.DOTALL))


@pytest.mark.parametrize(
    ("path", "glob", "expected"),
    [
        ("images/PAT_1_2_3.PNG", "**/pat_*.png", True),
        ("PAT_1_2_3.png", "**/PAT_*.png", True),
        ("zr7vgbcyr2-1/images/imgs_part_1.zip!/imgs_part_1/PAT_8_15_820.png", "**/PAT_*.png", True),
        ("a.zip!/b.zip!/c/PAT_8_15_820.png", "**/c/PAT_?_??_*.png", True),
        ("a.zip!/x.csv", "a.zip!/x.csv", True),
        ("a[1].png", "a[1].png", True),
        ("a1.png", "a[1].png", False),
        ("apng", "a.png", False),
        ("x/metadata.csv", "metadata.csv", False),
        ("x/metadata.csv.bak", "**/metadata.csv", False),
        ("na\u00efve.png", "nai\u0308ve.png", True),  # composed and decomposed
    ],
)
def test_globs_match_as_documented(path, glob, expected):
    assert matches(path, [glob]) is expected


@pytest.mark.parametrize(
    "path",
    ["__MACOSX/a/PAT_1_2_3.png", "a.zip!/__MACOSX/._PAT_1_2_3.png", "x/._metadata.csv", "Thumbs.db", "a/.DS_Store", "A/THUMBS.DB"],
)  # fmt: skip
def test_what_operating_systems_leave_behind_is_ignored_always(path):
    assert is_litter(path)
    assert {classify(path, d) for d in DESCRIPTORS.values()} == {"ignored"}


@pytest.mark.parametrize(
    ("archive", "path", "role", "source_id"),
    [
        ("pad_ufes_20", "zr7vgbcyr2-1.zip!/images/imgs_part_1.zip!/imgs_part_1/PAT_8_15_820.png", "image", "PAT_8_15_820"),
        ("pad_ufes_20", "zr7vgbcyr2-1/images/imgs_part_1.zip!/imgs_part_1/PAT_8_15_820.png", "image", "PAT_8_15_820"),
        ("pad_ufes_20", "images/imgs_part_1/imgs_part_1/PAT_8_15_820.PNG", "image", "PAT_8_15_820"),
        ("pad_ufes_20", "PAT_8_15_820.png", "image", "PAT_8_15_820"),
        ("pad_ufes_20", "zr7vgbcyr2-1.zip!/metadata.csv", "metadata", None),
        ("pad_ufes_20", "images/PAT_8 copy.png", "image", None),
        ("pad_ufes_20", "LICENSE.txt", "other", None),
        ("pad_ufes_20", "images/imgs_part_1.zip", "other", None),
        ("ham10000", "HAM10000_images_part1.zip!/ISIC_0024306.jpg", "image", "ISIC_0024306"),
        ("ham10000", "HAM10000_images_part_2/ISIC_0024306.jpg", "image", "ISIC_0024306"),
        ("ham10000", "ham10000_images_part_1/ISIC_0024306.JPG", "image", "ISIC_0024306"),
        ("ham10000", "HAM10000_metadata", "metadata", None),
        ("ham10000", "archive.zip!/HAM10000_metadata.csv", "metadata", None),
        ("ham10000", "HAM10000_metadata.tab", "metadata", None),
        ("ham10000", "ISIC2018_Task3_Test_Images.zip!/ISIC2018_Task3_Test_Images/ISIC_0034524.jpg", "ignored", "ISIC_0034524"),
        ("ham10000", "HAM10000_segmentations_lesion_tschandl.zip!/ISIC_0024306_segmentation.png", "ignored", None),
        ("isic_archive", "ISIC-images.zip!/ISIC_0000000.jpg", "image", "ISIC_0000000"),
        ("isic_archive", "ISIC_0000000_downsampled.jpg", "image", "ISIC_0000000"),
        ("isic_archive", "ISIC-images.zip!/metadata.csv", "metadata", None),
        ("isic_archive", "bcn20000_metadata_2025-07-22.csv", "metadata", None),
        ("isic_archive", "licenses/CC-0.txt", "other", None),
        ("passion", "MICCAI_2024/images/AA00970001_12.jpg", "image", "AA00970001_12"),
        ("passion", "MICCAI_2024.zip!/label.csv", "metadata", None),
        ("passion", "MICCAI_2024/PASSION_split.csv", "metadata", None),
        ("agppga_healthy_skin", "AGPPGA-main.zip!/AGPPGA-main/data/NSL/consented_images/image_0013.jpg", "image", "image_0013"),
        ("agppga_healthy_skin", "data/NSL/internet_images_urls.txt", "other", None),
    ],
)  # fmt: skip
def test_the_packaged_descriptors_know_their_files_in_every_form_of_delivery(archive, path, role, source_id):
    descriptor = DESCRIPTORS[archive]
    assert classify(path, descriptor) == role
    if role != "metadata":
        assert source_id_of(path, descriptor.layout) == source_id


def test_the_patient_of_passion_is_a_group_of_the_path():
    groups = source_groups("images/AA00970001_12.jpg", DESCRIPTORS["passion"].layout)
    assert groups == {"id": "AA00970001_12", "subject": "AA00970001"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/1.2.840.113619.2.1", "1.2.840.113619.2.1"),  # a DICOM UID has no extension
        ("a/1.2.840.113619.2.1.dcm", "1.2.840.113619.2.1"),
        ("a.zip!/-2243186711511406658.png", "-2243186711511406658"),
        ("a.d/noextension", "noextension"),
        ("a/.hidden", ".hidden"),
        ("a/x.tar.gz", "x.tar"),
    ],
)
def test_the_default_id_is_the_stem(path, expected):
    assert source_id_of(path, Layout(images=("**",))) == expected


def test_ids_that_ignore_case_are_in_lower_case():
    layout = Layout(images=("**",), case_sensitive_ids=False)
    assert source_id_of("NEL/Nel026.JPG", layout) == "nel026"
