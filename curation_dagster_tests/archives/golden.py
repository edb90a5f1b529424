"""Synthetic twins curated for real, and their ledgers as text: what the golden files hold.

A golden file is one twin's ledger: a line for each row of ``records`` with the publisher's name of the image, the
verdict, the criteria that failed or wait for a person, and what harmonization made of the record. It holds nothing
that depends on a secret, a time or a run. After a change that is meant, write the files again and read the diff::

    python -m curation_dagster_tests.archives.golden [twin ...]
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from functools import lru_cache
from pathlib import Path

import dagster as dg
import pytest

from curation_dagster.checks.catalogue import CATALOGUE, blocking_checks
from curation_dagster.core.criteria.evaluate import fold
from curation_dagster.core.criteria.ledger import settle
from curation_dagster.core.registry.keys import parse_key
from curation_dagster.runs import quiet
from curation_dagster.samples.write import WRITERS, key_of, write_samples
from curation_dagster.schemas import PER_ARCHIVE
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation, open_installation

FOLDER = Path(__file__).parent / "golden"
SEED = 20250101
IMAGES = 12
#: twins that need another number of photographs to hold all that is particular about them
SIZES: dict[str, int] = {"agppga_healthy_skin": 19, "ham10000": 30, "isic_2019": 21}

_COLUMNS = (
    "source_id", "file", "join_state", "verdict", "failed", "review", "modality", "label", "icd11", "relation",
    "confirmation", "age", "sex", "fitzpatrick", "anatomy", "licence",
)  # fmt: skip


def curate_twin(installation: Installation, twin: str) -> str:
    """Write a twin into the landing folder, materialize its partition, and return the key of its archive version.

    Every asset of the archive version is materialized by Dagster. The facts that block a run are then looked at
    directly, all of them; the checks of single criteria are left out, because the ledger holds what they would say.

    Raises
    ------
    AssertionError
        If the run fails, or a fact does not hold.
    """
    settings = installation.workspace.settings
    write_samples(settings.landing, [twin], SIZES.get(twin, IMAGES), SEED, overlay_dir=settings.archives[0])
    key = key_of(twin)
    installation.instance.add_dynamic_partitions("archive_version", [key])
    run = _job().execute_in_process(
        partition_key=key, instance=installation.instance, raise_on_error=False, run_config=quiet("WARNING")
    )
    assert run.success, f"the run of {key} failed; its log says where"
    workspace = installation.workspace
    broken = [
        f"{check.stage}: {check.name}: {outcome.detail}"
        for stage in blocking_checks(PER_ARCHIVE)
        for check in CATALOGUE.get(stage, [])
        if not (outcome := check.look(workspace, parse_key(key))).passed
    ]
    assert not broken, broken
    return key


def curated_once(installation: Installation, twin: str) -> str:
    """Curate a twin unless this installation has it already; return its key."""
    key = key_of(twin)
    if not (installation.workspace.settings.landing / key).exists():
        curate_twin(installation, twin)
    return key


@lru_cache(maxsize=1)
def _job() -> dg.JobDefinition:
    """Return the job of one archive version, less its checks."""
    from curation_dagster.definitions import defs

    assets = [a for a in defs.assets or () if isinstance(a, dg.AssetsDefinition)]
    selection = dg.AssetSelection.assets(*PER_ARCHIVE).without_checks()
    job = dg.define_asset_job("curate_twin", selection=selection, executor_def=dg.in_process_executor)
    return dg.Definitions(assets=assets, jobs=[job], resources=defs.resources).resolve_job_def("curate_twin")


def ledger_of(workspace: Workspace, key: str) -> str:
    """Return the ledger of a curated archive version as CSV, in the order of source id and path.

    Rules only: nobody has looked at anything yet, so what waits for a person is in ``review``.
    """
    at = parse_key(key)
    settled = settle(
        workspace.part("verdicts", at), workspace.reviews_of(at), workspace.part("review_queue", at),
        workspace.criteria,
    )  # fmt: skip
    images = workspace.part("records", at)
    folded = fold(settled, images["image_id"])
    verdicts = {i: n for n, i in enumerate(images["image_id"].to_pylist())}
    unified = {r["image_id"]: r for r in workspace.part("harmonized", at).to_pylist()}
    said = {name: folded[name].to_pylist() for name in ("verdict", "failed", "review")}
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(_COLUMNS)
    rows = sorted(images.to_pylist(), key=lambda r: (r["source_id"], r["path"] or "", r["record_row"] or 0))
    for row in rows:
        n, made = verdicts[row["image_id"]], unified[row["image_id"]]
        table.writerow(
            "" if v is None else v
            for v in (
                row["source_id"], row["path"], row["join_state"], said["verdict"][n],
                " ".join(sorted(said["failed"][n] or ())), " ".join(sorted(said["review"][n] or ())),
                row["modality"], made["diagnosis_source_label"], made["icd11_code"], made["diagnosis_relation"],
                made["confirmation"], _age(made), made["sex"], made["fitzpatrick"], made["anatomy_code"],
                made["licence"],
            )
        )  # fmt: skip
    return buffer.getvalue()


def _age(row: dict[str, float | None]) -> str:
    """Return an age as ``45``, or its range as ``42.5-47.5`` or ``82.5+``."""
    if row["age_low"] is None:
        return "" if row["age_years"] is None else f"{row['age_years']:g}"
    low, high = row["age_low"], row["age_high"]
    return f"{low:g}+" if high is None else f"{low:g}-{high:g}" if high != low else f"{low:g}"


def golden_file(twin: str) -> Path:
    """Return where the ledger of a twin is kept."""
    return FOLDER / f"{twin}.csv"


def main(twins: list[str]) -> None:
    """Write the golden files of the twins, of all of them by default."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        installation = open_installation(Path(folder) / "home", patch)
        for twin in twins or sorted(WRITERS):
            golden_file(twin).write_text(ledger_of(installation.workspace, curate_twin(installation, twin)))


if __name__ == "__main__":
    main(sys.argv[1:])
