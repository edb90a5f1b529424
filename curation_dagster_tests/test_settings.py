"""Where the secret of the keyed hashes comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.settings import Settings


def test_the_secret_may_stand_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(tmp_path / "home")
    file = tmp_path / "secret"
    file.write_text("a secret of more than 16 bytes\n")
    monkeypatch.setenv("CURATION_SECRET", "the secret in the variable")
    monkeypatch.setenv("CURATION_SECRET_FILE", str(file))
    assert settings.secret() == b"a secret of more than 16 bytes"
    file.write_text("short\n")
    with pytest.raises(ValueError, match="shorter than 16 bytes"):
        settings.secret()
    file.unlink()
    # another secret would give every patient another key
    with pytest.raises(ValueError, match=r"can't be read .*None is made anew"):
        settings.secret()
    assert not (settings.home / "secret").exists()
