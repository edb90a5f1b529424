"""Records and files whose names differ by what tools have done to them, matched by a rule that the descriptor declares.

Nothing is matched by likeness: under ``key_match: prefix`` one of the two names must begin with the other, at least
``key_match_length`` characters long, and there must be one such file and one such record only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from curation_dagster.core.records.sources import Source


def matched_by_prefix(source: Source, ids: Iterable[str]) -> tuple[Source, dict[str, str]]:
    """Give records without a file the id of the one file that their key fits by its beginning.

    Parameters
    ----------
    source : Source
        Records of images.
    ids : iterable of str
        Source ids of all image files.

    Returns
    -------
    source : Source
        With the ids of those files as keys.
    how : dict of str to str
        Each id that was taken so, to a sentence that says what the record calls it.

    Notes
    -----
    A key that fits several files, or a file that several records claim, stays unmatched on both sides.
    """
    known = sorted(set(ids))
    taken = set(source.keys)
    length = source.spec.key_match_length
    free = [id for id in known if id not in taken and len(id) >= length]
    orphans = {k for k in source.keys if len(k) >= length} - set(known)
    fits: dict[str, set[str]] = {key: set(_beginning_with(free, key)) for key in orphans}
    by_key = sorted(orphans)
    for id in free:
        for key in _beginning_with(by_key, id):
            fits[key].add(id)
    claims: dict[str, list[str]] = defaultdict(list)
    for key, found in fits.items():
        for id in found:
            claims[id].append(key)
    new = {key: next(iter(found)) for key, found in fits.items() if len(found) == 1}
    new = {key: id for key, id in new.items() if len(claims[id]) == 1}
    how = {
        id: f"joined by the declared rule of prefixes: the record calls it {key}" for key, id in new.items()
    }
    return replace(source, keys=tuple(new.get(k, k) for k in source.keys)), how


def _beginning_with(ordered: list[str], prefix: str) -> list[str]:
    found = []
    for position in range(bisect_left(ordered, prefix), len(ordered)):
        if not ordered[position].startswith(prefix):
            break
        found.append(ordered[position])
    return found
