"""What the one pass costs without the search for text and faces, as a ratio to a bare read-and-decode loop over the same files on one core.

The bare loop is the limit: reading each file and decoding it in full colour with the fastest decoder. Both are
interleaved file by file and measured in CPU time, so that a noisy machine hits both alike; each file counts with the
median of its rounds.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import simplejpeg
from _results import record

from curation_dagster.core.imaging import measure as measuring_code
from curation_dagster.core.imaging.artifacts import hair, ruler, vignette
from curation_dagster.core.imaging.formats import sniff
from curation_dagster.core.imaging.hashes import perceptual_hashes, pixel_sha256, stream_sha256
from curation_dagster.core.imaging.hidden import inventory
from curation_dagster.core.imaging.jpeg import decode_jpeg
from curation_dagster.core.imaging.light import color, exposure
from curation_dagster.core.imaging.measure import measure
from curation_dagster.core.imaging.picture import orient
from curation_dagster.core.imaging.scales import make_scales
from curation_dagster.core.imaging.segments import jpeg_structure
from curation_dagster.core.imaging.settings import measuring
from curation_dagster.core.imaging.sharpness import sharpness
from curation_dagster.core.items import FileItem, read_item

# Width, height, quality, subsampling, standard deviation of noise, share of the files: the sizes of public
# dermoscopic and clinical archives. The noise is such that the files are as large as theirs, since bytes more than
# pixels set the cost of decoding: about 245, 230, 470, 1180 and 2060 kB.
MIX = (
    (600, 450, 97, "444", 4.2, 0.60),
    (1024, 768, 90, "420", 5.2, 0.20),
    (1600, 1200, 90, "420", 4.4, 0.10),
    (3000, 2000, 88, "420", 5.2, 0.065),
    (4032, 3024, 88, "420", 4.6, 0.035),
)


def skin_picture(width: int, height: int, noise: float, seed: int) -> np.ndarray:
    """Return a synthetic skin picture with a lesion, texture at several scales, hair and noise (uint8 RGB)."""
    rng = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = rng.uniform((120, 80, 60), (225, 185, 165))
    for cells, strength in ((6, 14.0), (40, 5.0), (200, 2.5)):
        grain = rng.normal(0, strength, (cells * height // width + 2, cells, 1)).astype(np.float32)
        picture += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    lesion = np.zeros((height, width), np.uint8)
    axes = (int(width * rng.uniform(0.12, 0.25)), int(height * rng.uniform(0.12, 0.3)))
    cv2.ellipse(lesion, (width // 2, height // 2), axes, rng.uniform(0, 180), 0, 360, 255, -1)
    edge = cv2.GaussianBlur(lesion, (0, 0), width / 120).astype(np.float32)[..., None] / 255
    picture -= edge * np.array([60, 65, 60], np.float32)
    for _ in range(int(rng.integers(0, 12))):
        ends = rng.uniform(0, 1, (2, 2)) * (width, height)
        cv2.line(
            picture, *(tuple(map(int, e)) for e in ends), (45, 35, 30), max(1, width // 400), cv2.LINE_AA
        )
    picture += rng.normal(0, noise, picture.shape).astype(np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def make_files(folder: Path, count: int) -> list[FileItem]:
    """Write the mix of JPEG files and return them in random order."""
    items = []
    for width, height, quality, subsampling, noise, share in MIX:
        for index in range(max(1, round(count * share))):
            picture = skin_picture(width, height, noise, seed=index)
            data = simplejpeg.encode_jpeg(picture, quality, "RGB", subsampling)
            path = folder / f"{width}_{index}.jpg"
            path.write_bytes(data)
            items.append(FileItem(hashlib.sha256(data).hexdigest(), str(path), None, len(data)))
    random.Random(0).shuffle(items)
    return items


def bare(item: FileItem) -> np.ndarray:
    """Read and decode: what no pass over pixels can do without."""
    return simplejpeg.decode_jpeg(read_item(item), "BGR")


def cpu_ms(function: Callable[[], object]) -> float:
    """Return the CPU time of one call in ms."""
    start = time.process_time()
    function()
    return (time.process_time() - start) * 1e3


def stages(item: FileItem) -> dict[str, float]:
    """Return the CPU time of each part of the pass over one file, in ms."""
    settings = measuring()
    data = read_item(item)
    structure = jpeg_structure(data)
    picture = decode_jpeg(data, settings.limits, structure)
    assert picture.raster is not None
    raster = orient(picture.raster, picture.orientation)
    s = make_scales(raster)
    thumbnail = np.ascontiguousarray(s.grey_256)[..., None]
    parts: dict[str, Callable[[], object]] = {
        "read": lambda: read_item(item),
        "sha256 of the file": lambda: hashlib.sha256(data).hexdigest(),
        "sniff and segments": lambda: (sniff(data), jpeg_structure(data)),
        "decode, strict": lambda: decode_jpeg(data, settings.limits, structure),
        "hidden metadata": lambda: inventory(data, "JPEG", structure),
        "stream digest": lambda: stream_sha256(data, "JPEG", structure, item.sha256),
        "pixel digest": lambda: pixel_sha256(raster),
        "luma and scales": lambda: make_scales(raster),
        "sharpness": lambda: sharpness(s.grey_512, s.grey_256, settings.sharpness),
        "exposure": lambda: exposure(s.grey_512, settings.light),
        "colour and ink": lambda: color(s.colors, settings.skin, settings.ink),
        "hair": lambda: hair(s.grey_256, settings.hair),
        "vignette": lambda: vignette(s.grey_64, settings.vignette),
        "ruler": lambda: ruler(s.grey_256, settings.ruler),
        "perceptual hashes": lambda: perceptual_hashes(s.grey_64, settings.hash.min_median_coefficient),
        "thumbnails": lambda: simplejpeg.encode_jpeg(
            thumbnail, settings.thumbnail.jpeg_quality, "GRAY", "Gray", fastdct=True
        ),
    }
    return {name: cpu_ms(part) for name, part in parts.items()}


def main() -> None:
    """Measure, print the costs and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one_pass_") as folder:
        print(f"writing {arguments.files} JPEG files ...", flush=True)
        items = make_files(Path(folder), arguments.files)
        for item in items[:5]:
            bare(item)
            measure(item)
        limit: dict[str, list[float]] = {i.sha256: [] for i in items}
        fused: dict[str, list[float]] = {i.sha256: [] for i in items}
        pixels = 0.0
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds} over {len(items)} files ...", flush=True)
            for item in items:
                limit[item.sha256].append(cpu_ms(lambda item=item: bare(item)))
                # the search for text and faces has its own figures, in detectors.py
                with patch.object(measuring_code, "find_regions", lambda *_: {}):
                    fused[item.sha256].append(cpu_ms(lambda item=item: measure(item)))
        rows = [stages(item) for item in items]
        pixels = sum(measure(item)["megapixels"] for item in items)
        size = sum(i.bytes for i in items)
    bare_ms = sum(statistics.median(v) for v in limit.values())
    fused_ms = sum(statistics.median(v) for v in fused.values())
    count = len(items)
    print(f"\n{'part':22} {'ms/image':>9} {'of bare':>8}")
    for name in rows[0]:
        cost = sum(row[name] for row in rows)
        print(f"{name:22} {cost / count:9.3f} {cost / bare_ms:8.3f}")
    print(f"{'bare read and decode':22} {bare_ms / count:9.3f} {1:8.3f}")
    print(f"{'the one pass':22} {fused_ms / count:9.3f} {fused_ms / bare_ms:8.3f}\n")
    detail = (
        f"{count} synthetic JPEG, mean {pixels / count:.2f} MP and {size / count / 1024:.0f} kB, 600x450 to 4032x3024, "
        f"CPU time, one core, median of {arguments.rounds} interleaved rounds"
    )
    record("one_pass_ratio_to_bare_decode", fused_ms / bare_ms, "ratio", 1.6, detail)
    record("one_pass_images_per_second_per_core", count / fused_ms * 1e3, "images/s", None, detail)
    record("one_pass_mean_megapixels", pixels / count, "Mpx", None, detail)


if __name__ == "__main__":
    main()
