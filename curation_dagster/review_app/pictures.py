"""Staged files as a browser can show them: upright, sRGB, no larger than a screen, with nothing beside the pixels.

Only files that the crash-isolated pass over the pixels has decoded are opened here. A picture is made anew from its
pixels, kept in memory for a while and never written to disk.
"""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections import OrderedDict
from concurrent.futures import Future

import cv2
import simplejpeg

from curation_dagster.core.imaging.decode import decode
from curation_dagster.core.imaging.publish import standardize
from curation_dagster.core.imaging.settings import measuring
from curation_dagster.core.items import FileItem, read_item

LONG_SIDE = {"fit": 1600, "full": 4096}
_QUALITY = 90
_MOST_BYTES = 256 * 2**20


class NotShown(Exception):
    """A staged file can't be shown; the message says why and names no file."""


class Pictures:
    """Pictures on request, each made once however many ask for it at the same time."""

    def __init__(self, at_once: int = 2) -> None:
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._slots = threading.BoundedSemaphore(at_once)
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._bytes = 0
        self._making: dict[tuple[str, str], Future[bytes]] = {}

    def jpeg(self, item: FileItem, size: str = "fit") -> bytes:
        """Return the picture as a JPEG whose long side is at most ``LONG_SIDE[size]`` pixels.

        Raises
        ------
        NotShown
            If the staged file is gone, was changed, or can't be decoded.
        """
        key = (item.sha256, size)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            mine = key not in self._making
            waiting = self._making.setdefault(key, Future())
        if not mine:
            return waiting.result()
        try:
            with self._slots:
                made = self._make(item, LONG_SIDE[size])
        except BaseException as error:
            with self._lock:
                del self._making[key]
            waiting.set_exception(error)
            raise
        with self._lock:
            self._keep(key, made)
            del self._making[key]
        waiting.set_result(made)
        return made

    def _make(self, item: FileItem, long_side: int) -> bytes:
        try:
            with self._reading:  # the open containers are shared
                data = read_item(item)
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            raise NotShown("the staged file can't be read; staging may have been emptied") from error
        if hashlib.sha256(data).hexdigest() != item.sha256:
            raise NotShown("the staged file has other bytes than were staged")
        picture = decode(data, measuring().limits)
        if picture.state != "ok":
            raise NotShown(f"the file is {picture.state}")
        pixels, _, _ = standardize(picture)
        scale = long_side / max(pixels.shape[:2])
        if scale < 1:
            width, height = (max(1, round(n * scale)) for n in (pixels.shape[1], pixels.shape[0]))
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        return simplejpeg.encode_jpeg(pixels, quality=_QUALITY, colorspace="RGB", colorsubsampling="444")

    def _keep(self, key: tuple[str, str], made: bytes) -> None:
        self._kept[key] = made
        self._bytes += len(made)
        while self._bytes > _MOST_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= len(dropped)
