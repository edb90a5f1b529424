"""Tables that bear the right name and are another one: another data set, or another release.

A file named ``HAM10000_metadata.csv`` with three columns is about on GitHub, and holds ids of another data set. Column
names are looked at while a table is read; here it is the form of its ids and the number of its rows, or of the images
of an archive without a table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from curation_dagster.core.records.tables import MetadataError
from curation_dagster.core.registry.layout import MetadataTable
from curation_dagster.core.registry.loading import ArchiveVersion

# at half of the rows and more, it isn't the rows that are malformed but the file that is another one
_ANOTHER_TABLE = 0.5


def foreign_keys(
    spec: MetadataTable, keys: Sequence[str], malformed: Mapping[int, str], name: str
) -> dict[int, str]:
    """Return the rows of one file whose keys are not like ``key_pattern``, with what is wrong with them.

    Parameters
    ----------
    keys : sequence of str, length rows
        As ids are compared; ``''`` where a row has none, which is not judged here.
    malformed : mapping of int to str
        Positions of rows that were found to be malformed already; they count, but are not returned again.

    Raises
    ------
    MetadataError
        If half of the rows or more are malformed or have such keys: the file is another table.
    """
    if spec.key_pattern is None or not keys:
        return {}
    pattern = re.compile(spec.key_pattern)
    foreign = [i for i, key in enumerate(keys) if key and not pattern.fullmatch(key)]
    wrong = {*foreign, *malformed}
    if len(wrong) >= _ANOTHER_TABLE * len(keys):
        example = f", such as {keys[foreign[0]][:40]!r}" if foreign else ""
        raise MetadataError(
            f"{name}: this is not the table {spec.name!r} of the descriptor: in {len(wrong)} of {len(keys)} rows the "
            f"column {spec.key or spec.join_on!r} holds no id like {spec.key_pattern}{example}, or the row is "
            "malformed. Nothing was read from the file. It is a table of another data set under the same name: fetch "
            "the publisher's own."
        )
    return {i: f"has an id that is not like {spec.key_pattern}" for i in foreign if i not in malformed}


class AnotherRelease(MetadataError):
    """The delivery holds another number of records or images than its publisher states for the version."""

    names_files = False


def check_count(archive_version: ArchiveVersion, found: int, what: Literal["records", "images"]) -> None:
    """Refuse a delivery of another size than the publisher states, beyond the declared tolerance.

    Parameters
    ----------
    what : {"records", "images"}
        Images are counted where an archive has no table of them.

    Raises
    ------
    AnotherRelease
        If it is.
    """
    version = archive_version.version
    stated, tolerance = getattr(version, what), version.records_tolerance
    if stated is None or tolerance is None or abs(found - stated) <= tolerance * stated:
        return
    allowed = "exactly" if not tolerance else f"within {tolerance:.1%}"
    holds = "the tables hold" if what == "records" else "the delivery holds"
    raise AnotherRelease(
        f"{archive_version.key}: expected {stated} {what} ({allowed}), as the publisher states for this version; "
        f"{holds} {found}. No records were written. The delivery is incomplete, or of another release: fetch it "
        "again, or declare the release as a version of its own."
    )
