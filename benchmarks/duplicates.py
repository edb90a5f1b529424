"""Candidate search over random hashes with planted clusters: seconds, memory, and the same pairs as brute force.

Random hashes are the hard case of the scan's time and the easy one of its yield; the planted copies are what must not
be missed. ``python benchmarks/duplicates.py`` takes about a minute on two cores.
"""

from __future__ import annotations

import resource
import time

import numpy as np
from _results import record

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.duplicates.candidates import near_pairs
from curation_dagster.core.duplicates.pairs import Pairs
from curation_dagster.core.duplicates.scan import scan
from curation_dagster.core.duplicates.variants import VARIANTS, Hashes

WORKERS = 2
CLUSTERED = 0.05  # share of hashes that are copies of others
SHORT_RADIUS = 12  # for which the banded join is the cheaper method


def planted(n: int, radius: int, dihedral_radius: int, seed: int = 1) -> Hashes:
    """Return ``n`` hashes, some of them variants of others with up to ``radius`` bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = Hashes.of_bytes(rng.integers(0, 256, (n, 32), dtype=np.uint8))
    copies = int(n * CLUSTERED)
    sources = rng.integers(0, n - copies, copies)
    words = hashes.words.copy()
    for k, source in enumerate(sources):
        variant = VARIANTS[rng.integers(0, 8)]
        flips = rng.choice(
            256, rng.integers(0, (radius if variant.index == 0 else dihedral_radius) + 1), replace=False
        )
        changed = hashes.take(np.array([source])).variant(variant).words[:, 0].copy()
        for bit in flips:
            changed[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
        words[:, n - copies + k] = changed
    return Hashes(words)


def brute_force(
    hashes: Hashes, radius: int, dihedral_radius: int, block: int = 64
) -> set[tuple[int, int, int, int]]:
    """Return all pairs by the distance of every variant of each hash to every other."""
    found = set()
    for variant in VARIANTS:
        left = hashes.variant(variant).words
        bound = radius if variant.index == 0 else dihedral_radius
        for start in range(0, left.shape[1], block):
            distance = sum(
                np.bitwise_count(a[start : start + block, None] ^ b[None, :]).astype(np.int16)
                for a, b in zip(left, hashes.words, strict=True)
            )
            for i, j in zip(*np.nonzero(np.asarray(distance) <= bound), strict=True):
                if start + i < j:
                    found.add((int(start + i), int(j), variant.index, int(distance[i, j])))
    return found


def timed(hashes: Hashes, radius: int, dihedral_radius: int | None, **rest: object) -> tuple[float, Pairs]:
    """Return seconds and pairs of one search."""
    started = time.perf_counter()
    pairs = near_pairs(hashes, None, radius, dihedral_radius, WORKERS, **rest)  # type: ignore[arg-type]
    return time.perf_counter() - started, pairs


def main() -> None:
    """Measure and record."""
    bounds = load_criteria("device").duplicates.bounds()
    radius, dihedral = bounds.candidate_radius, bounds.dihedral_radius

    small = planted(4_000, radius, dihedral)
    started = time.perf_counter()
    expected = brute_force(small, radius, dihedral)
    brute_seconds = time.perf_counter() - started
    seconds, pairs = timed(small, radius, dihedral)
    found = set(
        zip(*(x.tolist() for x in (pairs.left, pairs.right, pairs.variant, pairs.distance)), strict=True)
    )
    recall = len(found & expected) / len(expected)
    detail = f"4,000 hashes, radius {radius}, variants {dihedral}; brute force {brute_seconds:.1f} s, search {seconds:.2f} s"
    record("candidates_recall", recall, "ratio", 1.0, detail)
    record("candidates_false", len(found - expected), "pair", 0, detail)

    seconds, pairs = timed(planted(10_000, radius, dihedral), radius, dihedral)
    record(
        "candidates_10k_seconds",
        seconds,
        "s",
        None,
        f"radius {radius}, variants {dihedral}, {len(pairs)} pairs",
    )

    many = planted(100_000, radius, dihedral)
    seconds, pairs = timed(many, radius, None)
    detail = f"radius {radius}, pictures as they are, {len(pairs)} pairs, {WORKERS} threads"
    record("candidates_100k_plain_seconds", seconds, "s", None, detail)
    started_cpu = time.process_time()
    seconds, pairs = timed(many, radius, dihedral)
    cpu = time.process_time() - started_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    detail = (
        f"radius {radius}, all variants within {dihedral}, {len(pairs)} pairs, {WORKERS} threads, "
        f"{cpu:.0f} CPU seconds, peak {peak:.0f} MiB"
    )
    record("candidates_100k_seconds", seconds, "s", 5, detail)

    seconds, pairs = timed(many, SHORT_RADIUS, None, method="banded")
    detail = f"radius {SHORT_RADIUS}, banded join, {len(pairs)} pairs"
    record("candidates_100k_short_radius_seconds", seconds, "s", None, detail)
    started = time.perf_counter()
    scan(many.take(np.arange(1_000)), many, radius, dihedral, WORKERS)
    record("candidates_1k_into_100k_seconds", time.perf_counter() - started, "s", None, "incremental search")


if __name__ == "__main__":
    main()
