"""How long all documents of a release take over a corpus of 100,000 images, and how much memory.

A synthetic corpus with its splits, admissions and ledger (a row per image and criterion) goes into a temporary lake once.
Then every document that ``core/release/documents`` holds is made from the view of a release, in a process of its own, so
that its peak memory is that of the documents and not of the filling. No picture is written or read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from _results import record

from curation_dagster.core.release.documents import all_documents, written_documents
from curation_dagster.core.release.groups import tied
from curation_dagster.core.release.splits import draw
from curation_dagster.core.release.view import ReleaseView
from curation_dagster.dividing import split_settings
from curation_dagster.release_inputs import descriptors_of, inputs_of
from curation_dagster.schemas import (
    ADMISSIONS,
    CORPUS,
    DECISIONS,
    FILES,
    HARMONIZED,
    RECORDS,
    SPLITS,
    STAGES_TABLE,
    TABLES,
)
from curation_dagster.settings import Settings
from curation_dagster.workspace import Workspace

STAMP = pa.timestamp("us", tz="UTC")
WHEN = datetime(2025, 1, 1, tzinfo=UTC)
KEYS = (("pad_ufes_20", "1"), ("isic_archive", "2025-07-22"))
GOAL_SECONDS, GOAL_BYTES = 60.0, 2 * 2**30


def fill(workspace: Workspace, images: int, entered: int, seed: int = 1) -> float:
    """Write a corpus of ``images`` and a ledger of ``entered`` images; return the seconds that the splits took."""
    rng = np.random.default_rng(seed)
    lake, criteria = workspace.lake, workspace.criteria
    ids = np.array([str(uuid.uuid5(uuid.NAMESPACE_OID, str(n))) for n in range(entered)])
    which = rng.random(entered) < 0.3
    keep = np.zeros(entered, dtype=bool)
    keep[rng.permutation(entered)[:images]] = True

    def some(values: list, n: int, p: list[float] | None = None) -> list:
        return [values[i] for i in rng.choice(len(values), n, p=p)]

    corpus, harmonized, admissions = [], [], []
    for number, (archive, version) in enumerate(KEYS):
        mine = which if number == 0 else ~which
        names = ids[mine]
        where = {"archive": pa.repeat(archive, len(names)), "version": pa.repeat(version, len(names))}
        n = int((mine & keep).sum())
        part = {
            "image_id": ids[mine & keep],
            "archive": pa.repeat(archive, n),
            "version": pa.repeat(version, n),
            "file": [f"images/{i[:2]}/{i}-00000000.jpg" for i in ids[mine & keep]],
            "sha256": [f"{k:064x}" for k in np.flatnonzero(mine & keep)],
            "width": pa.repeat(pa.scalar(600, pa.int32()), n),
            "height": pa.repeat(pa.scalar(450, pa.int32()), n),
            "modality": some(["dermoscopic", "clinical"], n),
            "icd11_code": some(["2C30", "2F20", "2C32", "2C31", "EK90"], n, [0.2, 0.4, 0.2, 0.1, 0.1]),
            "icd11_title": some(
                ["Melanoma of skin", "Melanocytic naevus", "Basal cell carcinoma of skin"], n
            ),
            "diagnosis_relation": pa.repeat("exact", n),
            "confirmation": some(["histopathology", "consensus", "expert"], n),
            "age_years": some([None, 25.0, 45.0, 65.0, 80.0], n),
            "sex": some([None, "female", "male"], n),
            "fitzpatrick": some([None, 1, 2, 3, 4, 5, 6], n),
            "anatomy_code": some([None, "back", "face", "arm"], n),
            "anatomy_label": some([None, "Back", "Face", "Arm"], n),
            "patient_key": [f"{k:032x}" for k in rng.integers(0, max(1, images // 3), n)],
            "is_control": pa.repeat(False, n),
            "licence": some(["CC-BY-4.0", "CC0-1.0"], n),
            "attribution": pa.repeat("The authors", n),
            "source_url": pa.repeat("https://example.org", n),
            "ingested_at": pa.repeat(pa.scalar(WHEN, pa.timestamp("us", tz="UTC")), n),
            "criteria_version": pa.repeat(criteria.version, n),
        }
        corpus.append(CORPUS.conform(pa.table(part)))
        fields = [f for f in part if f in HARMONIZED.arrow_schema.names]
        harmonized.append(
            HARMONIZED.conform(pa.table({f: part[f] for f in fields} | {"verdict": pa.repeat("kept", n)}))
        )
        total = len(names)
        records = {"image_id": names, **where, "source_id": [f"S{k}" for k in range(total)]}
        records |= {
            "path": [f"S{k}.jpg" for k in range(total)],
            "sha256": [f"{k:064x}" for k in np.flatnonzero(mine)],
        }
        records |= {"join_state": pa.repeat("matched", total), "verdict": pa.repeat("kept", total)}
        lake.replace("records", RECORDS.conform(pa.table(records)), {"archive": archive, "version": version})
        inventory = {
            **where,
            "path": records["path"],
            "sha256": records["sha256"],
            "role": pa.repeat("image", total),
        }
        inventory |= {
            "bytes": pa.repeat(pa.scalar(200_000, pa.int64()), total),
            "media_type": pa.repeat("image/jpeg", total),
        }
        inventory |= {
            "checksum_state": pa.repeat("verified", total),
            "retrieved_at": pa.repeat(pa.scalar(WHEN, STAMP), total),
        }
        lake.replace("files", FILES.conform(pa.table(inventory)), {"archive": archive, "version": version})
        failing = int(total - n)
        ledger = []
        fails_in = pa.array(np.where(keep[mine], -1, rng.integers(0, len(criteria.criteria), total)))
        for index, c in enumerate(criteria.criteria):
            outcome = np.where(np.asarray(fails_in) == index, "fail", "pass")
            ledger.append(
                DECISIONS.conform(
                    pa.table(
                        {
                            "image_id": names, **where, "stage": pa.repeat(c.stage, total), "criterion": pa.repeat(c.id, total),
                            "clause": pa.repeat(c.clause, total), "outcome": outcome,
                            "measured": [f"{v:.1f}" for v in rng.uniform(0, 300, total)], "bound": pa.repeat("x >= 1", total),
                            "criteria_version": pa.repeat(criteria.version, total),
                            "criteria_digest": pa.repeat(criteria.digest, total), "code_version": pa.repeat("0", total),
                            "decided_by": pa.repeat("rule", total),
                            "decided_at": pa.repeat(pa.scalar(WHEN, pa.timestamp("us", tz="UTC")), total),
                        }
                    )
                )
            )  # fmt: skip
        lake.replace("decisions", pa.concat_tables(ledger), {"archive": archive, "version": version})
        admissions.append(
            {
                "archive": archive, "version": version, "admitted": True, "reasons": [], "images_in": total,
                "images_kept": n, "images_excluded": failing, "images_quarantined": 0, "criteria_digest": criteria.digest,
            }
        )  # fmt: skip
    whole = pa.concat_tables(corpus).sort_by("image_id")
    lake.replace("corpus", whole)
    for part, (archive, version) in zip(harmonized, KEYS, strict=True):
        lake.replace("harmonized", part, {"archive": archive, "version": version})
    lake.replace("admissions", ADMISSIONS.conform(admissions))
    stages = [
        {
            "archive": a, "version": v, "stage": s, "rows_in": 1, "kept": 1, "excluded": 0, "quarantined": 0,
            "fingerprint": "0" * 64, "inputs": "{}", "code_version": "0", "finished_at": WHEN,
        }
        for (a, v), s in [(k, s) for k in KEYS for s in ("staged", "records", "harmonized")]
        + [(("*", "*"), s) for s in ("decisions", "corpus", "splits")]
    ]  # fmt: skip
    for row in stages:
        part = {k: row[k] for k in ("archive", "version", "stage")}
        lake.replace("stages", STAGES_TABLE.conform([row]), part)
    started = time.perf_counter()
    groups = lake.read("duplicates", columns=["image_id", "group_id", "linked_to", "uncertain_with"])
    drawn = draw(whole, tied(whole, groups), {}, split_settings(workspace))
    seconds = time.perf_counter() - started
    lake.replace("splits", SPLITS.conform(drawn.rows))
    return seconds


def view_of(workspace: Workspace) -> ReleaseView:
    """Return the view of a release of the filled tables."""
    empty = {f"data/{s}/metadata.parquet": ("0" * 64, 1) for s in ("train", "validation", "test")}
    view = ReleaseView(
        1, WHEN, workspace.lake, {t: workspace.lake.version(t) for t in TABLES}, workspace.criteria,
        split_settings(workspace), {}, {"author": "a", "approver": "b"}, "0", {"seq": 1, "entry_hash": "0" * 64}, empty,
    )  # fmt: skip
    view = replace(view, descriptors=descriptors_of(workspace, view))
    return replace(view, inputs=inputs_of(workspace, view))


def measure(home: Path) -> None:
    """Make all documents and print seconds and peak memory (bytes) as JSON."""
    workspace = Workspace(Settings.load(home))
    names = list(all_documents())
    started = time.perf_counter()
    files = written_documents(view_of(workspace))
    seconds = time.perf_counter() - started
    # ru_maxrss of a child starts at the peak of the process that started it; VmHWM is of this program alone
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "documents": names, "files": len(files)}))


def main() -> None:
    """Measure and record ``release_documents_100k_seconds`` and ``release_documents_100k_bytes``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        measure(arguments.measure)
        return
    images = arguments.images
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        splitting = fill(Workspace(Settings.load(home)), images, images * 3 // 2)
        command = [sys.executable, __file__, "--measure", str(home)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    scale = "100k" if images == 100_000 else str(images)
    at_goal = images == 100_000
    detail = f"{images} images of {images * 3 // 2} that entered; {told['files']} files by {', '.join(told['documents'])}"
    record(
        f"release_documents_{scale}_seconds", told["seconds"], "s", GOAL_SECONDS if at_goal else None, detail
    )
    record(f"release_documents_{scale}_bytes", told["peak"], "byte", GOAL_BYTES if at_goal else None, detail)
    record(f"splits_{scale}_seconds", splitting, "s", None, f"{images} images, groups by patient")


if __name__ == "__main__":
    main()
