"""Photographs that nobody should be given a label for, made of good ones.

Skin without a lesion is cut out beside the outline of one; a lesion is made small, or moved out of
the frame; light, colour and focus are taken away. What tells such pictures from good ones is fitted
to these and measured on them (`dermsim.tasks.detect.quality`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from dermsim.core.refused import Refused

if TYPE_CHECKING:
    from dermsim.data.outlines import Outlines

Pixels = npt.NDArray[np.float64]
"""``(S, S, 3)`` RGB in [0, 1]."""

Outline = npt.NDArray[np.bool_]
"""``(S, S)`` True where the lesion is."""

SKIN = (
    *((255, 224, 205), (243, 206, 180), (220, 170, 150), (198, 134, 96), (168, 112, 80)),
    *((141, 85, 54), (115, 72, 48), (92, 56, 37), (74, 44, 30), (60, 34, 24)),
)
"""Tones of skin from light to dark, 8-bit RGB."""

PATCH = 0.25
"""Side of the smallest square of skin that is cut out, as a share of the photograph's."""

RIM = 0.15
"""Share of a square of skin that is cut off on each side, from its middle to its edge."""

SMALL = (0.001, 0.01)
"""Share of the picture that a lesion made small takes; 99 % of HAM10000's take 1.5 %."""

BLACK = 0.04
"""What a dermatoscope's frame has in place of black."""


def bare_skin(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels | None:
    """Fill a picture with the skin beside a lesion; None where there is too little of it.

    Every other time the skin is enlarged, as by going closer, and else repeated in mirror images,
    which keeps its grain.
    """
    patch = skin_patch(pixels, outline)
    if patch is None:
        return None
    side = len(pixels)
    if rng.random() < 0.5:
        return _resized(patch, side)
    return _filled(patch, side)


def skin_patch(pixels: Pixels, outline: Outline) -> Pixels | None:
    """Return the largest square beside the outline, without its rim; None where none has `PATCH`.

    The largest square touches the outline, where the lesion fades into the skin.
    """
    side = len(outline)
    free = ndimage.distance_transform_cdt(
        ~np.pad(outline, 1, constant_values=True), metric="chessboard"
    )[1:-1, 1:-1]
    reach = int(free.max()) - 1
    if 2 * reach + 1 < PATCH * side:
        return None
    reach -= max(1, round(RIM * reach))
    row, column = np.unravel_index(int(free.argmax()), free.shape)
    return pixels[row - reach : row + reach + 1, column - reach : column + reach + 1]


def drawn_skin(side: int, rng: np.random.Generator) -> Pixels:
    """Draw skin of any tone, with shade and grain, or without."""
    tone = np.array(SKIN[rng.integers(len(SKIN))]) / 255
    tone = np.clip(tone * rng.uniform(0.93, 1.07, 3), 0, 1)
    picture = np.broadcast_to(tone, (side, side, 3)).copy()
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    if rng.random() < 0.6:  # light from one side
        angle = rng.uniform(0, 2 * np.pi)
        slope = rng.uniform(0, 0.2) * (np.cos(angle) * x + np.sin(angle) * y)
        picture *= 1 + slope[..., None]
    if rng.random() < 0.4:  # darker towards the rim
        picture *= (1 - rng.uniform(0, 0.35) * (x**2 + y**2) / 2)[..., None]
    if rng.random() < 0.6:
        grain = rng.normal(0, rng.uniform(0.005, 0.05), (side, side, 1))
        picture += ndimage.gaussian_filter(grain, (rng.uniform(0, 1.5),) * 2 + (0,))
    return np.clip(picture, 0, 1)


def small_lesion(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels | None:
    """Make a lesion as small as in a picture taken from afar."""
    share = rng.uniform(*SMALL)
    factor = float(np.sqrt(share / outline.mean()))
    place = rng.uniform(0.3, 0.7, 2)
    return _placed(pixels, outline, factor, place)


def lesion_at_edge(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels | None:
    """Move a lesion so that at most a third of it is left in the frame, at its edge."""
    side = len(pixels)
    share = rng.uniform(0.06, 0.2)  # of the picture, were it whole
    factor = float(np.sqrt(share / outline.mean()))
    reach = np.sqrt(share / np.pi)
    out, along = -rng.uniform(0.15, 0.6) * reach, rng.uniform(0.1, 0.9)
    place = [(along, out), (out, along), (along, 1 - out), (1 - out, along)][rng.integers(4)]
    moved = _placed(pixels, outline, factor, np.array(place))
    return moved if moved is None or len(moved) == side else None


def darkened(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels:
    """Take light away until a twentieth to a third of it is left."""
    return pixels * rng.uniform(0.04, 0.32)


def overexposed(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels:
    """Add light until most of the skin is white."""
    level = float(np.quantile(pixels.min(axis=2), 0.3))
    return np.clip(pixels * rng.uniform(1.15, 2.0) / max(level, 0.1), 0, 1)


def greyed(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels:
    """Take the colour away."""
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    left = rng.uniform(0, 0.12) if rng.random() < 0.3 else 0.0
    return grey[..., None] * (1 - left) + pixels * left


def defocused(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels:
    """Blur a picture by a fortieth of its side or more."""
    sigma = rng.uniform(0.028, 0.07) * len(pixels)
    return ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")


def scrambled(pixels: Pixels, outline: Outline, rng: np.random.Generator) -> Pixels:
    """Make a scene of a photograph's pieces: other colours, straight edges, several things."""
    side = len(pixels)
    scene = np.broadcast_to(rng.random(3), pixels.shape).copy()
    y = np.linspace(0, 1, side)[:, None, None]
    scene = scene * (1 - y) + rng.random(3) * y
    for _ in range(rng.integers(1, 9)):
        high, wide = rng.integers(side // 8, side, 2)
        top, left = rng.integers(0, side - high + 1), rng.integers(0, side - wide + 1)
        turned = np.rot90(pixels, int(rng.integers(4)))[..., rng.permutation(3)]
        if rng.random() < 0.5:
            turned = 1 - turned
        gain, lift = rng.uniform(0.3, 1.6, 3), rng.uniform(-0.3, 0.3, 3)
        if rng.random() < 0.4:
            piece = np.broadcast_to(rng.random(3), (high, wide, 3))
        else:
            piece = np.clip(turned[:high, :wide] * gain + lift, 0, 1)
        shape = np.ones((high, wide), dtype=bool)
        if rng.random() < 0.4:
            v, u = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j]
            shape = u**2 + v**2 < 1
        target = scene[top : top + high, left : left + wide]
        target[shape] = piece[shape]
    if rng.random() < 0.5:
        scene += rng.normal(0, rng.uniform(0.02, 0.25), scene.shape)
    return np.clip(scene, 0, 1)


def framed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Put the round black frame of a dermatoscope around a picture; it is no fault."""
    side = len(pixels)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    shift = rng.uniform(-0.08, 0.08, 2)
    radius = np.hypot(y - shift[0], x - shift[1])
    soft = np.clip((rng.uniform(0.85, 1.2) - radius) / 0.03 + 0.5, 0, 1)[..., None]
    return pixels * soft + BLACK * rng.random() * (1 - soft)


def changed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Change a good picture in a way that is no fault; three in seven get a black frame."""
    side = len(pixels)
    kind = rng.integers(7)
    if kind <= 2:
        return framed(pixels, rng)
    if kind == 3:
        return np.clip(pixels * rng.uniform(0.55, 1.15), 0, 1)
    if kind == 4:
        sigma = rng.uniform(0.002, 0.01) * side
        return ndimage.gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest")
    if kind == 5:
        kept = int(side * rng.uniform(0.5, 0.9))
        start = (side - kept) // 2
        return _resized(pixels[start : start + kept, start : start + kept], side)
    return np.clip(pixels * rng.uniform(0.85, 1.15, 3), 0, 1)


def squares(row: Mapping[str, Any], outlines: Outlines | None, side: int) -> tuple[Pixels, Outline]:
    """Return the middle of a photograph as an encoder sees it, and its lesion there.

    Args:
        row: Of the `load_ham10000` schema.
        outlines: Of the lesions; None where none is needed, and the outline is then empty.
        side: S, pixels along each side.

    Raises:
        ValueError: If there is no outline of the photograph.
    """
    image, name = row["image"].convert("RGB"), row["image_id"]
    if outlines is None:
        outline = np.zeros(image.size[::-1], dtype=np.bool_)
    elif name in outlines:
        outline = outlines.of(name, image.size)
    else:
        raise Refused("spoiled.no_outline", name=name)
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    box = (left, top, left + short, top + short)
    pixels = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box)) / 255.0
    grey = Image.fromarray(outline.astype(np.uint8) * 255)
    small = grey.resize((side, side), Image.Resampling.BILINEAR, box)
    return pixels, np.asarray(small) >= 128


Spoiler = Callable[[Pixels, Outline, np.random.Generator], Pixels | None]

SPOILERS: Mapping[str, Spoiler] = {
    "no_lesion": bare_skin,
    "lesion_small": small_lesion,
    "lesion_at_edge": lesion_at_edge,
    "too_dark": darkened,
    "too_bright": overexposed,
    "greyscale": greyed,
    "out_of_focus": defocused,
    "not_dermoscopy": scrambled,
}
"""What makes each fault, by the reason that it is one."""


def _placed(
    pixels: Pixels, outline: Outline, factor: float, place: npt.NDArray[np.float64]
) -> Pixels | None:
    """Put a lesion, scaled by `factor`, with its middle at `place` on skin of its own picture.

    Returns:
        The picture; None where there is too little skin.
    """
    patch = skin_patch(pixels, outline)
    if patch is None:
        return None
    side = len(pixels)
    canvas = _filled(_resized(patch, max(8, round(len(patch) * max(factor, 0.5)))), side)
    size = max(3, round(side * factor))
    small = _resized(pixels, size)
    mask = np.asarray(
        Image.fromarray(outline).convert("L").resize((size, size), Image.Resampling.BILINEAR)
    )
    soft = ndimage.grey_dilation(mask, size=(3, 3)).astype(np.float64) / 255
    soft = ndimage.gaussian_filter(soft, max(0.7, 0.02 * size))
    middle = np.array(ndimage.center_of_mass(mask > 127)) if (mask > 127).any() else [size / 2] * 2
    top, left = np.round(place * side - middle).astype(int)
    rows = slice(max(top, 0), min(top + size, side))
    columns = slice(max(left, 0), min(left + size, side))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    own = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    share = soft[own][..., None]
    canvas[rows, columns] = canvas[rows, columns] * (1 - share) + small[own] * share
    return canvas


def _filled(patch: Pixels, side: int) -> Pixels:
    """Repeat a patch in mirror images until it fills a square."""
    rows = np.pad(np.arange(len(patch)), (0, max(0, side - len(patch))), mode="symmetric")[:side]
    return patch[rows][:, rows].copy()


def _resized(pixels: Pixels, side: int) -> Pixels:
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)) / 255.0
