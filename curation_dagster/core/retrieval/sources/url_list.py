"""Lists of addresses: a row and a fate for every line, whatever it holds.

Such lists are typed by people. They hold notes, stray brackets, pages instead of images, the same picture twice, and
addresses of hosts whose terms forbid to fetch from them. Nothing of that stops a list, and nothing of it is lost: each
line ends in exactly one fate, and ``fetched`` means that the file lies there, verified to be an image.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import urllib.robotparser
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from curation_dagster.core.registry.retrieval import UrlList
from curation_dagster.core.retrieval import sniff
from curation_dagster.core.retrieval.errors import (
    NoSpace,
    PageInstead,
    RetrievalError,
    SourceGone,
    SourceRefused,
    UnexpectedAnswer,
)
from curation_dagster.core.retrieval.sources.download import download
from curation_dagster.core.retrieval.sources.plan import Fetched, RemoteFile
from curation_dagster.core.retrieval.sources.secrets import plain_url
from curation_dagster.core.retrieval.sources.session import AGENT, Passing, Session

Fate = Literal["fetched", "moved", "gone", "page", "refused", "doubled", "malformed", "unreachable"]
FATES: tuple[Fate, ...] = (
    "fetched", "moved", "gone", "page", "refused", "doubled", "malformed", "unreachable",
)  # fmt: skip
FATES_FILE = "url_fates.jsonl"

_ADDRESS = re.compile(r"https?://[^\s<>\"{}|\\^`\[\]]+")
_NEVER = re.compile(r"[\s<>\"{}|\\^`\[\]]")
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp",
           "image/tiff": ".tif", "image/bmp": ".bmp", "image/heic": ".heic"}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of a list: what stands there, and the address in it if it is one.

    ``number`` counts lines of entries from 1. ``others`` are the other columns of the row.
    """

    number: int
    text: str
    url: str | None
    problem: str | None
    others: dict[str, str]


@dataclass(frozen=True)
class UrlFate:
    """What became of one line."""

    row: int
    text: str
    url: str | None
    fate: Fate
    detail: str
    path: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    final_url: str | None = None


def read_list(content: bytes, column: str | None, where: str) -> list[Line]:
    """Return the lines of a list; blank lines are none.

    Parameters
    ----------
    content : bytes
        The list in UTF-8: a CSV with a header if ``column`` is given, one address a line without it.

    Raises
    ------
    UnexpectedAnswer
        If the list is not text, lacks the column, or holds nothing.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_list(where, "text in UTF-8", str(error)) from error
    rows: list[tuple[str, dict[str, str]]] = []
    if column is None:
        rows = [(line.strip(), {}) for line in text.splitlines() if line.strip()]
    else:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if column not in (reader.fieldnames or ()):
            raise _no_list(where, f"a column {column}", ", ".join(reader.fieldnames or ()) or "no header")
        for row in reader:
            others = {str(k or "row"): str(v) for k, v in row.items() if k != column and v is not None}
            rows.append(((row[column] or "").strip(), others))
    if not rows:
        raise _no_list(where, "addresses", "nothing")
    return [_line(number, text, others) for number, (text, others) in enumerate(rows, start=1)]


def _line(number: int, text: str, others: dict[str, str]) -> Line:
    problem = problem_of(text)
    return Line(number, text, None if problem else text, problem, others)


def problem_of(text: str) -> str | None:
    """Return why a text is no address, or None. Nothing is guessed: a note beside an address makes it another thing.

    >>> problem_of("https://a.org/x.jpg"), problem_of("https://a.org/d/ -> x.jpg) [crop]")
    (None, 'an address with a note beside it')
    """
    if not text:
        return "blank"
    if _ADDRESS.match(text) is None:
        return "no address that begins with http:// or https://"
    if _NEVER.search(text):
        return "an address with a note beside it"
    if text.count("(") != text.count(")"):
        return "a bracket without its partner"
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return "no valid host or port"
    if not parts.hostname or parts.username is not None:
        return "no host, or a user in it"
    return None


def same(url: str) -> str:
    """Return what two addresses of one thing have in common: case of the host, default port and fragment don't count."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    return urlunsplit((parts.scheme, (parts.hostname or "") + port, parts.path or "/", parts.query, ""))


class Robots:
    """What hosts ask of automatic readers (RFC 9309), each asked once."""

    def __init__(self, session: Session, plain_http: bool) -> None:
        self._session, self._plain_http = session, plain_http
        self._known: dict[str, urllib.robotparser.RobotFileParser | bool] = {}

    def permit(self, url: str) -> bool:
        """Return whether the host permits this address; one that can't say is taken at its word later, one that fails not."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._known:
            self._known[origin] = self._session.retried(origin, lambda: self._ask(origin))
        found = self._known[origin]
        return found if isinstance(found, bool) else found.can_fetch(AGENT.split(" ")[0], url)

    def _ask(self, origin: str) -> urllib.robotparser.RobotFileParser | bool:
        try:
            with self._session.stream(f"{origin}/robots.txt", plain_http=self._plain_http) as (
                response,
                _,
                __,
            ):
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > 500 * 1024:  # RFC 9309, 2.5
                        break
        except (SourceGone, UnexpectedAnswer):
            return True
        parser = urllib.robotparser.RobotFileParser()
        parser.parse(content.decode("utf-8", "replace").splitlines())
        return parser


def fetch_list(
    session: Session, source: UrlList, lines: Sequence[Line], folder: Path
) -> tuple[list[UrlFate], list[Fetched]]:
    """Fetch every line of a list below ``folder``; return the fate of each, and the files that were fetched.

    Fates are written down one by one, so that a killed retrieval goes on behind the last one. Lines whose host did not
    answer are asked again.

    Raises
    ------
    NoSpace
        If the disk is full: that is no fate of an address.
    """
    log = folder / f"{FATES_FILE}.part"
    known = {f.row: f for f in _read_log(log)}
    robots = Robots(session, source.plain_http_reason is not None)
    fates: list[UrlFate] = []
    fetched: list[Fetched] = []
    first: dict[str, int] = {}
    by_content: dict[str, int] = {}
    with log.open("a", encoding="utf-8") as written:
        written.write("\n")  # ends a line that a killed process was writing
        for line in lines:
            before = known.get(line.number)
            file = None
            if (
                before
                and before.text == line.text
                and before.fate != "unreachable"
                and _is_there(before, folder)
            ):
                fate = before
            else:
                fate, file = _fate(session, source, line, folder, robots, first)
                if file is not None and file.sha256 in by_content:
                    (folder / file.path).unlink()
                    detail = f"the same bytes as row {by_content[file.sha256]}"
                    fate, file = replace(fate, fate="doubled", detail=detail, path=None), None
                written.write(json.dumps(asdict(fate), ensure_ascii=False) + "\n")
                written.flush()
            if line.url is not None:
                first.setdefault(same(line.url), line.number)
            if fate.path is not None and fate.sha256 is not None:
                by_content.setdefault(fate.sha256, line.number)
                fetched.append(file or _as_fetched(fate))
            fates.append(fate)
            session.progress.report(line.number, len(lines), "addresses of the list asked")
    finished = folder / FATES_FILE
    rows = [{**line.others, **asdict(f), "id": f"{f.row:05d}"} for line, f in zip(lines, fates, strict=True)]
    finished.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    log.unlink()
    return fates, fetched


def _fate(
    session: Session, source: UrlList, line: Line, folder: Path, robots: Robots, first: dict[str, int]
) -> tuple[UrlFate, Fetched | None]:
    def ended(fate: Fate, detail: str) -> tuple[UrlFate, None]:
        url = plain_url(line.url) if line.url else None
        return UrlFate(line.number, line.text, url, fate, session.secrets.scrub(detail)), None

    if line.url is None:
        return ended("malformed", line.problem or "")
    if same(line.url) in first:
        return ended("doubled", f"the same address as row {first[same(line.url)]}")
    path = f"images/{line.number:05d}.fetched"
    file = RemoteFile(path, line.url)
    plain_http = source.plain_http_reason is not None
    try:
        rule = session.paces.rule_of(urlsplit(line.url).hostname or "") if session.paces else None
        if rule is not None and rule.refused:
            return ended("refused", f"terms of the host: {rule.reason}")
        if not robots.permit(line.url):
            return ended("refused", "the host's robots.txt asks not to fetch it")
        got = download(session, file, folder, None, plain_http, session.limits.list_entry_bytes)
    except NoSpace:
        raise
    except PageInstead as error:
        return ended("page", error.what)
    except SourceGone as error:
        return ended("gone", error.got)
    except SourceRefused as error:
        return ended("refused", f"{error.what} {error.got}".strip())
    except (RetrievalError, Passing) as error:
        _remove_parts(folder / path)
        return ended("unreachable", getattr(error, "got", "") or str(error))
    media_type = sniff.media_type(_head(folder / path))
    if not media_type.startswith("image/"):
        (folder / path).unlink()
        return ended("page", f"{media_type} and not an image")
    final = f"images/{line.number:05d}{_SUFFIX.get(media_type, '.image')}"
    (folder / path).replace(folder / final)
    got = replace(got, path=final)
    fate: Fate = "moved" if got.moved else "fetched"
    detail = "the host says that it has moved for good" if got.moved else media_type
    told = UrlFate(
        line.number, line.text, plain_url(line.url), fate, detail, final, got.sha256, got.bytes, got.url
    )
    return told, got


def _as_fetched(fate: UrlFate) -> Fetched:
    assert fate.path is not None
    assert fate.sha256 is not None
    return Fetched(
        fate.path, fate.final_url or fate.url or "", fate.bytes or 0, fate.sha256, None, None, 0, 0, datetime.now(UTC),
        fate.fate == "moved",
    )  # fmt: skip


def _is_there(fate: UrlFate, folder: Path) -> bool:
    if fate.path is None:
        return True
    path = folder / fate.path
    return path.is_file() and path.stat().st_size == fate.bytes


def _head(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(sniff.HEAD)


def _remove_parts(target: Path) -> None:
    for name in (".part", ".note.part"):
        target.with_name(target.name + name).unlink(missing_ok=True)


def _read_log(path: Path) -> Iterable[UrlFate]:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        return
    with path.open(encoding="utf-8") as lines:
        for text in lines:
            if not text.strip():
                continue
            try:
                row: dict[str, Any] = json.loads(text)
            except ValueError:
                continue  # the line that a killed process was writing
            yield UrlFate(**row)


def _no_list(where: str, expected: str, got: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        "The list of addresses can't be read.",
        where=where,
        expected=expected,
        got=got,
        next="Nothing was fetched. Correct `retrieval.list` and `retrieval.column` in the descriptor, or the list.",
    )
