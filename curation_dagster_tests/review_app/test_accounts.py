from __future__ import annotations

from pathlib import Path

import pytest

from curation_dagster.review_app.accounts import AccountError, Accounts
from curation_dagster.review_app.sessions import Brake, Sessions


def test_passwords_are_kept_as_hashes_in_a_private_file(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "reviewers.yaml")
    accounts.put("Anna Weber", "a long password")
    assert "a long password" not in accounts.path.read_text()
    assert accounts.path.stat().st_mode & 0o077 == 0
    assert accounts.verify("anna  WEBER", "a long password") == "Anna Weber"
    assert accounts.verify("Anna Weber", "another password") is None
    assert accounts.verify("nobody", "a long password") is None


def test_a_reviewer_who_was_removed_is_out_at_once(tmp_path: Path) -> None:
    accounts, other = Accounts(tmp_path / "r.yaml"), Accounts(tmp_path / "r.yaml")
    accounts.put("Anna", "a long password")
    assert other.verify("Anna", "a long password")
    assert accounts.remove("anna")
    assert other.verify("Anna", "a long password") is None
    assert not accounts.remove("anna")


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("Anna", "short", "too short"),
        ("rule", "a long password", "ledger calls rules"),
        ("Sample of 3", "a long password", "ledger calls rules"),
        ("", "a long password", "can't be a name"),
        ("<script>", "a long password", "can't be a name"),
    ],
)
def test_what_makes_no_account(tmp_path: Path, name: str, password: str, message: str) -> None:
    with pytest.raises(AccountError, match=message):
        Accounts(tmp_path / "r.yaml").put(name, password)
    assert not (tmp_path / "r.yaml").exists()


def test_a_broken_file_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("- Anna\n")
    with pytest.raises(AccountError, match="nobody can sign in"):
        Accounts(path).verify("Anna", "a long password")


def test_a_session_ends_when_nobody_uses_it_and_at_the_end_of_the_day() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    token, _ = sessions.begin("Anna")
    now[0] = 29 * 60
    assert sessions.of(token)
    now[0] += 31 * 60
    assert sessions.of(token) is None
    token, _ = sessions.begin("Anna")
    for _ in range(12 * 6 + 1):
        now[0] += 10 * 60
        sessions.of(token)
    assert sessions.of(token) is None
    assert sessions.of("made up") is None
    assert sessions.of(None) is None


def test_guessing_gets_slower() -> None:
    now = [0.0]
    brake = Brake(lambda: now[0])
    for _ in range(5):
        assert brake.seconds_to_wait("name anna") == 0
        brake.failed("name anna")
    assert brake.seconds_to_wait("name anna") > 0
    waits = []
    for _ in range(5):
        now[0] += brake.seconds_to_wait("name anna")
        brake.failed("name anna")
        waits.append(brake.seconds_to_wait("name anna"))
    assert waits == sorted(waits)
    assert waits[-1] >= 2 * waits[0]
    assert brake.seconds_to_wait("name bo") == 0
    brake.succeeded("name anna")
    assert brake.seconds_to_wait("name anna") == 0
