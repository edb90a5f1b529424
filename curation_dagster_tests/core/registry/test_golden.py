"""Every kind of broken descriptor, each with the exact text that it is reported with."""

from pathlib import Path

import pytest

from curation_dagster.core.registry.loading import InvalidDescriptor, load_registry

HERE = Path(__file__).parent
CASES = sorted(p.name for p in (HERE / "golden").iterdir() if p.is_dir())


@pytest.fixture
def base(tmp_path):
    """A packaged folder that holds one whole, valid descriptor."""
    folder = tmp_path / "archives"
    folder.mkdir()
    (folder / "complete.yaml").write_text((HERE / "complete.yaml").read_text())
    (folder / "untouched.yaml").write_text(
        (HERE / "complete.yaml").read_text().replace("id: complete", "id: untouched")
    )
    return folder


def test_the_base_of_the_cases_is_valid(base):
    assert load_registry(packaged=base).problems == ()


@pytest.mark.parametrize("case", CASES)
def test_a_broken_file_is_reported_with_the_expected_text(case, base):
    registry = load_registry([HERE / "golden" / case], packaged=base)
    expected = (HERE / "golden" / case / "expected.txt").read_text().splitlines()
    assert [str(p) for p in registry.problems] == expected
    # the others stay as they are
    assert "untouched" in registry.descriptors
    assert registry.resolve("untouched@1").version.images is None


@pytest.mark.parametrize("case", ["unknown_licence", "duplicate_key", "several_files", "duplicate_id"])
def test_an_archive_whose_extending_file_is_broken_is_refused_with_its_problems(case, base):
    registry = load_registry([HERE / "golden" / case], packaged=base)
    assert "complete" not in registry.descriptors
    with pytest.raises(InvalidDescriptor) as caught:
        registry.resolve("complete@1")
    for problem in registry.problems:
        assert str(problem) in str(caught.value)
