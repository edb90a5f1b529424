"""How long it takes to decide 100,000 measured images anew under a changed bound, with no pixel read.

Rows with plausible measurements go into a temporary lake once. Then a bound of the criteria file is changed, and the
stage ``quality`` is decided twice, under the old and the new file, by the code of the asset: read records and
measurements, apply the criteria, write verdicts, table and stage row. The figure is the second run.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
from _results import record

from curation_dagster.core.criteria.loading import PACKAGED
from curation_dagster.core.imaging.measure import measured_by
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.schemas import MEASUREMENTS, RECORDS
from curation_dagster.settings import Settings
from curation_dagster.stage import StageReport, finish_with_criteria
from curation_dagster.views import measured_images
from curation_dagster.workspace import Workspace

KEY = ArchiveVersionKey("synthetic", "1")
GOAL_SECONDS = 10.0


def fill(workspace: Workspace, images: int, seed: int = 1) -> None:
    """Write ``images`` records and their measurements into the lake."""
    rng = np.random.default_rng(seed)
    digests = [f"{n:064x}" for n in range(images)]
    long_side = rng.choice([400, 600, 1024, 4032], images, p=[0.05, 0.55, 0.3, 0.1])

    def level(low: float, high: float) -> pa.Array:
        return pa.array(rng.uniform(low, high, images), pa.float32())

    def some(values: list[str], weights: list[float]) -> pa.Array:
        return pa.array(rng.choice(values, images, p=weights), pa.string())

    records = {
        "image_id": [str(uuid.UUID(int=n)) for n in range(images)],
        "archive": pa.repeat(KEY.archive, images),
        "version": pa.repeat(KEY.version, images),
        "source_id": [f"S{n}" for n in range(images)],
        "sha256": digests,
        "join_state": pa.repeat("matched", images),
        "modality": some(["dermoscopic", "clinical"], [0.7, 0.3]),
        "verdict": pa.repeat("kept", images),
    }
    measurements = {
        "sha256": digests,
        "measured_by": pa.repeat(measured_by(), images),
        "decode_state": some(["ok", "damaged"], [0.99, 0.01]),
        "frames": pa.repeat(pa.scalar(1, pa.int32()), images),
        "long_side": pa.array(long_side, pa.int32()),
        "short_side": pa.array(long_side * 3 // 4, pa.int32()),
        "laplacian_variance_512": level(4, 300),
        "laplacian_variance_256": level(10, 500),
        "reblur_512": level(0.15, 0.55),
        "reblur_256": level(0.1, 0.45),
        "blur_anisotropy": level(1, 1.8),
        "luma_p05": level(5, 120),
        "luma_p95": level(80, 250),
        "luma_std": level(2, 60),
        "luma_entropy": level(2.5, 7.8),
        "dark_share": level(0, 0.55),
        "bright_share": level(0, 0.3),
        "hash_is_degenerate": pa.array(rng.random(images) < 0.001),
        "jpeg_quality": pa.array(rng.integers(45, 100, images), pa.int16()),
        "is_lossless": pa.repeat(False, images),
        "bits_per_pixel": level(0.2, 6),
        "hair_strands": pa.array(rng.integers(0, 6, images), pa.int32()),
        "hair_share": level(0, 0.05),
        "vignette_share": level(0, 0.02),
        "ink_share": level(0, 0.01),
        "ruler_score": level(0, 0.8),
    }
    workspace.lake.replace("records", RECORDS.conform(pa.table(records)))
    workspace.lake.append("measurements", MEASUREMENTS.conform(pa.table(measurements)))


def with_resolution(folder: Path, pixels: int, version: str) -> Path:
    """Write the device criteria with another bound for the resolution of dermoscopic images."""
    text = (PACKAGED / "device.yaml").read_text(encoding="utf-8")
    text = text.replace('version: "1.0.0"', f'version: "{version}"', 1)
    text, found = re.subn(r"bound: \{dermoscopic: \d+,", f"bound: {{dermoscopic: {pixels},", text)
    if found != 1:
        raise ValueError(f"device.yaml: expected one bound of the resolution, found {found}")
    path = folder / f"device-{version}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def decide(home: Path, criteria: Path) -> tuple[StageReport, float]:
    """Decide the stage ``quality`` under a criteria file; return its report and the seconds that it took."""
    workspace = Workspace(Settings.load(home, criteria=str(criteria)))
    started = time.perf_counter()
    columns = [c for c in MEASUREMENTS.arrow_schema.names if not c.startswith("thumbnail_") and c != "sha256"]
    facts = measured_images(workspace, KEY, columns)
    report = finish_with_criteria(
        workspace,
        KEY,
        "quality",
        facts.select(["image_id", "archive", "version", "sha256"]),
        facts,
        rows_in=facts.num_rows,
        inputs={"criteria": workspace.criteria.digest},
        run_id="benchmark",
    )
    return report, time.perf_counter() - started


def main() -> None:
    """Measure and record ``redecide_100k_seconds``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    images = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        fill(Workspace(Settings.load(home)), images)
        before, first = decide(home, with_resolution(home, 200, "1.0.1"))
        after, seconds = decide(home, with_resolution(home, 400, "1.0.2"))
        if before.excluded == after.excluded:
            raise RuntimeError("the changed bound changed no verdict: nothing was decided anew")
        criteria = len(Workspace(Settings.load(home)).criteria.of_stage("quality"))
    detail = (
        f"{images} images, {criteria} criteria, {images * criteria} verdict rows read, decided and written; "
        f"first decision {first:.2f} s; excluded {before.excluded} before, {after.excluded} after"
    )
    name = "redecide_100k_seconds" if images == 100_000 else f"redecide_{images}_seconds"
    record(name, seconds, "s", GOAL_SECONDS if images == 100_000 else None, detail)


if __name__ == "__main__":
    main()
