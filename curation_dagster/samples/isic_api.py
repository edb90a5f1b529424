"""Records of the ISIC Archive as its interface (API, version 2) gives them: pages of JSON objects.

The count of all results stands on the first page only; what an image does not have is left out of its object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_BASE = "https://api.isic-archive.com/api/v2/images/"
_PAGE = 5
# fields of the acquisition; all others are clinical
_ACQUISITION = frozenset(
    {"image_type", "dermoscopic_type", "tbp_tile_type", "image_manipulation", "acquisition_day"}
)
_TRUTH = {"True": True, "False": False}


def pages(rows: Sequence[Mapping[str, str]], columns: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each page.

    Parameters
    ----------
    rows : sequence of mapping
        Records in the columns of an export.
    columns : iterable of str
        The columns that the archive has at the time.
    """
    names = [c for c in columns if c not in ("isic_id", "attribution", "copyright_license")]
    items = [_image(row, names) for row in rows]
    starts = range(0, len(items), _PAGE)
    for number, start in enumerate(starts, start=1):
        body: dict[str, Any] = {"count": len(items)} if number == 1 else {}
        body["next"] = f"{_BASE}?cursor=page-{number + 1}" if number < len(starts) else None
        body["previous"] = f"{_BASE}?cursor=page-{number - 1}" if number > 1 else None
        body["results"] = items[start : start + _PAGE]
        yield f"images-{number:04d}.json", json.dumps(body, ensure_ascii=False, indent=1).encode()


def _image(row: Mapping[str, str], names: Iterable[str]) -> dict[str, Any]:
    parts: dict[str, dict[str, Any]] = {"acquisition": {"pixels_x": 600, "pixels_y": 450}, "clinical": {}}
    for name in names:
        text = row.get(name, "")
        if text:
            value: Any = _TRUTH.get(text, int(text) if text.isdigit() else text)
            parts["acquisition" if name in _ACQUISITION else "clinical"][name] = value
    url = f"https://example.org/images/{row['isic_id']}"
    return {
        "isic_id": row["isic_id"],
        "public": True,
        "copyright_license": row["copyright_license"],
        "attribution": row["attribution"].strip(),
        "files": {
            "full": {"url": f"{url}.jpg", "size": 100_000},
            "thumbnail_256": {"url": f"{url}_thumb.jpg", "size": 9_000},
        },
        "metadata": parts,
    }
