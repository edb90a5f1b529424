"""One file over HTTP: gone on with where it was cut, verified, and moved to its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import httpx

from curation_dagster.core.retrieval import sniff
from curation_dagster.core.retrieval.errors import ChecksumMismatch, PageInstead, UnexpectedAnswer
from curation_dagster.core.retrieval.names import shown
from curation_dagster.core.retrieval.sources.plan import Fetched, RemoteFile
from curation_dagster.core.retrieval.sources.secrets import machine_of, plain_url
from curation_dagster.core.retrieval.sources.session import Passing, Session
from curation_dagster.core.retrieval.sources.writing import Partial
from curation_dagster.core.retrieval.space import require_space

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_PAGES = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml[^>]*>\s*<!doctype html)", re.IGNORECASE)
_PAGE_NAMES = (".html", ".htm", ".xhtml")


def download(
    session: Session,
    file: RemoteFile,
    folder: Path,
    credentials: Mapping[str, str] | None = None,
    plain_http: bool = False,
    most: int | None = None,
    done_before: int = 0,
    total: int = 0,
) -> Fetched:
    """Fetch one file below ``folder``.

    Parameters
    ----------
    most : int, optional
        Largest size in bytes.
    done_before, total : int
        Bytes of the whole retrieval, for the progress.

    Raises
    ------
    ChecksumMismatch
        If the file differs from what its source states, after one more try from its beginning.
    SourceUnreachable, SourceRefused, SourceGone, UnexpectedAnswer, NoSpace
        If it can't be fetched. What arrived is kept where going on with it makes sense.
    """
    partial = Partial(file, folder)
    tries = 0
    largest = most or session.limits.file_bytes

    def attempt() -> Fetched:
        nonlocal tries
        tries += 1
        return _attempt(session, partial, tries, credentials, plain_http, largest, (done_before, total))

    what = plain_url(file.url)
    try:
        return session.retried(what, attempt)
    except UnexpectedAnswer:
        partial.restart()
        raise
    except ChecksumMismatch:
        if not partial.went_on:
            raise
        # the first half may have been of another state of the file: one whole try decides
        session.say(
            f"{machine_of(what)}: what was gone on with does not verify; fetched once more from its beginning"
        )
        return session.retried(what, attempt)
    finally:
        partial.pause()


def _attempt(
    session: Session,
    partial: Partial,
    tries: int,
    credentials: Mapping[str, str] | None,
    plain_http: bool,
    largest: int,
    progress: tuple[int, int],
) -> Fetched:
    offset = partial.resume()
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if partial.validator and not partial.validator.startswith("W/"):
            headers["If-Range"] = partial.validator
    with session.stream(partial.file.url, headers, credentials, plain_http) as (response, url, moved):
        if response.status_code == 416:
            return _at_the_end(partial, response, tries, url)
        if offset and not _goes_on(response, offset, partial):
            partial.restart()
            if response.status_code == 206:
                raise Passing("a part of the file that was not asked for")
            offset = 0
        length = response.headers.get("content-length")
        size = offset + int(length) if length and length.isdigit() else None
        _expect_size(partial.file, size, largest, url)
        partial.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_space(partial.target.parent, (size or offset) - offset, session.limits.margin_bytes)
        partial.begin(_validator(response.headers))
        try:
            for chunk in response.iter_raw():
                if partial.size == 0 and chunk:
                    _expect_no_page(partial.file, chunk, url)
                partial.write(chunk)
                _expect_size(partial.file, partial.size, largest, url)
                session.progress.report(progress[0] + partial.size, progress[1] or size or 0, "bytes fetched")
        except httpx.TransportError as error:
            partial.pause()
            raise Passing(
                f"{type(error).__name__} after {partial.size:,} bytes", progress=partial.advanced()
            ) from error
        if size is not None and partial.size < size:
            partial.pause()
            raise Passing(
                f"the answer ended after {partial.size:,} of {size:,} bytes", progress=partial.advanced()
            )
        return partial.finish(tries, url, moved)


def _goes_on(response: httpx.Response, offset: int, partial: Partial) -> bool:
    """Return whether the answer is just the rest of the file: the right place, and the same state of the file."""
    if response.status_code != 206:
        return False
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    now = _validator(response.headers)
    same = partial.validator is None or now is None or now == partial.validator
    return found is not None and int(found.group(1)) == offset and same


def _at_the_end(partial: Partial, response: httpx.Response, tries: int, url: str) -> Fetched:
    """Take an answer that says that there is nothing behind the bytes that are here already."""
    total = response.headers.get("content-range", "").rpartition("/")[2]
    now = _validator(response.headers)
    if total == str(partial.size) and (now is None or partial.validator is None or now == partial.validator):
        return partial.finish(tries, url)
    partial.restart()
    raise Passing("more bytes are here than the source has; begun again")


def _validator(headers: httpx.Headers) -> str | None:
    """Return what the server calls this state of the file: its strong ETag, or else the time of its last change."""
    etag = headers.get("etag")
    if etag and not etag.startswith("W/"):
        return str(etag)
    return headers.get("last-modified") or etag


def _expect_size(file: RemoteFile, size: int | None, largest: int, url: str) -> None:
    if size is not None and size > largest:
        raise UnexpectedAnswer(
            f"{shown(file.path)} is larger than any file that is expected.",
            where=plain_url(url),
            expected=f"at most {largest:,} bytes",
            got=f"{size:,} bytes and more",
            next="It was broken off. Limits stand in vocabularies/retrieval.yaml.",
        )


def _expect_no_page(file: RemoteFile, head: bytes, url: str) -> None:
    """Refuse a web page that came instead of a file: an error that calls itself success."""
    if _PAGES.match(head[: sniff.HEAD]) and not file.path.lower().endswith(_PAGE_NAMES):
        raise PageInstead(
            f"A web page came instead of {shown(file.path)}.",
            where=plain_url(url),
            expected="the file",
            got="HTML",
            next="Nothing was taken of it. It is probably a login, a consent or an error page.",
        )
