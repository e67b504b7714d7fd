"""Draw where explanations lie well and where they do not, on drawn lesions, into docs/.

No photograph of a patient is shown: good and bad are among lesions that a program drew, whose
outlines are known. What maps are worth on photographs is in the table, not here.

python hub/figure.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from dermsim.core.explain_methods import METHODS
from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion, draw_outline
from dermsim.engine import DermSim
from dermsim.evaluation.explanations.baselines import centred_gaussian, lesion_spread
from dermsim.evaluation.explanations.localization import energy
from dermsim.evaluation.explanations.subject import Subject
from dermsim.tasks.explain import Heatmap, Plan
from dermsim.ui.heatmaps import overlay

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINT = ROOT / "hub" / "dermsim-ham10000"
FIGURE = ROOT / "docs" / "explanations.png"

SIZE = (400, 300)
"""Of a drawn photograph in pixels."""

TILE, GAP, LINE = 240, 14, 22
"""Pixels: side of a picture in the figure, between pictures, and of a line of words."""

INK, SOFT = "#242b2c", "#57554f"


def good_and_bad(
    engine: DermSim, *, method: str = "gradcam", each: int = 8, columns: int = 4
) -> Image.Image:
    """Draw the best and the worst maps by their energy inside the outline, over that of chance.

    Args:
        engine: The checkpoint.
        method: Key of `dermsim.core.explain_methods.METHODS`.
        each: Lesions drawn of each diagnosis.
        columns: How many of the best, and how many of the worst, are shown.

    Returns:
        Two rows of pictures, the best above.

    Raises:
        ValueError: If the method is not for this encoder, or fewer lesions are drawn than shown.
    """
    lesions = [(code, seed) for code in CODES for seed in range(each)]
    if not 0 < 2 * columns <= len(lesions):
        raise ValueError(f"{2 * columns} pictures cannot be chosen of {len(lesions)} lesions.")
    pictures = [draw_lesion(code, seed=seed, size=SIZE) for code, seed in lesions]
    subject = Subject(engine)
    drawn = [draw_outline(code, seed=seed, size=SIZE) for code, seed in lesions]
    outlines = np.stack([subject.outline(np.asarray(d), SIZE) for d in drawn])
    pixels = subject.pixels(pictures)
    answers = subject.probabilities(pixels).argmax(axis=1)
    plan = Plan(method, None if METHODS[method].needs_attention else -1)
    maps = subject.maps(pixels, answers, [plan])[plan.name]
    blob = centred_gaussian(subject.side, lesion_spread(outlines))[None]
    inside, beside = energy(maps, outlines), energy(blob.repeat(len(maps), axis=0), outlines)
    # a map that says nothing has as much of its energy inside as the lesion takes of the picture
    order = np.argsort(outlines.mean(axis=(1, 2)) - inside, kind="stable")

    def tile(row: int) -> Image.Image:
        words = (
            f"{lesions[row][0]}, said to be {CODES[answers[row]]}",
            f"{inside[row]:.2f} inside; Gaussian {beside[row]:.2f}",
        )
        square = _square(pictures[row], engine)
        heatmap = Heatmap(maps[row], 1.0, method, CODES[answers[row]])
        return _tile(square, heatmap, outlines[row], words)

    title = METHODS[method].title
    return _rows(
        {
            f"{title}: the {columns} best of {len(lesions)} drawn lesions": [
                tile(row) for row in order[:columns]
            ],
            f"{title}: the {columns} worst": [tile(row) for row in order[::-1][:columns]],
        }
    )


def _square(picture: Image.Image, engine: DermSim) -> Image.Image:
    """Cut out what the encoder sees of a picture."""
    processor = engine.processor
    share = processor.crop_size["height"] / processor.size["shortest_edge"]
    side = min(picture.size) * share
    left, top = ((length - side) / 2 for length in picture.size)
    box = (left, top, left + side, top + side)
    return picture.resize((TILE, TILE), Image.Resampling.BICUBIC, box=box)


def _tile(
    square: Image.Image, heatmap: Heatmap, outline: npt.NDArray[np.bool_], words: Sequence[str]
) -> Image.Image:
    """Paint a map and an outline over a picture, with words below it."""
    painted = overlay(square, heatmap, opacity=0.6, strength=1.0, side=TILE)
    mask = Image.fromarray(outline.astype(np.uint8) * 255).resize((TILE, TILE))
    mask = mask.point(lambda value: 255 * (value > 127))
    larger = np.asarray(mask.filter(ImageFilter.MaxFilter(5)))
    rim = Image.fromarray(larger - np.asarray(mask))
    painted.paste("white", mask=rim)
    tile = Image.new("RGB", (TILE, TILE + LINE * len(words) + 4), "white")
    tile.paste(painted)
    pen = ImageDraw.Draw(tile)
    for number, line in enumerate(words):
        pen.text((0, TILE + 6 + number * LINE), line, fill=SOFT, font=ImageFont.load_default(15))
    return tile


def _rows(rows: dict[str, list[Image.Image]]) -> Image.Image:
    """Put rows of pictures under their titles."""
    tiles = next(iter(rows.values()))
    width = GAP + len(tiles) * (tiles[0].width + GAP)
    height = 2 * LINE + tiles[0].height
    page = Image.new("RGB", (width, len(rows) * height + GAP), "white")
    pen = ImageDraw.Draw(page)
    for number, (title, shown) in enumerate(rows.items()):
        top = number * height + GAP
        pen.text((GAP, top), title, fill=INK, font=ImageFont.load_default(18))
        for place, tile in enumerate(shown):
            page.paste(tile, (GAP + place * (tile.width + GAP), top + LINE + 8))
    return page


if __name__ == "__main__":
    figure = good_and_bad(DermSim.from_pretrained(CHECKPOINT))
    figure.quantize(256).save(FIGURE, optimize=True)
