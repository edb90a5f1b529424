"""Duplicates from end to end: candidates, verification, groups, representatives, a row for every image."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.candidates import SEARCHED_COLUMNS, NearPairs, search, searchable
from curation_dagster.core.duplicates.declared import with_declared
from curation_dagster.core.duplicates.grouping import (
    UNCERTAIN,
    Link,
    Neighbours,
    components,
    group_id,
    neighbours,
    steps,
)
from curation_dagster.core.duplicates.labels import Related, in_conflict, labels_of
from curation_dagster.core.duplicates.representatives import Facts, RepresentativeRule
from curation_dagster.core.duplicates.slices import near_pairs
from curation_dagster.core.duplicates.verification import LINKS, Look, ReadThumbnails, Thumbnails, verify
from curation_dagster.schemas import DUPLICATES

NOT_OURS = ("verdict", "failed", "review", "run_id")  # what others fill in behind the search
GROUPS = pa.schema([f for f in DUPLICATES.arrow_schema if f.name not in NOT_OURS])

_SEARCHED = ("image_id", "phash256")
_IDENTITY_COLUMNS = ("image_id", "archive", "version", "sha256")


def find_groups(
    images: pa.Table,
    facts: pa.Table | None,
    bounds: DuplicateBounds,
    representative_rule: Sequence[str],
    confirmation_rank: Sequence[str],
    related: Related,
    thumbnails: Thumbnails | None = None,
    workers: int = 1,
    pairs_within: NearPairs = near_pairs,
    look: Look | None = None,
) -> pa.Table:
    """Return how each image relates to the others.

    Parameters
    ----------
    images : pyarrow.Table
        A row per image: ``image_id, archive, version, sha256, stream_sha256, pixel_sha256, phash256,
        hash_is_degenerate, decode_state``; and ``thumbnail_64, thumbnail_256`` if ``thumbnails`` is None.
    facts : pyarrow.Table or None
        What is known of images, by ``image_id``, each of these where present: ``eligible`` (true if null),
        ``confirmation``, ``pixels``, ``sharpness``, ``icd11_code``, ``icd11_candidates``, and ``parent_image_id`` of an
        image that was made of another one. Columns of the same names in ``images`` serve as
        well. Further columns are left alone.
    bounds : DuplicateBounds
        When two images count as duplicates.
    representative_rule, confirmation_rank : sequence of str
        See :class:`~curation_dagster.core.duplicates.representatives.RepresentativeRule`.
    related : callable
        Of two ICD-11 codes; see :func:`~curation_dagster.core.duplicates.labels.in_conflict`.
    thumbnails : callable or None
        Reads the thumbnails of some images, so that only candidates' are ever in memory; see
        :func:`~curation_dagster.core.duplicates.verification.verify`.
    workers : int
        Threads.
    pairs_within, look : callable
        What finds near hashes, and what looks at doubtful pairs: this machine, or a cluster.

    Returns
    -------
    pyarrow.Table
        Schema ``GROUPS``, the columns of the table ``duplicates`` up to the verdict; rows in the order of ``images``.

    Raises
    ------
    ValueError
        If a column is missing, or an image_id is null or occurs twice.
    ThumbnailError
        If the thumbnail of a candidate is missing or broken.
    """
    _require(images, (*_IDENTITY_COLUMNS, *SEARCHED_COLUMNS))
    if thumbnails is None:
        _require(images, ("thumbnail_64", "thumbnail_256"))
        thumbnails = thumbnails_in(images)
    links = find_links(images, bounds, thumbnails, workers, None, None, pairs_within, look).links
    rule = RepresentativeRule(representative_rule, confirmation_rank)
    return groups_of(images, facts, links, rule, related)


@dataclass(frozen=True)
class Linked:
    """What a search found, and what the next one may take over.

    Parameters
    ----------
    links : pyarrow.Table
        Every verified link among the images, schema ``LINKS``.
    fresh : pyarrow.Table
        Those found by hash now: to be remembered.
    kept : pyarrow.Table
        Those found by hash before that still hold.
    fresh_ids, kept_ids : pyarrow.Table
        ``image_id`` and ``phash256`` of the images that were searched now, and before.
    """

    links: pa.Table
    fresh: pa.Table
    kept: pa.Table
    fresh_ids: pa.Table
    kept_ids: pa.Table


def find_links(
    images: pa.Table,
    bounds: DuplicateBounds,
    thumbnails: Thumbnails,
    workers: int = 1,
    remembered: pa.Table | None = None,
    searched: pa.Table | None = None,
    pairs_within: NearPairs = near_pairs,
    look: Look | None = None,
) -> Linked:
    """Return the verified links among the images.

    Parameters
    ----------
    remembered, searched : pyarrow.Table or None
        ``fresh`` and ``kept`` of the last search, put together, and its ``fresh_ids`` and ``kept_ids``. Images of
        ``searched`` are not compared with each other again. The result is that of a search from scratch, provided that
        ``searched`` holds images that were all compared with each other, by the same code and the same radii.
    pairs_within, look : callable
        What finds near hashes, and what looks at doubtful pairs: this machine, or a cluster.
    """
    chosen = searchable(images).select(list(_SEARCHED))
    if remembered is None or searched is None:
        remembered, kept_ids = LINKS.empty_table(), chosen.slice(0, 0)
    else:
        kept_ids = chosen.join(searched.select(list(_SEARCHED)), list(_SEARCHED), join_type="left semi")
    known_ids = kept_ids["image_id"].combine_chunks()
    known = pc.is_in(images["image_id"], known_ids)
    near = search(images.filter(pc.invert(known)), images.filter(known), bounds, workers, pairs_within)
    found = verify(near, thumbnails, bounds, workers, look)
    kept = remembered.filter(
        pc.and_(pc.is_in(remembered["a"], known_ids), pc.is_in(remembered["b"], known_ids))
    )
    taken_over = kept
    if kept.num_rows and found.num_rows:  # the same bytes or pixels, known since
        taken_over = kept.join(found.select(["a", "b"]), ["a", "b"], join_type="left anti").select(
            LINKS.names
        )
    ids = chosen["image_id"].combine_chunks()
    by_hash = pc.is_in(found["kind"], pa.array(["near", "uncertain"]))
    among = pc.and_(pc.is_in(found["a"], ids), pc.is_in(found["b"], ids))
    links = pa.concat_tables([found, taken_over.cast(LINKS)])
    return Linked(
        links.sort_by([("a", "ascending"), ("b", "ascending")]),
        found.filter(pc.and_(by_hash, among)),
        kept,
        chosen.filter(pc.invert(pc.is_in(ids, known_ids))),
        kept_ids,
    )


def groups_of(
    images: pa.Table, facts: pa.Table | None, links: pa.Table, rule: RepresentativeRule, related: Related
) -> pa.Table:
    """Return the rows of all images from the links among them and those declared; see :func:`find_groups`."""
    decoded = pc.fill_null(pc.equal(images["decode_state"], "ok"), False)
    links = with_declared(links, images.filter(decoded), facts)
    joined, doubtful = neighbours(links), neighbours(links, uncertain=True)
    involved = _facts_of(images, facts, sorted(joined.keys() | doubtful.keys()))
    found: dict[str, dict[str, Any]] = {}
    for members in components(joined):
        for image_id, row in _group(members, [involved[m] for m in members], joined, rule, related):
            found[image_id] = row
    _mark_uncertain(found, doubtful)
    readable = decoded.to_pylist()
    columns = [images[name].to_pylist() for name in _IDENTITY_COLUMNS]
    rows = []
    for image_id, archive, version, sha256, decodes in zip(*columns, readable, strict=True):
        row = found.get(image_id) or _single(image_id, "single" if decodes else "unreadable")
        rows.append({"image_id": image_id, "archive": archive, "version": version, "sha256": sha256, **row})
    return pa.Table.from_pylist(rows, schema=GROUPS)


def thumbnails_in(images: pa.Table) -> Thumbnails:
    """Return a reader of the thumbnails that ``images`` holds."""
    chosen = images.select(["image_id", "thumbnail_64", "thumbnail_256"])

    @contextlib.contextmanager
    def opened(image_ids: list[str]) -> Iterator[ReadThumbnails]:
        del image_ids  # all of them are in memory
        yield lambda ids: chosen.filter(pc.is_in(chosen["image_id"], pa.array(ids, pa.string())))

    return opened


def _group(
    members: Sequence[str],
    facts: Sequence[Facts],
    joined: Neighbours,
    rule: RepresentativeRule,
    related: Related,
) -> Iterator[tuple[str, dict[str, Any]]]:
    representative, reason = rule.choose(facts)
    way = steps(representative.image_id, joined)
    shared = {
        "group_id": group_id(members),
        "group_size": len(members),
        "representative_id": representative.image_id,
        "reason": reason,
        "label_conflict": in_conflict(facts, related),
        "labels": labels_of(facts),
        "uncertain_with": None,
    }
    for member in members:
        step = way[member]
        evidence = step.link.evidence
        if step.links_to_go > 1:
            evidence += f"; through {step.link.to}, {step.links_to_go} links from the representative"
        yield (
            member,
            {
                **shared,
                "is_representative": member == representative.image_id,
                "relation": "representative" if step.links_to_go == 0 else step.link.kind,
                "distance": step.link.distance,
                "linked_to": step.link.to,
                "evidence": evidence,
            },
        )


def _mark_uncertain(found: dict[str, dict[str, Any]], doubtful: Neighbours) -> None:
    """Write down the uncertain links: on the image itself, and on the representative that would stand for it."""
    others: dict[str, set[str]] = {}
    for image_id, links in doubtful.items():
        mine = found.get(image_id)
        open_links = [
            link
            for link in links
            if mine is None or mine["group_id"] != (found.get(link.to) or {}).get("group_id")
        ]
        if not open_links:
            continue  # another link joined the two
        stands_for_it = mine["representative_id"] if mine is not None else image_id
        for holder in {image_id, stands_for_it}:
            others.setdefault(holder, set()).update(link.to for link in open_links)
        if mine is None:
            best: Link = min(open_links, key=lambda link: link.place)
            found[image_id] = _single(image_id, UNCERTAIN) | {
                "distance": best.distance,
                "linked_to": best.to,
                "evidence": best.evidence,
            }
    for image_id, ids in others.items():
        found[image_id]["uncertain_with"] = sorted(ids)


def _single(image_id: str, relation: str) -> dict[str, Any]:
    return {
        "group_id": None,
        "group_size": 1,
        "is_representative": True,
        "representative_id": image_id,
        "relation": relation,
        "distance": None,
        "linked_to": None,
        "evidence": None,
        "reason": None,
        "label_conflict": False,
        "labels": None,
        "uncertain_with": None,
    }


def _facts_of(images: pa.Table, facts: pa.Table | None, ids: Sequence[str]) -> Mapping[str, Facts]:
    """Return the facts of some images, from both tables; what ``facts`` states goes before ``images``."""
    wanted = pa.array(ids, pa.string())
    names = [f.name for f in fields(Facts)]
    values: dict[str, dict[str, Any]] = {i: {} for i in ids}
    for table in (images, facts):
        if table is None:
            continue
        _require(table, ("image_id",))
        chosen = table.filter(pc.is_in(table["image_id"], wanted))
        for row in chosen.select([n for n in names if n in table.column_names]).to_pylist():
            values[row["image_id"]].update({k: v for k, v in row.items() if v is not None})
    return {i: Facts(**v) for i, v in values.items()}


def _require(table: pa.Table, names: Sequence[str]) -> None:
    missing = [n for n in names if n not in table.column_names]
    if missing:
        raise ValueError(
            f"images of the duplicate search: columns {', '.join(missing)} are missing; got {', '.join(table.column_names)}"
        )
