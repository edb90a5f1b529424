"""PNG, TIFF, BMP, WebP and GIF by Pillow, and HEIC by pillow-heif, with the checks that these leave out."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pillow_heif
from PIL import Image, ImageFile

from curation_dagster.core.imaging import exif
from curation_dagster.core.imaging.picture import NotDecodedError, Picture, within_limits
from curation_dagster.core.imaging.segments import (
    PNG_PIXEL_CHUNKS,
    PNG_SIGNATURE,
    Structure,
    gif_structure,
    iso_boxes,
    png_structure,
    webp_structure,
)
from curation_dagster.core.imaging.settings import Limits

_MEDIA = {
    "PNG": "image/png",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "HEIF": "image/heic",
}
_STRUCTURES: dict[str, Callable[[bytes], Structure]] = {
    "PNG": png_structure,
    "WEBP": webp_structure,
    "GIF": gif_structure,
    "HEIF": iso_boxes,
}
_PNG_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}
_TIFF_COMPRESSION = 259
# JPEG, old and new, JPEG 2000 in its registrations, WebP
_LOSSY_TIFF = {6, 7, 33003, 33005, 34712, 50001}
_DEPTHS = {"1": 1, "I;16": 16, "I;16B": 16, "I;16L": 16, "I": 32, "F": 32}

_pillow_switches = threading.RLock()


def decode_still(data: bytes, kind: str, limits: Limits, structure: Structure | None = None) -> Picture:
    """Return the pixels of a file of one of the formats PNG, TIFF, BMP, WEBP, GIF, HEIF.

    Sizes are read from the header and compared with ``limits`` before anything is decoded. What decodes but is not
    whole (a wrong check sum, a missing end) is ``damaged``; what gives no picture is ``unreadable``.
    """
    picture = Picture("ok", format=kind, media_type=_MEDIA[kind])
    if structure is None:
        walk = _STRUCTURES.get(kind)
        structure = walk(data) if walk else Structure((), len(data))
    try:
        picture = _described(picture, data, kind, structure, limits)
        with _quiet():
            return _decoded(picture, data, kind, structure, limits)
    except NotDecodedError as refusal:
        return refusal.picture
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        return picture.failed("unreadable", structure.problem or _message(error))


def _described(picture: Picture, data: bytes, kind: str, structure: Structure, limits: Limits) -> Picture:
    """Return the picture with what our own reading of the header says, before a library sees the file."""
    if kind == "PNG":
        header = next(structure.named(b"IHDR"), None)
        if header is None or header.end - header.body < 17:
            raise NotDecodedError(picture, "unreadable", structure.problem or "the header chunk is missing")
        width, height, depth, color = struct.unpack_from(">IIBB", data, header.body)
        names = {p.name for p in structure.parts}
        picture = picture.but(
            color_mode=_PNG_MODES.get(color),
            bit_depth=depth,
            has_alpha=color in (4, 6) or b"tRNS" in names,
            is_lossless=True,
            frames=_apng_frames(data, structure),
            orientation=_chunk_orientation(data, structure, b"eXIf"),
            icc=_png_profile(data, structure),
        )
        if color == 0 and depth == 16:
            picture = picture.but(color_mode="I;16")
    elif kind == "WEBP":
        size = _webp_size(data, structure)
        if size is None:
            raise NotDecodedError(picture, "unreadable", structure.problem or "no chunk holds a picture")
        width, height = size
        frames = sum(1 for _ in structure.named(b"ANMF")) or 1
        lossy = any(True for _ in structure.named(b"VP8 "))
        picture = picture.but(
            frames=frames, is_lossless=not lossy, orientation=_chunk_orientation(data, structure, b"EXIF")
        )
    elif kind == "GIF":
        if len(data) < 13:
            raise NotDecodedError(picture, "unreadable", "the file ends inside the header")
        width, height = struct.unpack_from("<HH", data, 6)
        picture = picture.but(frames=sum(1 for _ in structure.named(b"image")), is_lossless=True)
    else:
        return picture
    return within_limits(picture.but(width=width, height=height), limits)


def _decoded(picture: Picture, data: bytes, kind: str, structure: Structure, limits: Limits) -> Picture:
    if kind == "HEIF":
        return _decoded_heif(picture, data, structure, limits)
    problem = structure.problem
    source = _pixel_chunks(data, structure) if kind == "PNG" else data
    try:
        with Image.open(io.BytesIO(source), formats=[kind]) as image:
            picture = within_limits(_of_pillow(picture, image, data), limits)
            raster, mode = _samples(picture, image)
    except (OSError, SyntaxError, ValueError, zlib.error, struct.error, EOFError) as error:
        problem = problem or _message(error)
        with _truncated_files_load(), Image.open(io.BytesIO(source), formats=[kind]) as image:
            picture = within_limits(_of_pillow(picture, image, data), limits)
            raster, mode = _samples(picture, image)
    if problem is not None:
        picture = picture.but(state="damaged", detail=problem)
    return picture.but(raster=raster, mode=mode)


def _of_pillow(picture: Picture, image: Image.Image, data: bytes) -> Picture:
    """Return the picture with what Pillow reads from the header; our own reading takes precedence."""
    found: dict = {"width": image.width, "height": image.height}
    if picture.color_mode is None:
        found["color_mode"] = image.mode
        found["bit_depth"] = _DEPTHS.get(image.mode, 8)
        found["has_alpha"] = "A" in image.mode or "a" in image.mode or "transparency" in image.info
    if picture.frames is None:
        found["frames"] = getattr(image, "n_frames", 1)
    if picture.format == "TIFF":
        tags = exif.read_tags(data)
        depths = image.tag_v2.get(258)  # type: ignore[attr-defined]
        if isinstance(depths, tuple) and depths:
            found["bit_depth"] = int(depths[0])
        found["turned"] = tags.orientation  # Pillow turns a TIFF while loading it
        found["is_lossless"] = image.tag_v2.get(_TIFF_COMPRESSION, 1) not in _LOSSY_TIFF  # type: ignore[attr-defined]
    elif picture.format == "BMP":
        found["is_lossless"] = True
        found["bit_depth"] = {"1": 1}.get(image.mode, 8)
    profile = image.info.get("icc_profile")
    if picture.icc is None and isinstance(profile, bytes) and profile:
        found["icc"] = profile
    return picture.but(**found)


def _samples(picture: Picture, image: Image.Image) -> tuple[np.ndarray, str]:
    """Return the pixels as 8-bit samples, and their layout."""
    mode = image.mode
    image.load()
    if mode.startswith("I;16"):
        wide = np.asarray(image)
        return (wide >> 8).astype(np.uint8), "L"
    if mode in ("I", "F"):
        raise NotDecodedError(picture, "unsupported", "samples of 32 bits: no declared range to show them in")
    if mode in ("LAB", "HSV"):
        raise NotDecodedError(picture, "unsupported", f"the colour space {mode}")
    if mode == "P" or image.has_transparency_data:
        target = mode if mode in ("LA", "RGBA") else "RGBA" if image.has_transparency_data else "RGB"
    else:
        target = {"1": "L", "RGBX": "RGB", "YCbCr": "RGB"}.get(mode, mode)
    if target != mode:
        image = image.convert(target)
    return np.ascontiguousarray(np.asarray(image)), target


def _decoded_heif(picture: Picture, data: bytes, structure: Structure, limits: Limits) -> Picture:
    heif = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    width, height = heif.size
    picture = within_limits(
        picture.but(
            width=width,
            height=height,
            frames=len(heif),
            color_mode=heif.mode,
            bit_depth=int(heif.info.get("bit_depth", 8)),
            has_alpha="A" in heif.mode or "a" in heif.mode,
            is_lossless=False,
            icc=heif.info.get("icc_profile") or None,
            turned=_stated(heif.info.get("exif")),
        ),
        limits,
    )
    raster = np.asarray(heif)
    mode = {"L": "L", "LA": "LA", "La": "LA", "RGB": "RGB", "RGBA": "RGBA", "RGBa": "RGBA"}.get(heif.mode)
    if mode is None or raster.dtype != np.uint8:
        raise NotDecodedError(picture, "unsupported", f"HEIF samples in the layout {heif.mode}")
    if mode == "L" and raster.ndim == 3:
        raster = raster[..., 0]
    # libheif applies the rotation that the container states; EXIF only repeats it
    picture = picture.but(
        raster=np.ascontiguousarray(raster), mode=mode, width=raster.shape[1], height=raster.shape[0]
    )
    if structure.problem is not None:
        picture = picture.but(state="damaged", detail=structure.problem)
    return picture


def _stated(block: bytes | None) -> int:
    """Return the orientation in an EXIF block, with or without its header; 1 if there is none."""
    return exif.read_tags(block[6:] if block.startswith(b"Exif") else block).orientation if block else 1


def _pixel_chunks(data: bytes, structure: Structure) -> bytes:
    """Return the PNG with nothing but the chunks that carry pixels, their check sums made anew.

    Pillow never sees text, profiles or EXIF this way, which may be damaged or inflate without bound.
    """
    pieces = [PNG_SIGNATURE]
    for part in structure.parts:
        if part.name in PNG_PIXEL_CHUNKS:
            body = data[part.start + 4 : part.end - 4]
            pieces += [data[part.start : part.start + 4], body, struct.pack(">I", zlib.crc32(body))]
    last = structure.parts[-1].end if structure.parts else len(PNG_SIGNATURE)
    if structure.problem and data[last + 4 : last + 8] == b"IDAT":
        body = data[last + 4 :]  # the chunk in which the file was cut
        pieces += [struct.pack(">I", len(body) - 4), body, struct.pack(">I", zlib.crc32(body))]
    if not any(True for _ in structure.named(b"IEND")):
        pieces.append(b"\0\0\0\0IEND\xaeB`\x82")
    return b"".join(pieces)


def _apng_frames(data: bytes, structure: Structure) -> int:
    control = next(structure.named(b"acTL"), None)
    return max(1, int.from_bytes(data[control.body : control.body + 4], "big")) if control else 1


def _chunk_orientation(data: bytes, structure: Structure, name: bytes) -> int:
    for part in structure.named(name):
        block = data[part.body : part.end]
        return exif.read_tags(block[6:] if block.startswith(b"Exif\0\0") else block).orientation
    return 1


def _png_profile(data: bytes, structure: Structure) -> bytes | None:
    for part in structure.named(b"iCCP"):
        name_end = data.find(b"\0", part.body, part.end - 4)
        if name_end < 0:
            return None
        inflate = zlib.decompressobj()
        try:
            return inflate.decompress(data[name_end + 2 : part.end - 4], 1 << 22) or None
        except zlib.error:
            return None
    return None


def _webp_size(data: bytes, structure: Structure) -> tuple[int, int] | None:
    for part in structure.parts:
        body = data[part.body : part.body + 10]
        if part.name == b"VP8X" and len(body) == 10:
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        if part.name == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        if part.name == b"VP8 " and len(body) == 10:
            return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    # a file that is cut inside its only chunk still has that chunk's header
    name, body = data[12:16], data[20:30]
    if name == b"VP8 " and len(body) == 10:
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's own bomb limit and its warnings out of the way: sizes are checked here, with a reason."""
    with _pillow_switches, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _truncated_files_load() -> Iterator[None]:
    with _pillow_switches:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False


def _message(error: Exception) -> str:
    # Pillow's messages may quote its buffer object or metadata; the first line, short, is enough
    text = str(error).splitlines()[0][:160] if str(error) else ""
    if "<_io.BytesIO" in text:
        text = "the header can't be parsed"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
