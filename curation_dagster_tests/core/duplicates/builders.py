"""Bounds and hashes that several test modules share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.variants import SIDE, VARIANTS, Variant

BOUNDS = DuplicateBounds(
    candidate_radius=64,
    accept_radius=31,
    dihedral_radius=40,
    keypoint_accept=20,
    keypoint_review=10,
    correlation_accept=0.99,
)
ORDER = ("eligible", "confirmation", "pixels", "sharpness", "image_id")
RANK = ("histopathology", "confocal", "consensus", "follow_up", "expert", "unverified")


def related(a: str, b: str) -> str:
    """Return the relation of two codes of which the wider is a prefix of the narrower."""
    if a == b:
        return "same"
    if b.startswith(a):
        return "broader"
    return "narrower" if a.startswith(b) else "different"


def turned(bits: np.ndarray, variant: Variant) -> np.ndarray:
    """Return hashes of shape (n, 256), bit by bit, of a variant: written down independently of the words."""
    grid = bits.reshape(-1, SIDE, SIDE)
    grid = grid.transpose(0, 2, 1).copy() if variant.transposed else grid.copy()
    if variant.rows_reversed:
        grid[:, 1::2, :] ^= 1
    if variant.columns_reversed:
        grid[:, :, 1::2] ^= 1
    return grid.reshape(-1, SIDE * SIDE)


def brute_force(
    left: np.ndarray, right: np.ndarray | None, radius: int, dihedral_radius: int | None
) -> set[tuple[int, int, int, int]]:
    """Return (left, right, variant, distance) of every pair, from bits of shape (n, 256)."""
    found = set()
    for variant in VARIANTS:
        bound = radius if variant.index == 0 else dihedral_radius
        if bound is None:
            continue
        distance = (turned(left, variant)[:, None] != (left if right is None else right)[None]).sum(axis=2)
        for i, j in zip(*np.nonzero(distance <= bound), strict=True):
            if right is not None or i < j:
                found.add((int(i), int(j), variant.index, int(distance[i, j])))
    return found


def clustered_bits(seed: int, n: int, flips: Iterable[float] = (0.0, 0.05, 0.12, 0.2, 0.28)) -> np.ndarray:
    """Return random hashes of shape (n, 256), half of them variants of others with some bits flipped."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, SIDE * SIDE), dtype=np.uint8)
    rates = tuple(flips)
    for i in range(n // 2, n):
        source = bits[rng.integers(0, max(1, n // 2))]
        copy = turned(source[None], VARIANTS[rng.integers(0, 8)])[0]
        bits[i] = copy ^ (rng.random(SIDE * SIDE) < rates[rng.integers(0, len(rates))])
    return bits
