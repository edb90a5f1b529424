"""What the licences ask to be said: who made the images, under which terms, and what was changed."""

from __future__ import annotations

from collections import defaultdict

from curation_dagster.core.registry.licences import licence as terms_of
from curation_dagster.core.release.documents import document
from curation_dagster.core.release.view import ReleaseView, stamped
from curation_dagster.core.report.paper import markdown_text


@document
def attribution(view: ReleaseView) -> dict[str, bytes]:
    """Attribution of every source and licence in the release, with the conditions that a user must keep."""
    with view.sql("images") as sql:
        rows = sql.execute(
            "SELECT archive, version, licence, coalesce(attribution, ''), coalesce(source_url, ''), count(*) "
            "FROM images GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    by_archive = defaultdict(list)
    for archive, version, licence, said, url, n in rows:
        by_archive[archive, version].append((licence, said, url, n))
    lines = [
        f"# Attribution of release {view.number}",
        "",
        f"{stamped(view.issued_at)}. {view.images.num_rows} images.",
    ]
    for (archive, version), found in by_archive.items():
        descriptor = view.descriptors.get(archive)
        title = descriptor.technical_file.name if descriptor else archive
        lines += ["", f"## {title} ({archive}@{version})", ""]
        for licence, said, url, n in found:
            terms = terms_of(licence)
            where = f" <{url}>" if url else ""
            # a publisher may state it for each image: it is text from a delivery
            credit = markdown_text(said).rstrip(".") or (
                "no attribution is asked for" if not terms.attribution else "see the archive's page"
            )
            lines.append(
                f"- {n} images under {terms.title} ([text](licences/{licence}.txt){', ' + terms.url if terms.url else ''}): "
                f"{credit}.{where}"
            )
    lines += [
        "",
        "## What was changed",
        "",
        "Hidden metadata were removed from every image, and some were turned upright, converted to 8-bit sRGB or encoded "
        "anew; `transformations` in `tables/published.parquet` says which. Diagnoses were mapped to ICD-11.",
        "",
        "## Conditions",
        "",
    ]
    conditions = {
        "attribution": "name the authors as above",
        "share_alike": "share what you make of it under the same licence",
        "no_reidentification": "don't try to re-identify anybody",
        "no_link_sharing": "don't pass on the link to the source",
    }
    for licence in sorted({r[2] for r in rows}):
        asked = [what for name, what in conditions.items() if getattr(terms_of(licence), name)]
        lines.append(f"- {licence}: {'; '.join(asked) or 'none'}.")
    lines += [
        "",
        "ICD-11 codes and titles: International Classification of Diseases, Eleventh Revision (ICD-11), World Health "
        "Organization (WHO) 2019/2021, <https://icd.who.int/browse11>, CC BY-ND 3.0 IGO.",
    ]
    return {"ATTRIBUTION.md": ("\n".join(lines) + "\n").encode()}
