"""Deliveries for the tests: real files, made on the fly."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from curation_dagster.core.registry.keys import ArchiveVersionKey
from curation_dagster.core.registry.loading import ArchiveVersion
from curation_dagster.core.registry.models import Descriptor

JPEG = b"\xff\xd8\xff\xe0" + b"jpeg" * 50
PNG = b"\x89PNG\r\n\x1a\n" + b"png." * 50
CSV = b"image_id,dx\na,nv\nb,mel\n"
KEY = "testset@1"


def archive_version(
    files: Mapping[str, dict] | None = None, urls: tuple[str, ...] = (), ignore: tuple[str, ...] = ()
) -> ArchiveVersion:
    """A valid archive version whose publisher states ``files``."""
    assessed = {"outcome": "not_assessed", "reason": "A test."}
    descriptor = Descriptor.model_validate(
        {
            "id": "testset",
            "technical_file": {
                "name": "Test set",
                "publisher": "Nobody",
                "country": "AT",
                "access": "public",
                "access_method": "none",
                "sample_size": {},
                "diagnostic_coverage": "none",
                "demographics": "none",
                "modality": "dermoscopic",
                "validation_method": "none",
                "selection": dict.fromkeys(
                    ("diagnostic_quality", "licence", "diversity", "governance"), assessed
                ),
            },
            "licence": {"default": "CC0-1.0", "evidence": "A test."},
            "retrieval": {"instructions": "Ask the data team for the test set.", "urls": urls},
            "versions": {"1": {"files": dict(files or {})}},
            "layout": {
                "images": ["**/*.jpg", "**/*.png"],
                "ignore": list(ignore),
                "metadata": [{"name": "main", "files": ["**/*.csv"], "key": "image_id"}],
            },
            "columns": {"modality": {"constant": "dermoscopic"}},
        }
    )
    return ArchiveVersion(ArchiveVersionKey("testset", "1"), descriptor, descriptor.versions["1"], "0" * 64)


def make_zip(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these members."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(zipfile.ZipInfo(name), content, method)
    return memory.getvalue()


def make_zip_of(infos: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip whose entries are described one by one, doubled names included."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as packed:
        for info, content in infos:
            packed.writestr(info, content)
    return memory.getvalue()


def make_tar(members: list[tuple[str | tarfile.TarInfo, bytes]], packing: str = "") -> bytes:
    """A tar of these members, packed by ``gz``, ``bz2`` or not at all."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    data = memory.getvalue()
    return {"": bytes, "gz": gzip.compress, "bz2": bz2.compress}[packing](data)


def patch(data: bytes, old: bytes, new: bytes, count: int = -1) -> bytes:
    """``data`` with bytes replaced by as many others."""
    assert len(old) == len(new)
    assert old in data
    return data.replace(old, new, count)


def sha(data: bytes) -> str:
    """The SHA-256 of ``data``, as tables hold it."""
    return hashlib.sha256(data).hexdigest()


def tree(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Everything below a folder: content, inode and time, to prove that nothing was touched."""
    return {
        str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_ino, p.stat().st_mtime_ns)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
