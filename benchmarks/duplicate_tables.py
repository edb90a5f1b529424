"""From the table of images to candidates and groups: seconds and memory of everything around the search of hashes.

The relational part of the search for duplicates: exact digests, equal hashes, ids, pairs, connected components, a row
for every image. Random hashes with planted copies; verification is left out, which is measured by the pair.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from _apart import apart, peak_mib
from _results import record
from near_duplicates import BOUNDS, WORKERS, warm

from curation_dagster.core.duplicates.candidates import search
from curation_dagster.core.duplicates.find import groups_of
from curation_dagster.core.duplicates.representatives import RepresentativeRule


def _images(n: int, seed: int = 1) -> pa.Table:
    """Return rows as the search reads them: distinct files, 2 % of them near copies of others, 1 % of equal pixels."""
    rng = np.random.default_rng(seed)
    packed = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    copies = n // 50
    sources = rng.integers(0, n - copies, copies)
    flipped = rng.random((copies, 256)) < 0.04
    packed[n - copies :] = packed[sources] ^ np.packbits(flipped, axis=1)
    pixels = np.arange(n)
    pixels[n - copies // 2 :] = sources[-(copies // 2) :]
    packed[n - copies // 2 :] = packed[pixels[n - copies // 2 :]]
    # as long as the real ones, in an order that has nothing to do with that of the rows
    ids = [f"{v:032x}-made" for v in rng.permutation(n).tolist()]
    digests = {
        name: pa.array([f"{letter}{v:063x}" for v in values])
        for name, letter, values in (
            ("sha256", "a", range(n)), ("stream_sha256", "b", range(n)), ("pixel_sha256", "c", pixels.tolist()),
        )
    }  # fmt: skip
    return pa.table(
        {
            "image_id": pa.array(ids),
            "archive": pa.repeat("made", n),
            "version": pa.repeat("1", n),
            **digests,
            "phash256": pa.array([row.tobytes() for row in packed], pa.binary()),
            "hash_is_degenerate": pa.repeat(False, n),
            "decode_state": pa.repeat("ok", n),
        }
    )


def _measure_tables(n: int, new: int, out: object) -> None:
    warm()
    images = _images(n)
    known = images.slice(0, n - new) if new else None
    start, cpu = time.perf_counter(), time.process_time()
    found = search(images.slice(n - new) if new else images, known, BOUNDS, WORKERS)
    searched, cpu_searched = time.perf_counter() - start, time.process_time() - cpu
    near = pc.if_else(pc.equal(found["kind"], "perceptual"), "near", found["kind"])
    links = found.set_column(2, "kind", near).append_column("evidence", pa.repeat("made", found.num_rows))
    start, cpu = time.perf_counter(), time.process_time()
    groups = groups_of(images, None, links, RepresentativeRule(("image_id",), ()), lambda a, b: "same")
    grouped, cpu_grouped = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_mib()
    in_groups = len(groups) - groups["group_id"].null_count
    load = os.getloadavg()[0]
    parts = (
        f"{cpu_searched:.1f} and {cpu_grouped:.1f} CPU seconds, load {load:.1f}",
        f"{found.num_rows:,} candidates, {in_groups:,} images in groups",
    )
    out.send((searched, grouped, peak, "; ".join(parts)))  # type: ignore[attr-defined]


def main() -> None:
    """Measure the search with everything around the hashes: tables in, exact duplicates, pairs out; and the groups."""
    for name, n, new in (
        ("100k", 100_000, 0),
        ("1m", 1_000_000, 0),
        ("incremental_10k_into_1m", 1_000_000, 10_000),
    ):
        searched, grouped, peak, detail = apart(_measure_tables, n, new)
        record(f"neardup_tables_{name}_seconds", searched, "s", None, f"from table to candidates; {detail}")
        record(f"neardup_groups_{name}_seconds", grouped, "s", None, f"a row for every image; {detail}")
        record(f"neardup_tables_{name}_peak_mib", peak, "MiB", None, detail)


if __name__ == "__main__":
    main()
