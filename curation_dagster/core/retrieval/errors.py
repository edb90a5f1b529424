"""What can go wrong while a delivery is picked up, staged and read.

Every error says what was found, where, what was expected, what came, and what to do next. The parts are attributes,
so that a caller can show them in its own way.
"""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

_NAMED = 20


class RetrievalError(Exception):
    """Something about a delivery or a staged archive version is not as it must be.

    Parameters
    ----------
    what : str
        What was found, a sentence.
    where : str
        File or folder that it is about.
    expected, got : str
        What should be there, and what is. Either may be empty.
    next : str
        What was done about it, and what to do.

    Attributes
    ----------
    names_files : bool
        False for the kinds whose text speaks of machines, credentials and disks, and of no file of a delivery:
        everybody may read it, ``where`` as far as the machine. Whoever raises one keeps file names out of all other
        parts.
    """

    names_files = True

    def __init__(self, what: str, where: str = "", expected: str = "", got: str = "", next: str = "") -> None:
        # all parts are positional arguments of Exception, so that the error survives pickling between processes
        super().__init__(what, where, expected, got, next)
        self.what, self.where, self.expected, self.got, self.next = what, where, expected, got, next

    def __str__(self) -> str:
        parts = (("where", self.where), ("expected", self.expected), ("got", self.got), ("next", self.next))
        return "\n".join([self.what, *(f"  {name + ':':<9} {text}" for name, text in parts if text)])


class DeliveryMissing(RetrievalError):
    """Nothing lies where the delivery of the archive version is expected."""

    names_files = False


class DeliveryUnfinished(RetrievalError):
    """The delivery is still being written."""


class UnsafeDelivery(RetrievalError):
    """The delivery holds something that is not a plain file with a plain name."""


class ChecksumMismatch(RetrievalError):
    """Files differ from what their publisher states.

    Attributes
    ----------
    table : pyarrow.Table or None
        The inventory with ``checksum_state`` of every file, in the columns of the table ``files``.
    """

    table: pa.Table | None = None


class VersionChanged(RetrievalError):
    """Other bytes came under the key of a version that is already staged."""


class StagedFileChanged(RetrievalError):
    """A staged file is gone, or its bytes are no longer those that were staged."""


class HostileContainer(RetrievalError):
    """A container holds what no honest container holds; nothing of it is used.

    Attributes
    ----------
    members : tuple of str
        The members, each with what is wrong with it.
    """

    members: tuple[str, ...] = ()


class DamagedContainer(RetrievalError):
    """A container, or the content of some of its members, can't be read."""


class UnsupportedContainer(RetrievalError):
    """A container in a format or with a compression that is not read."""


class NoSpace(RetrievalError):
    """The disk of the staging folder is full, or would be."""

    names_files = False


class StagingFailed(RetrievalError):
    """The operating system refused to read the delivery or to write the staging folder."""


class SourceRefused(RetrievalError):
    """A source is not asked: its terms, its address, its answer to us, or our own rules forbid it."""

    names_files = False


class CredentialMissing(RetrievalError):
    """A variable of the environment that holds a credential is not set."""

    names_files = False


class SourceUnreachable(RetrievalError):
    """A source did not answer, or broke off, as often as is tried."""

    names_files = False


class SourceGone(RetrievalError):
    """What was asked for is not at its source any more."""

    names_files = False


class UnexpectedAnswer(RetrievalError):
    """A source answered with something else than was asked for, such as a page instead of a file."""


class PageInstead(UnexpectedAnswer):
    """A web page came where a file was asked for."""


class BadManifest(RetrievalError):
    """The manifest of a delivery can't be read, or is not of this delivery."""


def some(names: Collection[str]) -> str:
    """Return the first names, and how many more there are.

    >>> some(["a", "b"])
    'a; b'
    """
    listed = "; ".join(list(names)[:_NAMED])
    return listed if len(names) <= _NAMED else f"{listed}; and {len(names) - _NAMED} more"
