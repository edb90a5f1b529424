"""Credentials come from variables, or from files that variables name."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.core.retrieval.errors import CredentialMissing
from curation_dagster.core.retrieval.sources.secrets import Secrets


def test_a_credential_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a secret word\n")
    secrets = Secrets({"TOKEN_FILE": str(file)})
    assert secrets.get("TOKEN") == "a secret word"
    assert secrets.scrub("said a secret word, and a%20secret%20word") == "said ***, and ***"
    assert Secrets({"TOKEN": "the variable", "TOKEN_FILE": str(file)}).get("TOKEN") == "the variable"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_credential_is_an_error_that_names_the_variable(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CredentialMissing, match="TOKEN_FILE"):
        Secrets({"TOKEN_FILE": str(file)}).get("TOKEN")
