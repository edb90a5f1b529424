"""Writing of standardized files: upright, 8-bit sRGB, JPEG or PNG, with nothing beside the pixels.

A file is made from pixels only, so nothing hidden in the source can survive; or, where a JPEG is as it should be
already, from its compressed pixels and the tables that they need (``lossless.py``). Either way the bytes that lie on
disk are scanned by ``rescan.py`` before they get their name.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import yaml
from PIL import Image

from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.detecting import detecting
from curation_dagster.core.imaging.lossless import NotRewritable, rewrite_jpeg
from curation_dagster.core.imaging.measure import digest_of, upright
from curation_dagster.core.imaging.picture import Picture, flatten, orient, to_rgb_or_grey
from curation_dagster.core.imaging.profiles import profile_kind, to_srgb
from curation_dagster.core.imaging.redact import fill_color, redact
from curation_dagster.core.imaging.regions import find_regions
from curation_dagster.core.imaging.rescan import rescan
from curation_dagster.core.imaging.settings import VOCABULARIES, measuring
from curation_dagster.core.items import FileItem, read_item

_IMAGE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class PublishItem:
    """One image to write.

    Parameters
    ----------
    image_id : str
        UUID of the image; it names the file.
    item : FileItem
        The source.
    root : str
        The corpus folder, below which ``images/`` lies.
    fill : tuple of boxes
        Left, top, right, bottom in px of the oriented picture: what is filled, because it shows text or a face.
    """

    image_id: str
    item: FileItem
    root: str
    fill: tuple[tuple[int, int, int, int], ...] = ()


@cache
def written_by() -> str:
    """Return the version of the writing code: SHA-256 over its source, its data file and the codecs' versions."""
    folder = Path(__file__).parent
    data = [
        VOCABULARIES / "measuring.yaml",
        VOCABULARIES / "publishing.yaml",
        VOCABULARIES / "detecting.yaml",
    ]
    return digest_of([*sorted(folder.glob("*.py")), folder.parent / "items.py", *data])


@dataclass(frozen=True)
class Lossless:
    """Whether, and for which JPEG, the compressed pixels are kept bit for bit."""

    enabled: bool
    max_scans: int


@cache
def lossless_settings() -> Lossless:
    """Return the declared settings of ``vocabularies/publishing.yaml``, read once per process."""
    data = yaml.safe_load((VOCABULARIES / "publishing.yaml").read_text(encoding="utf-8"))
    return Lossless(**data["lossless"])


def publish(p: PublishItem) -> dict[str, Any]:
    """Write one standardized file and return its row of the table ``published``.

    The file is ``images/<first two digits of the id>/<id>-<first eight digits of its SHA-256>.jpg`` for lossy sources
    and ``.png`` for lossless ones: other bytes have another name, so no file of an earlier corpus is written over. A
    JPEG that needs no change of its pixels is rewritten with its compressed data as they are (``lossless``); other
    lossy sources are encoded anew (``re_encoded``; quality 95, 4:4:4). It appears under its name only after its bytes are on disk and the re-scan found nothing;
    otherwise it is removed and the state is ``not_clean``. The same source gives the same bytes.

    Raises
    ------
    OSError
        If the source can't be read or the destination can't be written, such as a full disk: that says nothing about
        the image. Nothing is left behind.
    ValueError
        If ``image_id`` is no UUID.
    """
    if not _IMAGE_ID.fullmatch(p.image_id):
        raise ValueError(f"the image id names the file and must be a UUID in lower case, got {p.image_id!r}")
    row: dict[str, Any] = {"image_id": p.image_id, "source_sha256": p.item.sha256, "written_by": written_by()}
    data = read_item(p.item)
    if hashlib.sha256(data).hexdigest() != p.item.sha256:
        return row | {"state": "failed", "detail": "the source has other bytes than were staged"}
    picture = decode(data, measuring().limits)
    if picture.state != "ok":
        return row | {"state": "failed", "detail": f"the source is {picture.state}: {picture.detail}"}
    try:
        encoded, suffix, size, transformations, note = _made(data, picture, lossless_settings(), p.fill)
    except ValueError as error:
        return row | {"state": "failed", "detail": f"could not be encoded: {error}"}
    digest = hashlib.sha256(encoded).hexdigest()
    name = f"images/{p.image_id[:2]}/{p.image_id}-{digest[:8]}{suffix}"
    residual = _residual(encoded, transformations)
    findings = [f"residual_{kind}" for kind in residual] or _write_if_clean(Path(p.root) / name, encoded)
    row |= {
        "transformations": transformations,
        "rescan_findings": findings,
        "residual_regions": len(residual),
        "width": size[0],
        "height": size[1],
    }
    if findings:
        detail = f"the re-scan of the written bytes found {', '.join(findings)}; the file was removed"
        return row | {"state": "not_clean", "detail": detail}
    return row | {
        "state": "written",
        "file": name,
        "sha256": digest,
        "bytes": len(encoded),
        "detail": note,
    }


def _made(
    data: bytes, picture: Picture, settings: Lossless, fill: tuple[tuple[int, int, int, int], ...] = ()
) -> tuple[bytes, str, tuple[int, int], list[str], str | None]:
    """Return the bytes of the standardized file, its suffix, width and height, what was done, and a note."""
    kept = None if fill else without_loss(data, picture, settings)
    if kept is not None:
        return kept, ".jpg", (picture.width or 0, picture.height or 0), ["lossless"], None
    pixels, done, note = standardize(picture)
    if fill:
        pixels = redact(pixels, fill, fill_color())
        done.append("redacted")
    encoded, suffix = _encode(pixels, bool(picture.is_lossless))
    if suffix == ".jpg":
        done.append("re_encoded")
    return encoded, suffix, (pixels.shape[1], pixels.shape[0]), done, note


def _residual(encoded: bytes, transformations: list[str]) -> list[str]:
    """Return the kinds of what the detectors are sure of in the bytes that are to be published, one for each region.

    A file of the source's own compressed pixels is not searched again: it was proved to show what was searched already.
    """
    if transformations == ["lossless"]:
        return []
    found = find_regions(upright(decode(encoded, measuring().limits)), detecting())
    return [r["kind"] for r in found["regions"] if r["certain"]]


def without_loss(data: bytes, picture: Picture, settings: Lossless) -> bytes | None:
    """Return the JPEG with nothing but its compressed pixels and their tables, or None if it must be encoded anew.

    It must be upright, of 8 bits, grey or YCbCr, in sRGB, and of a structure that ``lossless.py`` accounts for. What
    is returned has been decoded again, and has the very pixels of the source.
    """
    is_srgb = picture.icc is None or (picture.mode == "RGB" and profile_kind(picture.icc) == "sRGB")
    is_fit = picture.format == "JPEG" and picture.mode in ("L", "RGB") and picture.bit_depth == 8
    if not (settings.enabled and is_fit and is_srgb and picture.stated_orientation == 1):
        return None
    try:
        rewritten = rewrite_jpeg(data, settings.max_scans)
    except NotRewritable:
        return None
    again = decode(rewritten, measuring().limits)
    if again.raster is None or picture.raster is None:
        return None
    is_same = (
        again.state == "ok" and again.mode == picture.mode and np.array_equal(again.raster, picture.raster)
    )
    return rewritten if is_same else None


def standardize(picture: Picture) -> tuple[np.ndarray, list[str], str | None]:
    """Return upright 8-bit sRGB pixels (height, width, 3), what was done, and a note where a profile is unusable.

    Colours are converted before transparency is flattened on white, since white is meant in sRGB.
    """
    assert picture.raster is not None
    assert picture.mode is not None
    done: list[str] = []
    raster, mode, note = picture.raster, picture.mode, None
    if (picture.bit_depth or 8) > 8:
        done.append("to_8_bit")
    alpha = raster[..., -1] if mode in ("LA", "RGBA") else None
    if alpha is not None:
        raster, mode = np.ascontiguousarray(raster[..., :-1].squeeze()), mode[:-1]
        raster = raster.reshape(alpha.shape if mode == "L" else (*alpha.shape, 3))
    if picture.icc:
        converted, note = to_srgb(raster, mode, picture.icc)
        if converted is not None:
            raster, mode = converted, "RGB"
            done.append("icc_to_srgb")
    if mode != "RGB":
        done.append("to_rgb")
    rgb = to_rgb_or_grey(raster, mode)
    if rgb.ndim == 2:
        rgb = cv2.cvtColor(rgb, cv2.COLOR_GRAY2RGB)
    if alpha is not None and int(alpha.min()) < 255:
        rgb = flatten(rgb, alpha)
        done.append("alpha_flattened")
    if picture.orientation != 1:
        rgb = orient(rgb, picture.orientation)
    if picture.stated_orientation != 1:
        done.append("oriented")
    return np.ascontiguousarray(rgb), done, note


def _encode(pixels: np.ndarray, is_lossless: bool) -> tuple[bytes, str]:
    if not is_lossless:
        return simplejpeg.encode_jpeg(pixels, quality=95, colorspace="RGB", colorsubsampling="444"), ".jpg"
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG", compress_level=6)
    return target.getvalue(), ".png"


def _write_if_clean(path: Path, content: bytes) -> list[str]:
    """Write ``content``, scan what then lies on disk, and give it its name if nothing was found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        written = temporary.read_bytes()
        findings = rescan(written) if written == content else ["unknown_structure"]
        if not findings:
            temporary.replace(path)
            _sync_folder(path.parent)
        return findings
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, where the system lets folders be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
