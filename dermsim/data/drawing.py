"""Paints skin and the seven kinds of lesion, which `dermsim.data.synthetic` then photographs.

Each painter follows what dermatoscopy textbooks look for (Kittler et al., "Standardization of
terminology in dermoscopy", 2016, https://doi.org/10.1016/j.jaad.2015.12.038), loosely. No
photograph is involved. Lengths are in units of half the picture's height.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Color = tuple[float, float, float]

EXTENT = 1.8
"""The canvas spans -EXTENT to EXTENT both ways, so that a rotated view never sees its edge."""

_FINE = 2  # dots and strokes are drawn at this multiple of the resolution

_SKIN: tuple[Color, ...] = (
    (0.90, 0.74, 0.72),
    (0.86, 0.70, 0.62),
    (0.84, 0.72, 0.78),
    (0.91, 0.66, 0.64),
    (0.87, 0.78, 0.72),
    (0.78, 0.60, 0.50),
)


class Canvas:
    """A square painting of skin that lesions are painted on.

    Colours are kept as logarithms, channel first: pigments that lie over one another then simply
    add, as absorbing layers do (the Beer-Lambert law), and the arithmetic is fast.

    Attributes:
        x: float32 array (side, side), horizontal position.
        y: float32 array (side, side), vertical position.
        lesion: float32 array (side, side) in [0, 1], how much of each place the lesion covers.
        rng: The only source of chance.
    """

    def __init__(self, rng: np.random.Generator, *, pixels_per_unit: float) -> None:
        """Paint bare skin.

        Args:
            rng: Random generator; the same state paints the same skin.
            pixels_per_unit: Resolution.
        """
        self.rng = rng
        self._scale = pixels_per_unit
        self._side = round(2 * EXTENT * pixels_per_unit)
        axis = np.linspace(-EXTENT, EXTENT, self._side, dtype=np.float32)
        self.x, self.y = np.meshgrid(axis, axis)
        self.lesion = np.zeros_like(self.x)
        skin = np.array(_SKIN[rng.integers(len(_SKIN))]) + rng.normal(0, 0.02, 3)
        self._log = np.empty((3, self._side, self._side), dtype=np.float32)
        self._log[:] = np.log(skin)[:, None, None]
        self.tint(self.noise(0.8), (0.97, 0.91, 0.91), rng.uniform(0.2, 0.8))
        self.tint(self.noise(2.5), (0.98, 0.93, 0.94), rng.uniform(0.1, 0.6))
        self.tint(furrows(self, rng.uniform(9, 14)), (0.93, 0.91, 0.91), rng.uniform(0.0, 0.5))
        self._log += 0.02 * self.noise(12) + 0.018 * self.noise(28)

    def outline(self) -> Image.Image:
        """Return where the lesion is as an image of mode "L", 255 where it is."""
        return Image.fromarray((self.lesion * 255).astype(np.uint8))

    def to_image(self) -> Image.Image:
        """Return the painting as an RGB image."""
        rgb = np.exp(np.minimum(self._log, 0)).transpose(1, 2, 0)
        return Image.fromarray((rgb * 255).astype(np.uint8))

    def noise(self, cells: float) -> np.ndarray:
        """Return smooth noise (side, side), about standard normal, with `cells` bumps per unit."""
        count = int(2 * EXTENT * cells) + 3
        coarse = self.rng.standard_normal((count, count), dtype=np.float32)
        smooth = Image.fromarray(coarse).resize((self._side, self._side), Image.Resampling.BICUBIC)
        return np.asarray(smooth) * np.float32(1.4)

    def tint(self, mask: np.ndarray, color: Color, strength: float = 1.0) -> None:
        """Let a pigment absorb light: where the mask is 1, white light would leave as `color`."""
        for channel, value in zip(self._log, color, strict=True):
            channel += mask * np.float32(strength * math.log(value))

    def cover(self, mask: np.ndarray, color: Color, strength: float = 1.0) -> None:
        """Lay an opaque colour over the skin where the mask ``(H, W)`` is 1."""
        weight = mask * np.float32(strength)
        for channel, value in zip(self._log, color, strict=True):
            channel += weight * (np.float32(math.log(value)) - channel)

    def dots(self, centers: np.ndarray, radii: np.ndarray, *, blur: float = 0.0) -> np.ndarray:
        """Return a mask (side, side) of discs, slightly out of round.

        Args:
            centers: (N, 2) positions.
            radii: (N,) radii.
            blur: Softness of their edges.
        """
        picture, draw = self._paper()
        stretch = self.rng.uniform(0.75, 1.3, len(radii))
        sides = np.stack([radii * stretch, radii / stretch], axis=1) * (_FINE * self._scale)
        for (x, y), (a, b) in zip(self._pixels(centers), sides.tolist(), strict=True):
            draw.ellipse((x - a, y - b, x + a, y + b), fill=255)
        return self._mask(picture, blur)

    def strokes(self, paths: list[np.ndarray], *, width: float, blur: float = 0.0) -> np.ndarray:
        """Return a mask (side, side) of lines, each path an array (N, 2) of positions."""
        picture, draw = self._paper()
        thickness = max(1, round(_FINE * width * self._scale))
        for path in paths:
            draw.line([(x, y) for x, y in self._pixels(path)], fill=255, width=thickness)
        return self._mask(picture, blur)

    def scatter(self, count: int, radius: float) -> np.ndarray:
        """Return (count, 2) positions spread evenly over a disc around the middle."""
        angle = self.rng.uniform(0, 2 * np.pi, count)
        distance = radius * np.sqrt(self.rng.uniform(0, 1, count))
        return np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)

    def _paper(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """Start a drawing at a multiple of the resolution, for smooth edges."""
        picture = Image.new("L", (_FINE * self._side, _FINE * self._side))
        return picture, ImageDraw.Draw(picture)

    def _pixels(self, points: np.ndarray) -> list[list[float]]:
        return ((points + EXTENT) * (_FINE * self._scale)).tolist()

    def _mask(self, picture: Image.Image, blur: float) -> np.ndarray:
        picture = picture.reduce(_FINE)
        if blur:
            picture = picture.filter(ImageFilter.GaussianBlur(blur * self._scale))
        return np.asarray(picture, dtype=np.float32) / 255


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-values)), for values of any shape, without overflow."""
    return 0.5 + 0.5 * np.tanh(values / 2)


def blob(
    canvas: Canvas,
    radius: float,
    *,
    ragged: float,
    edge: float,
    center: tuple[float, float] = (0.0, 0.0),
    is_lesion: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Shape a lesion, or a part of one.

    Args:
        canvas: Where it will be painted.
        radius: Mean radius.
        ragged: 0 for an ellipse, 0.4 for a very irregular outline.
        edge: Width of its border as a share of the radius.
        center: Position of its middle.
        is_lesion: Whether a dermatologist would draw the outline around it.

    Returns:
        The mask in [0, 1] and the distance from the middle (1 at the border), both (side, side).
    """
    turn, stretch = canvas.rng.uniform(0, math.pi), canvas.rng.uniform(1.0, 1.25)
    cos, sin = math.cos(turn), math.sin(turn)
    dx, dy = canvas.x - center[0], canvas.y - center[1]
    along, across = (dx * cos + dy * sin) / stretch, (dy * cos - dx * sin) * stretch
    distance = np.hypot(along, across) / radius
    distance += ragged * (0.7 * canvas.noise(1.0 / radius) + 0.35 * canvas.noise(3.0 / radius))
    distance += 0.06 * canvas.noise(8)
    mask = sigmoid((1 - distance) / (0.3 * edge))
    if is_lesion:
        canvas.lesion = np.maximum(canvas.lesion, mask)
    return mask, distance


def mesh(canvas: Canvas, cells: float) -> np.ndarray:
    """Return a wavering honeycomb (side, side): 3 amid each cell, about -1 on its walls."""
    wave = 2 * math.pi * cells
    x = canvas.x + 0.17 / cells * canvas.noise(cells / 1.6) + 0.3 / cells * canvas.noise(cells / 5)
    y = canvas.y + 0.17 / cells * canvas.noise(cells / 1.6) + 0.3 / cells * canvas.noise(cells / 5)
    slant = 0.5 * math.sqrt(3) * y
    return np.cos(wave * x) + np.cos(wave * (0.5 * x + slant)) + np.cos(wave * (0.5 * x - slant))


def network(canvas: Canvas, cells: float) -> np.ndarray:
    """Return a pigment network (side, side) in [0, 1], stronger here and weaker there."""
    return sigmoid((-mesh(canvas, cells) - 0.2) * 3) * sigmoid(1.5 * canvas.noise(2) + 1)


def furrows(canvas: Canvas, cells: float) -> np.ndarray:
    """Return the faint criss-cross of skin lines (side, side) in [0, 1]."""
    return sigmoid((-mesh(canvas, cells) - 0.6) * 4)


def vessels(canvas: Canvas, count: int, radius: float) -> list[np.ndarray]:
    """Return wandering, branching paths within a radius of the middle."""
    paths, rng = [], canvas.rng
    for root in canvas.scatter(count, radius):
        heading, start, steps = math.atan2(-root[1], -root[0]) + rng.normal(0, 0.6), root, 18
        for _ in range(3):
            turns = heading + np.cumsum(rng.normal(0, 0.22, steps))
            path = start + 0.03 * np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)
            paths.append(path)
            start, heading = path[steps // 2], turns[steps // 2] + rng.choice((-0.8, 0.8))
            steps -= 5
    return paths


def hairs(canvas: Canvas, count: int) -> None:
    """Paint long, slightly bent hairs anywhere."""
    rng = canvas.rng
    lean = rng.uniform(0, 2 * math.pi)
    t = np.linspace(-1, 1, 24)[:, None]
    paths = []
    for middle in canvas.scatter(count, EXTENT):
        angle = lean + rng.normal(0, 0.4)
        forward = np.array([math.cos(angle), math.sin(angle)])
        bend = rng.normal(0, 0.2) * np.array([-forward[1], forward[0]])
        paths.append(middle + rng.uniform(0.2, 1.3) * (t * forward + t**2 * bend))
    color: Color = (0.24, 0.17, 0.14) if rng.random() < 0.6 else (0.52, 0.36, 0.26)
    canvas.cover(canvas.strokes(paths, width=rng.uniform(0.010, 0.018)), color, 0.75)


def paint_nv(canvas: Canvas) -> None:
    """Paint a naevus: round, even brown, darker inside, a regular network that fades outwards."""
    rng = canvas.rng
    tone = rng.uniform(0.6, 1.6)
    radius = rng.uniform(0.32, 0.8)
    mask, distance = blob(canvas, radius, ragged=0.09, edge=rng.uniform(0.4, 1.0))
    reddish = rng.uniform(0, 0.08)
    canvas.tint(mask, (0.76 + reddish, 0.58, 0.46), tone)
    core = mask * sigmoid((0.6 - distance + 0.15 * canvas.noise(4)) * 6)
    canvas.tint(core, (0.74, 0.60, 0.52), tone * rng.uniform(0, 1.2))
    net = network(canvas, rng.uniform(9, 13))
    canvas.tint(mask * net, (0.66, 0.52, 0.44), rng.uniform(0.2, 1))
    if rng.random() < 0.5:
        spots = canvas.scatter(int(150 * radius), 0.9 * radius)
        globules = canvas.dots(spots, rng.uniform(0.012, 0.026, len(spots)), blur=0.008)
        canvas.tint(mask * globules, (0.62, 0.46, 0.38), rng.uniform(0.5, 1.1))


def paint_mel(canvas: Canvas) -> None:
    """Paint a melanoma: lopsided, ragged, tan to black and blue-white, with a coarse network."""
    rng = canvas.rng
    radius = rng.uniform(0.45, 0.85)
    mask, _ = blob(canvas, radius, ragged=rng.uniform(0.14, 0.26), edge=0.4)
    for x, y in canvas.scatter(2, 0.75 * radius):
        part, _ = blob(canvas, 0.55 * radius, ragged=0.25, edge=0.4, center=(x, y))
        mask = np.maximum(mask, part)
    texture = 0.8 + 0.2 * canvas.noise(6)
    canvas.tint(mask * texture, (0.70, 0.52, 0.43), rng.uniform(0.9, 1.6))
    net = network(canvas, rng.uniform(6.5, 10))
    canvas.tint(mask * net, (0.56, 0.42, 0.36), rng.uniform(0.1, 0.7))
    patches = canvas.noise(1.8) + 0.6 * canvas.noise(5)
    dark = sigmoid((patches - rng.uniform(-0.3, 0.7)) * 3)
    canvas.tint(mask * dark * texture, (0.42, 0.31, 0.28), rng.uniform(0.8, 1.4))
    canvas.tint(mask * sigmoid((canvas.noise(1.5) - 1) * 4), (0.95, 0.66, 0.64), 0.7)
    veil = mask * sigmoid((canvas.noise(1.7) + 0.3 * canvas.noise(7) - rng.uniform(0.8, 1.6)) * 4)
    canvas.cover(veil, (0.46, 0.48, 0.58), rng.uniform(0.4, 0.65))
    scar = mask * sigmoid((canvas.noise(1.8) + 0.3 * canvas.noise(7) - 1.6) * 4)
    canvas.cover(scar, (0.86, 0.74, 0.75), 0.6)
    spots = canvas.scatter(40, 1.1 * radius)
    specks = canvas.dots(spots, rng.uniform(0.008, 0.024, 40), blur=0.006)
    canvas.tint(specks * mask, (0.42, 0.31, 0.28), 0.8)


def paint_bcc(canvas: Canvas) -> None:
    """Paint a basal cell carcinoma: pink, blue-grey nests, branching vessels, at times an ulcer."""
    rng = canvas.rng
    radius = rng.uniform(0.4, 0.75)
    mask, _ = blob(canvas, radius, ragged=0.16, edge=0.9)
    canvas.tint(mask, (0.94, 0.72, 0.74), rng.uniform(0.7, 1.3))
    shine = sigmoid((canvas.noise(2.5) + 0.5 * canvas.noise(7) - 0.9) * 3)
    canvas.cover(mask * shine, (0.95, 0.86, 0.88), 0.5)
    centers = canvas.scatter(int(rng.integers(3, 11)), 0.8 * radius)
    nests = canvas.dots(centers, rng.uniform(0.03, 0.13, len(centers)), blur=0.02)
    clumps = sigmoid(canvas.noise(6) * 2 + 1)
    canvas.tint(nests * clumps, (0.52, 0.48, 0.54), rng.uniform(0.6, 1.2))
    paths = vessels(canvas, int(rng.integers(4, 9)), radius)
    thick, thin = canvas.strokes(paths[::3], width=0.022), canvas.strokes(paths, width=0.01)
    canvas.tint(np.maximum(thick, thin) * (0.25 + mask), (0.86, 0.52, 0.54), rng.uniform(0.5, 1))
    if rng.random() < 0.35:
        sore, _ = blob(canvas, 0.13, ragged=0.2, edge=0.5, center=(centers[0, 0], centers[0, 1]))
        canvas.tint(sore, (0.70, 0.34, 0.28), rng.uniform(0.6, 1.1))


def paint_bkl(canvas: Canvas) -> None:
    """Paint a benign keratosis: sharp border, waxy tan to grey, ridges, pale cysts, dark plugs."""
    rng = canvas.rng
    radius = rng.uniform(0.4, 0.85)
    mask, _ = blob(canvas, radius, ragged=0.15, edge=rng.uniform(0.15, 0.35))
    grey, tone = rng.uniform(0, 0.1), rng.uniform(0.5, 1.2)
    canvas.tint(mask, (0.80 - grey, 0.66 - 0.5 * grey, 0.50 + grey), tone)
    lumps = canvas.noise(4) + 0.6 * canvas.noise(9)
    canvas.tint(mask * sigmoid(lumps * 2), (0.78, 0.68, 0.60), rng.uniform(0.4, 1.3))
    ridges = np.exp(-((canvas.noise(rng.uniform(3, 6)) / 0.3) ** 2))
    canvas.tint(mask * ridges, (0.74, 0.62, 0.54), rng.uniform(0, 0.6))
    cysts = canvas.scatter(int(rng.integers(4, 24)), 0.85 * radius)
    pale = canvas.dots(cysts, rng.uniform(0.012, 0.04, len(cysts)), blur=0.014)
    canvas.cover(mask * pale, (0.93, 0.84, 0.68), rng.uniform(0.4, 0.8))
    plugs = canvas.scatter(int(rng.integers(3, 22)), 0.85 * radius)
    dark = canvas.dots(plugs, rng.uniform(0.012, 0.035, len(plugs)), blur=0.01)
    canvas.tint(mask * dark, (0.50, 0.37, 0.28), rng.uniform(0.5, 1))


def paint_akiec(canvas: Canvas) -> None:
    """Paint an actinic keratosis: red patch on blotchy skin, pale follicles, yellowish scales."""
    rng = canvas.rng
    radius = rng.uniform(0.5, 0.95)
    canvas.tint(np.maximum(canvas.noise(2), 0), (0.92, 0.76, 0.66), 0.6)
    mask, _ = blob(canvas, radius, ragged=0.22, edge=1.1)
    canvas.tint(mask, (0.93, 0.62, 0.58), rng.uniform(0.6, 1.2))
    canvas.tint(
        mask * network(canvas, rng.uniform(3.5, 5)), (0.90, 0.64, 0.60), rng.uniform(0.4, 1)
    )
    follicles = canvas.scatter(60, 1.1 * radius)
    pale = canvas.dots(follicles, rng.uniform(0.012, 0.03, 60), blur=0.014)
    canvas.cover(mask * pale, (0.96, 0.84, 0.78), rng.uniform(0.3, 0.7))
    flakes = canvas.noise(4) + 0.7 * canvas.noise(9) + 0.4 * canvas.noise(18)
    canvas.cover(mask * sigmoid((flakes - rng.uniform(1.0, 1.9)) * 2.5), (0.95, 0.90, 0.82), 0.7)
    canvas.tint(mask * sigmoid((canvas.noise(3) - 1.4) * 4), (0.68, 0.48, 0.38), 0.8)


def paint_df(canvas: Canvas) -> None:
    """Paint a dermatofibroma: a pale centre like a scar in a faint brown network."""
    rng = canvas.rng
    radius = rng.uniform(0.4, 0.7)
    mask, distance = blob(canvas, radius, ragged=0.08, edge=1.1)
    rosy = rng.uniform(0, 0.1)
    canvas.tint(mask, (0.84 + rosy, 0.68, 0.62 + 0.5 * rosy), rng.uniform(0.6, 1.3))
    ring = mask * sigmoid((distance - 0.5) * 7)
    canvas.tint(ring * network(canvas, rng.uniform(7, 10)), (0.62, 0.46, 0.38), rng.uniform(0.4, 1))
    core, _ = blob(canvas, rng.uniform(0.35, 0.55) * radius, ragged=0.2, edge=0.8)
    canvas.cover(core, (0.94, 0.82, 0.80), rng.uniform(0.45, 0.8))
    streaks = sigmoid((-mesh(canvas, 3.5) - 0.7) * 4)
    canvas.cover(core * streaks, (0.98, 0.93, 0.93), rng.uniform(0.2, 0.7))


def paint_vasc(canvas: Canvas) -> None:
    """Paint a vascular lesion: red to purple lakes with sharp borders, pale walls between them."""
    rng = canvas.rng
    radius = rng.uniform(0.2, 0.6)
    purple = rng.uniform(0, 1)
    mask, _ = blob(canvas, radius, ragged=0.10, edge=0.3)
    halo, _ = blob(canvas, 1.4 * radius, ragged=0.1, edge=1.2, is_lesion=False)
    canvas.tint(halo, (0.97, 0.84, 0.86), rng.uniform(0.3, 1))
    canvas.tint(mask, (0.90 - 0.15 * purple, 0.42, 0.46 + 0.12 * purple), rng.uniform(0.7, 1.0))
    cells = mesh(canvas, rng.uniform(1.2, 2.4) / radius)
    depth = sigmoid(canvas.noise(2 / radius) + 0.5)
    lakes = mask * sigmoid(cells * 2 + 1) * depth
    canvas.tint(lakes, (0.78 - 0.25 * purple, 0.30, 0.38 + 0.1 * purple), rng.uniform(0.6, 1.1))
    walls = mask * sigmoid((-cells - 0.9) * 5)
    canvas.cover(walls, (0.90, 0.66, 0.72), rng.uniform(0.1, 0.6))


PAINTERS: dict[str, Callable[[Canvas], None]] = {
    "akiec": paint_akiec,
    "bcc": paint_bcc,
    "bkl": paint_bkl,
    "df": paint_df,
    "mel": paint_mel,
    "nv": paint_nv,
    "vasc": paint_vasc,
}
"""How each diagnosis is painted."""
