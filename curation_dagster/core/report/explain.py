"""The life of one image: every decision about it, as text."""

from __future__ import annotations

from tabulate import tabulate

from curation_dagster.lake import Lake


def explain_image(lake: Lake, image: str) -> str | None:
    """Return what was decided about an image, or None if nothing is known of it.

    Parameters
    ----------
    lake : Lake
        The tables.
    image : str
        An image_id, or the source id or path that the publisher gave it. Several images may answer to a source id.
    """
    with lake.sql("records") as sql:
        found = sql.execute(
            "SELECT image_id, archive, version, join_state, modality FROM records WHERE image_id = $1 OR source_id = $1 "
            "OR path = $1 OR parse_filename(path) = $1 ORDER BY archive, version, image_id",
            [image],
        ).fetchall()
    if not found:
        return None
    return "\n\n".join(_life(lake, *row) for row in found)


def _life(
    lake: Lake, image_id: str, archive: str, version: str, join_state: str, modality: str | None
) -> str:
    where = {"archive": archive, "version": version, "image_id": image_id}
    ledger = lake.read("decisions", where=where).to_pylist()
    ledger.sort(key=lambda r: (r["outcome"] != "fail", r["outcome"] != "review", r["clause"], r["criterion"]))
    group = lake.read("duplicates", where=where).to_pylist()
    curated = lake.read("corpus", where={"image_id": image_id}).to_pylist()
    fails = [r["criterion"] for r in ledger if r["outcome"] == "fail"]
    waits = [r["criterion"] for r in ledger if r["outcome"] == "review"]
    if curated:
        fate = f"in the corpus as {curated[0]['file']}, since {curated[0]['ingested_at']:%Y-%m-%d %H:%M} UTC"
    elif fails:
        fate = f"excluded by {', '.join(fails)}"
    elif waits:
        fate = f"waits for a person: {', '.join(waits)}"
    elif ledger:
        refused = lake.read("admissions", where={"archive": archive, "version": version}).to_pylist()
        reasons = refused[0]["reasons"] if refused else ["the corpus was not rebuilt since"]
        fate = "passes everything, but is not in the corpus: " + "; ".join(
            reasons or ["its file could not be published"]
        )
    else:
        fate = "not decided yet: rebuild the corpus"
    lines = [
        f"{image_id}  {archive}@{version}  {modality or 'modality unknown'}, {join_state.replace('_', ' ')}",
        f"  {fate}",
    ]
    if group and group[0]["group_id"]:
        g = group[0]
        kin = "represents" if g["is_representative"] else f"is represented by {g['representative_id']} in"
        lines.append(
            f"  {kin} a group of {g['group_size']}: {g['relation'].replace('_', ' ')}; {g['evidence'] or ''} {g['reason'] or ''}".rstrip()
        )
    if ledger:
        rows = [
            (
                r["outcome"],
                r["clause"],
                r["criterion"],
                r["measured"],
                r["bound"],
                r["detail"],
                r["decided_by"],
                f"{r['decided_at']:%Y-%m-%d %H:%M}",
            )
            for r in ledger
        ]
        headers = ["outcome", "clause", "criterion", "measured", "bound", "detail", "by", "at (UTC)"]
        lines.append(
            tabulate(
                rows,
                headers=headers,
                tablefmt="simple",
                maxcolwidths=[None, None, None, 24, 24, 60, 28, None],
            )
        )
        last = ledger[0]
        lines.append(
            f"  criteria {last['criteria_version']} {last['criteria_digest'][:16]}, code {last['code_version']}, run {last['run_id']}"
        )
    return "\n".join(lines)
