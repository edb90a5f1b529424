"""A release as its users meet it: described in Croissant, loaded by mlcroissant and by Hugging Face datasets, offline."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import mlcroissant
import pyarrow.parquet as pq
import pytest
from PIL import Image
from prov.model import ProvDocument

from curation_dagster.core.release.bundle import broken_seals, read_sums, sha256_of

os.environ.setdefault("HF_HUB_OFFLINE", "1")
SIDES = ("train", "validation", "test")


@pytest.fixture(scope="session")
def bundle(curated_home: Path) -> Path:
    return max(
        (p for p in (curated_home / "releases").iterdir() if p.name.isdigit()), key=lambda p: int(p.name)
    )


def metadata(bundle: Path) -> dict[str, dict]:
    rows = [r for s in SIDES for r in pq.read_table(bundle / "data" / s / "metadata.parquet").to_pylist()]
    return {r["image_id"]: r for r in rows}


def test_croissant_is_valid_and_gives_every_image_with_its_labels(bundle: Path) -> None:
    dataset = mlcroissant.Dataset(str(bundle / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    expected = metadata(bundle)
    seen = {}
    for record in dataset.records("images"):
        row = {k.removeprefix("images/"): v for k, v in record.items()}
        image_id = row["image_id"].decode()
        seen[image_id] = row
        assert isinstance(row["image"], Image.Image)
        assert row["image"].size == (expected[image_id]["width"], expected[image_id]["height"])
        assert row["icd11_code"].decode() == expected[image_id]["icd11_code"]
        assert row["split"].decode() == expected[image_id]["split"]
    assert set(seen) == set(expected)
    assert len(seen) > 15


def test_croissant_says_what_a_user_must_know(bundle: Path) -> None:
    said = json.loads((bundle / "croissant.json").read_bytes())
    assert "http://mlcommons.org/croissant/1.1" in said["conformsTo"]
    rai = {k for k in said if k.startswith("rai:")}
    assert rai >= {
        "rai:dataCollection", "rai:dataBiases", "rai:dataLimitations", "rai:personalSensitiveInformation",
        "rai:dataAnnotationProtocol", "rai:dataUseCases", "rai:dataReleaseMaintenancePlan",
    }  # fmt: skip
    rows = metadata(bundle).values()
    licences = {r["licence"] for r in rows}
    assert {p["@id"] for p in said["usageInfo"]} == {f"#terms-{li}" for li in licences}
    for policy in said["usageInfo"]:
        allowed = {p["odrl:action"]["@id"] for p in policy["odrl:permission"]}
        assert allowed == {"odrl:commercialize", "odrl:derive", "odrl:distribute"}
    phototypes = said["rai:dataBiases"][0]
    told = sum(int(n) for n in re.findall(r" (\d+) \(\d+%\)", phototypes))
    assert told == len(rows)
    assert "sequestered" not in json.dumps(said["distribution"])


def test_a_broken_description_is_refused(bundle: Path, tmp_path: Path) -> None:
    said = json.loads((bundle / "croissant.json").read_bytes())
    said["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "nothing"
    broken = tmp_path / "croissant.json"
    broken.write_text(json.dumps(said))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(str(broken))


def test_hugging_face_loads_images_with_their_labels(bundle: Path, tmp_path: Path) -> None:
    import datasets

    loaded = datasets.load_dataset("imagefolder", data_dir=str(bundle / "data"), cache_dir=str(tmp_path))
    expected = metadata(bundle)
    seen = set()
    for split in loaded.values():
        for row in split:
            seen.add(row["image_id"])
            assert row["image"].size == (row["width"], row["height"])
            assert row["icd11_code"] == expected[row["image_id"]]["icd11_code"]
    assert seen == set(expected)
    sides = {"train": "train", "validation": "validation", "test": "test"}
    assert {k: set(v["split"]) for k, v in loaded.items()} == {
        k: {v} for k, v in sides.items() if k in loaded
    }


def test_hugging_face_loads_the_tables(bundle: Path, tmp_path: Path) -> None:
    import datasets

    files = {s: str(bundle / "data" / s / "metadata.parquet") for s in SIDES}
    loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path))
    assert sum(d.num_rows for d in loaded.values()) == len(metadata(bundle))


def test_provenance_can_be_read_and_leads_from_release_to_sources(bundle: Path) -> None:
    graph = ProvDocument.deserialize(str(bundle / "prov.json"), format="json")
    kinds = {type(r).__name__ for r in graph.get_records()}
    assert kinds >= {
        "ProvEntity",
        "ProvActivity",
        "ProvAgent",
        "ProvUsage",
        "ProvGeneration",
        "ProvDerivation",
    }
    derived = {}
    for record in graph.get_records():
        if type(record).__name__ == "ProvDerivation":
            later, earlier = (str(record.args[n]) for n in (0, 1))
            derived.setdefault(later, set()).add(earlier)
    number = json.loads((bundle / "MANIFEST.json").read_bytes())["release"]
    reached, edge = set(), [f"cd:release-{number}"]
    while edge:
        for other in derived.get(edge.pop(), set()) - reached:
            reached.add(other)
            edge.append(other)
    archives = {f"{r['archive']}-{r['version']}" for r in metadata(bundle).values()}
    assert {f"cd:source-{a}" for a in archives} <= reached
    assert (bundle / "prov.provn").read_text().startswith("document")


def test_the_sums_hold_for_a_stranger_with_sha256sum(bundle: Path) -> None:
    assert broken_seals(bundle) == []
    for name, digest in read_sums(bundle).items():
        assert sha256_of(bundle / name) == digest
    names = set(read_sums(bundle))
    assert {
        "MANIFEST.json",
        "croissant.json",
        "prov.json",
        "ATTRIBUTION.md",
        "documents/datasheet.md",
    } <= names
    assert {
        "criteria/device.yaml",
        "criteria/protocol.yaml",
        "criteria/splits.yaml",
        "vocabularies/icd11.csv",
    } <= names


def test_every_licence_has_its_text_and_every_source_its_attribution(bundle: Path) -> None:
    page = (bundle / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for row in metadata(bundle).values():
        assert len((bundle / "licences" / f"{row['licence']}.txt").read_text(encoding="utf-8")) > 5_000
        assert f"({row['archive']}@{row['version']})" in page
        if row["attribution"]:
            assert row["attribution"].rstrip(".") in page


def test_the_datasheet_counts_what_is_there(bundle: Path) -> None:
    text = (bundle / "documents" / "datasheet.md").read_text(encoding="utf-8")
    corpus = pq.read_table(bundle / "tables" / "corpus.parquet").num_rows
    splits = pq.read_table(bundle / "tables" / "splits.parquet").to_pylist()
    released = [s for s in splits if s["split"]]
    admissions = pq.read_table(bundle / "tables" / "admissions.parquet").to_pylist()
    assert f"{len(released)} images of skin" in text
    assert f"{sum(a['images_in'] for a in admissions)} images entered" in text
    assert f"{sum(a['images_excluded'] for a in admissions)} were excluded" in text
    assert f"{corpus} are in the corpus" in text
    for side in (*SIDES, "sequestered"):
        assert f"{side} {sum(s['split'] == side for s in released)}" in text


def test_no_source_identifier_leaves_with_a_release(bundle: Path, curated_home: Path) -> None:
    from curation_dagster.lake import Lake

    names = set()
    for row in Lake.open(curated_home / "lake").read("records", columns=["source_id", "path"]).to_pylist():
        names |= {
            n
            for n in (row["source_id"], Path(row["path"]).stem if row["path"] else None)
            if n and len(n) >= 6
        }
    found = []
    for path in [*bundle.glob("*.json"), *bundle.glob("*.md"), *(bundle / "documents").rglob("*")]:
        if path.is_file():
            words = set(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
            found += [(path.name, n) for n in names & words]
    for path in bundle.rglob("*.parquet"):
        table = pq.read_table(path)
        for column in table.column_names:
            if str(table.schema.field(column).type) == "string":
                found += [(path.name, column, v) for v in set(table[column].to_pylist()) & names]
    assert found == []
