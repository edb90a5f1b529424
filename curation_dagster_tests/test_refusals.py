"""Who may read what of a refusal: the kind decides, and every kind has decided."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.core.records.impostors import AnotherRelease
from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.core.retrieval import errors
from curation_dagster.refusals import DeliveryRefused, refusal_file, refused

KEY = parse_key("ham10000@4.0")
PERSON = "Jane Roe 1961"
KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.RetrievalError)]
OPEN = {"DeliveryMissing", "NoSpace", "SourceRefused", "CredentialMissing", "SourceUnreachable", "SourceGone"}


def test_what_speaks_of_machines_credentials_and_disks_is_told_and_nothing_else() -> None:
    assert {k.__name__ for k in KINDS if not k.names_files} == OPEN


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_tells_the_name_of_a_file(kind: type[errors.RetrievalError], tmp_path: Path) -> None:
    address = f"sftp://files.host.org:22/share/{PERSON}.jpg"
    said = [PERSON] * 3 if kind.names_files else ["What.", "leave to read", "status 401"]
    error = refused(kind(said[0], address, said[1], said[2], "Ask."), tmp_path, KEY)
    assert PERSON not in str(error) + repr(error.args)
    assert kind.__name__ in f"{type(error).__name__} {error}"
    if not kind.names_files:
        assert all(text in str(error) for text in ("What.", "status 401", "Ask.", "sftp://files.host.org:22"))
    path = refusal_file(tmp_path, KEY)
    assert PERSON in path.read_text()
    assert str(path) in str(error)
    assert path.stat().st_mode & 0o077 == 0


def test_a_table_that_is_another_one_is_described_in_private(tmp_path: Path) -> None:
    error = refused(
        MetadataError(f"{PERSON}.csv: the column 'dx' is missing, such as {PERSON}"), tmp_path, KEY
    )
    assert isinstance(error, DeliveryRefused)
    assert PERSON not in str(error)
    assert "materialize `records` again" in str(error)
    assert PERSON in refusal_file(tmp_path, KEY).read_text()


def test_a_release_of_another_size_is_told(tmp_path: Path) -> None:
    told = AnotherRelease("ham10000@4.0: expected 10015 records, the tables hold 3")
    assert refused(told, tmp_path, KEY) is told
