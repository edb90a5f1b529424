"""Why an image is not in a release, from that release's own tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation_dagster.core.release.diff import difference

TABLES: dict[str, pa.Schema] = {
    "corpus": pa.schema([("image_id", pa.string()), ("archive", pa.string()), ("version", pa.string())]),
    "splits": pa.schema([("image_id", pa.string()), ("split", pa.string()), ("reason", pa.string())]),
    "admissions": pa.schema(
        [("archive", pa.string()), ("version", pa.string()), ("admitted", pa.bool_()),
         ("reasons", pa.list_(pa.string())), ("criteria_digest", pa.string())]
    ),
    "decisions": pa.schema([(n, pa.string()) for n in ("image_id", "archive", "version", "criterion", "outcome", "detail", "decided_by")]),
}  # fmt: skip


def bundle(folder: Path, **rows: list[dict[str, Any]]) -> Path:
    (folder / "tables").mkdir(parents=True)
    for name, schema in TABLES.items():
        pq.write_table(
            pa.Table.from_pylist(rows.get(name, []), schema=schema), folder / "tables" / f"{name}.parquet"
        )
    return folder


def admission(archive: str, reason: str | None) -> dict[str, Any]:
    return {"archive": archive, "version": "1", "admitted": reason is None,
            "reasons": [reason] if reason else [], "criteria_digest": "c"}  # fmt: skip


def test_an_image_is_not_told_to_lack_because_another_archive_was_refused(tmp_path: Path) -> None:
    image = {"image_id": "i", "archive": "ours", "version": "1"}
    before = bundle(
        tmp_path / "1",
        corpus=[image],
        splits=[{"image_id": "i", "split": "train", "reason": "drawn"}],
        admissions=[admission("ours", None)],
    )
    passes = [image | {"criterion": "focus", "outcome": "pass", "detail": None, "decided_by": "rule"}]
    for name, mine, why in (
        ("2", None, "its file was not published"),
        ("3", "nobody approved these files", "ours@1 is refused: nobody approved these files"),
    ):
        admissions = [admission("ours", mine), admission("theirs", "licence unknown")]
        found = difference(before, bundle(tmp_path / name, decisions=passes, admissions=admissions))
        assert [(c.image_id, c.why) for c in found.went] == [("i", why)]
