"""Which images fall under a withdrawal: by name, and by what they show when they come back under another name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from curation_dagster.core.release.groups import tied

Found = dict[str, tuple[str, str]]
"""image_id to the withdrawal that it falls under, and why."""

# what ties further images to one that falls under a withdrawal of this kind; copies always do, except of a source:
# that an archive takes its files back says nothing of what others hold in their own right
_TIES: dict[str, tuple[str, ...]] = {
    "image": ("group_id",),
    "lesion": ("group_id", "lesion_key"),
    "patient": ("group_id", "lesion_key", "patient_key"),
}


def named(images: pa.Table, withdrawals: Iterable[Mapping[str, str]]) -> Found:
    """Return the images that withdrawals name: by image_id, patient, lesion or source.

    Parameters
    ----------
    images : pyarrow.Table
        Columns image_id, archive, version, patient_key and lesion_key.
    withdrawals : iterable of mapping
        Rows of ``withdrawals``, the oldest first; the first that an image falls under is named.
    """
    rows = images.select(["image_id", "archive", "version", "patient_key", "lesion_key"]).to_pylist()
    found: Found = {}
    for w in withdrawals:
        for row in rows:
            told = {
                "image": {row["image_id"]},
                "patient": {row["patient_key"]},
                "lesion": {row["lesion_key"]},
                "source": {row["archive"], f"{row['archive']}@{row['version']}"},
            }[w["kind"]]
            if w["subject"] in told:
                found.setdefault(row["image_id"], (w["withdrawal_id"], f"its {w['kind']} was withdrawn"))
    return found


def recognized(images: pa.Table, withdrawn: pa.Table, radius: int) -> Found:
    """Return the images that show what a withdrawn image shows.

    Parameters
    ----------
    images : pyarrow.Table
        Columns image_id, sha256, pixel_sha256, phash256 and hash_is_degenerate.
    withdrawn : pyarrow.Table
        Rows of ``withdrawn``.
    radius : int
        Largest Hamming distance of two perceptual hashes of the same picture, bit.
    """
    found: Found = {}
    if not withdrawn.num_rows:
        return found
    gone = withdrawn.sort_by([("withdrawal_id", "ascending"), ("image_id", "ascending")]).to_pylist()
    for column, what in (("sha256", "file"), ("pixel_sha256", "pixels")):
        known = {r[column]: r["withdrawal_id"] for r in reversed(gone) if r[column] is not None}
        for image, value in zip(images["image_id"].to_pylist(), images[column].to_pylist(), strict=True):
            if value in known:
                found.setdefault(image, (known[value], f"the same {what} as a withdrawn image"))
    hashed = [r for r in gone if r["phash256"] is not None]
    usable = [
        (r["image_id"], r["phash256"])
        for r in images.select(["image_id", "phash256", "hash_is_degenerate"]).to_pylist()
        if r["phash256"] is not None and not r["hash_is_degenerate"]
    ]
    if hashed and usable:
        bits = np.frombuffer(b"".join(h for _, h in usable), np.uint64).reshape(len(usable), 4)
        for r in hashed:
            other = np.frombuffer(r["phash256"], np.uint64)
            distances = np.bitwise_count(bits ^ other).sum(axis=1)
            for index in np.flatnonzero(distances <= radius):
                how = f"looks like a withdrawn image: {int(distances[index])} of 256 bit differ"
                found.setdefault(usable[index][0], (r["withdrawal_id"], how))
    return found


def spread(found: Found, images: pa.Table, groups: pa.Table, kinds: Mapping[str, str]) -> Found:
    """Return ``found`` with what falls under the same withdrawals through duplicates, lesions or patients.

    Parameters
    ----------
    images : pyarrow.Table
        Columns image_id, patient_key and lesion_key.
    groups : pyarrow.Table
        Columns image_id and group_id.
    kinds : mapping of str to str
        Withdrawal to its kind.
    """
    everything = dict(found)
    for kind, columns in _TIES.items():
        mine = {i: w for i, (w, _) in found.items() if kinds[w] == kind}
        if not mine:
            continue
        keys = images.select(["image_id", *(c for c in columns if c != "group_id")])
        for members in tied(keys, groups.select(["image_id", "group_id"]), certain_only=True).values():
            touched = sorted((mine[i], i) for i in members if i in mine)
            for image in members if touched else ():
                everything.setdefault(image, (touched[0][0], f"tied to the withdrawn image {touched[0][1]}"))
    return everything
