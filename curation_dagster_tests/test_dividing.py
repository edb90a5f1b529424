"""Two processes that divide the corpus at the same moment."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from curation_dagster import dividing
from curation_dagster.core.release.splits import Drawn
from curation_dagster.schemas import SPLIT_HISTORY
from curation_dagster.workspace import Workspace
from curation_dagster_tests.installation import Installation


def test_two_that_divide_at_once_give_each_image_one_side(
    curated: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = curated.workspace
    workspace.lake.replace("split_history", SPLIT_HISTORY.empty())
    real = dividing.draw_splits

    def slowly(workspace: Workspace) -> Drawn:
        drawn = real(workspace)
        time.sleep(1)
        return drawn

    monkeypatch.setattr(dividing, "draw_splits", slowly)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run: dividing.divide(curated.workspace, run), ("one", "another")))
    history = workspace.lake.read("split_history").to_pylist()
    assert len(history) == len({r["image_id"] for r in history}) == workspace.lake.read("splits").num_rows
    assert {r["run_id"] for r in history} in ({"one"}, {"another"})
