"""Where things are and how they run: the environment, read in one place and only when asked.

======================  =====================================================================  ==============================
variable                meaning                                                                default
======================  =====================================================================  ==============================
CURATION_HOME           everything that a run writes                                           ``./var``
CURATION_LAKE           the tables: a folder or a URL                                          ``$CURATION_HOME/lake``
CURATION_LANDING        where deliveries are dropped                                           ``$CURATION_HOME/landing``
CURATION_ARCHIVES       further folders of descriptors, separated by ``:``                     ``$CURATION_HOME/archives``
CURATION_CRITERIA       name or path of the criteria file                                      ``device``
CURATION_SECRET         secret of the keyed hashes of patients and lesions                     made once: ``$CURATION_HOME/secret``
CURATION_SECRET_FILE    a file that holds the secret, for servers: no process shows it then     none
CURATION_WORKERS        worker processes of the pixel passes                                   all cores
CURATION_REPORTS_URL    where the reports folder is shown, for links from the Dagster UI                none: paths
CURATION_REVIEWERS      accounts of the review page                                            ``$CURATION_HOME/reviewers.yaml``
CURATION_ENGINE         what maps over files: ``local`` processes, or ``ray``, a cluster              ``local``
CURATION_RAY_ADDRESS    the cluster: ``host:6379``, ``ray://host:10001``, or ``auto``                 ``$RAY_ADDRESS``, or ``auto``
CURATION_AUTOSTART      ``1``: sensors run without being switched on                           off
CURATION_SENSOR_SECONDS  seconds between two looks of a sensor, from 5                               30
CURATION_OFFLINE        ``1``: nothing is fetched; deliveries come by the landing folder only   off
CURATION_PRIVATE_SOURCES  ``1``: sources may be on loopback or private addresses               off
======================  =====================================================================  ==============================

Tables in an object store take its address and credentials from the variables of the store's own tools
(``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL`` and so on); nothing here reads or keeps them.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

EngineName: TypeAlias = Literal["local", "ray"]


@dataclass(frozen=True)
class Settings:
    """Folders and choices of one installation; see the table at the top of the module."""

    home: Path
    lake: str
    landing: Path
    archives: tuple[Path, ...]
    criteria: str
    workers: int
    reviewers: Path
    offline: bool = False
    private_sources: bool = False
    engine: EngineName = "local"
    ray_address: str = "auto"
    reports_url: str = ""

    @classmethod
    def load(
        cls,
        home: str | os.PathLike[str] | None = None,
        criteria: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Settings:
        """Read the environment; ``home`` and ``criteria``, where given, go before it.

        A ``home`` that is given stands for a whole installation: the lake, the landing folder and the descriptors
        below it are used, not those that the environment names.

        Raises
        ------
        ValueError
            If ``CURATION_WORKERS`` is not a positive whole number, ``CURATION_ENGINE`` names no engine, or
            ``CURATION_LAKE`` holds a password.
        """
        env = os.environ if environment is None else environment
        base = Path(home or env.get("CURATION_HOME") or "var").absolute()
        named = {} if home else env
        workers = env.get("CURATION_WORKERS")
        if workers and (not workers.isdigit() or int(workers) < 1):
            raise ValueError(f"CURATION_WORKERS is {workers!r}; expected a whole number from 1")
        lake = named.get("CURATION_LAKE") or str(base / "lake")
        if "://" in lake and "@" in urlsplit(lake).netloc:  # not quoted: what stands there may be a password
            raise ValueError(
                "CURATION_LAKE holds a user or password before an @; expected a URL such as s3://bucket/lake, with the "
                "credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)"
            )
        folders = named.get("CURATION_ARCHIVES")
        return cls(
            home=base,
            lake=lake,
            landing=Path(named.get("CURATION_LANDING") or base / "landing").absolute(),
            archives=tuple(Path(p) for p in folders.split(os.pathsep)) if folders else (base / "archives",),
            criteria=criteria or env.get("CURATION_CRITERIA") or "device",
            workers=int(workers) if workers else max(1, len(os.sched_getaffinity(0))),
            reviewers=Path(named.get("CURATION_REVIEWERS") or base / "reviewers.yaml").absolute(),
            offline=env.get("CURATION_OFFLINE") == "1",
            private_sources=env.get("CURATION_PRIVATE_SOURCES") == "1",
            engine=_engine(env.get("CURATION_ENGINE") or "local"),
            ray_address=env.get("CURATION_RAY_ADDRESS") or env.get("RAY_ADDRESS") or "auto",
            reports_url=env.get("CURATION_REPORTS_URL") or "",
        )

    @property
    def staging(self) -> Path:
        """The private folder of staged archive versions."""
        return self.home / "staging"

    @property
    def retrieval(self) -> Path:
        """The private folder of what is being fetched."""
        return self.home / "retrieval"

    @property
    def versions(self) -> Path:
        """The record of versions of the installation's own declared files."""
        return self.home / "versions.yaml"

    @property
    def work(self) -> Path:
        """The folder of finished chunks of unfinished runs."""
        return self.home / "work"

    @property
    def corpus(self) -> Path:
        """The folder of published files."""
        return self.home / "corpus"

    @property
    def releases(self) -> Path:
        """The folder of sealed releases."""
        return self.home / "releases"

    @property
    def releases_lock(self) -> Path:
        """The lock of whoever adds files to releases or takes them out."""
        return self.releases / ".lock"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.home / "reports"

    def secret(self) -> bytes:
        """Return the secret of the keyed hashes of patients and lesions.

        It stands in the file that ``CURATION_SECRET_FILE`` names, or in ``CURATION_SECRET``. Without both, one is made
        once and kept, readable by its owner only: keys must stay the same over all runs, or one patient would fall
        apart into two.

        Raises
        ------
        ValueError
            If the file can't be read, or the secret is shorter than 16 bytes.
        """
        named = os.environ.get("CURATION_SECRET")
        if file := os.environ.get("CURATION_SECRET_FILE"):
            try:
                named = Path(file).read_text().strip()
            except OSError as error:
                raise ValueError(
                    f"CURATION_SECRET_FILE names {file}, which can't be read ({error.strerror}); expected a file with the "
                    "secret of the keyed hashes. None is made anew: keys of patients would change"
                ) from error
        elif named is None:
            path = self.home / "secret"
            if not path.exists():
                _write_once(path, secrets.token_hex(32))
            named = path.read_text().strip()
        if len(named.encode()) < 16:
            raise ValueError(
                "the secret of the keyed hashes is shorter than 16 bytes; set CURATION_SECRET (or CURATION_SECRET_FILE) to 16 or more, "
                "such as the output of `openssl rand -hex 32`"
            )
        return named.encode()

    def secret_digest(self) -> str:
        """Return a digest that tells whether keys were made with the same secret, and nothing else of it."""
        return hmac.new(self.secret(), b"curation-dagster: which secret", "sha256").hexdigest()[:16]


def _engine(name: str) -> EngineName:
    if name not in ("local", "ray"):
        raise ValueError(f"CURATION_ENGINE is {name!r}; expected local or ray")
    return name  # type: ignore[return-value]


def autostart() -> bool:
    """Return whether sensors run without being switched on."""
    return os.environ.get("CURATION_AUTOSTART") == "1"


def sensor_seconds() -> int:
    """Return the seconds between two looks of the sensors that watch this installation.

    Raises
    ------
    ValueError
        If ``CURATION_SENSOR_SECONDS`` is not a whole number from 5; the daemon itself looks every 5 seconds.
    """
    said = os.environ.get("CURATION_SENSOR_SECONDS", "30")
    if not said.isdigit() or int(said) < 5:
        raise ValueError(f"CURATION_SENSOR_SECONDS is {said!r}; expected a whole number from 5")
    return int(said)


def _write_once(path: Path, text: str) -> None:
    """Write a private file unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
