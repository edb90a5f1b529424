"""The documents of a release in their forms: Markdown, pages and PDF say what the JSON says, and links lead somewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from curation_dagster.cli import main
from curation_dagster.core.release.reading import issued_at, papers_of, read_paper
from curation_dagster.core.report.paper import Link, Table, sentence, shown
from curation_dagster.core.report.pdf import as_pdf
from curation_dagster_tests.core.release.conftest import sentences_of


class _Page(HTMLParser):
    """The cells of the tables of a page, the sentences, and every address that a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.sentences: list[str] = []
        self.loaded: list[str] = []
        self._table, self._cell, self._said = "", False, False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = dict(attributes)
        self.loaded += [said[k] or "" for k in ("src", "data", "srcset") if k in said]
        if tag == "link":
            self.loaded.append(said.get("href") or "")
        if tag == "table":
            self._table = (said["id"] or "").removeprefix("t-")
            self.tables[self._table] = []
        elif tag == "tr" and self._table:
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")
            self._cell = True
        elif tag in ("p", "li"):
            self.sentences.append("")
            self._said = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        self._said = self._said and tag not in ("p", "li")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[self._table][-1][-1] += data
        elif self._said:
            self.sentences[-1] += data


def test_markdown_and_html_say_what_the_json_says(papers: dict[str, Any], bundle: Path) -> None:
    for name, paper in papers.items():
        page = _Page((bundle / "documents" / f"{name}.html").read_text(encoding="utf-8"))
        text = (bundle / "documents" / f"{name}.md").read_text(encoding="utf-8")
        lines = [line.replace("\\", "") for line in text.splitlines()]
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
        listed = iter([[_unescaped(c) for c in row] for row in cells])
        for table in (b for b in paper.blocks if isinstance(b, Table) and b.rows):
            expected = [[" ".join(shown(c).split()) for c in row] for row in table.rows]
            told = [[" ".join(c.split()) for c in row] for row in page.tables[table.id][1:]]
            assert told == expected, (name, table.id)
            assert next(listed) == [" ".join(h.split()) for h in table.headers]
            assert [next(listed) for _ in expected] == expected, (name, table.id)
        assert next(listed, None) is None
        for said in sentences_of(paper):
            told_so = " ".join(sentence(said).split())
            assert told_so in [" ".join(s.split()) for s in page.sentences], name
            assert any(told_so.replace("\\", "") in line for line in lines), name
        assert not page.loaded, f"{name}.html loads {page.loaded}"
        assert "@import" not in page.rawdata
        assert "url(" not in (bundle / "documents" / f"{name}.html").read_text(encoding="utf-8")


def _unescaped(cell: str) -> str:
    link = re.fullmatch(r"\[(.*)\]\(<.*>\)", cell.strip())
    return re.sub(r"\\(.)", r"\1", link.group(1) if link else cell.strip())


def test_a_document_as_pdf_is_the_same_twice_and_needs_the_bundle_only(bundle: Path, tmp_path: Path) -> None:
    found = papers_of(bundle)
    assert {"flow", "representativeness", "datasheet", "index", "technical-file-corpus"} <= set(found)
    paper = read_paper(found["representativeness"])
    once, twice = (as_pdf(paper, issued_at(bundle)) for _ in range(2))
    assert once == twice
    assert once.startswith(b"%PDF-")
    assert once.count(b"/Type /Page\n") > 3
    args = ["release", "pdf", str(bundle), "--document", "flow", "--out", str(tmp_path)]
    assert CliRunner().invoke(main, args, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "flow.pdf").stat().st_size > 10_000
    refused = CliRunner().invoke(main, [*args[:3], "--document", "nothing", "--out", str(tmp_path)])
    assert "has no document nothing; it has: " in refused.output


def test_the_first_page_leads_to_every_document_and_every_link_leads_somewhere(bundle: Path) -> None:
    folder = bundle / "documents"
    index = read_paper(folder / "index.json")
    linked = {
        c.href
        for b in index.blocks
        if isinstance(b, Table)
        for row in b.rows
        for c in row
        if isinstance(c, Link)
    }
    there = {p.relative_to(folder).as_posix() for p in folder.iterdir() if p.is_file()}
    assert there - linked == {"index.html", "index.md", "index.json"}
    for page in folder.rglob("*.html"):
        text = page.read_text(encoding="utf-8").split('<script type="application/json"', 1)[0]
        for href in re.findall(r'href="([^"#:]+)', text):
            assert (page.parent / href).resolve().exists(), (page.name, href)
    for page in folder.glob("*.md"):
        for href in re.findall(r"\]\(<?([^)>#:]+)>?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / href).resolve().exists(), (page.name, href)
