"""Spoils photographs as the world does, so that robustness to it can be measured.

Blur, noise, compression, light, colour, framing, hairs and rulers: eleven kinds, each at three
strengths. 1 is mild, 2 is clear, 3 is strong, yet a dermatologist would still recognise the lesion.
In the spirit of Hendrycks and Dietterich, "Benchmarking neural network robustness to common
corruptions and perturbations" (2019), https://arxiv.org/abs/1903.12261, and of its dermatoscopic
successors SAM-C and SAM-P: Maron et al., "A benchmark for neural network robustness in skin cancer
classification" (2021), https://doi.org/10.1016/j.ejca.2021.06.047. The code and the strengths are
this project's own, so the figures compare with each other, not with theirs.

Lengths are in short sides of the photograph, and what has a grain gets it at a fixed number of
grains: a photograph and its thumbnail are degraded alike.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from dermsim.core.refused import Refused

STRENGTHS = (1, 2, 3)
"""Mild, clear, strong."""

_GRAINS = 150
"""Grains of noise, and pixels that JPEG sees, along the short side; smaller images have fewer."""

_DRAWN = 600
"""Pixels along the short side at which hairs and rulers are drawn, before they are scaled down."""

_FINER = 4
"""The most by which a drawing is finer than a small image."""

_LUMINANCE = np.array([0.213, 0.715, 0.072])
_CHROMA_TURN = np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
"""The sine part of a turn of all hues that keeps luminance, from the Filter Effects Module,
https://www.w3.org/TR/filter-effects-1/#feColorMatrixElement."""

# Each undoes itself.
_LYING = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180)
_UPRIGHT = (Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE)

_HAIR = (38, 26, 20)
_STRIP = (232, 230, 222)
_INK = (25, 25, 30)


@dataclass(frozen=True)
class Corruption:
    """One way in which a photograph is spoilt.

    Attributes:
        apply: Takes an RGB image, an amount and the source of chance; returns an RGB image.
        amounts: What `apply` gets at strength 1, 2 and 3.
        unit: What an amount says.
    """

    apply: Callable[[Image.Image, float, np.random.Generator], Image.Image]
    amounts: tuple[float, float, float]
    unit: str


def corrupt(image: Image.Image, kind: str, *, strength: int, seed: int) -> Image.Image:
    """Spoil a photograph.

    The strengths of one kind and seed share all that is left to chance: 3 is the same accident as
    1, only worse.

    Args:
        image: A PIL image in mode ``"RGB"``, of any size. It is not changed.
        kind: A key of `CORRUPTIONS`.
        strength: One of `STRENGTHS`.
        seed: Non-negative; another seed is another grain, direction, place.

    Returns:
        An RGB image of the same size, the same for the same arguments.

    Raises:
        ValueError: If the image is not RGB, or kind, strength or seed is none of these.
    """
    if image.mode != "RGB":
        raise Refused("corruptions.mode", mode=image.mode)
    if kind not in CORRUPTIONS:
        raise Refused("corruptions.kind", kind=kind, corruptions=list(CORRUPTIONS))
    if strength not in STRENGTHS:
        raise Refused("corruptions.strength", strength=strength)
    if seed < 0:
        raise Refused("corruptions.seed", seed=seed)
    rng = np.random.default_rng((seed, zlib.crc32(kind.encode())))
    corruption = CORRUPTIONS[kind]
    return corruption.apply(image, corruption.amounts[strength - 1], rng)


# -- the camera -----------------------------------------------------------------------------------


def _blur(image: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(deviation * min(image.size)))


def _noise(image: Image.Image, deviation: float, rng: np.random.Generator) -> Image.Image:
    width, height = _scaled(image, min(1.0, _GRAINS / min(image.size)))
    grain = rng.standard_normal((height, width, 3), dtype=np.float32)
    return _add(image, grain * (255 * deviation))


def _jpeg(image: Image.Image, quality: float, rng: np.random.Generator) -> Image.Image:
    size = _scaled(image, min(1.0, _GRAINS / min(image.size)))
    small = image.resize(size, Image.Resampling.BOX)
    stream = BytesIO()
    small.save(stream, format="JPEG", quality=round(quality))
    with Image.open(stream, formats=["JPEG"]) as compressed:
        # Only what compression adds is enlarged: the photograph keeps its own resolution.
        artefacts = np.asarray(compressed, dtype=np.float32) - np.asarray(small, dtype=np.float32)
    return _add(image, artefacts)


def _add(image: Image.Image, pattern: npt.NDArray[np.float32]) -> Image.Image:
    """Add a coarse pattern ``(h, w, 3)`` in grey levels, each of its cells as a block of pixels."""
    values = np.asarray(image, dtype=np.float32)
    height, width = values.shape[:2]
    rows = np.arange(height) * pattern.shape[0] // height
    columns = np.arange(width) * pattern.shape[1] // width
    summed = values + pattern[rows[:, None], columns]
    return Image.fromarray(np.clip(summed + 0.5, 0, 255).astype(np.uint8))


# -- light and colour -----------------------------------------------------------------------------


def _brightness(image: Image.Image, amount: float, rng: np.random.Generator) -> Image.Image:
    return _remap(image, np.arange(256) * math.exp(_either_way(amount, rng)))


def _contrast(image: Image.Image, amount: float, rng: np.random.Generator) -> Image.Image:
    middle = float(np.asarray(image).mean())
    factor = math.exp(_either_way(amount, rng))
    return _remap(image, middle + (np.arange(256) - middle) * factor)


def _remap(image: Image.Image, levels: npt.NDArray[np.floating]) -> Image.Image:
    """Replace each grey level of each channel by another, ``(256,)``."""
    return image.point(np.clip(levels + 0.5, 0, 255).astype(int).tolist() * 3)


def _hue(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    angle = math.radians(_either_way(degrees, rng))
    grey = np.tile(_LUMINANCE, (3, 1))
    turn = grey + math.cos(angle) * (np.eye(3) - grey) + math.sin(angle) * _CHROMA_TURN
    return _mix_channels(image, turn)


def _white_balance(image: Image.Image, amount: float, rng: np.random.Generator) -> Image.Image:
    warmth, tint = _either_way(amount, rng), rng.uniform(-0.3, 0.3) * amount
    gains = np.exp([warmth, tint, -warmth])
    means = np.asarray(image).reshape(-1, 3).mean(axis=0)
    # The camera's exposure makes up for what the gains add; one grey level keeps black defined.
    exposure = (_LUMINANCE @ means + 1) / (_LUMINANCE @ (means * gains) + 1)
    return _mix_channels(image, np.diag(gains * exposure))


def _mix_channels(image: Image.Image, matrix: npt.NDArray[np.float64]) -> Image.Image:
    return image.convert("RGB", tuple(np.hstack([matrix, np.zeros((3, 1))]).ravel().tolist()))


def _either_way(amount: float, rng: np.random.Generator) -> float:
    return amount if rng.random() < 0.5 else -amount


# -- framing --------------------------------------------------------------------------------------


def _crop(image: Image.Image, zoom: float, rng: np.random.Generator) -> Image.Image:
    angle = rng.uniform(0, 2 * math.pi)
    # At most to the edge of the photograph, in one direction.
    shift = np.array([math.cos(angle), math.sin(angle)])
    whole = np.array(image.size)
    left, top = whole * (1 - 1 / zoom) / 2 * (1 + shift)
    right, bottom = np.minimum((left, top) + whole / zoom, whole)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(left, top, right, bottom))


def _rotation(image: Image.Image, degrees: float, rng: np.random.Generator) -> Image.Image:
    angle = math.radians(_either_way(degrees, rng) * rng.uniform(0.8, 1.2))
    cos, sin = math.cos(angle), math.sin(angle)
    width, height = image.size
    # The turned frame reaches over the edges by this much; there the photograph is mirrored.
    across = max(0, math.ceil((width * abs(cos) + height * abs(sin) - width) / 2)) + 2
    down = max(0, math.ceil((width * abs(sin) + height * abs(cos) - height) / 2)) + 2
    margins = ((down, down), (across, across), (0, 0))
    mirrored = Image.fromarray(np.pad(np.asarray(image), margins, mode="symmetric"))
    left = mirrored.width / 2 - (cos * width + sin * height) / 2
    top = mirrored.height / 2 - (cos * height - sin * width) / 2
    matrix = (cos, sin, left, -sin, cos, top)
    return mirrored.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


# -- things in the way ----------------------------------------------------------------------------


def _hair(image: Image.Image, count: float, rng: np.random.Generator) -> Image.Image:
    mask, draw, unit = _sheet(image)
    extent = np.array(mask.size) / unit
    growth = rng.uniform(0, 2 * math.pi)
    for _ in range(round(count)):
        middle = rng.uniform(0, 1, 2) * extent
        angle, length = growth + rng.normal(0, 0.5), rng.uniform(0.5, 1.2)
        bend, width = rng.normal(0, 0.2), rng.uniform(0.006, 0.01)
        opacity = int(rng.integers(190, 256))
        along = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-along[1], along[0]])
        t = np.linspace(0, 1, 25)[:, None]
        # A parabola over the straight line from root to tip.
        points = middle + length * ((t - 0.5) * along + 4 * bend * t * (1 - t) * across)
        for i in range(24):
            thickness = max(1, round(width * (1 - 0.6 * i / 24) * unit))
            segment = [tuple(point) for point in (points[i : i + 2] * unit).tolist()]
            draw.line(segment, fill=opacity, width=thickness)
    return _lay_over(image, mask, _HAIR)


def _ruler(image: Image.Image, reach: float, rng: np.random.Generator) -> Image.Image:
    # Along a long side: what lies at the short ones is outside the square that an encoder sees.
    turns = _UPRIGHT if image.height > image.width else _LYING
    turn, phase = turns[int(rng.integers(2))], rng.uniform(0, 1)
    lying = image.transpose(turn)
    strip, strip_draw, unit = _sheet(lying)
    marks, marks_draw, _ = _sheet(lying)
    strip_draw.rectangle((0, 0, strip.width, 1.15 * reach * unit), fill=150)
    step, thickness = 0.05 * unit, 0.008 * unit
    for i in range(math.ceil(marks.width / step) + 1):
        depth = reach * unit * (1.0 if i % 10 == 0 else 0.75 if i % 5 == 0 else 0.5)
        left = (i - phase) * step
        marks_draw.rectangle((left, 0, left + thickness, depth), fill=230)
    return _lay_over(_lay_over(lying, strip, _STRIP), marks, _INK).transpose(turn)


def _sheet(image: Image.Image) -> tuple[Image.Image, ImageDraw.ImageDraw, float]:
    """A clear sheet over the image to draw on, and the length of the image's short side on it."""
    scale = min(_FINER, _DRAWN / min(image.size))
    sheet = Image.new("L", _scaled(image, scale))
    return sheet, ImageDraw.Draw(sheet), scale * min(image.size)


def _lay_over(image: Image.Image, sheet: Image.Image, color: tuple[int, int, int]) -> Image.Image:
    mask = sheet.resize(image.size, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", image.size, color), image, mask)


def _scaled(image: Image.Image, scale: float) -> tuple[int, int]:
    width, height = image.size
    return max(1, round(width * scale)), max(1, round(height * scale))


CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType(
    {
        "blur": Corruption(_blur, (0.005, 0.01, 0.016), "standard deviation, in short sides"),
        "noise": Corruption(_noise, (0.025, 0.05, 0.08), "standard deviation, of the full range"),
        "jpeg": Corruption(_jpeg, (40, 24, 15), "quality, of a copy 150 pixels high"),
        "brightness": Corruption(_brightness, (0.1, 0.2, 0.33), "log factor, up or down"),
        "contrast": Corruption(_contrast, (0.2, 0.38, 0.6), "log factor, up or down"),
        "hue": Corruption(_hue, (7, 15, 26), "degrees, either way"),
        "white_balance": Corruption(_white_balance, (0.05, 0.1, 0.17), "log gain, warm or cold"),
        "crop": Corruption(_crop, (1.12, 1.28, 1.5), "zoom"),
        "rotation": Corruption(_rotation, (12, 35, 70), "degrees, +- a fifth, either way"),
        "hair": Corruption(_hair, (5, 11, 20), "hairs"),
        "ruler": Corruption(_ruler, (0.06, 0.11, 0.18), "longest mark, in short sides"),
    }
)
"""The corruptions by name, in the order in which they are reported."""
