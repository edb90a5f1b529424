"""How well text and faces are found in pictures, how often where there are none, and what the search costs.

Text: drawn on synthetic skin, in sizes, inks, tilts and phototypes, with seeds and fonts that nothing was fitted on.
Faces: the portrait that scikit-image ships (public domain, NASA), pasted into synthetic clinical photographs. A size
of text is that of the font (em) in px of the picture; capitals are about 0.7 of it.
False alarms and cost: synthetic lesions, and real ones below ``CURATION_REAL_DATA`` if it is set. CPU time, one core.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
import skimage.data
from _results import record
from drawn import HELD_OUT, drawn_text, lesions, stored

from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.faces import find_faces
from curation_dagster.core.imaging.regions import find_regions
from curation_dagster.core.imaging.text import find_text
from curation_dagster.samples import skin

# as in the workers of a pass: CPU time is that of all threads, and a second one only waits for the first
cv2.setNumThreads(1)

# sizes and bytes of public archives, as in one_pass.py: width, height, quality, subsampling, noise, share
MIX = (
    (600, 450, 97, "444", 4.2, 0.60),
    (1024, 768, 90, "420", 5.2, 0.20),
    (1600, 1200, 90, "420", 4.4, 0.10),
    (3000, 2000, 88, "420", 5.2, 0.065),
    (4032, 3024, 88, "420", 4.6, 0.035),
)


def text_cells(each: int) -> dict[tuple[int, str, str], list[bool]]:
    """Return for size, ink and tilt whether the text of each picture was found."""
    settings, found = detecting(), defaultdict(list)
    for d in drawn_text(7000, HELD_OUT, each):
        x, y, w, h = d.box
        hits = [
            box
            for box, score in find_text(d.picture, settings)
            if score >= settings.reading.score
            and box[0] < x + w
            and box[2] > x
            and box[1] < y + h
            and box[3] > y
        ]
        found[d.size, d.ink, "tilted" if d.tilt else "straight"].append(bool(hits))
    return found


def faces(count: int) -> dict[str, list[float]]:
    """Return the best face score of each picture, by kind of face."""
    rng, found = np.random.default_rng(11), defaultdict(list)
    photograph = skimage.data.astronaut()
    portrait = photograph[20:220, 120:300]
    backgrounds = [skin.healthy(500 + i, (800, 600), 1 + i % 6) for i in range(count)]
    for number, background in enumerate(backgrounds):
        share = float(rng.uniform(0.25, 0.9))
        full = _pasted(background, portrait, share, rng)
        found["full"].append(_score(full))
        found["small (0.25 to 0.35 of the short side)"].append(
            _score(_pasted(background, portrait, float(rng.uniform(0.25, 0.35)), rng))
        )
        found["in a corner"].append(_score(_pasted(background, portrait, 0.5, rng, corner=True)))
        found["turned by 90 degrees"].append(_score(_pasted(background, np.rot90(portrait), 0.6, rng)))
        half = (
            portrait[:, :90]
            if number % 2
            else portrait[: 110 if number % 4 else 200, (90 if number % 4 == 0 else 0) :]
        )
        found["half"].append(_score(_pasted(background, half, share, rng)))
        edge = int(rng.integers(256, 512))
        left, top = int(rng.integers(0, 120)), int(rng.integers(0, 20))
        found["full"].append(_score(photograph[top : top + edge, left : left + max(edge, 230)]))
    return found


def _pasted(
    background: np.ndarray, face: np.ndarray, share: float, rng: np.random.Generator, corner: bool = False
) -> np.ndarray:
    out = background.copy()
    scale = share * min(out.shape[:2]) / max(face.shape[:2])
    small = cv2.resize(
        np.ascontiguousarray(face),
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC,
    )
    height, width = small.shape[:2]
    y, x = out.shape[0] - height, out.shape[1] - width
    if not corner:
        y, x = int(rng.integers(0, y + 1)), int(rng.integers(0, x + 1))
    out[y : y + height, x : x + width] = small
    return stored(out)


def _score(picture: np.ndarray) -> float:
    return find_faces(picture, detecting().faces)[1]


def alarms(pictures: list[np.ndarray]) -> list[bool]:
    """Return for each picture whether anything certain was found."""
    return [any(r["certain"] for r in find_regions(p, detecting())["regions"]) for p in pictures]


def cost(files: list[bytes], rounds: int = 3) -> tuple[float, float]:
    """Return mean ms of a bare decode and of the search, interleaved, median of the rounds."""
    bare, search = [], []
    for data in files:
        times: list[tuple[float, float]] = []
        for _ in range(rounds):
            start = time.process_time()
            picture = simplejpeg.decode_jpeg(data, "RGB")
            middle = time.process_time()
            find_regions(picture, detecting())
            times.append((middle - start, time.process_time() - middle))
        bare.append(statistics.median(t[0] for t in times))
        search.append(statistics.median(t[1] for t in times))
    return statistics.mean(bare) * 1e3, statistics.mean(search) * 1e3


def mixed_files(count: int) -> list[bytes]:
    """Return JPEG files of synthetic lesions in the sizes and bytes of public archives."""
    files, kinds = [], list(skin.KINDS)
    for width, height, quality, subsampling, noise, share in MIX:
        for index in range(max(1, round(count * share))):
            modality = "clinical" if width >= 1600 and index % 2 else "dermoscopic"
            # drawn at up to 1024 px and enlarged: drawing 12 MP takes a minute
            small = (width, height) if width <= 1024 else (1024, 1024 * height // width)
            picture = skin.lesion(3000 + index, small, 1 + index % 6, modality, kinds[index % len(kinds)])  # type: ignore[arg-type]
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
            grain = np.random.default_rng(index).normal(0, noise, picture.shape)
            picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
            files.append(simplejpeg.encode_jpeg(picture, quality, "RGB", subsampling))
    return files


def main() -> None:
    """Measure, print the cells and record the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=2)
    parser.add_argument("--files", type=int, default=40)
    arguments = parser.parse_args()
    settings = detecting()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    find_regions(next(drawn_text(1, HELD_OUT)).picture, settings)
    print(
        f"memory with both networks loaded: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before:.0f} MB more"
    )

    cells = text_cells(arguments.each)
    print(f"\n{'size':>5} {'ink':6} {'tilt':9} {'found':>6} {'of':>4}")
    for (size, ink, tilt), hits in cells.items():
        print(f"{size:5} {ink:6} {tilt:9} {sum(hits) / len(hits):6.3f} {len(hits):4}")
    large = [h for (size, _, _), hits in cells.items() if size >= 16 for h in hits]
    at_16 = [h for (size, _, _), hits in cells.items() if size == 16 for h in hits]
    detail = f"{len(large)} pictures, 16 to 40 px, two inks, phototypes I to VI, straight and tilted by 10 degrees, held-out fonts"
    record("text_recall_16px", float(np.mean(large)), "share", 0.98, detail)
    record("text_recall_at_16px_only", float(np.mean(at_16)), "share", None, f"{len(at_16)} pictures")
    at_12 = [h for (size, _, _), hits in cells.items() if size == 12 for h in hits]
    record("text_recall_12px", float(np.mean(at_12)), "share", None, f"{len(at_12)} pictures")

    scores = faces(30)
    for kind, values in scores.items():
        sure = float(np.mean([v >= settings.faces.score for v in values]))
        band = float(np.mean([settings.faces.doubtful <= v < settings.faces.score for v in values]))
        print(
            f"face {kind}: certain {sure:.3f}, to people by score {band:.3f}, of {len(values)}, lowest {min(values):.2f}"
        )
    record(
        "full_face_recall",
        float(np.mean([v >= settings.faces.score for v in scores["full"]])),
        "share",
        0.99,
        f"{len(scores['full'])} pictures, one person",
    )
    half = [v >= settings.faces.doubtful for v in scores["half"]]
    record("half_face_found_by_score", float(np.mean(half)), "share", None, f"{len(half)} pictures")
    # by the criterion partial_face every clinical photograph of head, neck or an unknown site goes to a person
    routed = [
        h or routed_by_site(site)
        for h, site in zip(half, ("face", "nose", "ear", "scalp", "neck", None) * 5, strict=True)
    ]
    record(
        "half_face_recall",
        float(np.mean(routed)),
        "share",
        0.9,
        "found, or routed to people by the anatomical site of the record",
    )

    synthetic = [stored(p) for _, _, p in lesions(9000, 12)]
    found = alarms(synthetic)
    print(f"false alarms on synthetic lesions: {sum(found)} of {len(found)}")
    root = os.environ.get("CURATION_REAL_DATA")
    real = [p.read_bytes() for p in sorted((Path(root) / "isic_cc0").rglob("*.jpg"))] if root else []
    if real:
        real_found = alarms([simplejpeg.decode_jpeg(d, "RGB") for d in real])
        print(f"false alarms on real lesions: {sum(real_found)} of {len(real_found)}")
        found += real_found
    record(
        "false_alarm_rate_on_lesions",
        float(np.mean(found)),
        "share",
        0.02,
        f"{len(synthetic)} synthetic, {len(real)} real",
    )

    bare, search = cost(mixed_files(arguments.files))
    print(f"mixed sizes: decode {bare:.2f} ms, search {search:.2f} ms")
    record(
        "detectors_ratio_to_bare_decode",
        search / bare,
        "ratio",
        1.0,
        "synthetic lesions in the sizes and bytes of public archives, CPU time, one core",
    )
    if real:
        bare, search = cost(real)
        print(f"real: decode {bare:.2f} ms, search {search:.2f} ms")
        record(
            "detectors_ratio_on_real_dermoscopy",
            search / bare,
            "ratio",
            None,
            f"{len(real)} CC0 photographs of 1022x767 px and 40 to 210 kB",
        )


def routed_by_site(site: str | None) -> bool:
    """Return whether the criterion ``partial_face`` sends a clinical photograph of the site to a person."""
    from curation_dagster.core.harmonize.anatomy import may_show_face

    return site is None or may_show_face(site)


if __name__ == "__main__":
    main()
