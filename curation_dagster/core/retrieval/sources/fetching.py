"""The retrieval of one archive version: list what the source has, fetch what is missing, end with a whole delivery.

Everything goes into ``<folder>/<archive>@<version>/``, which only the pipeline's user can read. What was fetched is
written down file by file in ``<folder>/.<archive>@<version>.done``, so that a killed retrieval goes on instead of
beginning again; each such file is read once more before it counts.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from curation_dagster.core.alone import alone
from curation_dagster.core.registry.retrieval import S3, Doi, Https, Isic, Sftp, Source, UrlList
from curation_dagster.core.retrieval.errors import (
    RetrievalError,
    SourceRefused,
    StagingFailed,
    UnexpectedAnswer,
)
from curation_dagster.core.retrieval.sources import isic, repositories, s3, sftp, url_list
from curation_dagster.core.retrieval.sources.download import download
from curation_dagster.core.retrieval.sources.plan import Fetched, RemoteFile, chosen
from curation_dagster.core.retrieval.sources.secrets import plain_url
from curation_dagster.core.retrieval.sources.session import Session
from curation_dagster.core.retrieval.space import FULL, no_space, require_space
from curation_dagster.core.retrieval.zips import CHUNK

if TYPE_CHECKING:
    from curation_dagster.core.registry.loading import ArchiveVersion

Fetch = Callable[[RemoteFile, int, int], Fetched]


@dataclass(frozen=True)
class Retrieved:
    """What a retrieval brought: its folder, its files, and the fate of each line of a list."""

    folder: Path
    files: tuple[Fetched, ...]
    fates: tuple[url_list.UrlFate, ...] = ()


def retrieve(archive_version: ArchiveVersion, folder: Path, session: Session, landing: Path) -> Retrieved:
    """Fetch the delivery of an archive version.

    Parameters
    ----------
    folder : Path
        Private folder of retrievals; made with mode 0700.
    landing : Path
        The landing folder, where a list of addresses may lie.

    Raises
    ------
    SourceRefused, SourceUnreachable, SourceGone, UnexpectedAnswer, CredentialMissing
        If the source can't be read as declared. What is complete, and what can be gone on with, is kept.
    ChecksumMismatch
        If a file differs from what its source states.
    NoSpace, StagingFailed
        If the disk is full, or the operating system refuses.
    """
    key = str(archive_version.key)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with alone(folder / f".{key}.lock"):
            target = folder / key
            target.mkdir(mode=0o700, exist_ok=True)
            return _retrieve(archive_version, target, session, landing)
    except RetrievalError as error:
        error.args = tuple(session.secrets.scrub(str(a)) for a in error.args)
        error.what, error.where, error.expected, error.got, error.next = error.args
        raise
    except OSError as error:
        if error.errno in FULL:
            raise no_space(folder, got=error.strerror or "") from error
        raise StagingFailed(
            f"{key} can't be written while it is fetched.",
            where=str(error.filename or folder),
            got=session.secrets.scrub(str(error)),
            next="What was fetched so far is kept. The pipeline's user must be able to write the folder.",
        ) from error


def _retrieve(archive_version: ArchiveVersion, target: Path, session: Session, landing: Path) -> Retrieved:
    source: Source = archive_version.descriptor.retrieval
    if isinstance(source, UrlList):
        content = _list_content(source, session, landing / str(archive_version.key))
        lines = url_list.read_list(content, source.column, source.list)
        fates, files = url_list.fetch_list(session, source, lines, target)
        if not files:
            told = {f: sum(x.fate == f for x in fates) for f in url_list.FATES}
            raise UnexpectedAnswer(
                f"No line of the list of {archive_version.key} led to an image.",
                where=plain_url(source.list),
                expected="at least one image",
                got=", ".join(f"{n} {f}" for f, n in told.items() if n),
                next="Nothing is staged. The fate of each line stands in the table url_fates.",
            )
        (target / Path(source.list).name).write_bytes(content)
        return Retrieved(target, tuple(files), tuple(fates))
    listed, fetch, extra = _planned(archive_version, source, session, target)
    most = session.limits.listed_files
    include = getattr(source, "include", ())
    wanted = chosen(listed, include, plain_url(str(_where(source))), most)
    files = _fetch_all(wanted, target, session, fetch)
    keep = {f.path for f in files}
    for name, content in extra.items():
        _write(target / name, content)
        keep.add(name)
    for path in sorted(p for p in target.rglob("*") if p.is_file()):
        if path.relative_to(target).as_posix() not in keep:
            path.unlink()  # of an earlier list of the same source
    return Retrieved(target, tuple(files))


def _planned(
    archive_version: ArchiveVersion, source: Source, session: Session, target: Path
) -> tuple[list[RemoteFile], Fetch, dict[str, bytes]]:
    """Return what the source lists, how one file of it is fetched, and what is written besides."""
    version = archive_version.version
    name = version.source or archive_version.key.version
    secrets = session.secrets
    plain_http = bool(getattr(source, "plain_http_reason", None))

    if isinstance(source, Https):
        login = https_login(source, session)
        listed = [
            RemoteFile(p, f.url, f.bytes, {a: d for a, d in (("sha256", f.sha256), ("md5", f.md5)) if d})
            for p, f in version.files.items()
            if f.url
        ]
        return listed, lambda f, n, all_: download(session, f, target, login, plain_http, None, n, all_), {}
    if isinstance(source, Sftp):
        at = f"{source.folder.rstrip('/')}/{version.source}" if version.source else source.folder.rstrip("/")
        listed = _stated(sftp.list_folder(session, source, at), archive_version)
        return listed, lambda f, n, all_: sftp.fetch(session, source, at, f, target, n, all_), {}
    if isinstance(source, S3):
        prefix = source.prefix + (version.source or "")
        listed = _stated(s3.list_objects(session, source, prefix), archive_version)
        return listed, lambda f, n, all_: s3.fetch(session, source, f, target, n, all_), {}
    if isinstance(source, Doi):
        login = repositories.credentials_of(source, secrets)
        accept = repositories.accept_of(source)
        ask = lambda url: session.json(url, login, plain_http, accept)  # noqa: E731
        listed = repositories.list_files(source, name, ask)
        return listed, lambda f, n, all_: download(session, f, target, login, plain_http, None, n, all_), {}
    if isinstance(source, Isic):
        login = {"Authorization": f"Bearer {secrets.get(source.token_env)}"} if source.token_env else {}
        ask = lambda url: session.json(url, login, plain_http)  # noqa: E731
        listed, lines = isic.list_images(source, ask, session.limits.listed_files)

        def fetch(file: RemoteFile, n: int, all_: int) -> Fetched:
            try:
                return download(session, file, target, None, plain_http, None, n, all_)
            except SourceRefused:
                # addresses are signed for some hours; a long retrieval asks for a new one
                fresh = ask(f"{source.api.rstrip('/')}/images/{file.about['id']}/")["files"]["full"]["url"]
                return download(session, replace(file, url=fresh), target, None, plain_http, None, n, all_)

        return listed, fetch, {isic.METADATA: "".join(f"{line}\n" for line in lines).encode()}
    raise TypeError(f"{source.method} is no method that fetches")  # type: ignore[attr-defined]


def _stated(listed: list[RemoteFile], archive_version: ArchiveVersion) -> list[RemoteFile]:
    """Return listed files with the checksums that the descriptor states of them."""
    stated = archive_version.version.files
    found = []
    for file in listed:
        known = stated.get(file.path)
        digests = {a: d for a, d in (("sha256", known.sha256), ("md5", known.md5)) if d} if known else {}
        found.append(replace(file, digests={**file.digests, **digests}))
    return found


def _fetch_all(wanted: list[RemoteFile], target: Path, session: Session, fetch: Fetch) -> list[Fetched]:
    record = target.parent / f".{target.name}.done"
    done = _read_record(record)
    total = sum(f.bytes or 0 for f in wanted)
    there = {f.path: known for f in wanted if (known := _already(done.get(f.path), f, target)) is not None}
    missing = sum(f.bytes or 0 for f in wanted if f.path not in there)
    partly = sum(p.stat().st_size for p in target.rglob("*.part") if p.is_file())
    require_space(target, max(0, missing - partly), session.limits.margin_bytes)
    session.say(f"{len(wanted)} files listed, {len(there)} are here, {missing:,} bytes and more to fetch")
    before = 0
    files = []
    with record.open("a", encoding="utf-8") as written:
        written.write("\n")
        for file in wanted:
            got = there.get(file.path)
            if got is None:
                got = fetch(file, before, total)
                # a server that was sent a token may name it in the address that it leads to
                said = (got.validator and session.secrets.scrub(got.validator)) or None
                got = replace(got, url=session.secrets.scrub(got.url), validator=said)
                row = asdict(got) | {"identity": file.identity, "fetched_at": got.fetched_at.isoformat()}
                written.write(json.dumps(row) + "\n")
                written.flush()
            before += got.bytes
            files.append(got)
    session.progress.report(before, before, "bytes fetched", last=True)
    return files


def _already(row: dict[str, object] | None, file: RemoteFile, target: Path) -> Fetched | None:
    """Return the record of a file that was fetched before, if what lies there still is it; it is read to know."""
    path = target / file.path
    if row is None or row.get("identity") != file.identity or path.is_symlink() or not path.is_file():
        return None
    algorithms = {"sha256", *file.digests}
    digests = {a: hashlib.new(a, usedforsecurity=False) for a in algorithms}
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            for digest in digests.values():
                digest.update(chunk)
    stated = all(digests[a].hexdigest() == d for a, d in file.digests.items())
    same_size = file.bytes is None or path.stat().st_size == file.bytes
    if digests["sha256"].hexdigest() != row["sha256"] or not stated or not same_size:
        return None
    if file.validator is not None and file.validator != row["validator"]:
        return None
    known = {k: v for k, v in row.items() if k not in ("identity", "fetched_at")}
    return Fetched(**known, fetched_at=datetime.fromisoformat(str(row["fetched_at"])))  # type: ignore[arg-type]


def _read_record(path: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(text)
                found[row["path"]] = row
            except (ValueError, KeyError, TypeError):
                continue  # a line that a killed process was writing
    return found


def _list_content(source: UrlList, session: Session, delivered: Path) -> bytes:
    if "://" not in source.list:
        path = delivered / source.list
        if path.is_symlink() or not path.is_file():
            raise UnexpectedAnswer(
                "The list of addresses is not there.",
                where=str(path),
                expected="the list that the descriptor names",
                got="no such file",
                next=source.instructions,
            )
        return path.read_bytes()

    def ask() -> bytes:
        with session.stream(source.list, plain_http=bool(source.plain_http_reason)) as (response, _, __):
            content = b""
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > session.limits.answer_bytes:
                    break
            return content

    return session.retried(plain_url(source.list), ask)


def https_login(source: Https, session: Session) -> dict[str, str]:
    """Return the header that holds the credentials which a source names, if it names any."""
    if source.token_env is not None:
        return {"Authorization": f"Bearer {session.secrets.get(source.token_env)}"}
    if source.user_env is not None and source.password_env is not None:
        import base64

        pair = f"{session.secrets.get(source.user_env)}:{session.secrets.get(source.password_env)}"
        encoded = base64.b64encode(pair.encode()).decode()
        session.secrets.hide(encoded)
        return {"Authorization": f"Basic {encoded}"}
    return {}


def _where(source: Source) -> str:
    return str(
        getattr(source, "api", None)
        or getattr(source, "host", None)
        or getattr(source, "bucket", "the descriptor")
    )


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
