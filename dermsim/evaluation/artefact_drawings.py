"""Artefacts drawn over photographs that `dermsim.evaluation.corruptions` does not have.

Lengths are in short sides of the photograph. What is drawn is the same for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dermsim.evaluation.corruptions import corrupt

Draw = Callable[[Image.Image, int], Image.Image]
"""Takes an RGB image and a seed; returns another image."""


def draw_hair(image: Image.Image, seed: int) -> Image.Image:
    """Draw eleven hairs."""
    return corrupt(image, "hair", strength=2, seed=seed)


def draw_ruler(image: Image.Image, seed: int) -> Image.Image:
    """Lay a ruler along one side."""
    return corrupt(image, "ruler", strength=2, seed=seed)


def draw_ink(image: Image.Image, seed: int) -> Image.Image:
    """Draw two strokes of a surgeon's violet pen beside the middle."""
    rng = np.random.default_rng((seed, 1))
    paper = Image.new("L", image.size)
    pen = ImageDraw.Draw(paper)
    width, height = image.size
    short = min(image.size)
    for _ in range(2):
        turn = rng.uniform(0, 2 * math.pi)
        away = rng.uniform(0.36, 0.46) * short
        middle = width / 2 + away * math.cos(turn), height / 2 + away * math.sin(turn)
        slant = turn + math.pi / 2 + rng.normal(0, 0.4)
        reach = rng.uniform(0.08, 0.18) * short
        steps = np.linspace(-1, 1, 12)
        bend = rng.normal(0, 0.2)
        points = [
            (
                middle[0] + reach * (s * math.cos(slant) - bend * s * s * math.sin(slant)),
                middle[1] + reach * (s * math.sin(slant) + bend * s * s * math.cos(slant)),
            )
            for s in steps
        ]
        pen.line(points, fill=210, width=max(2, round(0.025 * short)), joint="curve")
    return _cover(image, paper.filter(ImageFilter.GaussianBlur(0.004 * short)), (92, 62, 140))


def draw_gel_bubbles(image: Image.Image, seed: int) -> Image.Image:
    """Draw bubbles: a bright rim, and a glint on one side."""
    rng = np.random.default_rng((seed, 2))
    paper = Image.new("L", image.size)
    pen = ImageDraw.Draw(paper)
    short = min(image.size)
    for _ in range(int(rng.integers(6, 14))):
        x, y = (rng.uniform(0.03, 0.97) * side for side in image.size)
        radius = rng.uniform(0.01, 0.045) * short
        rim = max(1, round(0.2 * radius))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=120, width=rim)
        glint = 0.3 * radius
        left, top = x - 0.5 * radius, y - 0.5 * radius
        pen.ellipse((left - glint, top - glint, left + glint, top + glint), fill=230)
    return _cover(image, paper.filter(ImageFilter.GaussianBlur(0.003 * short)), (255, 255, 255))


def draw_dark_corner(image: Image.Image, seed: int) -> Image.Image:
    """Draw the round rim of a dermatoscope, black beyond it."""
    rng = np.random.default_rng((seed, 3))
    width, height = image.size
    short = min(image.size)
    x = np.arange(width)[None, :] - width / 2
    y = np.arange(height)[:, None] - height / 2
    beyond = np.hypot(x, y) / short - rng.uniform(0.52, 0.58)
    dark = np.clip(0.5 + beyond / 0.02, 0, 1)
    return _cover(image, Image.fromarray((255 * dark).astype(np.uint8)), (8, 6, 8))


def _cover(image: Image.Image, paper: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    return Image.composite(Image.new("RGB", image.size, colour), image, paper)


DRAWINGS: dict[str, Draw] = {
    "hair": draw_hair,
    "ruler": draw_ruler,
    "ink": draw_ink,
    "gel_bubbles": draw_gel_bubbles,
    "dark_corner": draw_dark_corner,
}
"""By the name of the artefact in the list of concepts."""
