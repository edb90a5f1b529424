"""Writes synthetic archives into a landing folder, with the descriptors that make their versions known."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from curation_dagster.samples import (
    agppga_healthy_skin,
    atlases,
    bcn20000,
    ddi,
    derm7pt,
    ham10000,
    isic_archive,
    isic_challenges,
    isic_recent,
    lists,
    mra_midas,
    pad_ufes_20,
    passion,
    ph2,
    scin,
    trials,
)
from curation_dagster.samples.delivery import Delivery, Planted

VERSION = "synthetic"
ARCHIVES = ("pad_ufes_20", "ham10000", "isic_archive", "agppga_healthy_skin")
NOTE = "A small synthetic twin for demonstrations and tests; no person is shown."
SEED = 20250101

_HEALTHY = 19  # the healthy skin is modelled photograph by photograph

#: Twin -> what writes its delivery: ``(folder, images, seed)``. A twin is an archive, or one of several forms in which
#: an archive is delivered: ``ham10000-kaggle`` is the copy on Kaggle of ``ham10000``.
WRITERS: dict[str, Callable[[Path, int, int], Delivery]] = {
    "pad_ufes_20": pad_ufes_20.write,
    "ham10000": ham10000.write,
    "ham10000-kaggle": partial(ham10000.write, kaggle=True),
    "isic_archive": isic_archive.write,
    "isic_archive-api": partial(isic_archive.write, pages=True),
    "bcn20000": bcn20000.write,
    "bcn20000_isic": bcn20000.write_export,
    "isic_2016": isic_challenges.write_2016,
    "isic_2017": isic_challenges.write_2017,
    "isic_2018_task12": isic_challenges.write_2018_task12,
    "isic_2018_task3": isic_challenges.write_2018_task3,
    "isic_2019": isic_challenges.write_2019,
    "isic_2020": isic_recent.write_2020,
    "isic_2020-v1": partial(isic_recent.write_2020, v1=True),
    "isic_2020_dicom": partial(isic_recent.write_2020, dicom=True),
    "isic_2024": isic_recent.write_2024,
    "isic_2024_permissive": partial(isic_recent.write_2024, permissive=True),
    "milk10k": isic_recent.write_milk10k,
    "passion": passion.write,
    "agppga_healthy_skin": lambda folder, images, seed: agppga_healthy_skin.write(
        folder, min(images, _HEALTHY), seed
    ),
    "agppga_internet": lists.write_agppga_internet,
    "agppga_v1": lists.write_agppga_v1,
    "atlas_dermatologico": atlases.atlas("atlas_dermatologico", "https://www.atlas.example/img?imageId={}"),
    "danderm": atlases.atlas("danderm", "https://www.danderm.example/atlas/pics/5/5-{}.jpg"),
    "ddi": ddi.write,
    "derm7pt": derm7pt.write,
    "dermis": atlases.atlas("dermis", "https://www.dermis.example/bilder/CD004/550px/img{}.jpg"),
    "dermnet": atlases.write_dermnet,
    "dermnet_nz": atlases.atlas("dermnet_nz", "https://dermnetnz.example/imagedetail/{}", ".png"),
    "effisayil_1": trials.trial("effisayil_1"),
    "effisayil_2": trials.trial("effisayil_2"),
    "fitzpatrick17k": lists.write_fitzpatrick17k,
    "hellenic_atlas": atlases.atlas("hellenic_atlas", "http://hellenic.example/en/viewpicture/{}"),
    "mra_midas": mra_midas.write,
    "ph2": ph2.write,
    "scin": scin.write,
    "sd_198": atlases.write_sd_198,
}


def archive_of(twin: str) -> str:
    """Return the archive of a twin."""
    return twin.partition("-")[0]


def key_of(twin: str) -> str:
    """Return the key of the archive version that a twin is, such as ``ham10000@synthetic-kaggle``."""
    archive, dash, form = twin.partition("-")
    return f"{archive}@{VERSION}{dash}{form}"


@dataclass(frozen=True)
class SampleReport:
    """What was written: one delivery per archive, and how long it took in seconds."""

    deliveries: tuple[Delivery, ...]
    seconds: float

    @property
    def planted(self) -> tuple[Planted, ...]:
        """Everything that was planted, over all archives."""
        return tuple(item for delivery in self.deliveries for item in delivery.planted)

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain values, without times, so that equal samples have equal reports."""
        return {
            "note": NOTE,
            "deliveries": [
                {
                    "archive": d.archive,
                    "version": VERSION,
                    "images": d.images,
                    "records": d.records,
                    "planted": [item.as_dict() for item in d.planted],
                }
                for d in self.deliveries
            ],
        }


def write_samples(
    landing: Path,
    archives: Sequence[str] = ARCHIVES,
    images: int = 60,
    seed: int = SEED,
    overlay_dir: Path | None = None,
    report_file: Path | None = None,
) -> SampleReport:
    """Write a synthetic delivery of each twin into ``<landing>/<archive>@synthetic/``, or ``@synthetic-<form>/``.

    Parameters
    ----------
    landing
        The landing folder.
    archives
        Which twins, of :data:`WRITERS`.
    images
        Photographs with a record in each; of healthy skin there are never more than 19.
    seed
        The same seed gives the same bytes.
    overlay_dir
        Where to write ``<twin>.yaml``, which adds the twin's version to the known archive; None for nowhere.
    report_file
        Where to write what was planted, as JSON; None for nowhere. Not inside the landing folder, whose content is
        taken for deliveries.

    Raises
    ------
    ValueError
        If an archive has no writer, if ``images`` is not positive, or if the report would lie in the landing folder.
    FileExistsError
        If a drop folder holds files already: a version is immutable, so nothing is written over.
    """
    unknown = [name for name in archives if name not in WRITERS]
    if unknown:
        raise ValueError(f"no samples are made for {', '.join(unknown)}; there are {', '.join(WRITERS)}")
    if images < 1:
        raise ValueError(f"images: expected at least 1, got {images}")
    if report_file is not None and report_file.resolve().is_relative_to(landing.resolve()):
        raise ValueError(
            f"the report {report_file} would lie in the landing folder {landing}: give another place"
        )
    folders = {name: landing / key_of(name) for name in archives}
    for folder in folders.values():
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(
                f"{folder} holds files already. A version is immutable, so nothing was written. "
                "Delete the folder, or choose another landing folder."
            )
    started = time.monotonic()
    deliveries = []
    for name, folder in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        delivery = WRITERS[name](folder, images, seed)
        deliveries.append(delivery)
        if overlay_dir is not None:
            write_overlay(overlay_dir, delivery, name)
    report = SampleReport(tuple(deliveries), time.monotonic() - started)
    if report_file is not None:
        report_file.parent.mkdir(parents=True, exist_ok=True)
        report_file.write_text(
            json.dumps(report.as_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return report


def write_overlay(overlay_dir: Path, delivery: Delivery, twin: str | None = None) -> Path:
    """Write the descriptor that adds the delivery's version to its archive; return its path."""
    twin = twin or delivery.archive
    version = {"synthetic": True, "images": delivery.images, "records": delivery.records, "note": NOTE}
    document = {"extends": delivery.archive, "versions": {key_of(twin).partition("@")[2]: version}}
    overlay_dir.mkdir(parents=True, exist_ok=True)
    path = overlay_dir / f"{twin}.yaml"
    path.write_text(
        yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=118), encoding="utf-8"
    )
    return path
