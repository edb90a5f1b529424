"""Probes: cheap questions to a source, whether it has a new version and whether an old one is as it was.

A probe downloads nothing but lists and headers, asks each thing once, and has time-outs of its own. What it returns is a
signature of each version: a digest of what the source says of its files (checksums and sizes, ETags, times). The same
signature twice means that nothing is known to have changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import Descriptor
from curation_dagster.core.registry.retrieval import S3, Doi, Drop, Https, Isic, Sftp, UrlList
from curation_dagster.core.retrieval.errors import RetrievalError, UnexpectedAnswer
from curation_dagster.core.retrieval.sources import isic, repositories, s3, sftp
from curation_dagster.core.retrieval.sources.fetching import https_login
from curation_dagster.core.retrieval.sources.session import Passing, Session

_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Seen:
    """What a source says of one version.

    ``source`` is what the source calls it, ``signature`` the digest of what it says; None where it says nothing that
    a change could be told by. ``moved`` is the version that another signature than at the first look would be: of a
    source that has states and no versions, so that a further state is no incident.
    """

    version: str
    source: str | None
    signature: str | None
    moved: Seen | None = None


@dataclass(frozen=True)
class Look:
    """What one probe of an archive found.

    Parameters
    ----------
    known : sequence of Seen
        The declared versions that the source still tells about.
    new : sequence of Seen
        Versions that the descriptor does not know.
    problem : str or None
        Why the source could not be asked.
    """

    known: tuple[Seen, ...] = ()
    new: tuple[Seen, ...] = ()
    problem: str | None = None


def is_probed(descriptor: Descriptor) -> bool:
    """Return whether there is anything to ask about an archive without a person."""
    return not isinstance(descriptor.retrieval, UrlList) and descriptor.retrieval.method != "landing"


def probe(versions: list[ArchiveVersion], session: Session, landing: Path) -> Look:
    """Ask the source of one archive about its declared versions, and for new ones. Never raises for a source's fault.

    Parameters
    ----------
    versions : list of ArchiveVersion
        All declared versions of one archive; not empty.
    session : Session
        With the time-outs of probes, see :func:`probing`.
    """
    source = versions[0].descriptor.retrieval
    try:
        if isinstance(source, Doi):
            return _record(source, versions, session)
        if isinstance(source, Isic):
            return _isic(source, versions, session)
        if isinstance(source, Https):
            return _https(source, versions, session)
        if isinstance(source, Sftp | S3):
            return _folders(source, versions, session)
        if isinstance(source, Drop):
            return _drop(source, versions, landing)
    except Passing as fault:
        return Look(problem=fault.why)
    except RetrievalError as error:
        return Look(problem=session.secrets.scrub(f"{error.what} {error.got}".strip()))
    return Look()


def probing(session: Session) -> Session:
    """Return a session with the time-outs of probes, that tries nothing twice."""
    seconds = session.limits.probe_seconds
    limits = replace(session.limits, connect_seconds=seconds, read_seconds=seconds, tries_without_progress=1)
    return Session(
        secrets=session.secrets, guard=session.guard, limits=limits, log=session.log, paces=session.paces
    )


def _record(source: Doi, versions: list[ArchiveVersion], session: Session) -> Look:
    login = repositories.credentials_of(source, session.secrets)
    plain_http, accept = bool(source.plain_http_reason), repositories.accept_of(source)

    def ask(url: str) -> object:
        return session.json(url, login, plain_http, accept, once=True)

    known = []
    for version in versions:
        name = version.version.source or version.key.version
        files = repositories.list_files(source, name, ask)
        told = (f"{f.path} {f.bytes} {sorted(f.digests.items())}" for f in files)
        known.append(Seen(version.key.version, name, digest(told)))
    newest = repositories.latest_version(source, str(known[-1].source), ask)
    have = {s.source for s in known}
    if source.repository == "zenodo":
        have |= {repositories.number_of(str(s.source)) for s in known}
    new = () if newest in have else (Seen(as_version(newest), newest, None),)
    return Look(tuple(known), new)


def _isic(source: Isic, versions: list[ArchiveVersion], session: Session) -> Look:
    """The archive has no versions: a state of a query is named by its number of images and its newest ids."""
    login = {"Authorization": f"Bearer {session.secrets.get(source.token_env)}"} if source.token_env else {}
    page = session.json(isic.search_url(source), login, bool(source.plain_http_reason), once=True)
    try:
        told = [
            f"{page['count']}",
            *(f"{r['isic_id']} {r['files']['full']['size']}" for r in page["results"]),
        ]
    except (KeyError, TypeError) as error:
        raise UnexpectedAnswer("The archive's interface answers in another form.", got=repr(error)) from error
    signature = digest(told)
    latest, now = versions[-1], Seen(f"{page['count']}-{signature[:8]}", signature, signature)
    if latest.version.source == signature:
        return Look((replace(now, version=latest.key.version),))
    if latest.version.source is None:
        return Look((Seen(latest.key.version, None, signature, moved=now),))
    return Look((), (now,))


def _https(source: Https, versions: list[ArchiveVersion], session: Session) -> Look:
    login = https_login(source, session)
    known = []
    for version in versions:
        told, silent = [], False
        for path, file in sorted(version.version.files.items()):
            if file.url is None:
                continue
            headers = session.head(file.url, login, bool(source.plain_http_reason))
            state = headers.get("etag") or headers.get("last-modified")
            silent = silent or state is None
            told.append(f"{path} {state} {headers.get('content-length')}")
        known.append(
            Seen(version.key.version, version.version.source, None if silent or not told else digest(told))
        )
    return Look(tuple(known))


def _folders(source: Sftp | S3, versions: list[ArchiveVersion], session: Session) -> Look:
    known = []
    for version in versions:
        name = version.version.source
        if isinstance(source, Sftp):
            at = f"{source.folder.rstrip('/')}/{name}" if name else source.folder.rstrip("/")
            files = sftp.list_folder(session, source, at)
        else:
            files = s3.list_objects(session, source, source.prefix + (name or ""))
        told = sorted(f"{f.path} {f.bytes} {f.validator}" for f in files)
        known.append(Seen(version.key.version, name, digest(told)))
    named = {str(v.version.source).strip("/") for v in versions if v.version.source}
    if not named:
        return Look(tuple(known))
    # versions lie side by side below one folder: a further one there is new
    if isinstance(source, Sftp):
        every = sftp.list_folder(session, source, source.folder.rstrip("/"))
    else:
        every = s3.list_objects(session, source, source.prefix)
    folders = sorted({f.path.split("/")[0] for f in every if "/" in f.path} - named)
    tail = "/" if isinstance(source, S3) else ""
    return Look(tuple(known), tuple(Seen(as_version(n), n + tail, None) for n in folders))


def _drop(source: Drop, versions: list[ArchiveVersion], landing: Path) -> Look:
    archive = versions[0].key.archive
    declared = {v.key.version for v in versions}
    known: list[Seen] = []
    new: list[Seen] = []
    for folder in sorted(landing.glob(f"{archive}@*")):
        manifest = folder / source.manifest
        if manifest.is_symlink() or not manifest.is_file():
            continue
        version = folder.name.partition("@")[2]
        seen = Seen(version, None, hashlib.sha256(manifest.read_bytes()).hexdigest())
        (known if version in declared else new).append(seen)
    return Look(tuple(known), tuple(new))


def digest(told: Iterable[str]) -> str:
    """Return the digest of what a source says."""
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def as_version(name: str) -> str:
    """Return what a source calls a version, as the name of a version may be written.

    >>> as_version("10.5281/zenodo.17975532")
    '10.5281-zenodo.17975532'
    """
    return _NAME.sub("-", name).strip("-._").replace("..", ".") or "unnamed"
