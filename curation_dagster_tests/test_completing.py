"""Fields and searches over all archives, through Dagster: what is filled, from whom, and what is searched again."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation_dagster.completing import completions
from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.publishing import admit


def changed(table: pa.Table, field: str, value: object, **where: str) -> pa.Table:
    """Return the table with another value in a field of the rows that ``where`` names."""
    mine = pa.array([True] * table.num_rows)
    for name, expected in where.items():
        mine = pc.and_(mine, pc.fill_null(pc.equal(table[name], expected), False))
    assert pc.any(mine).as_py()
    at, declared = table.schema.get_field_index(field), table.schema.field(field)
    return table.set_column(at, declared, pc.if_else(mine, pa.scalar(value, declared.type), table[field]))


@pytest.fixture
def pair(curated):
    """A representative in the corpus and a donor of its archive that fails nothing else and states its sex."""
    lake = curated.workspace.lake
    corpus = {r["image_id"]: r for r in lake.read("corpus").to_pylist()}
    groups = lake.read("duplicates", where="group_id IS NOT NULL AND NOT label_conflict").to_pylist()
    failing = lake.read("decisions", where="outcome <> 'pass' AND outcome <> 'not_applicable'").to_pylist()
    of_groups = {c.id for c in curated.workspace.criteria.of_stage("duplicates")}
    unsound = {r["image_id"] for r in failing if r["criterion"] not in of_groups and r["outcome"] == "fail"}
    sex = {r["image_id"]: r["sex"] for r in lake.read("harmonized", columns=["image_id", "sex"]).to_pylist()}
    for row in groups:
        taker = row["representative_id"]
        if (
            taker in corpus
            and row["image_id"] != taker
            and row["image_id"] not in unsound
            and sex[row["image_id"]]
        ):
            return corpus[taker], row
    raise AssertionError("no group of the samples has a donor")


def test_a_field_that_the_representative_lacks_comes_from_another_member_with_its_source(curated, pair):
    taker, donor = pair
    lake = curated.workspace.lake
    searched = lake.version("searched")
    assert lake.read("searched").num_rows > 0
    assert set(lake.read("searched")["image_id"].to_pylist()) <= {
        r["image_id"] for r in lake.read("duplicates", where="relation <> 'unreadable'").to_pylist()
    }
    key = ArchiveVersionKey(taker["archive"], taker["version"])
    part = {"archive": key.archive, "version": key.version}
    mine = curated.workspace.part("harmonized", key)
    lake.replace("harmonized", changed(mine, "sex", None, image_id=taker["image_id"]), part)
    assert curated.rebuild()
    row = lake.read("corpus", where={"image_id": taker["image_id"]}).to_pylist()[0]
    stated = lake.read("harmonized", where={"image_id": donor["image_id"]}).to_pylist()[0]["sex"]
    assert row["sex"] == stated
    assert row["field_sources"] == [f"sex: {donor['archive']} {donor['image_id']}"]
    assert row["icd11_code"] == taker["icd11_code"]
    others = lake.read("corpus", where=pc.field("image_id") != taker["image_id"])
    assert others["field_sources"].null_count == others.num_rows
    # nothing new came, so nothing was searched and nothing was written
    assert lake.version("searched") == searched

    # who gives nothing: an archive that is not admitted, a group of two diagnoses, an image that fails something else
    workspace = curated.workspace
    admitted = {g.admission.key for g in admit(workspace) if g.admission.admitted}
    assert completions(workspace, admitted)[taker["image_id"]] == ({"sex": stated}, row["field_sources"])
    theirs = {"archive": donor["archive"], "version": donor["version"]}
    others = admitted - {ArchiveVersionKey(**theirs)}
    assert taker["image_id"] not in completions(workspace, others)
    groups = lake.read("duplicates")
    lake.replace("duplicates", changed(groups, "label_conflict", True, group_id=donor["group_id"]))
    assert taker["image_id"] not in completions(workspace, admitted)
    lake.replace("duplicates", groups)
    ledger = lake.read("decisions", where=theirs)
    of_donor = {"image_id": donor["image_id"], "criterion": "licence_commercial"}
    lake.replace("decisions", changed(ledger, "outcome", "fail", **of_donor), theirs)
    assert taker["image_id"] not in completions(workspace, admitted)
