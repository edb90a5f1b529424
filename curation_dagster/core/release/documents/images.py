"""The page of every image: source, licence, measured values, bounds, criteria, people and times, by its id."""

from __future__ import annotations

from html import escape
from importlib import resources

from curation_dagster.core.release.documents import document
from curation_dagster.core.release.image_pages import BOX_TITLES, examples, page_name, prefix_length, shards
from curation_dagster.core.release.view import ReleaseView, stamped
from curation_dagster.core.report.page import as_html
from curation_dagster.core.report.paper import Block, Paper, Say

FOLDER = "documents/images"
_FORM = (
    '<form id="find"><label for="id">image_id</label> <input id="id" name="id" autocomplete="off" spellcheck="false"> '
    "<button>Show</button></form>"
)
_NOSCRIPT = (
    "<noscript><p>This page draws an image's life from the data in it, with a script. Without one: the same stands in "
    "<code>tables/decisions.parquet</code>, and <code>curation-dagster explain</code> prints it.</p></noscript>"
)


@document
def images(view: ReleaseView) -> dict[str, bytes]:
    """A page for all ids that begin alike, and one that leads to them."""
    script = resources.files("curation_dagster").joinpath("core/report/images.js").read_text(encoding="utf-8")
    files = {f"{FOLDER}/index.html": _index(view).encode()}
    length = prefix_length(view.fates.num_rows)
    for prefix, data in shards(view):
        name = page_name(prefix, length)
        which = f"Images {prefix}…" if length else "Images"
        body = f'{_FORM}{_NOSCRIPT}<div id="image"></div><script type="application/json" id="data">{data}</script>'
        paper = Paper("images", f"{which} of release {view.number}", "What became of an image, and why.", [])
        up = [(f"Release {view.number}", "../index.html"), ("Images", "index.html")]
        files[f"{FOLDER}/{name}"] = as_html(paper, up, body, script).encode()
    return files


def _index(view: ReleaseView) -> str:
    length = prefix_length(view.fates.num_rows)
    rows = []
    for archive, box, reason, n, ids in examples(view):
        links = " ".join(
            f'<a href="{escape(page_name(i, length))}#{escape(i)}"><code>{escape(i[:8])}</code></a>'
            for i in ids
        )
        cells = (archive, BOX_TITLES[box], (reason or "").replace("_", " "))
        rows.append(
            "<tr>"
            + "".join(f"<td>{escape(c)}</td>" for c in cells)
            + f'<td class="n">{n:,}</td><td>{links}</td></tr>'
        )
    head = "".join(f'<th scope="col">{h}</th>' for h in ("archive version", "where they ended", "by"))
    table = (
        f'<div class="wide"><table id="t-images_by_reason"><thead><tr>{head}<th scope="col" class="n">images</th>'
        f'<th scope="col">the first of them</th></tr></thead>\n<tbody>{"".join(rows)}</tbody></table></div>'
    )
    blocks: list[Block] = [
        Say(
            "{n} images entered. Each has a page: where it comes from, under which licence, what was measured, against which "
            "bound, who or what decided, and when. Type an image_id, or follow one below.",
            {"n": view.fates.num_rows},
        )
    ]
    script = (
        'document.getElementById("find").addEventListener("submit", (event) => { event.preventDefault(); '
        'const id = document.getElementById("id").value.trim().toLowerCase(); '
        f'location.href = ({length} ? id.slice(0, {length}) : "all") + ".html#" + id; }});'
    )
    paper = Paper(
        "images", f"Images of release {view.number}", f"Release of {stamped(view.issued_at)}.", blocks
    )
    return as_html(paper, [(f"Release {view.number}", "../index.html")], _FORM + table, script)
