"""Drawings for the event log: every bound is drawn, colours follow the criteria, nothing is larger than the log can bear."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

import numpy as np
import pyarrow as pa

from curation_dagster.core.criteria.columns import columns_of
from curation_dagster.core.criteria.loading import load_criteria
from curation_dagster.core.report import measured
from curation_dagster.core.report import stage_drawing as drawing
from curation_dagster.core.report.measured import bounds_of, measured_values

QUALITY = load_criteria("device").of_stage("quality")


def facts(rows: int = 400) -> pa.Table:
    """Return measurements such as those of an ordinary archive, with a few images beyond each bound."""
    chance = np.random.default_rng(7)
    types = columns_of("quality")
    needed = dict.fromkeys(n for c in QUALITY for n in c.reads)
    cells = {}
    for name in needed:
        if pa.types.is_integer(types[name]) or pa.types.is_floating(types[name]):
            bound = next((b.value for b in bounds_of(QUALITY) if b.column == name), 500.0)
            cells[name] = pa.array(chance.normal(bound, abs(bound) / 4 + 0.01, rows)).cast(
                types[name], safe=False
            )
        elif name == "modality":
            cells[name] = pa.array(["clinical", "dermoscopic"] * (rows // 2))
        elif name == "decode_state":
            cells[name] = pa.array(["ok"] * rows)
        else:
            cells[name] = pa.nulls(rows, types[name])
    return pa.table(cells)


def test_every_number_of_the_criteria_is_a_bound() -> None:
    found = {(b.criterion, b.column, b.label) for b in bounds_of(QUALITY)}
    assert ("resolution", "short_side", "dermoscopic ≥ 200") in found
    assert ("resolution", "short_side", "others ≥ 400") in found
    assert ("focus", "reblur_512", "≤ 0.52") in found  # inside all_of inside all_of
    assert ("motion", "blur_anisotropy", "≤ 1.2") in found  # inside any_of


def test_the_fate_of_a_value_is_that_of_the_ledger() -> None:
    table = facts()
    (one,) = [m for m in measured_values(QUALITY, table) if m.column == "luma_p95"]
    values = np.asarray(table["luma_p95"])
    assert (one.fate[values < 40] == measured.EXCLUDED).all()
    assert (one.fate[(values >= 40) & (values < 90)] == measured.WAITS).all()
    assert (one.fate[values >= 90] == measured.KEPT).all()


def test_a_value_that_is_missing_is_counted_and_not_drawn() -> None:
    table = facts(4)
    index = table.column_names.index("luma_p95")
    table = table.set_column(index, "luma_p95", pa.array([10.0, None, float("nan"), 200.0], pa.float32()))
    (one,) = [m for m in measured_values(QUALITY, table) if m.column == "luma_p95"]
    assert (one.values.tolist(), one.missing) == ([10.0, 200.0], 2)


def test_histograms_show_every_bound_and_stay_small() -> None:
    found = measured_values(QUALITY, facts())
    svg = drawing.histograms(found)
    ET.fromstring(svg)
    for one in found:
        assert f">{one.column}" in svg
        for bound in one.bounds:
            if bound.modality in (None, "default"):
                assert f">{bound.label}<" in svg
    assert len(drawing.as_markdown(drawing.histograms(found[:14]), "x")) < 60_000


def test_a_flow_adds_up_and_escapes_its_names() -> None:
    counts = {"rows_in": 10, "kept": 6, "excluded": 3, "quarantined": 1}
    svg = drawing.flow(counts, [("a<b", 3, 0), ("c", 0, 1)])
    ET.fromstring(svg)
    for text in ("10 images in", "6 kept (60.0%)", "3 excluded (30.0%)", "1 waiting (10.0%)", "a&lt;b"):
        assert text in svg
    ET.fromstring(drawing.flow(dict.fromkeys(counts, 0), []))


def test_markdown_holds_the_drawing() -> None:
    text = drawing.as_markdown("<svg/>", "flow")
    assert base64.b64decode(text.removesuffix(")").split("base64,")[1]) == b"<svg/>"
