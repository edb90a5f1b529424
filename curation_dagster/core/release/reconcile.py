"""Whether the numbers of a release agree with its tables, to the last image; a release whose numbers don't is not made."""

from __future__ import annotations

from collections import Counter

from curation_dagster.core.release.flow import disagreements
from curation_dagster.core.release.view import ReleaseView
from curation_dagster.schemas import SIDES


def contradictions(view: ReleaseView) -> list[str]:
    """Return what does not add up, a sentence each with both numbers; empty if everything does.

    What entered is counted in ``records``, what was decided in ``decisions``, what was kept in ``corpus``, what is in
    the bundle in ``splits``, and ``admissions`` says how they hang together. Each count is made anew from the rows.
    """
    found: list[str] = []
    admissions = view.read("admissions").to_pylist()
    with view.sql("records", "decisions", "corpus", "splits", "admissions", "published") as sql:
        entered, decided, kept = (
            {
                (a, v): n
                for a, v, n in sql.execute(
                    f"SELECT archive, version, count(DISTINCT image_id) FROM {table} GROUP BY ALL"
                ).fetchall()
            }
            for table in ("records", "decisions", "corpus")
        )
        failing = {
            (a, v): n
            for a, v, n in sql.execute(
                "SELECT archive, version, count(DISTINCT image_id) FROM decisions WHERE outcome = 'fail' GROUP BY ALL"
            ).fetchall()
        }
        # passes everything, but the search of the written file found something in it: excluded without a criterion
        unclean = {
            (a, v): n
            for a, v, n in sql.execute(
                "SELECT archive, version, count(*) FROM (SELECT archive, version, image_id FROM decisions GROUP BY ALL "
                "HAVING count(*) FILTER (outcome IN ('fail', 'review')) = 0) JOIN (SELECT DISTINCT image_id FROM published "
                "WHERE state = 'not_clean') USING (image_id) JOIN (SELECT archive, version FROM admissions WHERE admitted) "
                "USING (archive, version) ANTI JOIN corpus USING (archive, version, image_id) GROUP BY ALL"
            ).fetchall()
        }
        unsided = sql.execute(
            "SELECT count(*) FROM corpus WHERE image_id NOT IN (SELECT image_id FROM splits)"
        ).fetchall()[0][0]
        strange = sql.execute(
            "SELECT count(*) FROM splits WHERE image_id NOT IN (SELECT image_id FROM corpus)"
        ).fetchall()[0][0]
        still_failing = sql.execute(
            "SELECT count(DISTINCT image_id) FROM corpus JOIN decisions USING (image_id, archive, version) "
            "WHERE outcome NOT IN ('pass', 'not_applicable')"
        ).fetchall()[0][0]
        withheld = sql.execute("SELECT count(*) FROM splits WHERE split IS NULL").fetchall()[0][0]
    for row in admissions:
        key = (row["archive"], row["version"])
        name = f"{key[0]}@{key[1]}"
        total = row["images_kept"] + row["images_excluded"] + row["images_quarantined"]
        if row["images_in"] != total:
            found.append(
                f"{name}: {row['images_in']} images entered, but {total} were kept, excluded or quarantined"
            )
        for what, number, counted in (
            ("entered", row["images_in"], entered.get(key, 0)),
            ("are in the corpus", row["images_kept"], kept.get(key, 0)),
        ):
            if number != counted:
                found.append(f"{name}: {number} images {what} by the admissions, {counted} by the rows")
        if key in decided:
            if decided[key] != row["images_in"]:
                found.append(f"{name}: {row['images_in']} images entered, {decided[key]} were decided")
            out = failing.get(key, 0) + unclean.get(key, 0)
            if out != row["images_excluded"]:
                found.append(
                    f"{name}: {row['images_excluded']} images are excluded by the admissions, {out} fail"
                )
    unknown = sorted(set(entered) - {(r["archive"], r["version"]) for r in admissions})
    found += [f"{a}@{v}: {entered[a, v]} images entered, but nothing was said of them" for a, v in unknown]
    if unsided or strange:
        found.append(
            f"{unsided} images of the corpus have no row in splits, {strange} rows of splits no image"
        )
    if still_failing:
        found.append(f"{still_failing} images of the corpus do not pass every criterion")
    sides = Counter(view.images["split"].to_pylist())
    if sum(sides[s] for s in SIDES) + withheld != sum(kept.values()):
        found.append(
            f"{sum(kept.values())} images are in the corpus, but {sum(sides.values())} are on a side and {withheld} withheld"
        )
    found += disagreements(view)
    if not view.images.num_rows:
        found.append("no image is left to release")
    return found
