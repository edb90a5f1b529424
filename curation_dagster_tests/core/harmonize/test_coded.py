from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation_dagster.core.harmonize import icd11
from curation_dagster.core.harmonize.coded import (
    diagnosis_of_icd10,
    diagnosis_of_icd11,
    drift,
    icd10_code,
)
from curation_dagster.core.harmonize.vocabulary import rows

ALL = sorted({r["icd10_code"] for r in rows("icd10_to_icd11")})


@pytest.mark.parametrize(
    ("code", "icd11_code", "relation"),
    [
        ("L40.1", "EA90.40", "exact"),
        ("L57.0", "EK90.0", "exact"),
        ("C43.9", "2C30.Z", "broader"),
        ("l82", "2F21.0", "exact"),
        ("L20.9", "EA80.Z", "narrower"),  # WHO spreads it over four codes
        ("L08.0", None, "nonspecific"),  # a row of WHO's that is not followed
        ("L40.10", "EA90.40", "broader"),  # a national part of L40.1
        ("K35.8", None, "unmapped"),
        ("psoriasis", None, "unmapped"),
    ],
)
def test_a_code_of_icd10_is_mapped_with_its_relation(
    code: str, icd11_code: str | None, relation: str
) -> None:
    found = diagnosis_of_icd10(code)
    assert (found.icd11_code, found.relation) == (icd11_code, relation)


def test_every_row_of_whos_table_leads_to_a_code_or_is_refused_for_a_reason() -> None:
    assert len(ALL) == 1882
    for code in ALL:
        found = diagnosis_of_icd10(code)
        if found.icd11_code is None:
            assert found.refusal, code
            assert found.note, code
        else:
            assert found.icd11_title == icd11.title(found.icd11_code)
        assert found.relation != "unmapped", code


def test_the_reason_for_a_refused_row_is_stated() -> None:
    for row in rows("icd10_refused"):
        assert row["icd10_code"] in ALL
        assert row["reason"] in (diagnosis_of_icd10(row["icd10_code"]).refusal or "")


def test_a_code_of_an_older_release_becomes_what_held_it() -> None:
    assert (drift("EK02.12"), drift("2B54.0"), drift("2C30"), drift("XX")) == (
        "removed", "retitled", "same", "unknown",
    )  # fmt: skip
    old = diagnosis_of_icd11("EK02.12")
    assert (old.icd11_code, old.relation) == ("EK02", "broader")
    assert "has no more" in (old.note or "")
    assert diagnosis_of_icd11("EA90.40").relation == "exact"
    assert diagnosis_of_icd11("2F20&XS9T").relation == "broader"
    assert diagnosis_of_icd11("ZZ99").relation == "unmapped"


@settings(max_examples=50)
@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_codes(text: str) -> None:
    code = icd10_code(text)
    assert code is None or icd10_code(code) == code
    assert diagnosis_of_icd10(text).relation
    assert diagnosis_of_icd11(text).relation
