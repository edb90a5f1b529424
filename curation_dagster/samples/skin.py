"""Pictures of skin that was never anybody's: lesions and healthy sites on phototypes I to VI.

A picture is developed from maps of what colours skin: melanin near the surface, blood, pigment deep in the dermis
(which looks blue-grey), and keratin (white to yellow scale), over a surface whose relief catches the light. A
diagnosis adds to the maps, so that one recipe holds for every phototype. The pictures are made for tests and
demonstrations of a pipeline. Nothing about medicine can be learned from them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from curation_dagster.samples import texture
from curation_dagster.samples.texture import Field, smoothstep

Picture = NDArray[np.uint8]
Modality = Literal["dermoscopic", "clinical"]

# Absorbance of red, green and blue per unit of each chromophore: melanin absorbs towards blue, blood green and blue.
_MELANIN = np.array([0.58, 0.84, 1.03], np.float32)
_BLOOD = np.array([0.10, 0.62, 0.52], np.float32)
_BLANK = np.array([244.0, 228.0, 216.0], np.float32)  # skin with neither
_DEEP = np.array([92.0, 104.0, 128.0], np.float32)
_KERATIN = np.array([232.0, 216.0, 178.0], np.float32)
# Melanin of phototypes I to VI, chosen so that the tones run from pale to dark brown.
_PHOTOTYPE = (0.05, 0.13, 0.26, 0.47, 0.78, 1.12)


@dataclass
class _Scene:
    """The maps of one picture, each of shape (height, width)."""

    rng: np.random.Generator
    height: int
    width: int
    unit: float  # pixels that a detail of size 1 takes; a picture 600 wide has 1 in dermoscopy
    phototype: int
    melanin: Field
    blood: Field
    deep: Field
    keratin: Field
    surface: Field

    def clouds(self, cell: float) -> Field:
        return texture.clouds(self.rng, self.height, self.width, cell * self.unit)

    def spots(self, count: int, low: float, high: float, where: Field, soften: float = 0.8) -> Field:
        radius = (low * self.unit, high * self.unit)
        return texture.spots(self.rng, self.height, self.width, count, radius, where, soften * self.unit)

    def cells(self, spacing: float) -> Field:
        return texture.cells(self.rng, self.height, self.width, max(3.0, spacing * self.unit))


@dataclass(frozen=True)
class _Body:
    """Where the lesion is."""

    inside: Field  # 1 inside, 0 outside, a ramp at the border
    rho: Field  # 0 in the centre, 1 at the border
    theta: Field  # direction from the centre, radians


def lesion(
    seed: int,
    size: tuple[int, int] = (600, 450),
    phototype: int = 2,
    modality: Modality = "dermoscopic",
    kind: str = "nevus",
) -> Picture:
    """Return a picture of a lesion.

    Parameters
    ----------
    seed
        Names the picture: the same arguments give the same bytes.
    size
        Width and height in pixels.
    phototype
        Fitzpatrick phototype of the skin, 1 to 6.
    modality
        ``dermoscopic`` fills the frame, evenly lit, flat; ``clinical`` is a photograph from a distance, lit from
        one side, with skin lines and sometimes an edge of the body.
    kind
        One of :data:`KINDS`.

    Returns
    -------
    Array of shape (height, width, 3), RGB, 0 to 255.

    Raises
    ------
    ValueError
        For an unknown kind, phototype or modality.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of lesion is called {kind!r}; there are {', '.join(KINDS)}")
    scene = _skin(seed, size, phototype, modality, kind)
    if modality == "dermoscopic":
        body = _body(scene, radius=(0.17, 0.31), **_SHAPES.get(kind, {}))
    else:
        body = _body(scene, radius=(0.10, 0.19), **_SHAPES.get(kind, {}))
    KINDS[kind](scene, body)
    return _dermoscope(scene) if modality == "dermoscopic" else _camera(scene, edge=scene.rng.random() < 0.4)


def healthy(seed: int, size: tuple[int, int] = (640, 480), phototype: int = 2) -> Picture:
    """Return a photograph of a healthy part of a body before a background, as :func:`lesion` otherwise."""
    scene = _skin(seed, size, phototype, "clinical", "healthy")
    everywhere = np.ones_like(scene.melanin)
    freckles = int(scene.rng.integers(4, 40))
    scene.melanin += scene.spots(freckles, 0.8, 2.6, everywhere, 1.2) * np.float32(
        scene.rng.uniform(0.15, 0.5)
    )
    return _camera(scene, edge=True)


def retake(picture: Picture, seed: int) -> Picture:
    """Return another photograph of the same lesion: turned, nearer, in other light. Same shape."""
    rng = np.random.default_rng([seed, 7])
    height, width = picture.shape[:2]
    turn = float(rng.uniform(25, 70) * rng.choice((-1, 1)))
    near = float(rng.uniform(1.45, 1.6))  # near enough that the turned frame has no empty corner
    centre = (width / 2 + rng.uniform(-8, 8), height / 2 + rng.uniform(-8, 8))
    matrix = cv2.getRotationMatrix2D(centre, turn, near)
    turned = cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    light = turned.astype(np.float32) * (rng.uniform(0.93, 1.06) * np.array([1.02, 1.0, 0.97], np.float32))
    light += rng.standard_normal(light.shape[:2], dtype=np.float32)[..., None] * np.float32(3.0)
    return np.clip(light, 0, 255).astype(np.uint8)


# -- skin, shape, light ----------------------------------------------------------------------------


def _skin(seed: int, size: tuple[int, int], phototype: int, modality: str, kind: str) -> _Scene:
    if not 1 <= phototype <= 6:
        raise ValueError(f"phototype: expected 1 to 6 (Fitzpatrick), got {phototype}")
    if modality not in ("dermoscopic", "clinical"):
        raise ValueError(f"modality: expected dermoscopic or clinical, got {modality!r}")
    width, height = size
    key = zlib.crc32(f"{width}x{height} {phototype} {modality} {kind}".encode())
    rng = np.random.default_rng([seed, key])
    unit = max(width, height) / 600 * (1.0 if modality == "dermoscopic" else 0.6)
    zeros = np.zeros((height, width), np.float32)
    scene = _Scene(rng, height, width, unit, phototype, *(zeros.copy() for _ in range(5)))
    base = _PHOTOTYPE[phototype - 1] * rng.uniform(0.9, 1.08)
    mottle = (
        0.07 * scene.clouds(110)
        + 0.045 * scene.clouds(34)
        + 0.035 * scene.clouds(9)
        + 0.04 * scene.clouds(2.6)
    )
    scene.melanin += np.float32(base) + np.float32(base**0.8) * mottle
    flush = rng.uniform(0.12, 0.25)
    scene.blood += np.float32(flush) * (
        1 + 0.16 * scene.clouds(80) + 0.15 * scene.clouds(18) + 0.10 * scene.clouds(5)
    )
    if modality == "dermoscopic":
        furrows = smoothstep(0.42, 0.72, scene.cells(17))
        scene.melanin += np.float32(0.02 + 0.07 * base) * furrows
        pores = scene.spots(150, 0.8, 1.9, np.ones_like(zeros), 0.7)
        scene.melanin += np.float32(0.05 + 0.10 * base) * pores
        scene.blood += np.float32(0.05) * pores + np.float32(0.025) * scene.clouds(2.2)
        red = texture.vessels(rng, height, width, 7, 7 * unit, np.ones_like(zeros), thickness=1)
        scene.blood += np.float32(0.16) * cv2.GaussianBlur(red, (0, 0), 1.2 * unit)
        scene.surface += np.float32(-0.5) * furrows
    else:
        lines = texture.cells(rng, height, width, rng.uniform(10, 15) * unit, stretch=rng.uniform(1.0, 1.7))
        fine = scene.cells(6.5)
        scene.surface += np.float32(-1.5) * smoothstep(0.25, 0.75, lines) - np.float32(0.65) * smoothstep(
            0.2, 0.7, fine
        )
        scene.surface += np.float32(0.9) * scene.clouds(24) + np.float32(0.40) * scene.clouds(7)
        pores = scene.spots(220, 0.7, 1.6, np.ones_like(zeros), 0.8)
        scene.surface -= np.float32(1.6) * pores
        scene.melanin += np.float32(0.10) * pores
    return scene


def _body(
    scene: _Scene,
    radius: tuple[float, float],
    irregular: float = 0.06,
    edge: float = 0.12,
    long: float = 1.35,
) -> _Body:
    """Return an irregular outline: harmonics of the radius, and a plane that is warped by noise."""
    rng, height, width = scene.rng, scene.height, scene.width
    r = min(rng.uniform(*radius) * width, 0.34 * height)
    x0 = width * rng.uniform(0.38, 0.62)
    y0 = height * rng.uniform(0.38, 0.62)
    x, y = _axes(height, width, x0, y0)
    warp = np.float32(r * irregular)
    x = x + warp * (1.1 * scene.clouds(60) + 0.5 * scene.clouds(16) + 0.22 * scene.clouds(5))
    y = y + warp * (1.1 * scene.clouds(60) + 0.5 * scene.clouds(16) + 0.22 * scene.clouds(5))
    stretch, tilt = np.sqrt(rng.uniform(1.0, long)), rng.uniform(0, np.pi)
    c, s = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    along, across = (x * c + y * s) / np.float32(r * stretch), (y * c - x * s) * np.float32(stretch / r)
    rho, theta = cv2.cartToPolar(along, across)
    turn = np.linspace(0, 2 * np.pi, 1024, dtype=np.float32)
    outline = np.ones_like(turn)
    for k in range(2, 9):
        swing = np.float32(rng.normal(0, irregular * 1.6 / k**0.8))
        outline += swing * np.cos(k * turn + rng.uniform(0, 2 * np.pi))
    sector = np.clip((theta * np.float32(1023 / (2 * np.pi))).astype(np.int32), 0, 1023)
    rho = rho / np.maximum(outline, 0.35)[sector]
    softness = np.float32(edge) * (1 + 0.6 * np.cos(turn * 2 + rng.uniform(0, 6)))[sector]
    inside = np.clip((1 + softness - rho) / (2 * softness), 0, 1)
    return _Body(inside * inside * (3 - 2 * inside), rho, theta)


def _develop(scene: _Scene) -> list[Field]:
    """Return the red, green and blue that the maps give, before light falls on them."""
    deep, keratin = np.clip(scene.deep, 0, 0.85), np.clip(scene.keratin, 0, 0.9)
    dim = np.float32(1.0 - 0.06 * (scene.phototype - 1))  # pigment below darker skin is darker too
    planes = []
    for channel in range(3):
        seen: Field = cv2.exp(-(scene.melanin * _MELANIN[channel] + scene.blood * _BLOOD[channel]))  # type: ignore[assignment]
        seen *= _BLANK[channel]
        seen += deep * (_DEEP[channel] * dim - seen)
        seen += keratin * (_KERATIN[channel] * dim - seen)
        planes.append(seen)
    return planes


def _dermoscope(scene: _Scene) -> Picture:
    """Return the picture as a dermoscope takes it: even light, soft fall-off to the corners, a few bubbles."""
    rng, height, width = scene.rng, scene.height, scene.width
    planes = _develop(scene)
    light = np.float32(1) + np.float32(0.035) * texture.relief(scene.surface, rng.uniform(0, 6.28))
    light += np.float32(0.012) * scene.clouds(150)
    x0, y0 = width * rng.uniform(0.46, 0.54), height * rng.uniform(0.46, 0.54)
    x, y = _axes(height, width, x0, y0)
    square = (x * x + y * y) * np.float32(4 / (width**2 + height**2))
    light *= 1 - np.float32(rng.uniform(0.05, 0.16)) * square * square
    glints = scene.spots(int(rng.integers(3, 14)), 0.7, 1.6, np.ones_like(light), 0.6)
    for plane in planes:
        plane *= light
    return _expose(scene, planes, glints * np.float32(46), rng.uniform(0.97, 1.06))


def _camera(scene: _Scene, edge: bool) -> Picture:
    """Return the picture as a hand-held camera takes it: light from one side, sheen, and perhaps a background."""
    rng, height, width = scene.rng, scene.height, scene.width
    planes = _develop(scene)
    azimuth = rng.uniform(0, 2 * np.pi)
    x, y = (axis / np.float32(width) for axis in _axes(height, width, width / 2, height / 2))
    ramp = x * np.float32(np.cos(azimuth)) + y * np.float32(np.sin(azimuth))
    slope = texture.relief(scene.surface, azimuth)
    light = np.float32(1) + np.float32(0.16) * slope + np.float32(rng.uniform(0.12, 0.30)) * ramp
    light += np.float32(0.02) * scene.clouds(160)
    x0, y0 = np.float32(rng.uniform(-0.3, 0.3)), np.float32(rng.uniform(-0.2, 0.2))
    # a round spot of light is the product of two curves
    flash = np.exp(-9 * (x - x0) ** 2) * np.exp(-9 * (y - y0) ** 2)
    sheen = np.clip(slope - np.float32(0.15), 0, 1.2) * (
        flash * np.float32(30) + np.float32(7)
    ) + flash * np.float32(11)
    if not edge:
        for plane in planes:
            plane *= light
    else:
        inside, round_off = _limb(scene, x, y)
        cloth, tone = _cloth(scene)
        light *= round_off
        sheen *= inside
        for plane, level in zip(planes, tone, strict=True):
            background = cloth * level
            plane *= light
            plane -= background
            plane *= inside
            plane += background
    return _expose(scene, planes, sheen, rng.uniform(0.98, 1.07))


def _axes(height: int, width: int, x0: float, y0: float) -> tuple[Field, Field]:
    """Return the distances to (x0, y0) in pixels, as a row and a column that broadcast to the picture."""
    x = np.arange(width, dtype=np.float32)[None, :] - np.float32(x0)
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32(y0)
    return x, y


def _limb(scene: _Scene, x: Field, y: Field) -> tuple[Field, Field]:
    """Return where the body is, and how its curvature dims it towards the edge."""
    rng = scene.rng
    tilt = rng.uniform(0, np.pi)
    across = -x * np.float32(np.sin(tilt)) + y * np.float32(np.cos(tilt))
    along = x * np.float32(np.cos(tilt)) + y * np.float32(np.sin(tilt))
    half = rng.uniform(0.30, 0.40) + np.float32(rng.uniform(-0.10, 0.10)) * along
    shift = rng.uniform(0.04, 0.14) * rng.choice((-1, 1))
    wave = np.float32(0.012) * texture.clouds(rng, scene.height, scene.width, scene.width / 3)
    distance = np.abs(across - np.float32(shift) + np.float32(0.10) * along * along + wave) / half
    inside = smoothstep(1.0, 0.985, distance)
    return inside, 1 - np.float32(0.55) * smoothstep(0.35, 1.08, distance)


def _cloth(scene: _Scene) -> tuple[Field, NDArray[np.float32]]:
    """Return the light on a woven cloth out of focus, and its colour, one of those of examination rooms."""
    rng, height, width = scene.rng, scene.height, scene.width
    # no blue: it would be taken for surgical ink
    tones = (
        (66, 118, 104),
        (168, 170, 168),
        (134, 133, 130),
        (176, 167, 150),
        (112, 140, 116),
        (150, 140, 132),
    )
    tone = np.array(tones[int(rng.integers(len(tones)))], np.float32) * np.float32(rng.uniform(0.85, 1.1))
    folds = texture.clouds(rng, height, width, 0.30 * width)
    folds += np.float32(0.6) * texture.clouds(rng, height, width, 0.1 * width)
    weave = texture.clouds(rng, height, width, 3.0)
    return np.clip(1 + np.float32(0.11) * folds + np.float32(0.025) * weave, 0.3, 1.35), tone


# A shoulder instead of a cliff, so that bright skin keeps its texture: level of light -> level in the file.
_SHOULDER = np.array(
    [v if v <= 215 else 215 + 40 * (1 - np.exp(-(v - 215) / 40)) for v in range(1024)]
).astype(np.uint8)


def _expose(scene: _Scene, planes: list[Field], sheen: Field, gain: float) -> Picture:
    rng = scene.rng
    # a camera opens up for dark skin: half a stop over the range of phototypes
    gain *= 1 + 0.055 * (scene.phototype - 1)
    balance = (gain * rng.uniform(0.98, 1.03), gain, gain * rng.uniform(0.95, 1.05))
    grain = rng.standard_normal((scene.height, scene.width), dtype=np.float32)
    added = sheen + cv2.GaussianBlur(grain, (3, 3), 0.7) * np.float32(5.2) + np.float32(0.5)
    levels = []
    for plane, factor in zip(planes, balance, strict=True):
        plane *= np.float32(factor)
        plane += added
        levels.append(_SHOULDER[np.clip(plane, 0, 1023).astype(np.uint16)])
    return np.ascontiguousarray(np.dstack(levels))


# -- what each diagnosis adds ----------------------------------------------------------------------


def _dark(scene: _Scene, amount: float) -> np.float32:
    """Return the melanin of a lesion: on darker skin it takes more to stand out."""
    return np.float32(amount * (1 + 0.10 * (scene.phototype - 1)))


def _network(scene: _Scene, body: _Body, spacing: float, strength: float, rim: bool) -> None:
    honeycomb = smoothstep(0.30, 0.64, scene.cells(spacing))
    patchy = np.clip(0.65 + 0.45 * scene.clouds(45), 0.1, 1.3)
    place = body.inside * (smoothstep(0.25, 0.8, body.rho) if rim else np.float32(1)) * patchy
    scene.melanin += _dark(scene, strength) * honeycomb * place


def _nevus(scene: _Scene, body: _Body) -> None:
    rng = scene.rng
    tone = rng.uniform(0.38, 0.80)
    shade = 1 + 0.22 * scene.clouds(50) + 0.14 * scene.clouds(14) + 0.10 * scene.clouds(4)
    core = 0.55 + 0.55 * smoothstep(1.0, rng.uniform(0.0, 0.4), body.rho)
    scene.melanin += _dark(scene, tone) * body.inside * shade * core
    scene.blood += np.float32(0.12) * body.inside
    if rng.random() < 0.65:
        _network(scene, body, rng.uniform(6.5, 9.5), rng.uniform(0.45, 0.7), rim=rng.random() < 0.5)
    else:
        globules = scene.spots(int(rng.integers(90, 200)), 1.8, 4.0, body.inside)
        scene.melanin += _dark(scene, rng.uniform(0.6, 1.0)) * globules * body.inside
    scene.surface += np.float32(3.5) * body.inside + np.float32(1.1) * body.inside * scene.clouds(6)


def _melanoma(scene: _Scene, body: _Body) -> None:
    rng = scene.rng
    sides = 1 + 0.45 * np.cos(body.theta - np.float32(rng.uniform(0, 6.28)))
    shade = np.clip(
        sides + 0.40 * scene.clouds(55) + 0.28 * scene.clouds(17) + 0.15 * scene.clouds(5), 0.15, 2.4
    )
    scene.melanin += _dark(scene, rng.uniform(0.62, 0.88)) * body.inside * shade
    scene.blood += np.float32(0.30) * body.inside * np.clip(0.5 + 0.6 * scene.clouds(40), 0, 2)
    _network(scene, body, rng.uniform(8, 12), 0.5, rim=True)
    blots = scene.spots(int(rng.integers(5, 11)), 7, 20, body.inside * smoothstep(0.2, 0.9, body.rho), 2.5)
    scene.melanin += _dark(scene, 1.1) * blots * body.inside
    scene.melanin += _dark(scene, 1.0) * scene.spots(60, 1.4, 3.4, body.inside) * body.inside
    rays = smoothstep(0.3, 0.9, np.cos(body.theta * np.float32(rng.integers(26, 40)) + scene.clouds(30)))
    arc = smoothstep(0.1, 0.8, np.cos(body.theta - np.float32(rng.uniform(0, 6.28))))
    scene.melanin += (
        _dark(scene, 0.9) * rays * arc * smoothstep(0.75, 0.95, body.rho) * smoothstep(1.22, 0.98, body.rho)
    )
    veil = smoothstep(0.1, 1.2, scene.clouds(48)) * body.inside
    scene.deep += np.float32(rng.uniform(0.35, 0.6)) * veil * smoothstep(1.0, 0.6, body.rho)
    pale = smoothstep(0.7, 1.5, scene.clouds(38)) * body.inside
    scene.melanin *= 1 - np.float32(0.45) * pale
    scene.surface += np.float32(4.0) * body.inside * (1 + 0.4 * scene.clouds(18))


def _bcc(scene: _Scene, body: _Body) -> None:
    rng = scene.rng
    scene.melanin *= 1 - np.float32(0.35) * body.inside
    scene.blood += np.float32(0.38) * body.inside * np.clip(0.9 + 0.4 * scene.clouds(28), 0.2, 2)
    nests = scene.spots(int(rng.integers(6, 16)), 5, 15, body.inside * smoothstep(0.25, 0.8, body.rho), 2.2)
    scene.deep += np.float32(0.72) * nests * body.inside
    scene.melanin += _dark(scene, 0.55) * nests * body.inside
    trees = texture.vessels(rng, scene.height, scene.width, 9, 8 * scene.unit, body.inside, thickness=2)
    scene.blood += np.float32(1.25) * trees * smoothstep(1.15, 0.9, body.rho)
    scene.keratin += np.float32(0.35) * smoothstep(0.9, 1.9, scene.clouds(14)) * body.inside
    rim = smoothstep(0.62, 0.9, body.rho) * smoothstep(1.12, 0.95, body.rho)
    if rng.random() < 0.5:  # an ulcer with a crust
        ulcer = smoothstep(0.42, 0.16, body.rho + 0.06 * scene.clouds(8))
        scene.blood += np.float32(1.2) * ulcer
        scene.melanin += np.float32(0.55) * ulcer
        scene.surface -= np.float32(4.0) * ulcer
    scene.surface += np.float32(7.0) * rim + np.float32(2.5) * body.inside


def _ak(scene: _Scene, body: _Body) -> None:
    holes = smoothstep(0.62, 0.3, scene.cells(15))
    scene.blood += (
        np.float32(0.62) * body.inside * (1 - 0.55 * holes) * np.clip(1 + 0.3 * scene.clouds(30), 0.3, 2)
    )
    scene.melanin += _dark(scene, 0.14) * body.inside
    dots = scene.spots(70, 1.2, 2.6, body.inside, 0.8)
    flakes = (
        smoothstep(0.2, 1.9, 0.8 * scene.clouds(4) + 0.7 * scene.clouds(11) + 0.6 * scene.clouds(30))
        * body.inside
    )
    scene.keratin += np.float32(0.6) * flakes + np.float32(0.4) * dots * body.inside
    scene.surface += np.float32(4.5) * flakes + np.float32(1.5) * body.inside


def _scc(scene: _Scene, body: _Body) -> None:
    scene.blood += np.float32(0.85) * body.inside * np.clip(1 + 0.35 * scene.clouds(22), 0.3, 2)
    loops = texture.vessels(
        scene.rng, scene.height, scene.width, 22, 4 * scene.unit, body.inside, thickness=1
    )
    scene.blood += np.float32(1.0) * loops * body.inside
    crust = smoothstep(0.62, 0.34, body.rho + 0.10 * scene.clouds(14) + 0.05 * scene.clouds(5))
    scene.keratin += (
        np.float32(0.72) * crust * np.clip(0.75 + 0.2 * scene.clouds(16) + 0.12 * scene.clouds(3), 0, 1)
    )
    scene.melanin += np.float32(0.30) * crust * np.clip(0.4 + 0.6 * scene.clouds(12), 0, 2)
    scene.surface += (np.float32(4) + np.float32(1.5) * scene.clouds(5)) * crust + np.float32(6) * body.inside


def _sk(scene: _Scene, body: _Body) -> None:
    rng = scene.rng
    folds = smoothstep(0.3, 0.62, scene.cells(rng.uniform(15, 23)))
    shade = 1 + 0.18 * scene.clouds(36) + 0.14 * scene.clouds(7) + 0.10 * scene.clouds(3)
    scene.melanin += (
        _dark(scene, rng.uniform(0.55, 0.9)) * body.inside * shade + _dark(scene, 0.4) * folds * body.inside
    )
    openings = scene.spots(int(rng.integers(14, 34)), 2.4, 5.4, body.inside, 1.0)
    scene.melanin += _dark(scene, 1.2) * openings * body.inside
    cysts = scene.spots(int(rng.integers(16, 40)), 1.4, 3.2, body.inside, 0.9)
    scene.keratin += np.float32(0.62) * cysts * body.inside
    scene.surface += (
        np.float32(8) * body.inside - np.float32(3) * folds * body.inside - np.float32(3) * openings
    )


def _df(scene: _Scene, body: _Body) -> None:
    patch = smoothstep(0.62, 0.28, body.rho + 0.08 * scene.clouds(12))
    scene.melanin += _dark(scene, 0.34) * body.inside
    scene.blood += np.float32(0.22) * body.inside
    _network(scene, body, 10, 0.40, rim=True)
    scene.melanin *= 1 - np.float32(0.45) * patch
    scene.keratin += np.float32(0.32) * patch * np.clip(0.8 + 0.5 * scene.clouds(7), 0, 1.4)
    scene.surface += np.float32(4) * body.inside


def _vascular(scene: _Scene, body: _Body) -> None:
    rng = scene.rng
    lacunae = smoothstep(0.62, 0.25, scene.cells(rng.uniform(15, 26)) + 0.06 * scene.clouds(9))
    scene.blood += (
        body.inside
        * (np.float32(0.75) + np.float32(0.75) * lacunae)
        * np.clip(1 + 0.2 * scene.clouds(20), 0.4, 2)
    )
    blue = rng.uniform(0.0, 0.3)
    scene.deep += np.float32(blue) * body.inside * smoothstep(-0.4, 1.0, scene.clouds(40))
    scene.surface += np.float32(6) * body.inside * (0.5 + 0.5 * lacunae)


def _lentigo(scene: _Scene, body: _Body) -> None:
    shade = 1 + 0.14 * scene.clouds(30) + 0.18 * scene.clouds(5) + 0.12 * scene.clouds(2.6)
    scene.melanin += _dark(scene, scene.rng.uniform(0.40, 0.6)) * body.inside * shade
    _network(scene, body, 6.5, 0.25, rim=False)


def _eczema(scene: _Scene, body: _Body) -> None:
    patchy = smoothstep(-0.5, 0.9, scene.clouds(40) + 1.4 - 1.3 * body.rho)
    scene.blood += np.float32(0.60) * patchy * np.clip(1 + 0.3 * scene.clouds(12), 0.2, 2)
    scene.melanin += _dark(scene, 0.12) * patchy
    flakes = smoothstep(0.9, 1.9, scene.clouds(5) + 0.5 * scene.clouds(18)) * patchy
    scene.keratin += np.float32(0.4) * flakes
    scene.surface += np.float32(3) * flakes + np.float32(2.5) * patchy * scene.clouds(5)


def _tinea(scene: _Scene, body: _Body) -> None:
    ring = smoothstep(0.62, 0.86, body.rho) * smoothstep(1.15, 0.96, body.rho)
    scene.blood += np.float32(0.16) * body.inside + np.float32(0.72) * ring
    scene.melanin += _dark(scene, 0.22) * ring
    flakes = smoothstep(0.5, 1.5, scene.clouds(5)) * ring
    scene.keratin += np.float32(0.55) * flakes
    scene.surface += np.float32(4) * ring + np.float32(3) * flakes


def _papules(scene: _Scene, body: _Body) -> None:
    near = smoothstep(2.6, 0.6, body.rho)
    bumps = scene.spots(int(scene.rng.integers(28, 60)), 4.0, 8.5, near, 1.6)
    scene.blood += np.float32(0.9) * bumps + np.float32(0.16) * near
    scene.melanin += _dark(scene, 0.25) * bumps
    crusts = scene.spots(18, 1.6, 3.4, near, 0.8)
    scene.keratin += np.float32(0.5) * crusts
    scene.surface += np.float32(7) * bumps


_SHAPES: dict[str, dict[str, float]] = {
    "melanoma": {"irregular": 0.13, "edge": 0.07, "long": 1.8},
    "bcc": {"irregular": 0.08, "edge": 0.10},
    "ak": {"irregular": 0.12, "edge": 0.30, "long": 1.6},
    "scc": {"irregular": 0.07, "edge": 0.10},
    "sk": {"irregular": 0.06, "edge": 0.035, "long": 1.6},
    "df": {"irregular": 0.05, "edge": 0.26},
    "vascular": {"irregular": 0.07, "edge": 0.05},
    "lentigo": {"irregular": 0.09, "edge": 0.05, "long": 1.8},
    "tinea": {"irregular": 0.05, "edge": 0.12},
}

#: Kinds of lesions by what they look like; not diagnoses.
KINDS: dict[str, Callable[[_Scene, _Body], None]] = {
    "nevus": _nevus,
    "melanoma": _melanoma,
    "bcc": _bcc,
    "ak": _ak,
    "scc": _scc,
    "sk": _sk,
    "df": _df,
    "vascular": _vascular,
    "lentigo": _lentigo,
    "eczema": _eczema,
    "tinea": _tinea,
    "papules": _papules,
}
