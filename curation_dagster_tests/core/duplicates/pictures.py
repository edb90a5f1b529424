"""Pictures for the tests: synthetic lesions, and what happens to pictures on their way through archives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curation_dagster.core.imaging.measure import measure_bytes
from curation_dagster.core.imaging.settings import measuring

Picture = np.ndarray


def lesion(seed: int, width: int = 600, height: int = 450, vignette: bool = False) -> Picture:
    """Return a dermoscopic-like picture, RGB: skin with texture, one lesion with a network, dots and hairs."""
    rng = np.random.default_rng(seed)
    skin = np.array([rng.integers(190, 230), rng.integers(140, 180), rng.integers(120, 150)], np.float32)
    picture = np.ones((height, width, 3), np.float32) * skin
    picture += _noise(rng, height, width, 60)[..., None] * 10
    picture += _noise(rng, height, width, 4)[..., None] * 4

    center = (width * rng.uniform(0.4, 0.6), height * rng.uniform(0.4, 0.6))
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = height * rng.uniform(0.2, 0.34)
    wobble = sum(
        rng.uniform(0, 0.18) * np.cos(k * angles + rng.uniform(0, 6.3)) / k**0.5 for k in range(2, 8)
    )
    outline = np.stack(
        [
            center[0] + radius * rng.uniform(0.9, 1.3) * (1 + wobble) * np.cos(angles),
            center[1] + radius * (1 + wobble) * np.sin(angles),
        ],
        axis=1,
    )
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(3, 9))[..., None]
    pigment = np.array([rng.integers(80, 130), rng.integers(50, 85), rng.integers(40, 70)], np.float32)
    inside = (
        pigment
        + _noise(rng, height, width, 18)[..., None] * 28
        + _noise(rng, height, width, 5)[..., None] * 16
    )
    picture = picture * (1 - mask) + inside * mask
    for _ in range(rng.integers(10, 40)):
        where = outline.mean(axis=0) + rng.normal(0, radius * 0.5, 2)
        cv2.circle(
            picture,
            tuple(int(v) for v in where),
            int(rng.integers(2, 7)),
            (pigment * 0.5).tolist(),
            -1,
            cv2.LINE_AA,
        )
    for _ in range(rng.integers(0, 6)):
        ends = rng.uniform([0, 0], [width, height], (2, 2)).astype(int)
        cv2.line(picture, tuple(ends[0].tolist()), tuple(ends[1].tolist()), (60, 45, 40), 2, cv2.LINE_AA)
    if vignette:
        rows, columns = np.mgrid[:height, :width]
        far = np.hypot((columns - width / 2) / width, (rows - height / 2) / height)
        picture *= np.clip((0.56 - far) / 0.06, 0, 1)[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, height: int, width: int, size: float) -> np.ndarray:
    coarse = rng.normal(0, 1, (int(height / size) + 2, int(width / size) + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def jpeg(picture: Picture, quality: int = 92) -> bytes:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(picture: Picture) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


def with_comment(data: bytes, text: bytes = b"copied") -> bytes:
    """Return a JPEG with a comment segment: other bytes, same image data."""
    return data[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + data[2:]


def crop(picture: Picture, share: float) -> Picture:
    """Return the picture without a share of its width and height, half of it on each side."""
    rows, columns = (round(n * share / 2) for n in picture.shape[:2])
    return picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]


def scaled(picture: Picture, factor: float) -> Picture:
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def brightened(picture: Picture, factor: float) -> Picture:
    return np.clip(picture.astype(np.float32) * factor, 0, 255).astype(np.uint8)


def watermarked(picture: Picture, text: str = "(c) SKIN ATLAS 2011") -> Picture:
    marked = picture.copy()
    size, thickness = picture.shape[1] / 600, max(1, picture.shape[1] // 300)
    where = (int(0.4 * picture.shape[1]), int(0.96 * picture.shape[0]))
    cv2.putText(marked, text, where, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), thickness, cv2.LINE_AA)
    return marked


TRANSFORMATIONS: dict[str, Callable[[Picture], bytes]] = {
    "re-encode q35": lambda p: jpeg(p, 35),
    "re-encode q50": lambda p: jpeg(p, 50),
    "re-encode q75": lambda p: jpeg(p, 75),
    "re-encode q95": lambda p: jpeg(p, 95),
    "png": png,
    "half size": lambda p: jpeg(scaled(p, 0.5)),
    "mirror left to right": lambda p: jpeg(p[:, ::-1]),
    "mirror upside down": lambda p: jpeg(p[::-1]),
    "mirror diagonal": lambda p: jpeg(p.transpose(1, 0, 2)),
    "rotate 90": lambda p: jpeg(np.rot90(p)),
    "rotate 180": lambda p: jpeg(np.rot90(p, 2)),
    "rotate 270": lambda p: jpeg(np.rot90(p, 3)),
    "brighter": lambda p: jpeg(brightened(p, 1.15)),
    "darker": lambda p: jpeg(brightened(p, 0.8)),
    "crop 2 %": lambda p: jpeg(crop(p, 0.02)),
    "crop 5 %": lambda p: jpeg(crop(p, 0.05)),
    "watermark": lambda p: jpeg(watermarked(p)),
    "mirror, half size, q50": lambda p: jpeg(scaled(p[:, ::-1], 0.5), 50),
}


def image_row(image_id: str, data: bytes, archive: str = "made", **rest: Any) -> dict[str, Any]:
    """Return a row of images as the pipeline measures it."""
    measured = measure_bytes(data, measuring())
    names = (
        "decode_state", "stream_sha256", "pixel_sha256", "phash256", "hash_is_degenerate", "thumbnail_64", "thumbnail_256",
    )  # fmt: skip
    row: dict[str, Any] = {n: measured.get(n) for n in names}
    pixels = measured["width"] * measured["height"] if measured.get("width") else None
    return row | {
        "image_id": image_id,
        "archive": archive,
        "version": "1",
        "sha256": hashlib.sha256(data).hexdigest(),
        "pixels": pixels,
        "sharpness": measured.get("sharpest_tile_512"),
        **rest,
    }


IMAGES = pa.schema(
    {
        "image_id": pa.string(),
        "archive": pa.string(),
        "version": pa.string(),
        "sha256": pa.string(),
        "stream_sha256": pa.string(),
        "pixel_sha256": pa.string(),
        "phash256": pa.binary(),
        "hash_is_degenerate": pa.bool_(),
        "decode_state": pa.string(),
        "thumbnail_64": pa.binary(),
        "thumbnail_256": pa.binary(),
        "pixels": pa.int64(),
        "sharpness": pa.float32(),
        "eligible": pa.bool_(),
        "confirmation": pa.string(),
        "icd11_code": pa.string(),
    }
)


def images_table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=IMAGES)
