import pytest

from curation_dagster.core.registry.licences import UnknownLicence, licence, licences, load_licences
from curation_dagster.core.registry.problems import DescriptorError


@pytest.mark.parametrize(
    ("id", "commercial", "modification", "redistribution", "all_three"),
    [
        ("CC0-1.0", True, True, True, True),
        ("CC-BY-4.0", True, True, True, True),
        ("CC-BY-NC-4.0", False, True, True, False),
        ("CC-BY-NC-SA-4.0", False, True, True, False),
        ("CC-BY-NC-ND-4.0", False, False, True, False),
        ("CC-BY-ND-4.0", True, False, True, False),
        ("SCIN-DUL", True, True, True, True),
        ("PASSION-DPL", False, None, None, False),
        ("PH2-terms", False, None, False, False),
        ("AGPPGA-README", None, None, None, None),
        ("unclear", None, None, None, None),
    ],
)
def test_what_a_licence_permits(id, commercial, modification, redistribution, all_three):
    found = licence(id)
    assert found.permits_commercial is commercial
    assert found.permits_modification is modification
    assert found.permits_redistribution is redistribution
    assert found.permits_all is all_three


def test_conditions():
    assert licence("CC-BY-NC-SA-4.0").share_alike
    assert licence("CC-BY-4.0").attribution
    assert not licence("CC0-1.0").attribution
    assert licence("PASSION-DPL").no_reidentification
    assert licence("PASSION-DPL").no_link_sharing


def test_every_licence_carries_its_evidence():
    assert all(entry.evidence and entry.title for entry in licences().by_id.values())


def test_an_unknown_licence_is_an_error_that_names_the_nearest():
    with pytest.raises(UnknownLicence, match=r"did you mean CC-BY-4\.0"):
        licence("CC-BY-4")
    with pytest.raises(DescriptorError):
        licence("")


def test_a_broken_vocabulary_is_refused_with_all_its_problems(tmp_path):
    path = tmp_path / "licences.yaml"
    path.write_text(
        'version: "1"\nnote: x\nlicences:\n  A: {title: a, permissions: {commercial: maybe}, evidence: e}\n  B: 3\n'
    )
    with pytest.raises(DescriptorError) as caught:
        load_licences(path)
    text = str(caught.value)
    assert 'licences > "A" > permissions > commercial: "maybe" is not one of yes, no or unclear' in text
    assert 'licences > "A" > permissions > modification: required, but absent' in text
    assert 'licences > "B": expected a mapping, got 3' in text


def test_the_digest_follows_the_content_and_not_the_layout_of_the_file(tmp_path):
    one, two, three = (tmp_path / f"{n}.yaml" for n in "abc")
    body = 'version: "1"\nnote: x\nlicences: {A: {title: a, permissions: {commercial: yes, modification: yes, redistribution: %s}, evidence: e}}\n'
    one.write_text(body % "yes")
    two.write_text("# a comment\n" + body % '"yes"')
    three.write_text(body % "no")
    assert load_licences(one).digest == load_licences(two).digest != load_licences(three).digest
