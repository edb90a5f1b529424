from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.harmonize.parsing import parse_length
from curation_dagster.core.harmonize.severity import parse_score, scales, skin_tones, total_agrees
from curation_dagster.schemas import HARMONIZED


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("12", "mm", 12.0),
        ("1.2", "cm", 12.0),
        ("1,2 cm", "mm", 12.0),
        ("5 x 3 mm", "mm", 5.0),
        ("3mm x 5mm", "mm", 5.0),
        ("0.5 by 1 cm", "mm", 10.0),
        ("4-6 mm", "mm", 5.0),
        ("4 to 6", "cm", 50.0),
        ("~ 8 mm", "mm", 8.0),
        ("1 inch", "mm", 25.4),
        ("0", "mm", "out_of_range"),
        ("0 x 3", "mm", "out_of_range"),
        ("-4", "mm", "out_of_range"),
        ("3000 cm", "mm", "out_of_range"),
        ("<5 mm", "mm", "unparsable"),
        ("5 mm x 1 cm", "mm", "unparsable"),
        ("6-4", "mm", "unparsable"),
        ("1-2-3", "mm", "unparsable"),
        ("small", "mm", "unparsable"),
        ("", "mm", "unparsable"),
    ],
)
def test_lengths(text: str, unit: str, expected: float | str) -> None:
    found = parse_length(text, unit)
    assert (found.value if found.reason is None else found.reason) == expected


@settings(max_examples=60)
@given(st.floats(0.1, 150), st.sampled_from(["", " mm", "mm"]))
def test_a_length_in_millimetres_comes_back(length: float, unit: str) -> None:
    found = parse_length(f"{length:.3f}{unit}")
    assert found.value == pytest.approx(round(length, 3), abs=1e-6)
    assert parse_length(f"{length:.3f} cm").value == pytest.approx(10 * round(length, 3), abs=1e-5)


@settings(max_examples=60)
@given(st.text(max_size=20))
def test_no_text_breaks_a_parser(text: str) -> None:
    for found in (parse_length(text), parse_length(text, "cm"), parse_score(text, "gppga_total")):
        assert (found.value is None) == (found.reason is not None)
        assert found.value is None or found.value >= 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0.0), ("4.0", 4.0), ("3 - moderate", 3.0), ("2: mild", 2.0), ("5", "out_of_range"), ("2.5", "out_of_range"),
     ("-1", "out_of_range"), ("severe", "unparsable"), ("1 2", "unparsable")],
)  # fmt: skip
def test_scores(text: str, expected: float | str) -> None:
    found = parse_score(text, "gppga_erythema")
    assert (found.value if found.reason is None else found.reason) == expected


@settings(max_examples=60)
@given(st.tuples(*[st.integers(0, 4)] * 3))
def test_one_total_fits_three_subscores(scores: tuple[int, int, int]) -> None:
    given_scores = dict(
        zip(("gppga_pustules", "gppga_erythema", "gppga_scaling"), map(float, scores), strict=True)
    )
    fitting = [n for n in range(5) if total_agrees(given_scores | {"gppga_total": float(n)})]
    assert len(fitting) == 1
    assert abs(fitting[0] - sum(scores) / 3) <= 0.67
    assert total_agrees(given_scores) is None


def test_the_scales_fit_the_schema() -> None:
    assert {s.total_of for s in scales().values() if s.total_of} == {
        ("gppga_pustules", "gppga_erythema", "gppga_scaling")
    }
    assert all(part in scales() for s in scales().values() for part in s.total_of)
    assert set(skin_tones()) == set(HARMONIZED.column("skin_tone_scale").isin or ())
