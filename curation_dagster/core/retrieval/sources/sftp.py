"""SFTP: from a server whose key its operator has told us. A key that is not the declared one is never accepted."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from curation_dagster.core.registry.retrieval import Sftp
from curation_dagster.core.retrieval.errors import SourceGone, SourceRefused, UnexpectedAnswer
from curation_dagster.core.retrieval.sources.plan import Fetched, RemoteFile
from curation_dagster.core.retrieval.sources.session import Passing, Session
from curation_dagster.core.retrieval.sources.writing import Partial
from curation_dagster.core.retrieval.space import require_space
from curation_dagster.core.retrieval.zips import CHUNK

T = TypeVar("T")


def address(source: Sftp, folder: str) -> str:
    """Return the address of a folder as it is written down."""
    return f"sftp://{source.host}:{source.port}/{folder.lstrip('/')}"


def list_folder(session: Session, source: Sftp, folder: str) -> list[RemoteFile]:
    """Return all plain files below a folder of the server; links are not followed.

    Raises
    ------
    SourceRefused
        If the server has another key, or refuses us.
    SourceGone, SourceUnreachable, UnexpectedAnswer
        If the folder is not there, the server does not answer, or the folder holds what is no file.
    """
    where = address(source, folder)

    async def work() -> list[RemoteFile]:
        async with _connected(session, source) as sftp:
            found: list[RemoteFile] = []
            todo = [""]
            while todo:
                prefix = todo.pop()
                for entry in await sftp.readdir(f"{folder}/{prefix}".rstrip("/")):
                    name = str(entry.filename)
                    if name in (".", ".."):
                        continue
                    mode = entry.attrs.permissions or 0
                    if stat.S_ISDIR(mode):
                        todo.append(f"{prefix}{name}/")
                    elif stat.S_ISREG(mode):
                        path = prefix + name
                        state = f"{entry.attrs.size}-{entry.attrs.mtime}"
                        found.append(RemoteFile(path, f"{where}/{path}", entry.attrs.size, validator=state))
                    else:
                        raise UnexpectedAnswer(
                            "The folder holds something that is no plain file.",
                            where=where,
                            expected="files and folders",
                            got="a link or a device",
                            next="Nothing was fetched. Ask the operator for a folder of plain files.",
                        )
                    if len(found) > session.limits.listed_files:
                        raise UnexpectedAnswer(
                            "The folder holds too many files.",
                            where=where,
                            expected=f"at most {session.limits.listed_files:,}",
                            got="more",
                            next="Nothing was fetched.",
                        )
            return found

    return session.retried(where, lambda: _run(work, where))


def fetch(
    session: Session, source: Sftp, folder: str, file: RemoteFile, target: Path, done_before: int, total: int
) -> Fetched:
    """Fetch one file of a folder, going on where an earlier try ended if size and time at the server are the same."""
    partial = Partial(file, target)
    tries = 0

    async def work() -> Fetched:
        nonlocal tries
        tries += 1
        offset = partial.resume()
        if offset and partial.validator != file.validator:
            partial.restart()
            offset = 0
        async with _connected(session, source) as sftp, sftp.open(f"{folder}/{file.path}", "rb") as remote:
            attrs = await remote.stat()
            if f"{attrs.size}-{attrs.mtime}" != file.validator:
                raise UnexpectedAnswer(
                    "A file changed at its source while it was fetched.",
                    where=file.url,
                    expected="the file that was listed",
                    got="another size or time",
                    next="Nothing was taken of it. Materialize `staged` again when the publisher is done.",
                )
            partial.target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            require_space(partial.target.parent, (file.bytes or 0) - offset, session.limits.margin_bytes)
            partial.begin(file.validator)
            try:
                while chunk := await remote.read(CHUNK, partial.size):
                    partial.write(bytes(chunk))
                    session.progress.report(done_before + partial.size, total, "bytes fetched")
            except (OSError, asyncssh.Error) as error:
                partial.pause()
                raise Passing(type(error).__name__, progress=partial.advanced()) from error
        return partial.finish(tries)

    try:
        return session.retried(file.url, lambda: _run(work, file.url))
    finally:
        partial.pause()


@asynccontextmanager
async def _connected(session: Session, source: Sftp):  # type: ignore[no-untyped-def]
    assert session.paces is not None
    session.paces.take(source.host)
    ip = session.guard.address_of(source.host, source.port)
    alias = source.host if source.port == 22 else f"[{source.host}]:{source.port}"
    known = asyncssh.import_known_hosts("".join(f"{alias} {key}\n" for key in source.host_keys))
    secrets = session.secrets
    login: dict[str, Any] = {"username": secrets.get(source.user_env)}
    if source.password_env is not None:
        login |= {"password": secrets.get(source.password_env), "client_keys": None}
    else:
        assert source.key_env is not None
        login |= {"client_keys": [secrets.get(source.key_env)]}
    async with (
        asyncssh.connect(
            ip,
            source.port,
            host_key_alias=source.host,
            known_hosts=known,
            agent_path=None,
            config=None,
            connect_timeout=session.limits.connect_seconds,
            login_timeout=session.limits.connect_seconds,
            keepalive_interval=session.limits.read_seconds,
            **login,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


def _run(work: Callable[[], Any], where: str) -> Any:
    """Run one conversation, with asyncssh's errors as ours."""
    try:
        return asyncio.run(work())
    except asyncssh.HostKeyNotVerifiable as error:
        raise SourceRefused(
            "The server has another key than its operator told us.",
            where=where,
            expected="one of `retrieval.host_keys`",
            got=str(error.reason),
            next="Nothing was sent to it, no password either. Ask the operator by another way whether the key changed; "
            "if not, somebody stands in between.",
        ) from error
    except (asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied) as error:
        raise SourceRefused(
            "The server refuses us.",
            where=where,
            expected="leave to read",
            got=type(error).__name__,
            next="Nothing was fetched. Check the credentials that the descriptor names.",
        ) from error
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath) as error:
        raise SourceGone(
            "The folder or file is not there.",
            where=where,
            expected="the folder that the descriptor names",
            got=type(error).__name__,
            next="Nothing was fetched. Correct `retrieval.folder` or the version's `source`.",
        ) from error
    except (asyncssh.Error, OSError, TimeoutError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # of our own disk
        raise Passing(f"{type(error).__name__} at {datetime.now(UTC):%H:%M:%S} UTC") from error
