"""W3C PROV of the release: what it was made of, by which activities, on whose behalf.

PROV-DM: https://www.w3.org/TR/prov-dm/. The same graph is written as PROV-JSON and as PROV-N.
"""

from __future__ import annotations

import json
from typing import Any

from prov.model import PROV_TYPE, ProvDocument

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.view import ReleaseView, as_json

_NAMESPACE = "urn:curation-dagster:"
_TABLES = ("decisions", "corpus", "splits")


@document
def provenance(view: ReleaseView) -> dict[str, bytes]:
    """The provenance graph as PROV-JSON and PROV-N."""
    graph = graph_of(view)
    said = json.loads(graph.serialize(format="json") or "{}")
    return {"prov.json": as_json(said), "prov.provn": (graph.get_provn() + "\n").encode()}


def graph_of(view: ReleaseView) -> ProvDocument:
    """Return the graph: archive versions, stages, criteria, ledger, corpus, splits, release, people and code."""
    graph = ProvDocument()
    graph.add_namespace("cd", _NAMESPACE)
    stages = sorted(
        view.read("stages").to_pylist(),
        key=lambda r: (r["archive"], r["version"], r["finished_at"], r["stage"]),
    )
    used = {(r["archive"], r["version"]) for r in view.images.select(["archive", "version"]).to_pylist()}
    code = graph.agent("cd:code", {PROV_TYPE: "prov:SoftwareAgent", "cd:version": view.code_version})
    criteria = graph.entity(
        "cd:criteria",
        {
            "cd:name": view.criteria.name,
            "cd:version": view.criteria.version,
            "cd:sha256": view.criteria.digest,
        },
    )
    settings = graph.entity(
        "cd:split-settings", {"cd:version": view.splits.version, "cd:sha256": view.splits.digest}
    )
    tables = {}
    for name in _TABLES:
        row = next((r for r in stages if r["archive"] == "*" and r["stage"] == name), None)
        facts: dict[str, Any] = {"cd:table": name, "cd:table_version": view.versions.get(name) or 0}
        if row is not None:
            facts |= {"cd:fingerprint": row["fingerprint"], "cd:rows": row["kept"]}
        tables[name] = graph.entity(f"cd:table-{name}", facts)
        making = graph.activity(f"cd:make-{name}", None, row["finished_at"] if row else None)
        graph.wasGeneratedBy(tables[name], making)
        graph.wasAssociatedWith(making, code)
        graph.used(making, settings if name == "splits" else criteria)
    for later, earlier in (("corpus", "decisions"), ("splits", "corpus")):
        graph.used(f"cd:make-{later}", tables[earlier])
        graph.wasDerivedFrom(tables[later], tables[earlier])
    for archive, version in sorted(used):
        name = f"{archive}-{version}"
        mine = {r["stage"]: r for r in stages if (r["archive"], r["version"]) == (archive, version)}
        descriptor = view.descriptors.get(archive)
        source = {
            "cd:archive": archive,
            "cd:version": version,
            "cd:fingerprint": mine["staged"]["fingerprint"],
        }
        if descriptor is not None:
            source["cd:title"] = descriptor.technical_file.name
        delivered = graph.entity(f"cd:source-{name}", source)
        # in the order in which the stages finished, each on what the one before had made
        before = delivered
        for stage in (s for s in mine if s != "staged"):
            row = mine[stage]
            activity = graph.activity(f"cd:{stage}-{name}", None, row["finished_at"])
            made = graph.entity(
                f"cd:{stage}-table-{name}",
                {"cd:fingerprint": row["fingerprint"]}
                | {f"cd:{n}": row[n] for n in ("rows_in", "kept", "excluded", "quarantined")},
            )
            graph.used(activity, before)
            graph.used(activity, criteria)
            graph.wasGeneratedBy(made, activity)
            graph.wasAssociatedWith(activity, code)
            before = made
        graph.used("cd:make-decisions", before)
        graph.wasDerivedFrom(tables["decisions"], before)
        graph.wasDerivedFrom(tables["corpus"], delivered)
    people = {
        role: graph.agent(f"cd:{role}", {PROV_TYPE: "prov:Person", "cd:name": str(view.approval[role])})
        for role in ("author", "approver")
    }
    release = graph.entity(
        f"cd:release-{view.number}",
        {
            PROV_TYPE: "prov:Collection",
            "cd:images": view.images.num_rows,
            "cd:audit_head": str(view.audit_head.get("entry_hash", "")),
        },
    )
    sealing = graph.activity(f"cd:seal-{view.number}", None, view.issued_at)
    graph.wasGeneratedBy(release, sealing, view.issued_at)
    for name in ("decisions", "corpus", "splits"):
        graph.used(sealing, tables[name])
    graph.wasDerivedFrom(release, tables["corpus"])
    graph.wasAssociatedWith(sealing, code)
    for role, agent in people.items():
        graph.wasAssociatedWith(sealing, agent, None, None, {"prov:role": role})
    graph.wasAttributedTo(release, people["author"])
    return graph
