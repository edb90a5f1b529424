"""Who may sign in: a file of names and Argon2 hashes, readable by its owner only.

The file is YAML, a hash for each name. It is read anew when it changes, so a reviewer who leaves is out at once.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import yaml
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from curation_dagster.core.review.people import person

_SHORTEST = 10
# the ledger writes `rule` and `sample of ...` where no person decided
_TAKEN = ("rule", "sample")
_HASHER = PasswordHasher()
# what is verified for a name that nobody has, so that the answer takes as long as for a known one
_NOBODY = _HASHER.hash("a password that nobody has")


class AccountError(ValueError):
    """An account can't be made or read; the message says why."""


class Accounts:
    """The accounts of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[float, dict[str, tuple[str, str]]] | None = None

    def names(self) -> list[str]:
        """Return who may sign in, sorted."""
        return sorted(name for name, _ in self._accounts().values())

    def verify(self, name: str, password: str) -> str | None:
        """Return the reviewer's name as it is filed, or None if name and password don't belong together."""
        filed, known = self._accounts().get(person(name), (None, _NOBODY))
        try:
            _HASHER.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return filed

    def known(self, name: str) -> str | None:
        """Return what is filed for a reviewer's password, or None without an account: a session ends when it changes."""
        return self._accounts().get(person(name), (None, None))[1]

    def put(self, name: str, password: str) -> None:
        """Add an account, or give it another password.

        Raises
        ------
        AccountError
            If the name or the password won't do. Nothing is changed.
        """
        name = unicodedata.normalize("NFC", " ".join(name.split()))
        if not re.fullmatch(r"[\w][\w .'@+-]{0,63}", name):
            raise AccountError(
                f"{name!r} can't be a name: letters, digits, blanks and .'@+- only, 64 at most"
            )
        if person(name).split(" ")[0] in _TAKEN:
            raise AccountError(f"{name!r} can't be a reviewer: the ledger calls rules and samples so")
        if len(password) < _SHORTEST:
            raise AccountError(f"the password of {name} is too short: at least {_SHORTEST} characters")
        kept = {filed: known for key, (filed, known) in self._accounts().items() if key != person(name)}
        self._write(kept | {name: _HASHER.hash(password)})

    def remove(self, name: str) -> bool:
        """Remove an account; return whether there was one. What this person said stays."""
        kept = {filed: known for key, (filed, known) in self._accounts().items() if key != person(name)}
        if len(kept) == len(self._accounts()):
            return False
        self._write(kept)
        return True

    def _accounts(self) -> dict[str, tuple[str, str]]:
        try:
            changed = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if self._read is None or self._read[0] != changed:
            try:
                data = yaml.safe_load(self.path.read_text(encoding="utf-8")) or {}
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise AccountError(f"{self.path} can't be read as YAML; nobody can sign in") from error
            if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
                raise AccountError(f"{self.path}: expected a hash for each name; nobody can sign in")
            self._read = changed, {person(str(name)): (str(name), known) for name, known in data.items()}
        return self._read[1]

    def _write(self, accounts: dict[str, str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump(dict(sorted(accounts.items())), file, allow_unicode=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self._read = None
