"""Near-duplicates: seconds and memory of the search, recall by transformation, precision on look-alikes, a peer beside it.

Random hashes with planted copies are what the search's time is measured on: the hard case of the scan, the easy one of
its yield. Real hashes share more bits, so their buckets are less even. Compiling (some 20 s, once for an installation)
is not counted. Each large search runs in a process of its own, so that its peak of memory is its own.

``python benchmarks/near_duplicates.py`` takes two minutes on two free cores; ``--ten-million`` adds the largest search.
imagededup is measured on the same files if ``IMAGEDEDUP_PYTHON`` names an interpreter that has it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _apart import apart, peak_mib
from _results import record

from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.duplicates.bounds import DuplicateBounds
from curation_dagster.core.duplicates.candidates import search
from curation_dagster.core.duplicates.find import find_links, thumbnails_in
from curation_dagster.core.duplicates.grouping import components, neighbours
from curation_dagster.core.duplicates.slices import Costs, near_pairs
from curation_dagster.core.duplicates.variants import VARIANTS, Hashes
from curation_dagster.core.duplicates.verification import verify
from curation_dagster_tests.core.duplicates.pictures import (
    TRANSFORMATIONS,
    crop,
    image_row,
    images_table,
    jpeg,
    lesion,
    watermarked,
)

WORKERS = 2
CLUSTERED = 0.02  # share of hashes that are copies of others
LESIONS = 24
LOOK_ALIKES = 40

# what a transformation of the tests' corpus counts under
FIGURES = {
    "reencode": ("re-encode q35", "re-encode q50", "re-encode q75", "re-encode q95", "png"),
    "resize": ("half size",),
    "mirror": ("mirror left to right", "mirror upside down", "mirror diagonal"),
    "rotate": ("rotate 90", "rotate 180", "rotate 270"),
    "brightness": ("brighter", "darker"),
    "crop_2": ("crop 2 %",),
    "crop_5": ("crop 5 %",),
    "crop_10": ("crop 10 %",),
    "border": ("border",),
    "watermark": ("watermark",),
}
GOALS = dict.fromkeys(("reencode", "resize", "mirror", "rotate", "brightness"), 0.99) | {"crop_5": 0.95}


def bordered(picture: np.ndarray, share: float = 0.05) -> np.ndarray:
    """Return the picture in a white frame of a share of its size on each side."""
    rows, columns = (round(n * share) for n in picture.shape[:2])
    return np.pad(picture, ((rows, rows), (columns, columns), (0, 0)), constant_values=255)


CHANGES = TRANSFORMATIONS | {"crop 10 %": lambda p: jpeg(crop(p, 0.1)), "border": lambda p: jpeg(bordered(p))}


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


def warm() -> None:
    """Compile every loop, or load it from the cache."""
    few = planted(300, 20, 20)
    for costs in (None, Costs(scan_pair=1e12, scan_pair_variants=1e12)):
        near_pairs(few, None, 20, 20, costs=costs)
        near_pairs(few, few, 20, 20, costs=costs)


def _measure(n: int, new: int, out: object) -> None:
    warm()
    radius, dihedral = BOUNDS.radii(n)
    hashes = planted(n, radius, dihedral)
    left, right = (hashes.take(np.arange(n - new, n)), hashes) if new else (hashes, None)
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = near_pairs(left, right, radius, dihedral, WORKERS)
    seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = peak_mib()
    detail = (
        f"radius {radius}, all variants within {dihedral}, {len(pairs):,} pairs, {WORKERS} threads, "
        f"{cpu:.1f} CPU seconds, load {os.getloadavg()[0]:.1f}"
    )
    out.send((seconds, peak, detail))  # type: ignore[attr-defined]


def measured(n: int, new: int = 0) -> tuple[float, float, str]:
    """Return seconds, peak in MiB and what was searched, of one search of hashes."""
    return apart(_measure, n, new)  # type: ignore[no-any-return]


def completeness() -> None:
    """Compare the search with brute force."""
    small = planted(4_000, BOUNDS.candidate_radius, BOUNDS.dihedral_radius)
    expected = brute_force(small, BOUNDS.candidate_radius, BOUNDS.dihedral_radius)
    pairs = near_pairs(small, None, BOUNDS.candidate_radius, BOUNDS.dihedral_radius, WORKERS)
    columns = (x.tolist() for x in (pairs.left, pairs.right, pairs.variant, pairs.distance))
    found = set(zip(*columns, strict=True))
    record(
        "candidates_recall",
        len(found & expected) / len(expected),
        "ratio",
        1.0,
        "4,000 hashes against brute force",
    )
    record("candidates_false", len(found - expected), "pair", 0, "4,000 hashes against brute force")


def speed(ten_million: bool) -> None:
    """Measure the searches."""
    small, _, detail = measured(100_000)
    record("neardup_100k_seconds", small, "s", 5, detail)
    large, peak, detail = measured(1_000_000)
    record("neardup_1m_seconds", large, "s", 60, detail)
    record("neardup_1m_peak_mib", peak, "MiB", 2048, detail)
    record(
        "neardup_growth_100k_to_1m", large / small, "ratio", 15, "each with the radii that hold for its size"
    )
    seconds, _, detail = measured(1_000_000, 10_000)
    record("neardup_incremental_10k_into_1m_seconds", seconds, "s", 5, detail)
    if ten_million:
        seconds, peak, detail = measured(10_000_000)
        record("neardup_10m_seconds", seconds, "s", 300, detail)
        record("neardup_10m_peak_mib", peak, "MiB", 6144, detail)


def quality(folder: Path) -> None:
    """Measure recall by transformation and precision, and leave the files for the peer."""
    rows = []
    for seed in range(LESIONS):
        picture = lesion(seed, vignette=seed % 3 == 0)
        for name, change in {"original": jpeg, **CHANGES}.items():
            data = change(picture)
            rows.append(image_row(f"{seed:02d}/{name}", data))
            (folder / f"{seed:02d}_{name.replace(' ', '-').replace('%', 'pc')}.jpg").write_bytes(data)
    table = images_table(rows)
    started = time.perf_counter()
    links = find_links(table, BOUNDS, thumbnails_in(table), WORKERS).links
    seconds = time.perf_counter() - started
    # each pair by itself: a copy that is found through another copy only is not counted
    apart = dict.fromkeys(CHANGES, 0)
    for seed in range(LESIONS):
        for name in CHANGES:
            ids = [f"{seed:02d}/original", f"{seed:02d}/{name}"]
            two = images_table([r for r in rows if r["image_id"] in ids])
            found = find_links(two, BOUNDS, thumbnails_in(two)).links.to_pylist()
            apart[name] += any(link["kind"] != "uncertain" for link in found)
    for figure, names in FIGURES.items():
        value = sum(apart[n] for n in names) / (LESIONS * len(names))
        record(
            f"neardup_recall_{figure}",
            value,
            "ratio",
            GOALS.get(figure),
            f"{LESIONS} lesions; {', '.join(names)}",
        )
    groups = components(neighbours(links))
    pairs = sum(len(g) * (len(g) - 1) // 2 for g in groups)
    true = sum(_pairs_of_lesions(g) for g in groups)
    wanted = LESIONS * len(CHANGES) * (len(CHANGES) + 1) // 2
    text = f"{len(rows)} files in groups; {seconds:.1f} s without reading and hashing"
    record("neardup_grouped_recall", true / wanted, "ratio", None, text)
    record("neardup_grouped_precision", true / pairs, "ratio", 0.99, text)

    alike = images_table(
        image_row(f"{k:02d}/{mark}", jpeg(watermarked(lesion(100 + k, vignette=True)), 92 - 20 * mark))
        for k in range(LOOK_ALIKES)
        for mark in (0, 1)
    )
    everything = DuplicateBounds(256, BOUNDS.accept_radius, 256, BOUNDS.keypoint_accept, BOUNDS.keypoint_review, BOUNDS.correlation_accept)  # fmt: skip
    found = [
        (r["a"][:2], r["b"][:2])
        for r in verify(
            search(alike, None, everything, WORKERS), thumbnails_in(alike), everything, WORKERS
        ).to_pylist()
        if r["kind"] != "uncertain"
    ]
    same = sum(a == b for a, b in found)
    detail = f"{LOOK_ALIKES} lesions with one watermark and dark corners, twice each; every pair verified, {len(found)} linked"
    record("neardup_precision_lookalikes", same / len(found), "ratio", 0.99, detail)


def _pairs_of_lesions(group: tuple[str, ...]) -> int:
    counts = np.unique([i[:2] for i in group], return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


_PEER = """
import importlib.util, json, re, sys, time, types
class Absent(type):
    def __getattr__(cls, name):
        return Absent(name, (), {"__init__": lambda self, *a, **k: None})
class Module(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        return Absent(name, (), {"__init__": lambda self, *a, **k: None})
# torch is imported by the package for its neural networks only, which are not measured here
names = ("torch", "torch.nn", "torch.utils", "torch.utils.data", "torchvision", "torchvision.transforms",
    "torchvision.models", "torchvision.models.vision_transformer")
if importlib.util.find_spec("torch") is None:
    sys.modules.update({name: Module(name) for name in names})
from imagededup.methods import PHash
started = time.perf_counter()
method = PHash(verbose=False)
found = method.find_duplicates(image_dir=sys.argv[1], max_distance_threshold=10)
pairs = {tuple(sorted((a, b))) for a, others in found.items() for b in others}
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([time.perf_counter() - started, peak, sorted(pairs)]))
"""


def beside_imagededup(folder: Path) -> None:
    """Measure imagededup's pHash at its defaults on the same files."""
    python = os.environ.get("IMAGEDEDUP_PYTHON")
    if not python:
        print("imagededup: absent; set IMAGEDEDUP_PYTHON to an interpreter that has it")
        return
    ran = subprocess.run([python, "-c", _PEER, str(folder)], capture_output=True, text=True, check=False)
    if ran.returncode:
        print(f"imagededup: {python} could not run it: {ran.stderr.strip().splitlines()[-1:]}")
        return
    seconds, peak, pairs = json.loads(ran.stdout.splitlines()[-1])
    originals = [(a, b) for a, b in pairs if ("original" in a) != ("original" in b)]
    true = sum(a[:2] == b[:2] for a, b in originals)
    detail = f"{len(list(folder.iterdir()))} files, PHash, distance 10 (its default), {len(pairs)} pairs"
    record("imagededup_seconds", seconds, "s", None, detail)
    record("imagededup_peak_mib", peak, "MiB", None, detail)
    record(
        "imagededup_recall",
        true / (LESIONS * len(CHANGES)),
        "ratio",
        None,
        f"{detail}; copies with their original",
    )
    precision = sum(a[:2] == b[:2] for a, b in pairs) / max(1, len(pairs))
    record("imagededup_precision", precision, "ratio", None, detail)


BOUNDS = load_criteria("device").duplicates.bounds()


def main() -> None:
    """Measure and record."""
    completeness()
    speed("--ten-million" in sys.argv)
    with tempfile.TemporaryDirectory() as folder:
        quality(Path(folder))
        beside_imagededup(Path(folder))


if __name__ == "__main__":
    main()
