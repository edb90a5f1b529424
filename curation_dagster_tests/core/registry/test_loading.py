import re
from pathlib import Path

import pytest

from curation_dagster.core.registry.keys import KeyFormatError
from curation_dagster.core.registry.loading import (
    InvalidDescriptor,
    RegistryError,
    UnknownArchive,
    UnknownVersion,
    load_registry,
    merged,
)

COMPLETE = (Path(__file__).parent / "complete.yaml").read_text()
DOCS = Path(__file__).parents[3] / "docs" / "archives.md"


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def archive(id, **replace):
    text = COMPLETE.replace("id: complete", f"id: {id}")
    for old, new in replace.items():
        text = text.replace(old, new)
    return text


@pytest.fixture
def base(tmp_path):
    return write(tmp_path / "packaged", complete=COMPLETE)


def test_an_archive_is_added_with_one_file_and_no_code(tmp_path):
    own = write(tmp_path / "own", my_clinic=archive("my_clinic"))
    registry = load_registry([own])
    assert registry.problems == ()
    found = registry.resolve("my_clinic@1")
    assert str(found.key) == "my_clinic@1"
    assert found.descriptor.columns.modality.constant == "clinical"
    assert "pad_ufes_20" in registry.descriptors  # beside the packaged ones


def test_the_examples_of_the_docs_are_valid(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    own = tmp_path / "own"
    for number, block in enumerate(blocks):
        id = re.search(r"^id: (\w+)", block, re.MULTILINE)
        write(own, **{id.group(1) if id else f"addition_{number}": block})
    registry = load_registry([own])
    assert registry.problems == ()
    registry.resolve("riverside@2024-05")
    registry.resolve("isic_archive@2026-06-01")
    assert list(registry.descriptors["our_isic_export"].versions) == ["2025-07-22"]
    assert registry.descriptors["our_isic_export"].licence.column == "copyright_license"


def test_a_folder_that_does_not_exist_is_passed_over(base, tmp_path):
    assert load_registry([tmp_path / "nowhere"], packaged=base).problems == ()


def test_a_file_in_place_of_a_folder_is_a_problem(base):
    registry = load_registry([base / "complete.yaml"], packaged=base)
    assert "is not a folder of descriptors" in registry.report()


def test_both_endings_are_read_and_hidden_files_are_not(base, tmp_path):
    own = write(tmp_path / "own", a=archive("a"))
    (own / "b.YML").write_text(archive("b"))
    (own / "._c.yaml").write_bytes(b"\x00\x05\x16\x07")
    registry = load_registry([own], packaged=base)
    assert registry.problems == ()
    assert list(registry.descriptors) == ["a", "b", "complete"]


class TestExtending:
    def test_a_version_is_added(self, base, tmp_path):
        own = write(tmp_path / "own", more="extends: complete\nversions: {2024-05-01: {images: 7}}\n")
        registry = load_registry([own], packaged=base)
        assert registry.problems == ()
        assert list(registry.descriptors["complete"].versions) == ["1", "2024-05-01"]
        assert registry.resolve("complete@2024-05-01").version.images == 7
        assert registry.files["complete"] == ("packaged/complete.yaml", registry.files["complete"][1])

    def test_a_further_version_leaves_the_digest_of_the_others_alone(self, base, tmp_path):
        before = load_registry(packaged=base).resolve("complete@1").digest
        own = write(tmp_path / "own", more="extends: complete\nversions: {1: {superseded_by: '2'}, 2: {}}\n")
        registry = load_registry([own], packaged=base)
        assert registry.resolve("complete@1").digest == before
        assert registry.resolve("complete@2").digest != before

    def test_another_mapping_changes_the_digest(self, base, tmp_path):
        before = load_registry(packaged=base).resolve("complete@1").digest
        own = write(tmp_path / "own", more="extends: complete\ncolumns: {sex: {from: sex}}\n")
        assert load_registry([own], packaged=base).resolve("complete@1").digest != before

    def test_several_files_extend_one_archive_and_the_later_one_wins(self, base, tmp_path):
        one = write(tmp_path / "one", x="extends: complete\nversions: {2: {images: 1}, 3: {images: 1}}\n")
        two = write(tmp_path / "two", x="extends: complete\nversions: {3: {images: 2}}\n")
        found = load_registry([one, two], packaged=base).descriptors["complete"].versions
        assert {name: v.images for name, v in found.items()} == {"1": None, "2": 1, "3": 2}

    def test_null_removes(self, base, tmp_path):
        own = write(
            tmp_path / "own", x="extends: complete\ncolumns: {modality: {constant: null, from: kind}}\n"
        )
        mapping = load_registry([own], packaged=base).descriptors["complete"].columns.modality
        assert (mapping.constant, mapping.source) == (None, ("kind",))

    def test_an_id_of_its_own_makes_another_archive_without_the_versions(self, base, tmp_path):
        own = write(
            tmp_path / "own",
            a_more="extends: complete\nlicence: {default: CC-BY-4.0}\n",
            like_it="extends: complete\nid: like_it\nversions: {7: {}}\n",
        )
        registry = load_registry([own], packaged=base)
        assert registry.problems == ()
        assert list(registry.descriptors["like_it"].versions) == ["7"]
        # what adds to an archive is in before another one is made like it
        assert registry.descriptors["like_it"].licence.default == "CC-BY-4.0"

    def test_an_archive_made_like_another_can_be_extended_in_turn(self, base, tmp_path):
        own = write(
            tmp_path / "own",
            a="extends: like_it\nversions: {8: {}}\n",
            like_it="extends: complete\nid: like_it\nversions: {7: {}}\n",
        )
        registry = load_registry([own], packaged=base)
        assert registry.problems == ()
        assert list(registry.descriptors["like_it"].versions) == ["7", "8"]

    def test_archives_that_extend_each_other_are_a_problem(self, base, tmp_path):
        own = write(tmp_path / "own", a="extends: b\nid: a\n", b="extends: a\nid: b\n")
        registry = load_registry([own], packaged=base)
        assert len(registry.problems) == 2
        assert list(registry.descriptors) == ["complete"]

    def test_problems_of_the_base_are_reported_once(self, tmp_path):
        base = write(tmp_path / "packaged", complete=COMPLETE.replace("CC0-1.0", "CC0"))
        own = write(tmp_path / "own", x="extends: complete\nversions: {2: {}}\n")
        registry = load_registry([own], packaged=base)
        assert [p.file for p in registry.problems] == ["packaged/complete.yaml"]


class TestResolving:
    def test_an_unknown_archive_names_the_nearest(self):
        with pytest.raises(UnknownArchive, match="did you mean pad_ufes_20"):
            load_registry().resolve("pad_ufes20@1")

    def test_an_unknown_version_names_the_known_ones_and_the_file_to_extend(self, tmp_path):
        with pytest.raises(UnknownVersion) as caught:
            load_registry([tmp_path / "own"]).resolve("pad_ufes_20@2")
        text = str(caught.value)
        assert "known are 1 (from archives/pad_ufes_20.yaml)" in text
        assert "extends: pad_ufes_20" in text
        assert str(tmp_path / "own" / "pad_ufes_20.yaml") in text

    def test_a_broken_descriptor_prints_its_problems(self, base, tmp_path):
        own = write(tmp_path / "own", broken="id: broken\ntechnical_file: [\n")
        registry = load_registry([own], packaged=base)
        with pytest.raises(InvalidDescriptor, match="is not YAML"):
            registry.resolve("broken@1")
        assert registry.resolve("complete@1").digest

    def test_an_unreadable_file_takes_down_the_archive_that_it_extends(self, base, tmp_path):
        own = write(tmp_path / "own", x="extends: complete\nlicence: {default: unclear\n")
        with pytest.raises(InvalidDescriptor):
            load_registry([own], packaged=base).resolve("complete@1")

    def test_all_refusals_have_one_type(self):
        for key in ("nobody@1", "pad_ufes_20@2"):
            with pytest.raises(RegistryError):
                load_registry().resolve(key)

    def test_what_is_no_key_is_refused(self):
        with pytest.raises(KeyFormatError):
            load_registry().resolve("pad_ufes_20")


def test_the_order_of_files_does_not_change_a_digest(tmp_path):
    one = write(tmp_path / "one", a=archive("a"), b=archive("b"))
    two = write(tmp_path / "two", b=archive("b"), a=archive("a"))
    none = write(tmp_path / "none")
    first, second = (load_registry([f], packaged=none) for f in (one, two))
    assert [first.resolve(k).digest for k in ("a@1", "b@1")] == [
        second.resolve(k).digest for k in ("a@1", "b@1")
    ]


def test_merging_does_not_change_its_arguments():
    base, parts = {"a": {"x": 1}}, {"a": {"y": 2}}
    assert merged(base, parts) == {"a": {"x": 1, "y": 2}}
    assert (base, parts) == ({"a": {"x": 1}}, {"a": {"y": 2}})


def test_another_method_of_retrieval_does_not_inherit_the_fields_of_the_first(tmp_path):
    (tmp_path / "pad_ufes_20.yaml").write_text("extends: pad_ufes_20\nretrieval: {method: landing}\n")
    registry = load_registry([tmp_path])
    assert registry.problems == ()
    found = registry.descriptors["pad_ufes_20"].retrieval
    assert found.method == "landing"
    assert found.urls == ("https://doi.org/10.17632/zr7vgbcyr2.1",)
