"""Credentials: read from the environment, or from files that it names, by their declared names, and kept out of everything that is written."""

from __future__ import annotations

import base64
import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from curation_dagster.core.retrieval.errors import CredentialMissing

HIDDEN = "***"
_SECRET_PARAMETER = re.compile(
    r"tok|key|sig|secret|passw|credential|auth|session|policy|expires", re.IGNORECASE
)


class Secrets:
    """The credentials of one retrieval; knows every value that was asked for, and takes it out of texts."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._values: set[str] = set()

    def get(self, name: str) -> str:
        """Return the credential in a variable of the environment, or in the file that ``<name>_FILE`` names.

        Raises
        ------
        CredentialMissing
            If neither is set, or the file is blank or can't be read.
        """
        value = self._environment.get(name, "").strip()
        if not value and (file := self._environment.get(f"{name}_FILE")):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                value = Path(file).read_text(encoding="utf-8").strip()
        if not value:
            raise CredentialMissing(
                f"Neither the variable {name} nor a readable file named by {name}_FILE is there.",
                where=f"environment variable {name}",
                expected="the credential that the archive's descriptor asks for",
                got="nothing",
                next="Nothing was fetched. Set the variable for the process that runs the pipeline, or deliver the files "
                "into the landing folder.",
            )
        self.hide(value)
        return value

    def hide(self, value: str) -> None:
        """Take a value for a secret from now on, however it is written."""
        self._values |= {
            value,
            quote(value, safe=""),
            quote(value),
            base64.b64encode(value.encode()).decode(),
        }

    def scrub(self, text: str) -> str:
        """Return a text without any credential that was asked for."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, HIDDEN)
        return text


def plain_url(url: str) -> str:
    """Return an address as it may be written down: without user, password, and parameters that sign or authorize.

    >>> plain_url("https://me:pw@host.org/a.zip?version=2&X-Amz-Signature=abc#x")
    'https://host.org/a.zip?version=2&X-Amz-Signature=***'
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return HIDDEN
    host = parts.hostname or ""
    query = [
        (k, HIDDEN if _SECRET_PARAMETER.search(k) else v)
        for k, v in parse_qsl(parts.query, keep_blank_values=True)
    ]
    host = f"[{host}]" if ":" in host else host
    return urlunsplit((parts.scheme, host + port, parts.path, urlencode(query, safe="*/:,@"), ""))


def machine_of(where: str) -> str:
    """Return the machine in an address, for a reader who may see no file name; other texts stay as they are.

    >>> machine_of("sftp://files.host.org:22/share/Jane Doe.jpg"), machine_of("a.host.org")
    ('sftp://files.host.org:22', 'a.host.org')
    """
    scheme, found, rest = where.partition("://")
    if not found:
        return where
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}"
