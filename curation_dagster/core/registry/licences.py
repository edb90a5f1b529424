"""Licences and what they permit: ``vocabularies/licences.yaml``.

The licence gate works per record. It asks three things of a licence: may a company use the image, change it, and pass
it on? *Unclear* is an answer of its own, and the gate treats it as no: it is null in every table, never false.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from curation_dagster.core.registry.documents import label, read_document
from curation_dagster.core.registry.problems import DescriptorError, problems_of

VOCABULARY = Path(__file__).parents[2] / "vocabularies" / "licences.yaml"

_Answer = Literal["yes", "no", "unclear"]
_MEANING: dict[str, bool | None] = {"yes": True, "no": False, "unclear": None}


class UnknownLicence(DescriptorError):
    """A licence id that ``vocabularies/licences.yaml`` does not list."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Permissions(_Strict):
    commercial: _Answer
    modification: _Answer
    redistribution: _Answer


class _Conditions(_Strict):
    attribution: bool = False
    share_alike: bool = False
    no_reidentification: bool = False
    no_link_sharing: bool = False


class _Entry(_Strict):
    title: str
    url: str | None = None
    permissions: _Permissions
    conditions: _Conditions = _Conditions()
    evidence: str


class _File(_Strict):
    version: str
    note: str
    licences: dict[str, _Entry]


@dataclass(frozen=True)
class Licence:
    """One licence.

    Parameters
    ----------
    id : str
        SPDX identifier, or the name of terms that SPDX does not list.
    title, url : str
        What the licence is called, and where it stands; ``url`` is None where no first-hand text is known.
    permits_commercial, permits_modification, permits_redistribution : bool or None
        None where the text does not say, or contradicts itself.
    attribution, share_alike, no_reidentification, no_link_sharing : bool
        Conditions that it makes.
    evidence : str
        Where the terms were read, and how sure that is.
    """

    id: str
    title: str
    url: str | None
    permits_commercial: bool | None
    permits_modification: bool | None
    permits_redistribution: bool | None
    attribution: bool
    share_alike: bool
    no_reidentification: bool
    no_link_sharing: bool
    evidence: str

    @property
    def permits_all(self) -> bool | None:
        """True if it permits all three; False if it forbids one; None otherwise."""
        answers = (self.permits_commercial, self.permits_modification, self.permits_redistribution)
        if False in answers:
            return False
        return None if None in answers else True


@dataclass(frozen=True)
class Licences:
    """All licences of one vocabulary file, with its version and the SHA-256 of its content."""

    by_id: Mapping[str, Licence]
    version: str
    digest: str

    def licence(self, id: str) -> Licence:
        """Return one licence.

        Raises
        ------
        UnknownLicence
            If the vocabulary does not list it; the message names the nearest ids.
        """
        if id in self.by_id:
            return self.by_id[id]
        raise UnknownLicence(unknown_licence(id, self.by_id))


def unknown_licence(id: str, known: Mapping[str, Licence]) -> str:
    """Return the sentence that says that a licence id is unknown, with the nearest ones."""
    near = difflib.get_close_matches(id, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"known are those of vocabularies/{VOCABULARY.name}"
    )
    return f'no licence has the id "{id}"; {hint}'


def load_licences(path: Path = VOCABULARY) -> Licences:
    """Read a vocabulary of licences.

    Raises
    ------
    DescriptorError
        If the file can't be read or breaks its format; the message lists every problem.
    """
    data, problems = read_document(path)
    file: _File | None = None
    if not problems:
        try:
            file = _File.model_validate(data)
        except ValidationError as error:
            problems = problems_of(error, label(path), _File)
    if file is None:
        raise DescriptorError("\n".join(str(p) for p in problems))
    by_id = {
        id: Licence(
            id=id,
            title=entry.title,
            url=entry.url,
            permits_commercial=_MEANING[entry.permissions.commercial],
            permits_modification=_MEANING[entry.permissions.modification],
            permits_redistribution=_MEANING[entry.permissions.redistribution],
            **entry.conditions.model_dump(),
            evidence=entry.evidence,
        )
        for id, entry in file.licences.items()
    }
    canonical = json.dumps(file.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return Licences(MappingProxyType(by_id), file.version, digest)


@lru_cache(maxsize=1)
def licences() -> Licences:
    """Return the packaged licences."""
    return load_licences()


def licence(id: str) -> Licence:
    """Return one packaged licence; see :meth:`Licences.licence`."""
    return licences().licence(id)
