import cv2
import numpy as np

from curation_dagster.core.imaging.glyphs import Row
from curation_dagster.core.imaging.halved import Halved

LETTER, HIGH, WIDE = 12, 24, 96


def views(picture: Halved, row: Row, most: int = 3) -> np.ndarray:
    left, top, right, bottom = row.box
    halvings = max(0, int(row.height / LETTER).bit_length() - 1)
    level, step = picture.at(halvings), 2**halvings
    size = max(row.height, 1.0) / step  # px of a letter there
    scale = size / LETTER  # px there for one px of the view
    length = float(np.hypot(right - left, row.slope * (right - left))) / step / scale
    norm = (1 + row.slope**2) ** 0.5
    ax, ay = scale / norm, scale * row.slope / norm
    cx, cy = (left + right) / 2 / step, (top + bottom) / 2 / step
    n = min(most, max(1, int(np.ceil((length - 24) / WIDE))))
    out = []
    for i in range(n):
        off = (i - (n - 1) / 2) * (max(length - WIDE, 0) / (n - 1) if n > 1 else 0)
        m = np.array([[ax, -ay, cx + ax * (off - WIDE / 2) + ay * HIGH / 2], [ay, ax, cy + ay * (off - WIDE / 2) - ax * HIGH / 2]])
        v = cv2.warpAffine(level, m, (WIDE, HIGH), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
        out.append(v)
    return np.stack(out)
